"""JSON as servers really send it: read loosely where that is harmless, and looked into without trust."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from runtime.values.text import clean_json, compact_json


def read_event_json(data: bytes) -> Any:
    """The JSON of an event's data. Halves of surrogate pairs, which the strict parser refuses, are let through.

    Raises ValueError with the place of the first fault.
    """
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        try:
            return json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise error from None


def text_at(value: Any, *path: str) -> str:
    """The string at a path of keys; empty if there is something else, or nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def text_in(fields: Mapping[str, Any], name: str) -> str:
    """The same for one key of an object, in half the time: this is done for every event."""
    value = fields.get(name)
    return value if type(value) is str else ""


def whole_number(value: Any) -> int | None:
    """An integer, also one that was written as a float."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def rewritten_json(value: Any) -> str:
    """Compact JSON of a value as it was sent, keys in its order. Raises ValueError for what cannot be written again."""
    return compact_json(clean_json(value))


def _refuse(constant: str) -> None:
    raise ValueError(constant)
