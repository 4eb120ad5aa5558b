"""Handles: configured ways to a provider, which make models."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never

from runtime.errors import InvalidOptionError, UnsupportedModelError
from runtime.streams.provider import Capabilities, LanguageModelApi
from runtime.values.compat import ModelCompat
from runtime.values.model import Bindings, Model, ModelCost, ModelInput, ModelOutput
from runtime.values.options import check_headers
from runtime.values.secret import MASK, without_secrets
from runtime.values.thinking import ThinkingLevel

from .access import Access

CONTEXT_WINDOW = 1_000_000
MAX_TOKENS = 16_384


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
    ) -> None:
        """``compat`` and ``headers`` are what every model of this handle declares; the headers of ``access`` stay out of models.

        ``presets`` says what is known of a model by its id; ``compat`` is laid over that.
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
        input: Iterable[ModelInput] = ("text", "image"),  # noqa: A002 - its name
        output: Iterable[ModelOutput] = (),
        cost: ModelCost | None = None,
        context_window: int = CONTEXT_WINDOW,
        max_tokens: int = MAX_TOKENS,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        compat: ModelCompat | Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> Model:
        """A language model of this provider, bound to it. ``compat`` and ``headers`` are laid over the handle's.

        Sizes are in tokens, 0 for unknown. Raises UnsupportedModelError if the handle makes no language models,
        InvalidOptionError for headers that cannot be sent and for unknown settings, pydantic's ValidationError for wrong values.
        """
        if unknown:
            raise InvalidOptionError(f"a model has no settings called {', '.join(unknown)}")
        if not isinstance(self._bindings.language, LanguageModelApi):
            raise UnsupportedModelError.capability(self._id, "language models")
        check_headers(headers or {})
        if base_url is not None:
            _check_url(base_url)
        known = self._presets(id) if self._presets is not None else ModelCompat()
        model = Model.model_validate(
            {
                "id": id,
                "name": id if name is None else name,
                "api": self._bindings.language.id,
                "provider": self._id,
                "base_url": self._base_url if base_url is None else base_url,
                "reasoning": reasoning,
                "thinking_level_map": thinking_level_map or {},
                "input": tuple(input),
                "output": tuple(output),
                "cost": cost or ModelCost(),
                "context_window": context_window,
                "max_tokens": max_tokens,
                "headers": {**self._headers, **(headers or {})},
                "compat": known.overlaid(self._compat).overlaid(compat),
            }
        )
        return model.bound(self._bindings)

    def __repr__(self) -> str:
        key = f", api_key={MASK}" if self._access.api_key else ""
        headers = f", headers {', '.join(self._access.headers)}" if self._access.headers else ""
        return f"<ProviderHandle {self._id!r} at {without_secrets(self._base_url)}{key}{headers}>"


def _check_url(base_url: object) -> None:
    _check_text("base_url", base_url)
    if not re.match(r"\s*https?://[^/?#\s]", str(base_url), re.IGNORECASE):
        shown = without_secrets(str(base_url))
        raise InvalidOptionError(
            f"base_url must begin with http:// or https:// and name a host, not {shown!r}"
        )


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidOptionError(f"{name} must be a string that is not empty, not {value!r}")
