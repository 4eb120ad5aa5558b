"""Images as bytes and as files: what they are, and how they are read and written. The only place of this floor with I/O.

The types are those that providers take: OpenAI and Anthropic PNG, JPEG, GIF and WebP, Google PNG, JPEG, WebP, HEIC and HEIF.
What none of them takes (BMP, TIFF, AVIF, SVG) is not recognised, but may be passed with its type.
"""

import os
import re
from base64 import b64decode
from pathlib import Path

from runtime.errors import InvalidOptionError

MAX_IMAGE_BYTES = 50 * 1024 * 1024
"""The largest image that any of the providers takes (OpenAI's image edits)."""

_SIGNATURES = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF.{4}WEBP", "image/webp"),
)
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_HEIF = frozenset({b"mif1", b"msf1"})
_AVIF = frozenset({b"avif", b"avis"})
_SHOWN_BYTES = 16
_SNIFFED_BYTES = 256
_SUFFIXES = {"image/jpeg": ".jpg", "image/svg+xml": ".svg"}


def sniffed_type(data: bytes) -> str | None:
    """The MIME type that the first bytes of an image tell; None for what is none of the known types."""
    head = bytes(data[:_SNIFFED_BYTES])
    for signature, mime_type in _SIGNATURES:
        if re.match(signature, head, re.DOTALL):
            return mime_type
    return _heif_type(head)


def _heif_type(head: bytes) -> str | None:
    """HEIC, HEIF and AVIF share a container, which begins with the brands that it keeps to (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return None
    box = head[: int.from_bytes(head[:4])]
    brands = {box[at : at + 4] for at in (8, *range(16, len(box), 4))}  # between them is a version
    if brands & _AVIF:
        return None
    return "image/heic" if brands & _HEIC else "image/heif" if brands & _HEIF else None


def sniffed_text(data: str) -> str | None:
    """The same for an image as base64."""
    try:
        return sniffed_type(b64decode(data[: _SNIFFED_BYTES * 2]))
    except ValueError:
        return None


def known_type(data: bytes, what: str) -> str:
    """The same; InvalidOptionError, which names ``what`` and shows how it begins, for what is none."""
    mime_type = sniffed_type(data)
    if mime_type is None:
        begins = f"it begins with {bytes(data[:_SHOWN_BYTES])!r}" if data else "it is empty"
        raise InvalidOptionError(
            f"{what} is no PNG, JPEG, GIF, WebP, HEIC or HEIF image: {begins}; convert it, or pass its mime_type"
        )
    return mime_type


def check_image(data: object, max_bytes: int, what: str) -> None:
    """Refuse what is not bytes, and more of them than can be sent."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidOptionError(f"{what} of an image must be bytes, not {type(data).__name__}")
    if len(data) > max_bytes:
        raise InvalidOptionError(f"{what} has more than max_bytes={max_bytes} bytes; make the image smaller")


def read_image(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """The bytes of a file; of one that is too large, a byte more than is allowed."""
    with Path(path).open("rb") as file:
        return file.read(max_bytes + 1)


def write_image(path: str | os.PathLike[str], data: bytes, *, overwrite: bool) -> None:
    """Write a file that is there whole or not at all: under another name first, then named in one step."""
    target = Path(os.path.realpath(path))  # what a symbolic link points to, not the link
    part = target.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
        if overwrite:
            part.replace(target)
        else:
            _name(part, target)
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, target: Path) -> None:
    """Give a file its name, unless that is taken; a renaming would not ask."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no links: there the name is taken first
        target.open("xb").close()
        part.replace(target)


def decoded(data: str) -> bytes:
    """The bytes of a base64 text, which may be broken into lines; InvalidOptionError if it is none."""
    try:
        return b64decode("".join(data.split()), validate=True)
    except ValueError as error:
        raise InvalidOptionError(
            f"the data of this image is no base64: {error}; it begins with {data[:_SHOWN_BYTES]!r}"
        ) from None


def suffix_of(mime_type: str) -> str:
    """How the name of a file of a type ends. Whatever the type says, it is fit for a file name."""
    kind = mime_type.partition(";")[0].strip().lower()
    named = re.fullmatch(r"image/([a-z0-9]{1,16})", kind)
    return _SUFFIXES.get(kind) or (f".{named[1]}" if named else ".bin")
