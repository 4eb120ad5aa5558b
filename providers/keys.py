"""Which credential a call takes, and whether it may go without one.

What is nearest to the call wins: its own option, its own ``env``, the handle's key, the handle's ``env``. Only then, and
only where a request goes to the provider that the key belongs to, the environment of the process is asked.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from runtime.errors import MissingApiKeyError
from runtime.values.environment import API_KEY_VARIABLES, find_env_api_key
from runtime.values.model import Model
from runtime.values.options import RequestOptions
from runtime.values.secret import Secret

from .access import Access
from .headers import merge_headers

DEFAULT_BASE_URLS: Mapping[str, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "github-copilot": "https://api.individual.githubcopilot.com",
    "openrouter": "https://openrouter.ai/api/v1",
}
"""Where a provider itself is. A key from the environment goes nowhere else by itself."""

AUTHENTICATING_HEADERS = ("authorization", "api-key", "x-api-key", "cf-aig-authorization")
"""Headers that are a credential themselves."""


def get_env_api_key(provider_id: str, env: Mapping[str, str] | None = None) -> str | None:
    """The API key of a provider in ``env``, else in the environment of the process; None if there is none.

    The variables are ``OPENAI_API_KEY``, ``OPENROUTER_API_KEY``, ``COPILOT_GITHUB_TOKEN``, and for Anthropic
    ``ANTHROPIC_OAUTH_TOKEN`` before ``ANTHROPIC_API_KEY``. Empty ones do not count.
    """
    return find_env_api_key(provider_id, env)


def resolve_api_key(model: Model, options: RequestOptions, access: Access) -> str | None:
    """The key that a call sends; None if it needs none, because of its headers or of where it goes.

    Raises MissingApiKeyError where there is none and the endpoint is known to want one.
    """
    key = (
        Secret.or_none(options.api_key)
        or _in_env(model, options.env)
        or access.api_key
        or _in_env(model, access.env)
    )
    if key or _authenticates(merge_headers(access.headers, model.headers, options.headers)):
        return key
    own = _is_at(model.base_url, DEFAULT_BASE_URLS.get(model.provider))
    if own and _is_private(model.base_url) and (key := Secret.or_none(find_env_api_key(model.provider))):
        return key
    if any(_is_at(model.base_url, url) for url in DEFAULT_BASE_URLS.values()):
        raise MissingApiKeyError(model.provider, _hint(model.provider, own))
    return None


def _in_env(model: Model, env: Mapping[str, str]) -> str | None:
    return Secret.or_none(find_env_api_key(model.provider, env, process=False)) if env else None


def _authenticates(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name, "").strip() for name in AUTHENTICATING_HEADERS)


def _is_at(base_url: str, place: str | None) -> bool:
    return place is not None and _place(base_url) == _place(place)


def _is_private(url: str) -> bool:
    """Nobody on the way can read along: a key of the environment goes out in no other way."""
    return url.strip().lower().startswith("https://")


def _place(url: str) -> tuple[str | None, str]:
    """Host and path: whatever scheme, port, version and query lead there, it is the same provider."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None, url
    return parts.hostname, parts.path.rstrip("/").removesuffix("/v1")


def _hint(provider: str, own: bool) -> str:
    variables = " or ".join(API_KEY_VARIABLES.get(provider, ())) if own else ""
    return "pass api_key" + (f", or set {variables}" if variables else "")
