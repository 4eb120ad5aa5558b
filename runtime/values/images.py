"""What an image model is asked, and what it answers."""

from enum import StrEnum
from typing import ClassVar, Self

from pydantic import Field

from .clock import now_ms
from .content import ImageContent, TextContent, UserBlocks
from .text import Text
from .usage import Usage
from .value import Count, Value, is_none


class ImagesStopReason(StrEnum):
    """How an image request ended."""

    Stop = "stop"
    Error = "error"
    Aborted = "aborted"


class ImagesContext(Value):
    """The text and image blocks that describe the wanted images, in order. ``ImagesContext.of("a fox", image)`` makes one."""

    input: UserBlocks = ()

    @classmethod
    def of(cls, *parts: str | TextContent | ImageContent) -> Self:
        """The same of blocks and plain strings."""
        return cls(input=tuple(TextContent(text=part) if isinstance(part, str) else part for part in parts))

    @property
    def texts(self) -> tuple[str, ...]:
        """Its texts, in order."""
        return texts_of(self.input)

    @property
    def images(self) -> tuple[ImageContent, ...]:
        """Its images, in order."""
        return images_of(self.input)


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

    @property
    def text(self) -> str:
        """What the model said beside the images, one block a line; some say which prompt they made of yours."""
        return "\n".join(texts_of(self.output))

    @property
    def images(self) -> tuple[ImageContent, ...]:
        """The images, in order."""
        return images_of(self.output)

    @property
    def failed(self) -> bool:
        """Whether the request ended as Error or Aborted."""
        return self.stop_reason is not ImagesStopReason.Stop


def texts_of(blocks: UserBlocks) -> tuple[str, ...]:
    """The texts among blocks."""
    return tuple(block.text for block in blocks if isinstance(block, TextContent))


def images_of(blocks: UserBlocks) -> tuple[ImageContent, ...]:
    """The images among blocks."""
    return tuple(block for block in blocks if isinstance(block, ImageContent))
