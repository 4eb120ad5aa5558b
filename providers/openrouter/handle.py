"""Handles for OpenRouter's images. Its chat models speak Chat Completions: ``openai.chat_completions`` makes those."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from providers.access import Access
from providers.handle import ProviderHandle
from providers.images import ImagesApi
from providers.keys import DEFAULT_BASE_URLS, get_env_api_key
from runtime.errors import MissingApiKeyError
from runtime.values.model import Bindings
from runtime.values.secret import Secret

from .image_chat import OPENROUTER_IMAGES_WIRE

if TYPE_CHECKING:
    import httpx

OPENROUTER = "openrouter"
OPENROUTER_BASE_URL = DEFAULT_BASE_URLS[OPENROUTER]


def images(
    api_key: str | None = None,
    *,
    base_url: str = OPENROUTER_BASE_URL,
    provider_id: str = OPENROUTER,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
) -> ProviderHandle:
    """A handle whose ``model`` makes image models of OpenRouter, for ``generate_images``.

    A model takes text and gives images; ``model(id, input=("text", "image"), output=("image", "text"))`` says that one does more:
    only then text is asked for.

    At OpenRouter itself the key may come from ``env`` or the environment (``OPENROUTER_API_KEY``); a call without one ends as
    ``Error``. ``headers`` go with every request, and stay out of models that are written down. ``http_client`` replaces
    the pool; it is not closed. Raises InvalidOptionError for a header that cannot be sent.
    """
    access = Access(api_key, env or {}, headers or {}, http_client)
    api = ImagesApi(OPENROUTER_IMAGES_WIRE, access)
    return ProviderHandle(provider_id, base_url, access, Bindings(images=api), makes="images")


def from_env() -> ProviderHandle:
    """A handle with the key of ``OPENROUTER_API_KEY``; raises MissingApiKeyError without one."""
    api_key = Secret.or_none(get_env_api_key(OPENROUTER))
    if api_key is None:
        raise MissingApiKeyError(OPENROUTER, "set OPENROUTER_API_KEY")
    return images(api_key)
