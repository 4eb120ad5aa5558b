"""Bodies of forms with files: ``multipart/form-data`` (RFC 7578)."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ESCAPES = {'"': "%22", "\r": "%0D", "\n": "%0A"}
_MIME_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


@dataclass(frozen=True)
class FormFile:
    """A file in a form."""

    field: str
    name: str
    mime_type: str
    data: bytes


def encode_form(fields: Mapping[str, Any], files: Iterable[FormFile]) -> tuple[str, bytes]:
    """The content type and the body of a form. Fields are JSON: objects and lists become fields in brackets, null is left out."""
    boundary = os.urandom(16).hex()
    parts = [
        *(_part(_named(name), value.encode()) for field in fields for name, value in _flat(field, fields[field])),
        *(_part(f"{_named(file.field)}; file{_named(file.name)}", file.data, file.mime_type) for file in files),
    ]  # fmt: skip
    begin = b"--%b\r\n" % boundary.encode()
    body = b"".join(piece for part in parts for piece in (begin, *part, b"\r\n"))
    return f"multipart/form-data; boundary={boundary}", body + b"--%b--\r\n" % boundary.encode()


def _part(named: str, data: bytes, mime_type: str = "") -> tuple[bytes, bytes]:
    head = f"Content-Disposition: form-data; {named}\r\n"
    if mime_type:
        known = mime_type if _MIME_TYPE.fullmatch(mime_type) else "application/octet-stream"
        head += f"Content-Type: {known}\r\n"
    return f"{head}\r\n".encode(), data


def _named(name: str) -> str:
    """A name in quotes, escaped as browsers do (HTML, 4.10.21.8)."""
    return 'name="' + re.sub('["\r\n]', lambda found: _ESCAPES[found[0]], name) + '"'


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The fields of a value, nested ones as ``a[b]`` and ``a[]``."""
    match value:
        case None:
            return
        case bool():
            yield name, str(value).lower()
        case dict():
            for key, item in value.items():
                yield from _flat(f"{name}[{key}]", item)
        case list():
            for item in value:
                yield from _flat(f"{name}[]", item)
        case _:
            yield name, str(value)
