"""The ways to log in, by id: two that are built in, and those that applications register."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.errors import InvalidOptionError, OAuthError

from .provider import OAuthProvider


@dataclass(frozen=True)
class OAuthProviderInfo:
    """What a list of logins shows."""

    id: str
    name: str
    available: bool = True


def _anthropic() -> OAuthProvider:
    from .anthropic import AnthropicOAuth

    return AnthropicOAuth()


def _github_copilot() -> OAuthProvider:
    from .github_copilot import GitHubCopilotOAuth

    return GitHubCopilotOAuth()


_BUILT_IN: Mapping[str, Callable[[], OAuthProvider]] = {
    "anthropic": _anthropic,
    "github-copilot": _github_copilot,
}
# Process-wide, in the order of registration. None stands for a built-in one that nobody has asked for yet.
_registered: dict[str, OAuthProvider | None] = dict.fromkeys(_BUILT_IN)


def get_oauth_provider(provider_id: str) -> OAuthProvider | None:
    """The provider of that id; None if there is none."""
    found = _registered.get(provider_id)
    if found is None and provider_id in _registered:
        found = _registered[provider_id] = _BUILT_IN[provider_id]()
    return found


def require_oauth_provider(provider_id: str) -> OAuthProvider:
    """The provider of that id; OAuthError, which names those that there are, if there is none."""
    found = get_oauth_provider(provider_id)
    if found is None:
        raise OAuthError(f"Unknown OAuth provider: {provider_id} (there are: {', '.join(_registered)})")
    return found


def get_oauth_providers() -> list[OAuthProvider]:
    """All of them: the built-in ones first, then in the order of their registration."""
    return [require_oauth_provider(provider_id) for provider_id in list(_registered)]


def get_oauth_provider_info_list() -> list[OAuthProviderInfo]:
    """All of them, as a list shows them."""
    return [OAuthProviderInfo(provider.id, provider.name) for provider in get_oauth_providers()]


def register_oauth_provider(provider: OAuthProvider) -> None:
    """Add a provider, for the whole process; one of the same id is replaced where it stands.

    Raises InvalidOptionError for what is no provider.
    """
    provider_id = getattr(provider, "id", None)
    if not isinstance(provider, OAuthProvider):
        raise InvalidOptionError(
            f"{type(provider).__name__} is no OAuthProvider: it has no {_missing(provider)}"
        )
    if not isinstance(provider_id, str) or not provider_id.strip():
        raise InvalidOptionError(
            f"the id of an OAuth provider must be a string with something in it, not {provider_id!r}"
        )
    _registered[provider_id] = provider


def _missing(provider: object) -> str:
    names = ("id", "name", "uses_callback_server", "login", "refresh_token", "get_api_key", "modify_models")
    return ", ".join(name for name in names if not hasattr(provider, name))


def unregister_oauth_provider(provider_id: str) -> None:
    """Take a provider away; where it stood in for a built-in one, that is back. An unknown id is none to take."""
    if provider_id in _BUILT_IN:
        _registered[provider_id] = None
    else:
        _registered.pop(provider_id, None)


def reset_oauth_providers() -> None:
    """Only the built-in ones, as they were."""
    _registered.clear()
    _registered.update(dict.fromkeys(_BUILT_IN))
