"""What an image model is asked, and what it answers."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from .clock import now_ms
from .content import UserBlocks
from .text import Text
from .usage import Usage
from .value import Count, Value, is_none


class ImagesStopReason(StrEnum):
    """How an image request ended."""

    Stop = "stop"
    Error = "error"
    Aborted = "aborted"


class ImagesContext(Value):
    """The text and image blocks that describe the wanted images, in order."""

    input: UserBlocks = ()


class AssistantImages(Value):
    """The answer of an image model: text and image blocks, and how that went."""

    required_on_read: ClassVar = ("output", "usage", "stop_reason", "timestamp")

    api: Text
    provider: Text
    model: Text
    response_id: Text | None = Field(default=None, exclude_if=is_none)
    output: UserBlocks = ()
    usage: Usage = Field(default=Usage())
    stop_reason: ImagesStopReason = ImagesStopReason.Stop
    error_message: Text | None = Field(default=None, exclude_if=is_none)
    timestamp: Count = Field(default_factory=now_ms)


class EmbeddingUsage(Value):
    """What an embedding request consumed; its JSON keys are snake_case, as OpenAI's are."""

    required_on_read: ClassVar = ("prompt_tokens", "total_tokens")

    prompt_tokens: Count = Field(default=0, alias="prompt_tokens")
    total_tokens: Count = Field(default=0, alias="total_tokens")


_Finite = Annotated[float, Field(allow_inf_nan=False)]
Vector = Annotated[Sequence[_Finite], AfterValidator(tuple)]


class Embedding(Value):
    """One vector: numbers, or the base64 text that was asked for."""

    embedding: Text | Vector
    model: Text
    usage: EmbeddingUsage = Field(default=EmbeddingUsage())


class EmbeddingBatch(Value):
    """The vectors of several texts, in the order of the texts."""

    embeddings: Annotated[Sequence[Text | Vector], AfterValidator(tuple)]
    model: Text
    usage: EmbeddingUsage = Field(default=EmbeddingUsage())
