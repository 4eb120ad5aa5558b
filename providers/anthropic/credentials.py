"""Which credential goes with a request: an API key, or a token as ``Authorization: Bearer``.

The order is that of ``keys``, with the token of a layer before its key: the call's own option and headers, its ``env``, the handle,
the handle's ``env``; and where the request goes to Anthropic, the environment of the process.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from providers.access import Access
from providers.chat import Call
from providers.headers import merge_headers
from providers.keys import AUTHENTICATING_HEADERS, DEFAULT_BASE_URLS
from runtime.errors import InvalidOptionError
from runtime.values.environment import find_anthropic_auth_token, find_env_api_key
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from runtime.values.secret import Secret

from .options import AnthropicOptions

ANTHROPIC = "anthropic"
BASE_URL = DEFAULT_BASE_URLS[ANTHROPIC]
MessagesCall = Call[AnthropicOptions]
_SUBSCRIPTION = "sk-ant-oat"
_GATEWAY_HEADER = "cf-aig-authorization"  # opens a gateway, which hands the provider's credential on
_OWN_HEADERS = frozenset(AUTHENTICATING_HEADERS) - {_GATEWAY_HEADER}


@dataclass(frozen=True, eq=False)
class AnthropicAccess(Access):
    """What a handle of this API adds to every call. A blank token is none."""

    auth_token: str | None = None
    claude_code_identity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.auth_token, str | None):
            raise InvalidOptionError(f"auth_token must be a string, not {type(self.auth_token).__name__}")
        object.__setattr__(self, "auth_token", Secret.or_none(self.auth_token))


@dataclass(frozen=True)
class _Credential:
    """What one layer has: at most one of the two counts."""

    key: str | None = None
    token: str | None = None

    def __bool__(self) -> bool:
        return bool(self.key or self.token)


def bearer_token(model: Model, options: StreamOptions, access: Access) -> str | None:
    """The token that a call sends as ``Authorization``; None where a header of its own, or a key, is nearer to it."""
    headers = {name.lower() for layer in (access.headers, model.headers, options.headers) for name in layer}
    if Secret.or_none(options.api_key) or not headers.isdisjoint(_OWN_HEADERS):
        return None
    nearest = (
        _in_env(model, options.env)
        or _of_handle(access)
        or _in_env(model, access.env)
        or (_in_process() if _at_default(model) and _GATEWAY_HEADER not in headers else _Credential())
    )
    return nearest.token


def _in_env(model: Model, env: Mapping[str, str]) -> _Credential:
    if not env:
        return _Credential()
    token = find_anthropic_auth_token(env, process=False) if model.provider == ANTHROPIC else None
    return _either(token, find_env_api_key(model.provider, env, process=False))


def _of_handle(access: Access) -> _Credential:
    if access.api_key:
        return _Credential(key=access.api_key)
    return _Credential(token=access.auth_token if isinstance(access, AnthropicAccess) else None)


def _in_process() -> _Credential:
    return _either(find_anthropic_auth_token(), None)


def _either(token: str | None, key: str | None) -> _Credential:
    found = Secret.or_none(token)
    return _Credential(token=found) if found else _Credential(key=Secret.or_none(key))


def _at_default(model: Model) -> bool:
    """Whether the variables of the process may be used: they are Anthropic's, and no business of anybody else."""
    return model.provider == ANTHROPIC and model.base_url.strip().rstrip("/").lower() == BASE_URL


def sent_key(call: MessagesCall) -> str | None:
    """The key that goes with a request; None where the call's own headers bring a credential in its place."""
    own = merge_headers(call.options.headers)
    replaced = any(own.get(name, "").strip() for name in _OWN_HEADERS)
    return None if replaced and not Secret.or_none(call.options.api_key) else call.api_key


def is_subscription_token(key: str | None) -> bool:
    """Whether a key is the token of a subscription, by how it looks."""
    return key is not None and _SUBSCRIPTION in key


def poses_as_claude_code(call: MessagesCall) -> bool:
    """Whether a request is to look like one of Claude Code: with a subscription's token, through a handle that was made for that."""
    allowed = isinstance(call.access, AnthropicAccess) and call.access.claude_code_identity
    return allowed and is_subscription_token(sent_key(call))
