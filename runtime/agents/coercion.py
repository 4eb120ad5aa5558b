"""Making arguments fit where the meaning is plain: ``"3"`` for a number, ``null`` for an empty string.

Models send numbers as strings, and strings as numbers. What fits as it is stays as it is.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Final

from runtime.values.text import compact_json

from .tool_schema import SchemaNode, ToolSchema, own_schemas

_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,40}")


class Coercion:
    """Coerces values by one schema, following its references; what it is given is never changed."""

    def __init__(self, schema: ToolSchema) -> None:
        self._schema = schema
        self._known: dict[tuple[int, int], tuple[Any, Any]] = {}

    def of(self, value: Any) -> Any:
        """The value as the schema wants it, as far as that is plain; it may still not fit."""
        return self._at(value, self._schema.root)

    def _at(self, value: Any, node: SchemaNode) -> Any:
        """What a value becomes at a node; once, however many alternatives lead there."""
        if not isinstance(node.contents, dict):
            return value
        question = id(value), id(node.contents)
        if question not in self._known:
            self._known[question] = value, self._coerced(value, node)
        return self._known[question][1]

    def _coerced(self, value: Any, node: SchemaNode) -> Any:
        for also in (*node.references(), *node.members("allOf")):
            value = self._at(value, also)
        for keyword in ("anyOf", "oneOf"):
            value = self._first_that_fits(value, node.members(keyword))
        types = _types(node.contents)
        value = _coerce_primitive(value, types)
        if isinstance(value, dict) and "object" in types:
            return {name: self._member(name, item, node) for name, item in value.items()}
        if isinstance(value, list) and "array" in types:
            return [self._item(index, item, node) for index, item in enumerate(value)]
        return value

    def _first_that_fits(self, value: Any, nodes: list[SchemaNode]) -> Any:
        if any(self._schema.fits(value, node) for node in nodes):
            return value
        for node in nodes:
            candidate = self._at(value, node)
            if self._schema.fits(candidate, node):
                return candidate
        return value

    def _member(self, name: str, value: Any, node: SchemaNode) -> Any:
        for contents in own_schemas(node.contents, name) or [node.contents.get("additionalProperties")]:
            value = self._at(value, node.inner(contents))
        return value

    def _item(self, index: int, value: Any, node: SchemaNode) -> Any:
        return self._at(value, node.inner(_item_schema(node.contents, index)))


def _item_schema(contents: dict[str, Any], index: int) -> Any:
    """By position as far as that goes: ``prefixItems``, or a list of ``items`` in the older drafts."""
    items = contents.get("items")
    first = items if isinstance(items, list) else contents.get("prefixItems")
    if isinstance(first, list) and index < len(first):
        return first[index]
    return contents.get("additionalItems") if isinstance(items, list) else items


def _types(contents: dict[str, Any]) -> list[Any]:
    types = contents.get("type", [])
    return types if isinstance(types, list) else [types]


def _coerce_primitive(value: Any, types: list[Any]) -> Any:
    if len(types) > 1 and any(_is_of_type(value, name) for name in types):
        return value
    for name in types:
        coerced = _COERCIONS.get(name, _unchanged)(value)
        if coerced is not value:
            return coerced
    return value


def _is_of_type(value: Any, name: Any) -> bool:
    if isinstance(value, bool):
        return bool(name == "boolean")
    return name in _TYPES and isinstance(value, _TYPES[name])


def _unchanged(value: Any) -> Any:
    return value


def _to_number(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return float(value or 0)
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    return value


def _to_integer(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return int(value or 0)
    if isinstance(value, str) and _WHOLE.fullmatch(value) and -(2**63) <= int(value) < 2**63:
        return int(value)
    return value


def _to_boolean(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return bool(value) if value in (0, 1) else value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value, value)
    return False if value is None else value


def _to_string(value: Any) -> Any:
    if value is None:
        return ""
    return compact_json(value) if isinstance(value, (bool, int, float)) else value


def _to_null(value: Any) -> Any:
    return None if isinstance(value, (bool, int, str)) and not value else value


_TYPES: Final[dict[Any, Any]] = {
    "number": (int, float),
    "integer": int,
    "string": str,
    "null": type(None),
    "array": list,
    "object": dict,
}
_COERCIONS: Final[dict[Any, Callable[[Any], Any]]] = {
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "string": _to_string,
    "null": _to_null,
}
