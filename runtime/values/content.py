"""The blocks that messages are made of."""

import os
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from .image_files import MAX_IMAGE_BYTES, check_image, decoded, known_type, read_image, suffix_of, write_image
from .text import Json, Text
from .value import Flag, Value, is_none


class TextContent(Value):
    """Text. ``text_signature`` belongs to the provider that sent it, and only goes back there."""

    type: Literal["text"] = Field(default="text", init=False)
    text: Text
    text_signature: Text | None = Field(default=None, exclude_if=is_none)


class ImageContent(Value):
    """An image: ``data`` is base64, ``mime_type`` such as ``image/png``. ``from_file`` and ``from_bytes`` make one.

    Reading and writing files blocks; in an async function, use ``await trio.to_thread.run_sync(image.save, path)``.
    """

    type: Literal["image"] = Field(default="image", init=False)
    data: Text
    mime_type: Text

    @classmethod
    def from_bytes(
        cls, data: bytes, mime_type: str | None = None, *, max_bytes: int = MAX_IMAGE_BYTES
    ) -> Self:
        """An image of its bytes, its type told by them if it is not given: PNG, JPEG, GIF, WebP, HEIC or HEIF.

        Raises InvalidOptionError for what is none of these, and for more than ``max_bytes`` (50 MiB).
        """
        return cls._of(data, mime_type, max_bytes, "the data")

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        mime_type: str | None = None,
        *,
        max_bytes: int = MAX_IMAGE_BYTES,
    ) -> Self:
        """An image of a file, whatever its name says; otherwise the same as ``from_bytes``. Raises OSError for a file that cannot be read."""
        data = read_image(path, max_bytes)
        return cls._of(data, mime_type, max_bytes, f"the file {os.fspath(path)!r}")

    @classmethod
    def _of(cls, data: bytes, mime_type: str | None, max_bytes: int, what: str) -> Self:
        check_image(data, max_bytes, what)
        return cls(data=b64encode(data).decode(), mime_type=mime_type or known_type(data, what))

    def to_bytes(self) -> bytes:
        """The image itself. Raises InvalidOptionError if ``data`` is no base64."""
        return decoded(self.data)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the image to a file, which is there whole or not at all; ``suffix`` is how its name should end.

        A file that is there already is kept, and FileExistsError raised, unless ``overwrite`` is set: then it is replaced
        in one step. Raises OSError for what cannot be written, InvalidOptionError if ``data`` is no base64.
        """
        write_image(path, self.to_bytes(), overwrite=overwrite)

    @property
    def suffix(self) -> str:
        """How the name of a file with this image should end, such as ``.png``; ``.bin`` for odd types. Safe in any name."""
        return suffix_of(self.mime_type)

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
