"""What a provider is to the runtime: protocols that handles implement."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from runtime.values.context import Context
from runtime.values.embeddings import EmbeddingBatch
from runtime.values.images import AssistantImages, ImagesContext
from runtime.values.model import Model
from runtime.values.options import EmbeddingOptions, SimpleStreamOptions, StreamOptions

from .channel import MessageStream


@dataclass(frozen=True)
class Capabilities:
    """Which kinds of models a handle makes."""

    language_models: bool = True
    image_models: bool = False
    embedding_models: bool = False


@runtime_checkable
class Provider(Protocol):
    """A configured way to a provider: a value, without a connection of its own, safe to share."""

    @property
    def id(self) -> str:
        """Names the provider in messages and models."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can make."""

    def model(self, id: str, /, **settings: Any) -> Model:  # noqa: A002 - its name
        """A language model of this provider, bound to it."""


@runtime_checkable
class LanguageModelApi(Protocol):
    """A chat API. Both methods raise on entry what is wrong before a request exists; later failures are events."""

    @property
    def id(self) -> str:
        """The API's name, as ``model.api`` has it."""

    def stream(
        self, model: Model, context: Context, options: StreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call the model with the options as they are."""

    def stream_simple(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call the model with the thinking level and limits fitted to it."""


@runtime_checkable
class ImageModelApi(Protocol):
    """An image API. What it raises as AgentrioError ends the call as an ``Error`` result; ``options.abort`` cancels it from outside."""

    @property
    def id(self) -> str:
        """The API's name."""

    async def generate_images(
        self, model: Model, context: ImagesContext, options: StreamOptions
    ) -> AssistantImages:
        """Make images."""


@runtime_checkable
class EmbeddingModelApi(Protocol):
    """An embedding API; failures are raised."""

    @property
    def id(self) -> str:
        """The API's name."""

    async def embed_many(
        self, model: Model, texts: Sequence[str], options: EmbeddingOptions
    ) -> EmbeddingBatch:
        """Embed the texts of one request, in order; ``runtime.embed_many`` makes the requests, and watches ``abort``."""
