"""Handles for OpenAI's APIs, at OpenAI and everywhere else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from providers.access import Access
from providers.chat import ChatApi, ChatWire
from providers.handle import ProviderHandle
from providers.images import ImagesApi
from providers.keys import DEFAULT_BASE_URLS, get_env_api_key
from runtime.errors import MissingApiKeyError
from runtime.values.compat import ModelCompat
from runtime.values.model import Bindings
from runtime.values.secret import Secret

from .completions import COMPLETIONS
from .embedding_api import EmbeddingsApi
from .image_generation import OPENAI_IMAGES_WIRE
from .responses import RESPONSES
from .responses_compat import openai_presets

if TYPE_CHECKING:
    import httpx

OLLAMA_BASE_URL = "http://localhost:11434/v1"
OPENAI = "openai"
OPENAI_BASE_URL = DEFAULT_BASE_URLS[OPENAI]


def chat_completions(
    api_key: str | None = None,
    *,
    base_url: str = OLLAMA_BASE_URL,
    provider_id: str = "ollama",
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    compat: ModelCompat | Mapping[str, Any] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
) -> ProviderHandle:
    """A handle for an endpoint that speaks Chat Completions: a server of your own, a gateway, or OpenAI.

    Without a key, requests carry none. The exception are the endpoints of providers whose variables are known, such as
    ``provider_id="openai", base_url="https://api.openai.com/v1"``: there the key may come from ``env`` or the environment,
    and a call without one raises MissingApiKeyError.

    - ``headers`` go with every request, and stay out of models that are written down; Azure's ``api-key`` goes here.
    - ``compat`` says how the endpoint departs from OpenAI's; ``model(compat=...)`` is laid over it.
    - ``http_client`` replaces the pool; it is not closed.

    Raises InvalidOptionError for a header that cannot be sent.
    """
    access = Access(api_key, env or {}, headers or {}, http_client)
    return ProviderHandle(provider_id, base_url, access, _bindings(access, COMPLETIONS), compat=compat)


def responses(
    api_key: str | None = None,
    *,
    base_url: str = OPENAI_BASE_URL,
    provider_id: str = OPENAI,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    compat: ModelCompat | Mapping[str, Any] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
) -> ProviderHandle:
    """A handle for OpenAI's Responses API, at OpenAI or at an endpoint that speaks it.

    At OpenAI itself the key may come from ``env`` or the environment, and a call without one raises MissingApiKeyError;
    elsewhere requests without a key carry none. ``headers``, ``compat`` and ``http_client`` are as for ``chat_completions``;
    ``compat`` is laid over what is known of OpenAI's models by their ids.
    """
    access = Access(api_key, env or {}, headers or {}, http_client)
    return ProviderHandle(
        provider_id,
        base_url,
        access,
        _bindings(access, RESPONSES),
        compat=compat,
        presets=lambda model_id: openai_presets(provider_id, model_id),
    )


def images(
    api_key: str | None = None,
    *,
    base_url: str = OPENAI_BASE_URL,
    provider_id: str = OPENAI,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
) -> ProviderHandle:
    """A handle whose ``model`` makes image models, at OpenAI or at an endpoint that speaks its API.

    Every handle of this module makes them with ``image_model``; this one makes no language models. The key and the other
    arguments are as for ``responses``, but a call without a key ends as ``Error``, and where none is wanted, ``ollama`` is sent.
    """
    access = Access(api_key, env or {}, headers or {}, http_client)
    return ProviderHandle(provider_id, base_url, access, _bindings(access), makes="images")


def embeddings(
    api_key: str | None = None,
    *,
    base_url: str = OPENAI_BASE_URL,
    provider_id: str = OPENAI,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
) -> ProviderHandle:
    """A handle whose ``model`` makes embedding models, at OpenAI or at an endpoint that speaks its API.

    Every handle of this module makes them with ``embedding_model``; this one makes no language models. The key and the
    other arguments are as for ``responses``.
    """
    access = Access(api_key, env or {}, headers or {}, http_client)
    return ProviderHandle(provider_id, base_url, access, _bindings(access), makes="embeddings")


def from_env() -> ProviderHandle:
    """A handle for OpenAI's Responses API with the key of ``OPENAI_API_KEY``; raises MissingApiKeyError without one."""
    api_key = Secret.or_none(get_env_api_key(OPENAI))
    if api_key is None:
        raise MissingApiKeyError(OPENAI, "set OPENAI_API_KEY")
    return responses(api_key)


def _bindings(access: Access, wire: ChatWire[Any] | None = None) -> Bindings:
    """All that OpenAI's endpoint can do; of the chat APIs, one or none."""
    return Bindings(
        language=None if wire is None else ChatApi(wire, access),
        images=ImagesApi(OPENAI_IMAGES_WIRE, access),
        embeddings=EmbeddingsApi(access),
    )
