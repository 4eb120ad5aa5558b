"""From what a function returned to what a model reads."""

import inspect
import math
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import PydanticSerializationError, to_jsonable_python

from runtime.agents.tool import AgentToolResult
from runtime.values.content import ImageContent, TextContent
from runtime.values.text import MAX_DEPTH, clean_json, compact_json

_MAY_RETURN = (
    "a tool may return a str, JSON data (dict with string keys, list, number, bool), a pydantic model, a dataclass, "
    "TextContent or ImageContent blocks, an AgentToolResult, or None"
)


def result_of(value: object) -> AgentToolResult:
    """Make a tool result of what a tool returned.

    An AgentToolResult stays as it is. A string, a block, or a list of blocks and strings is the content; None is no
    content. JSON data, pydantic models and dataclasses become compact JSON text, and ``details`` holds the same
    value; inside them dates, UUIDs, paths, decimals and enum members are written as pydantic writes them. How a
    pydantic model writes its fields is its own business.

    Raises TypeError for anything else, and ValueError for numbers and nesting that JSON cannot say; both name
    the place.
    """
    value = value.value if isinstance(value, Enum) else value
    match value:
        case AgentToolResult():
            return value
        case None:
            return AgentToolResult()
        case str():
            return AgentToolResult.text(value)
        case TextContent() | ImageContent():
            return AgentToolResult((value,))
        case list() | tuple() if any(isinstance(item, TextContent | ImageContent) for item in value):
            return AgentToolResult([_block(item, index) for index, item in enumerate(value)])
    data = clean_json(_plain(value, ()))
    return AgentToolResult.text(compact_json(data), details=data)


def _block(item: object, index: int) -> TextContent | ImageContent:
    match item:
        case TextContent() | ImageContent():
            return item
        case str():
            return TextContent(item)
    raise _refusal(item, (index,))


def _plain(value: Any, path: tuple[object, ...]) -> Any:
    """The value as JSON types only; ``path`` says where it was found, and how deep."""
    if len(path) > MAX_DEPTH:
        raise ValueError(f"the tool's result is nested deeper than {MAX_DEPTH} levels")
    match value:
        case Enum():
            return _plain(value.value, path)
        case None | bool() | int() | str():
            return value
        case float():
            return _finite(value, path)
        case dict():
            return {_key(key, path): _plain(item, (*path, key)) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, (*path, index)) for index, item in enumerate(value)]
    return _written(value, path)


def _written(value: Any, path: tuple[object, ...]) -> Any:
    """What is no JSON by itself, but has one way to be written as JSON."""
    if isinstance(value, date | time | timedelta | Decimal | UUID):
        return to_jsonable_python(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, BaseModel) or is_pydantic_dataclass(type(value)):
        return _plain(_dumped(value, path), path)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name), (*path, field.name)) for field in fields(value)
        }
    raise _refusal(value, path)


def _finite(value: float, path: tuple[object, ...]) -> float:
    if not math.isfinite(value):
        raise ValueError(f"the tool returned {value!r}{_place(path)}, and JSON has no such number")
    return float(value)


def _key(key: object, path: tuple[object, ...]) -> str:
    key = key.value if isinstance(key, Enum) else key
    if not isinstance(key, str):
        raise TypeError(
            f"the tool returned a dict with the key {key!r}{_place(path)}, and JSON has string keys only"
        )
    return key


def _dumped(model: Any, path: tuple[object, ...]) -> Any:
    try:
        return TypeAdapter(type(model)).dump_python(model, mode="json")
    except PydanticSerializationError as error:
        raise TypeError(f"{_refusal(model, path)} ({error})") from error


def _refusal(value: object, path: tuple[object, ...]) -> TypeError:
    kind, place = type(value).__name__, _place(path)
    if inspect.iscoroutine(value):
        value.close()  # it will never run: no warning about it, beside the error
        return TypeError(
            f"the tool returned a coroutine that nobody awaited{place}: await it in an async def"
        )
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return TypeError(f"the tool returned {kind} {value.__name__}{place}: return a list of what it yields")
    return TypeError(f"the tool returned {kind}{place}; {_MAY_RETURN}")


def _place(path: tuple[object, ...]) -> str:
    return f" at {'.'.join(map(str, path))}" if path else ""
