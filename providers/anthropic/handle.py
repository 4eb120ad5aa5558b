"""Handles for the Messages API, at Anthropic and everywhere else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from providers.handle import ProviderHandle
from runtime.errors import MissingApiKeyError
from runtime.values.compat import ModelCompat
from runtime.values.environment import API_KEY_VARIABLES, find_anthropic_auth_token, find_env_api_key
from runtime.values.model import Bindings
from runtime.values.secret import Secret

from .credentials import ANTHROPIC, BASE_URL, AnthropicAccess
from .messages_api import AnthropicApi

if TYPE_CHECKING:
    import httpx

_COMPAT = ModelCompat(supports_strict_tools=True)


def messages(
    api_key: str | None = None,
    auth_token: str | None = None,
    *,
    base_url: str = BASE_URL,
    provider_id: str = ANTHROPIC,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    compat: ModelCompat | Mapping[str, Any] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
    claude_code_identity: bool = False,
) -> ProviderHandle:
    """A handle for an endpoint that speaks the Messages API: Anthropic, a gateway, or a server of your own.

    ``api_key`` goes out as ``x-api-key``, the token of a subscription (``sk-ant-oat...``) and ``auth_token`` as
    ``Authorization: Bearer``; a key outranks a token. Without either, the credential may come from ``env``, and at
    Anthropic itself from the environment: ``ANTHROPIC_AUTH_TOKEN``, ``ANTHROPIC_OAUTH_TOKEN``, ``ANTHROPIC_API_KEY``. There
    a call without one raises MissingApiKeyError; elsewhere it is sent without.

    - ``base_url`` ends before ``/messages``: Anthropic's ends in ``/v1``.
    - ``headers`` go with every request, and stay out of models that are written down; ``anthropic-beta`` adds to what is sent anyway.
    - ``compat`` says how the endpoint departs from Anthropic's; ``model(compat=...)`` is laid over it.
    - ``http_client`` replaces the pool; it is not closed.
    - ``claude_code_identity``: with a subscription's token, requests look like Claude Code's: system prompt, user agent and the spelling
      of tool names. The subscription's terms decide whether that is allowed; without it, nothing of the kind is sent.

    Raises InvalidOptionError for a credential or a header that cannot be sent.
    """
    access = AnthropicAccess(
        api_key=api_key,
        env=env or {},
        headers=headers or {},
        http_client=http_client,
        auth_token=auth_token,
        claude_code_identity=claude_code_identity,
    )
    return ProviderHandle(
        provider_id,
        base_url,
        access,
        Bindings(language=AnthropicApi(access)),
        compat=_COMPAT.overlaid(compat),
    )


def from_env(
    *,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
    compat: ModelCompat | Mapping[str, Any] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
    claude_code_identity: bool = False,
) -> ProviderHandle:
    """A handle with the credential that the environment has now, which is sent to ``base_url`` wherever that is.

    ``ANTHROPIC_AUTH_TOKEN`` alone if it is set, else ``ANTHROPIC_OAUTH_TOKEN``, else ``ANTHROPIC_API_KEY``. Raises
    MissingApiKeyError if none is.
    """
    token = Secret.or_none(find_anthropic_auth_token())
    key = None if token else Secret.or_none(find_env_api_key(ANTHROPIC))
    if not token and not key:
        names = ("ANTHROPIC_AUTH_TOKEN", *API_KEY_VARIABLES[ANTHROPIC])
        raise MissingApiKeyError(ANTHROPIC, f"set {' or '.join(names)}")
    return messages(
        key,
        token,
        base_url=base_url,
        headers=headers,
        compat=compat,
        http_client=http_client,
        claude_code_identity=claude_code_identity,
    )
