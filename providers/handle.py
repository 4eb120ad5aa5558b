"""Handles: configured ways to a provider, which make models."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Never

from runtime.errors import InvalidOptionError, UnsupportedModelError
from runtime.streams.provider import Capabilities, EmbeddingModelApi, ImageModelApi, LanguageModelApi
from runtime.values.compat import ModelCompat
from runtime.values.model import Bindings, Model, ModelCost, ModelInput, ModelOutput
from runtime.values.options import check_headers
from runtime.values.secret import MASK, without_secrets
from runtime.values.thinking import ThinkingLevel

from .access import Access

CONTEXT_WINDOW = 1_000_000
MAX_TOKENS = 16_384

KindName = Literal["language", "images", "embeddings"]


@dataclass(frozen=True)
class _Kind:
    """A kind of models: what speaks for it in ``Bindings``, and what is assumed of a model that is only named."""

    name: str
    api: type[Any]
    input: tuple[ModelInput, ...]
    output: tuple[ModelOutput, ...] = ()
    context_window: int = 0
    max_tokens: int = 0


_KINDS: Mapping[KindName, _Kind] = {
    "language": _Kind("language models", LanguageModelApi, ("text", "image"), (), CONTEXT_WINDOW, MAX_TOKENS),
    "images": _Kind("image models", ImageModelApi, ("text",), ("image",)),
    "embeddings": _Kind("embedding models", EmbeddingModelApi, ("text",)),
}


class ProviderHandle:
    """A configured way to a provider: an id, an endpoint, credentials, and the APIs that its models are called through.

    It has no connection of its own and never changes, so it may be shared between runs and threads. ``openai.chat_completions``
    and its like make one.
    """

    __slots__ = (
        "_access",
        "_base_url",
        "_bindings",
        "_capabilities",
        "_compat",
        "_headers",
        "_id",
        "_makes",
        "_presets",
    )

    def __init__(
        self,
        provider_id: str,
        base_url: str,
        access: Access,
        bindings: Bindings,
        *,
        compat: ModelCompat | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        presets: Callable[[str], ModelCompat] | None = None,
        makes: KindName = "language",
    ) -> None:
        """``compat`` and ``headers`` are what every model of this handle declares; the headers of ``access`` stay out of models.

        ``presets`` says what is known of a model by its id; ``compat`` is laid over that. ``makes`` is the kind of models
        that ``model`` makes.
        """
        _check_text("provider_id", provider_id)
        _check_url(base_url)
        check_headers(headers or {})
        self._id = provider_id
        self._base_url = base_url
        self._access = access
        self._bindings = bindings
        self._compat = ModelCompat().overlaid(compat)
        self._presets = presets
        self._makes = makes
        self._headers = dict(headers or {})
        self._capabilities = Capabilities(
            bindings.language is not None, bindings.images is not None, bindings.embeddings is not None
        )

    @property
    def id(self) -> str:
        """Names the provider in messages and models."""
        return self._id

    @property
    def base_url(self) -> str:
        """Where its models are, unless they say otherwise."""
        return self._base_url

    @property
    def capabilities(self) -> Capabilities:
        """Which kinds of models it makes."""
        return self._capabilities

    def model(
        self,
        id: str,  # noqa: A002 - its name
        /,
        *,
        name: str | None = None,
        reasoning: bool | None = None,
        thinking_level_map: Mapping[ThinkingLevel, str | None] | None = None,
        input: Iterable[ModelInput] | None = None,  # noqa: A002 - its name
        output: Iterable[ModelOutput] | None = None,
        cost: ModelCost | None = None,
        context_window: int | None = None,
        max_tokens: int | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        compat: ModelCompat | Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> Model:
        """A model of this provider, bound to it: a language model, unless the handle was made for images or embeddings.

        ``compat`` and ``headers`` are laid over the handle's. Sizes are in tokens, 0 for unknown; a language model that is
        only named takes text and images, has a window of a million tokens and replies of 16,384 at most.

        Raises UnsupportedModelError if the handle makes no such models, InvalidOptionError for headers that cannot be sent
        and for unknown settings, pydantic's ValidationError for wrong values.
        """
        _refuse_unknown(unknown)
        settings = {
            "name": name,
            "reasoning": reasoning,
            "thinking_level_map": thinking_level_map,
            "input": input,
            "output": output,
            "cost": cost,
            "context_window": context_window,
            "max_tokens": max_tokens,
        }
        known = self._presets(id) if self._presets is not None else ModelCompat()
        own = known.overlaid(self._compat).overlaid(compat)
        return self._make(self._makes, id, base_url, headers, {**settings, "compat": own})

    def image_model(
        self,
        id: str,  # noqa: A002 - its name
        /,
        *,
        name: str | None = None,
        input: Iterable[ModelInput] | None = None,  # noqa: A002 - its name
        output: Iterable[ModelOutput] | None = None,
        cost: ModelCost | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        **unknown: Never,
    ) -> Model:
        """An image model of this provider, for ``generate_images``: from text to images, unless ``input`` and ``output`` say more.

        Raises UnsupportedModelError if the handle makes no image models; otherwise like ``model``.
        """
        _refuse_unknown(unknown)
        settings = {"name": name, "input": input, "output": output, "cost": cost}
        return self._make("images", id, base_url, headers, settings)

    def embedding_model(
        self,
        id: str,  # noqa: A002 - its name
        /,
        *,
        name: str | None = None,
        input: Iterable[ModelInput] | None = None,  # noqa: A002 - its name
        cost: ModelCost | None = None,
        context_window: int | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        **unknown: Never,
    ) -> Model:
        """An embedding model of this provider, for ``embed`` and ``embed_many``: it takes text.

        Raises UnsupportedModelError if the handle makes no embedding models; otherwise like ``model``.
        """
        _refuse_unknown(unknown)
        settings = {"name": name, "input": input, "cost": cost, "context_window": context_window}
        return self._make("embeddings", id, base_url, headers, settings)

    def _make(
        self,
        kind_name: KindName,
        model_id: str,
        base_url: str | None,
        headers: Mapping[str, str] | None,
        settings: Mapping[str, Any],
    ) -> Model:
        """A model of a kind; settings that are None are those of the kind."""
        kind, api = _KINDS[kind_name], getattr(self._bindings, kind_name)
        if not isinstance(api, kind.api):
            raise UnsupportedModelError.capability(self._id, kind.name)
        check_headers(headers or {})
        if base_url is not None:
            _check_url(base_url)
        model = Model.model_validate(
            {
                "id": model_id,
                "name": model_id,
                "api": api.id,
                "provider": self._id,
                "base_url": self._base_url if base_url is None else base_url,
                "input": kind.input,
                "output": kind.output,
                "cost": ModelCost(),
                "context_window": kind.context_window,
                "max_tokens": kind.max_tokens,
                "headers": {**self._headers, **(headers or {})},
                **{name: value for name, value in settings.items() if value is not None},
            }
        )
        return model.bound(self._bindings)

    def __repr__(self) -> str:
        key = f", api_key={MASK}" if self._access.api_key else ""
        headers = f", headers {', '.join(self._access.headers)}" if self._access.headers else ""
        return f"<{type(self).__name__} {self._id!r} at {without_secrets(self._base_url)}{key}{headers}>"


def _refuse_unknown(settings: Mapping[str, object]) -> None:
    if settings:
        raise InvalidOptionError(f"a model has no settings called {', '.join(settings)}")


def _check_url(base_url: object) -> None:
    if not isinstance(base_url, str):
        raise InvalidOptionError(f"base_url must be a string, not {type(base_url).__name__}")
    if not re.match(r"\s*https?://[^/?#\s]", base_url, re.IGNORECASE):
        raise InvalidOptionError(
            f"base_url must begin with http:// or https:// and name a host, not {without_secrets(base_url)!r}"
        )


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidOptionError(f"{name} must be a string that is not empty, not {value!r}")
