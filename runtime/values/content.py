"""The blocks that messages are made of."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from .text import Json, Text
from .value import Flag, Value, is_none


class TextContent(Value):
    """Text. ``text_signature`` belongs to the provider that sent it, and only goes back there."""

    type: Literal["text"] = Field(default="text", init=False)
    text: Text
    text_signature: Text | None = Field(default=None, exclude_if=is_none)


class ImageContent(Value):
    """An image: ``data`` is base64, ``mime_type`` such as ``image/png``."""

    type: Literal["image"] = Field(default="image", init=False)
    data: Text
    mime_type: Text

    def __repr_str__(self, join_str: str) -> str:
        return f"mime_type={self.mime_type!r}, {len(self.data)} base64 characters"


class ThinkingContent(Value):
    """What a model thought; ``redacted`` blocks hold only a signature that the provider can read."""

    type: Literal["thinking"] = Field(default="thinking", init=False)
    thinking: Text
    thinking_signature: Text | None = Field(default=None, exclude_if=is_none)
    redacted: Flag | None = Field(default=None, exclude_if=is_none)


def _arguments(value: Any) -> Any:
    return {} if value is None else value


class ToolCall(Value):
    """A model asks for a tool: ``arguments`` is any JSON, an object in practice; null reads as ``{}``."""

    type: Literal["toolCall"] = Field(default="toolCall", init=False)
    id: Text
    name: Text
    arguments: Annotated[Json, AfterValidator(_arguments)]
    thought_signature: Text | None = Field(default=None, exclude_if=is_none)


UserContent = Annotated[TextContent | ImageContent, Field(discriminator="type")]
AssistantContent = Annotated[TextContent | ThinkingContent | ToolCall, Field(discriminator="type")]
UserBlocks = Annotated[Sequence[UserContent], AfterValidator(tuple)]
AssistantBlocks = Annotated[Sequence[AssistantContent], AfterValidator(tuple)]
