"""What an embedding model answers."""

import struct
from base64 import b64decode
from collections.abc import Sequence
from math import isfinite
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from .text import Text
from .value import Count, Number, Value

_FLOAT_BYTES = 4


class EmbeddingUsage(Value):
    """What an embedding request consumed; its JSON keys are snake_case, as OpenAI's are."""

    required_on_read: ClassVar = ("prompt_tokens", "total_tokens")

    prompt_tokens: Count = Field(default=0, alias="prompt_tokens")
    total_tokens: Count = Field(default=0, alias="total_tokens")


Numbers = tuple[float, ...]
Vector = Annotated[
    Text | Annotated[Sequence[Number], AfterValidator(tuple)], Field(union_mode="left_to_right")
]


class Embedding(Value):
    """One vector: numbers, or the base64 text that was asked for."""

    embedding: Vector
    model: Text
    usage: EmbeddingUsage = Field(default=EmbeddingUsage())

    @property
    def vector(self) -> Numbers:
        """The numbers, however they came; ValueError for a text that holds none."""
        return vector_of(self.embedding)


class EmbeddingBatch(Value):
    """The vectors of several texts, in the order of the texts."""

    embeddings: Annotated[Sequence[Vector], AfterValidator(tuple)]
    model: Text
    usage: EmbeddingUsage = Field(default=EmbeddingUsage())

    @property
    def vectors(self) -> tuple[Numbers, ...]:
        """The numbers of each, however they came; ValueError for a text that holds none."""
        return tuple(map(vector_of, self.embeddings))


def vector_of(embedding: str | Sequence[float]) -> Numbers:
    """The numbers of a vector: as they are, or out of the base64 text of little-endian 32-bit floats.

    Raises ValueError for what is no such text, for no numbers at all, for NaN and for infinities.
    """
    numbers = _unpacked(embedding) if isinstance(embedding, str) else tuple(embedding)
    if not numbers:
        raise ValueError("it is empty")
    if not all(map(isfinite, numbers)):
        place = next(place for place, number in enumerate(numbers) if not isfinite(number))
        raise ValueError(f"its number {place} is {numbers[place]}")
    return numbers


def size_of(embedding: str | Sequence[float]) -> int:
    """How many numbers a vector has."""
    if isinstance(embedding, str):
        return len(embedding) * 3 // 4 // _FLOAT_BYTES  # padding is less than a number
    return len(embedding)


def _unpacked(text: str) -> Numbers:
    data = b64decode(text, validate=True)
    if len(data) % _FLOAT_BYTES:
        raise ValueError(f"its {len(data)} bytes are no row of 32-bit floats")
    return struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data)
