"""Handles for GitHub Copilot."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_args

from providers.access import Access
from providers.anthropic.messages_api import AnthropicApi
from providers.chat import ChatApi
from providers.copilot_endpoints import COPILOT_BASE_URL, versioned_base_url
from providers.copilot_headers import CLIENT_HEADERS, COPILOT
from providers.handle import KindName, ProviderHandle
from providers.keys import get_env_api_key
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.github_copilot import GitHubCopilotOAuth, base_url_for_credentials
from providers.openai.completions import COMPLETIONS
from providers.openai.embedding_api import EmbeddingsApi
from providers.openai.responses import RESPONSES
from runtime.errors import InvalidOptionError, MissingApiKeyError
from runtime.values.compat import ModelCompat
from runtime.values.model import Bindings, Model
from runtime.values.secret import Secret

from .routing import CopilotApi, api_for_model, copilot_presets

if TYPE_CHECKING:
    import httpx


class CopilotSettings(TypedDict, total=False):
    """The settings of a ``GitHubCopilot``."""

    credentials: OAuthCredentials | None
    base_url: str | None
    provider_id: str
    headers: Mapping[str, str] | None
    env: Mapping[str, str] | None
    compat: ModelCompat | Mapping[str, Any] | None
    http_client: "httpx.AsyncClient | None"


class GitHubCopilot(ProviderHandle):
    """A way to Copilot's models: ``model(id)`` takes the API that the model of that id supports, unless ``api`` names one.

    It has no connection of its own and never changes, so it may be shared between runs and threads.
    """

    __slots__ = ("_api", "_apis")

    def __init__(
        self,
        api_key: str | None = None,
        *,
        api: CopilotApi | None = None,
        credentials: OAuthCredentials | None = None,
        base_url: str | None = None,
        provider_id: str = COPILOT,
        headers: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        compat: ModelCompat | Mapping[str, Any] | None = None,
        http_client: "httpx.AsyncClient | None" = None,
    ) -> None:
        """``api_key`` is a Copilot token, not a token for GitHub; it goes out as ``Authorization: Bearer``.

        - ``credentials``, those of a login, give key and ``base_url`` where these are not given. They are not refreshed:
          the key is good for half an hour. An agent gets fresh ones by its ``get_api_key`` hook.
        - ``base_url`` is by default Copilot's for individuals. Other accounts have other places, which
          ``base_url_for_credentials`` knows; a call there without a key is sent without.
        - ``provider_id``: under another one, requests carry no Copilot headers but those that never change, and Claude models get
          the key as ``x-api-key``. That is for gateways.
        - ``headers`` go with every request, and stay out of models that are written down.
        - ``compat`` is laid over what is known of Copilot's models by their ids.
        - ``http_client`` replaces the pool; it is not closed.

        Raises InvalidOptionError for what cannot be sent, and for an ``api`` that Copilot does not have.
        """
        if api is not None and api not in get_args(CopilotApi):
            raise InvalidOptionError(f"api must be one of {', '.join(get_args(CopilotApi))}, not {api!r}")
        if credentials is not None:
            api_key = api_key or credentials.access
            base_url = base_url or base_url_for_credentials(credentials)
        access = Access(api_key, env or {}, headers or {}, http_client)
        self._api = api
        self._apis: dict[CopilotApi, ChatApi[Any]] = {
            "anthropic-messages": AnthropicApi(access),
            "openai-completions": ChatApi(COMPLETIONS, access),
            "openai-responses": ChatApi(RESPONSES, access),
        }
        super().__init__(
            provider_id,
            COPILOT_BASE_URL if base_url is None else base_url,
            access,
            Bindings(language=self._apis[api or "openai-completions"], embeddings=EmbeddingsApi(access)),
            compat=compat,
            headers=_client_headers(access.headers),
            presets=lambda model_id: copilot_presets(self._route(model_id), model_id),
        )

    def _route(self, model_id: str) -> CopilotApi:
        return self._api or api_for_model(model_id)

    def _make(
        self,
        kind_name: KindName,
        model_id: str,
        base_url: str | None,
        headers: Mapping[str, str] | None,
        settings: Mapping[str, Any],
    ) -> Model:
        model = super()._make(kind_name, model_id, base_url, headers, settings)
        if kind_name != "language":
            return model
        api = self._apis[self._route(model_id)]
        place = versioned_base_url(self.base_url) if isinstance(api, AnthropicApi) else self.base_url
        routed = model.model_copy(update={"api": api.id, "base_url": base_url or place})
        return routed.bound(Bindings(language=api, embeddings=self._bindings.embeddings))


def chat_completions(api_key: str | None = None, **settings: Unpack[CopilotSettings]) -> GitHubCopilot:
    """A ``GitHubCopilot`` whose models are all called through Chat Completions, whatever their ids."""
    return GitHubCopilot(api_key, api="openai-completions", **settings)


def responses(api_key: str | None = None, **settings: Unpack[CopilotSettings]) -> GitHubCopilot:
    """A ``GitHubCopilot`` whose models are all called through the Responses API, whatever their ids."""
    return GitHubCopilot(api_key, api="openai-responses", **settings)


def messages(api_key: str | None = None, **settings: Unpack[CopilotSettings]) -> GitHubCopilot:
    """A ``GitHubCopilot`` whose models are all called through the Messages API, whatever their ids."""
    return GitHubCopilot(api_key, api="anthropic-messages", **settings)


def for_model(model_id: str, api_key: str | None = None, **settings: Unpack[CopilotSettings]) -> Model:
    """One of Copilot's models, through the API that it supports: ``GitHubCopilot(api_key, ...).model(model_id)``.

    A handle makes models with more than an id: ``GitHubCopilot(api_key).model(model_id, reasoning=True)``.
    """
    return GitHubCopilot(api_key, **settings).model(model_id)


def from_env(**settings: Unpack[CopilotSettings]) -> GitHubCopilot:
    """A ``GitHubCopilot`` with the token of ``COPILOT_GITHUB_TOKEN``, as it is; raises MissingApiKeyError without one."""
    api_key = Secret.or_none(get_env_api_key(COPILOT))
    if api_key is None:
        raise MissingApiKeyError(COPILOT, "set COPILOT_GITHUB_TOKEN")
    return GitHubCopilot(api_key, **settings)


def oauth(*, http_client: "httpx.AsyncClient | None" = None) -> GitHubCopilotOAuth:
    """The login: ``oauth().login(callbacks)`` gives credentials, which only the caller keeps."""
    return GitHubCopilotOAuth(http_client=http_client)


def _client_headers(own: Mapping[str, str]) -> dict[str, str]:
    """The headers that Copilot knows its clients by, but for those that the handle brings itself."""
    taken = {name.lower() for name in own}
    return {name: value for name, value in CLIENT_HEADERS.items() if name.lower() not in taken}
