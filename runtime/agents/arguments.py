"""Arguments that a model sent: made to fit the tool's schema, or refused in words that a model can act on."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from runtime.errors import ToolDefinitionError, ToolNotFoundError, ToolValidationError
from runtime.values.content import ToolCall
from runtime.values.text import clean_json, compact_json, pretty_json
from runtime.values.tool import Tool

from .coercion import Coercion
from .tool_schema import compile_schema, one_validation

if TYPE_CHECKING:
    from jsonschema import ValidationError

MAX_ERRORS: Final = 20
MAX_PATH_LENGTH: Final = 200
MAX_WORDING_LENGTH: Final = 300
MAX_RECEIVED_LENGTH: Final = 4096

_WORDING: Final = {
    "anyOf": "must match at least one schema",
    "oneOf": "must match exactly one schema",
    "const": "must equal const value",
    "enum": "must equal one of the allowed values",
    "minProperties": "must have at least {} properties",
    "maxProperties": "must have at most {} properties",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "uniqueItems": "must have unique items",
    "minimum": "must be >= {}",
    "maximum": "must be <= {}",
    "exclusiveMinimum": "must be > {}",
    "exclusiveMaximum": "must be < {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must be at least {} characters",
    "maxLength": "must be at most {} characters",
    "pattern": "must match pattern {}",
}
_SAID_OF_ANY_TYPE: Final = ("type", "allOf", "anyOf", "oneOf", "const", "enum")


def validate_tool_call(tools: Sequence[Tool], call: ToolCall) -> Any:
    """Find the tool that is called, and return the arguments as it wants them.

    Raises ToolNotFoundError when there is none of that name; else as ``validate_tool_arguments``.
    """
    for tool in tools:
        if tool.name == call.name:
            return validate_tool_arguments(tool, call)
    raise ToolNotFoundError(call.name, [tool.name for tool in tools])


def validate_tool_arguments(tool: Tool, call: ToolCall) -> Any:
    """Return the call's arguments as the tool's schema wants them; the call stays as it is.

    Raises ToolValidationError for arguments that do not fit and cannot be made to, and
    ToolDefinitionError for a tool that cannot work. Schemas are compiled once.
    """
    return ArgumentValidator(tool).validate(call)


class ArgumentValidator:
    """Checks the arguments of one tool's calls, any number of them, in any number of tasks.

    Raises ToolDefinitionError for a blank name or description, and for parameters that are no object or no
    valid JSON Schema, have a pattern that does not compile, or refer to something outside themselves.
    """

    def __init__(self, tool: Tool) -> None:
        if tool.parameters is None:
            raise ToolDefinitionError(f"tool parameters must be a JSON object (tool {tool.name!r} has null)")
        self._name = Tool.define(tool.name, tool.description, tool.parameters).name
        try:
            self._schema = compile_schema(compact_json(tool.parameters))
        except ToolDefinitionError as error:
            raise ToolDefinitionError(f"tool {self._name!r} has an invalid schema: {error}") from error

    def validate(self, call: ToolCall) -> Any:
        """Return a copy of the call's arguments, coerced where they did not fit.

        Raises ToolValidationError: a line for each bad argument, then the arguments as they came.
        """
        try:
            with one_validation():
                value, errors = self._fitted(clean_json(call.arguments))
        except RecursionError:
            raise _refusal(call, ["root: is nested too deeply to be checked"]) from None
        if errors:
            raise _refusal(call, errors)
        return value

    def _fitted(self, arguments: Any) -> tuple[Any, list[str]]:
        if self._schema.fits(arguments, self._schema.root):
            return arguments, []
        coerced = Coercion(self._schema).of(arguments)
        return coerced, _lines(self._schema.errors(coerced))

    def __repr__(self) -> str:
        return f"<ArgumentValidator of tool {self._name!r}>"


def _refusal(call: ToolCall, lines: list[str]) -> ToolValidationError:
    shown = lines[:MAX_ERRORS]
    more = ["  - ..."] if len(lines) > MAX_ERRORS else []
    text = [
        f'Validation failed for tool "{call.name}":',
        *(f"  - {line}" for line in shown),
        *more,
        "",
        "Received arguments:",
        _received(call.arguments),
    ]
    return ToolValidationError("\n".join(text), shown)


def _received(arguments: Any) -> str:
    text = pretty_json(arguments)
    if len(text) <= MAX_RECEIVED_LENGTH:
        return text
    return f"{text[:MAX_RECEIVED_LENGTH]}\n... ({len(text)} characters in all)"


def _lines(errors: "Iterable[ValidationError]") -> list[str]:
    """A line for each error, none twice, and a few more than are shown."""
    return list(dict.fromkeys(map(_line, _without_consequences(errors))))


def _line(error: "ValidationError") -> str:
    path, wording = _clipped(_path(error), MAX_PATH_LENGTH), _clipped(_wording(error), MAX_WORDING_LENGTH)
    return f"{path}: {wording}"


def _without_consequences(errors: "Iterable[ValidationError]") -> "Iterator[ValidationError]":
    """Leave out what a schema says of a value whose type is wrong anyway."""
    found = list(islice(errors, 5 * MAX_ERRORS))
    mistyped = {_node(error) for error in found if error.validator == "type"}
    for error in found:
        if error.validator in _SAID_OF_ANY_TYPE or _node(error) not in mistyped:
            yield error


def _node(error: "ValidationError") -> tuple[Any, ...]:
    return (*error.absolute_path, None, *list(error.absolute_schema_path)[:-1])


def _path(error: "ValidationError") -> str:
    """``root``, ``key``, ``key.0.key``; the path of an item of the root starts with ``root``."""
    path = list(error.absolute_path)
    start = [] if path and isinstance(path[0], str) else ["root"]
    return ".".join(map(str, start + path))


def _wording(error: "ValidationError") -> str:
    keyword, bound = _in_force(error), cast("Any", error.validator_value)
    if keyword == "type":
        return "expected " + " or ".join(map(str, [bound] if isinstance(bound, str) else bound))
    if keyword in _WORDING:
        return _WORDING[keyword].format(_figure(bound))
    return error.message


def _in_force(error: "ValidationError") -> str:
    """The keyword; draft-04 has ``exclusiveMinimum: true`` beside ``minimum``."""
    keyword = str(error.validator)
    exclusive = f"exclusive{keyword.title()}"
    return exclusive if isinstance(error.schema, dict) and error.schema.get(exclusive) is True else keyword


def _figure(bound: Any) -> str:
    if isinstance(bound, float) and bound.is_integer() and abs(bound) < 1e15:
        return str(int(bound))
    return json.dumps(bound, ensure_ascii=False) if isinstance(bound, (str, int, float)) else ""


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
