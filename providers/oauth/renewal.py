"""Credentials that have run out, traded for fresh ones: once, however many tasks need them."""

from collections.abc import Mapping
from dataclasses import dataclass

import trio

from runtime.errors import OAuthError
from runtime.nurseries import explain
from runtime.values.redaction import Redactor
from runtime.values.secret import Secret

from .credentials import OAuthCredentials
from .registry import require_oauth_provider
from .single_flight import share


@dataclass(frozen=True)
class OAuthApiKey:
    """A key for a model call, and the credentials that it comes from: store them, they may be new."""

    new_credentials: OAuthCredentials
    api_key: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_key", Secret(self.api_key))


async def refresh_oauth_token(provider_id: str, credentials: OAuthCredentials) -> OAuthCredentials:
    """Trade credentials for fresh ones, expired or not; errors of the provider come as they are.

    Store the result: the old credentials may have lost their worth. Raises OAuthError for an unknown provider.
    """
    return await require_oauth_provider(provider_id).refresh_token(credentials)


async def get_oauth_api_key(
    provider_id: str, credentials: Mapping[str, OAuthCredentials]
) -> OAuthApiKey | None:
    """The API key of a provider, its credentials refreshed when they have expired; None without credentials for it.

    Tasks that ask at the same time for the same credentials make one refresh, and all get its result. Store
    ``new_credentials``; a ``CredentialStore`` does all of that by itself, between processes too. Raises OAuthError for an
    unknown provider, and for a refresh that failed (``__cause__`` is why).
    """
    await trio.lowlevel.checkpoint()
    provider = require_oauth_provider(provider_id)
    held = credentials.get(provider_id)
    if held is None:
        return None
    if held.is_expired:
        expired = held
        held = await share((provider_id, held.refresh), lambda: renew(provider_id, expired))
    return OAuthApiKey(held, provider.get_api_key(held))


async def renew(provider_id: str, credentials: OAuthCredentials) -> OAuthCredentials:
    """``refresh_oauth_token``, whose failures are OAuthErrors that say for which provider, and hold no secret."""
    try:
        return await refresh_oauth_token(provider_id, credentials)
    except Exception as error:  # noqa: BLE001 - whatever a provider raises; a cancellation is none of these
        failure = error
    redact = Redactor(credentials.secrets())
    reason = redact(explain(failure)).rstrip(".")
    raise OAuthError(
        f"Failed to refresh OAuth token for {provider_id}: {reason}. If it stays so, log in again."
    ) from _presentable(failure, redact)


def _presentable(error: Exception, redact: Redactor) -> Exception:
    """The error, or what may be shown of it: a provider that an application registered may quote what it was given."""
    if not redact.is_quoted_in(error):
        return error
    return OAuthError(f"{type(error).__name__}: {redact(explain(error))}")
