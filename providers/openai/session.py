"""How a conversation is named to a server, so that its turns reach the same cache."""

from collections.abc import Mapping

from runtime.errors import InvalidOptionError
from runtime.values.compat import SessionAffinityFormat
from runtime.values.model import Model
from runtime.values.options import check_headers
from runtime.values.text import clean_text

_CACHE_KEY_LENGTH = 64
_AFFINITY_HEADERS: Mapping[SessionAffinityFormat, tuple[str, ...]] = {
    "openai": ("session_id", "x-client-request-id", "x-session-affinity"),
    "openai-nosession": ("x-client-request-id", "x-session-affinity"),
    "openrouter": ("x-session-id",),
}


def prompt_cache_key(session_id: str | None) -> str | None:
    """The session id as a cache key: at most 64 characters of it."""
    return clean_text(session_id)[:_CACHE_KEY_LENGTH] if session_id else None


def affinity_format(model: Model) -> SessionAffinityFormat:
    """Which headers a model's endpoint knows: what it declares, else by whether it is OpenRouter."""
    if model.compat.session_affinity_format is not None:
        return model.compat.session_affinity_format
    return "openrouter" if model.provider == "openrouter" or "openrouter.ai" in model.base_url else "openai"


def affinity_headers(session_id: str, names: SessionAffinityFormat) -> dict[str, str]:
    """The whole session id under each header name; nothing for an id that no header can carry."""
    headers = dict.fromkeys(_AFFINITY_HEADERS[names], session_id)
    try:
        check_headers(headers)
    except InvalidOptionError:
        return {}
    return headers if session_id.isascii() else {}
