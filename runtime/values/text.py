"""Strings and JSON that can be written: no lone surrogate, no NaN, no infinity.

Python strings may hold half of a surrogate pair (``json.loads`` makes them), and its floats may be no
number; neither can be encoded as UTF-8 JSON. They are repaired or refused when a value is made, so
that nothing has to be checked when it is sent.
"""

import html
import json
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import from_json, to_json

MAX_DEPTH = 200
"""How deep JSON may nest; pydantic's own reader and writer stop a little above that."""


def clean_text(text: str) -> str:
    """Join split surrogate pairs and drop unpaired halves; other text is returned as it is."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return text


_LONG_REFERENCE = re.compile(r"&#(?=[0-9]{9})0*+([0-9]{0,8})[0-9]*+")


def from_html(text: str) -> str:
    """Without the escapes of HTML. A number in one may be as long as anybody likes, which ``html.unescape`` is not ready for."""
    return html.unescape(_LONG_REFERENCE.sub(_shorter, text))


def _shorter(reference: re.Match[str]) -> str:
    """The same character, or a number that is beyond all of them, too."""
    return f"&#{reference[1] or 0}"


def printable(text: str, limit: int = 100) -> str:
    """What somebody else wrote, for a line on a terminal: without line breaks and escapes, and cut when it is long."""
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown)


def clean_json(value: Any, depth: int = 0) -> Any:
    """A private copy of a JSON value, its strings cleaned; ValueError for what JSON cannot say."""
    match value:
        case str():
            return clean_text(str(value))
        case None | bool() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError(f"JSON has no {value!r}")
            return value
    if depth >= MAX_DEPTH:
        raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
    match value:
        case dict():
            return {_key(key): clean_json(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [clean_json(item, depth + 1) for item in value]
    raise ValueError(f"{type(value).__name__} is no JSON value")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"JSON object keys are strings, not {type(key).__name__}")  # noqa: TRY004 - pydantic wants it
    return clean_text(key)


def parse_json(data: str | bytes) -> Any:
    """Parse a whole JSON document strictly: no NaN, no infinities (``1e400`` either), no lone surrogates,
    nothing deeper than ``MAX_DEPTH``.

    Raises ValueError with the place of the first fault.
    """
    try:
        value = from_json(data, allow_inf_nan=False)
    except TypeError as error:  # a str that cannot be encoded
        raise ValueError("lone surrogate") from error
    _refuse_what_json_cannot_hold(value)
    return value


def _refuse_what_json_cannot_hold(value: Any, depth: int = 0) -> None:
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise ValueError("number out of range")
    elif kind is dict or kind is list:
        if depth >= MAX_DEPTH:
            raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
        for item in value.values() if kind is dict else value:
            _refuse_what_json_cannot_hold(item, depth + 1)


def compact_json(value: Any) -> str:
    """Write JSON without spaces, non-ASCII characters as they are, keys in their own order."""
    return to_json(value, inf_nan_mode="strings").decode()


def pretty_json(value: Any) -> str:
    """Write JSON for people to read: two spaces of indent, non-ASCII characters as they are."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def utf16_units(text: str) -> int:
    """The length that JavaScript sees: characters beyond U+FFFF count twice."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


Text = Annotated[str, AfterValidator(clean_text)]
Json = Annotated[Any, BeforeValidator(clean_json)]
