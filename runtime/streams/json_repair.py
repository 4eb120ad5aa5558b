"""JSON whose strings are not written as JSON wants them: raw line breaks, and Windows paths."""

import re
from typing import Any, Final

from runtime.values.text import clean_text, parse_json

_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+["\\]?', re.DOTALL)
_REPAIRED: Final = re.compile(r'(\\["\\/bfnrtu])|(\\)|[\x00-\x1f\x7f-\x9f]')
_SHORT_ESCAPES: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def parse_json_with_repair(text: str) -> Any:
    """Parse a whole JSON document strictly; where that fails, parse what ``repair_json`` makes of it.

    Raises ValueError when that fails too, or when there was nothing to repair.
    """
    text = clean_text(text)
    try:
        return parse_json(text)
    except ValueError:
        repaired = repair_json(text)
        if repaired == text:
            raise
    return parse_json(repaired)


def repair_json(text: str) -> str:
    """Escape what JSON does not allow inside strings: control characters, and backslashes that escape nothing."""
    return _STRING.sub(_repair_string, text)


def _repair_string(string: re.Match[str]) -> str:
    return _REPAIRED.sub(_repair_character, string[0])


def _repair_character(found: re.Match[str]) -> str:
    character = found[0]
    if found[1]:
        return character
    if found[2]:
        return "\\\\"
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04x}"
