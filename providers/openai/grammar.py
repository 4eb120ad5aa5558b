"""Tools whose input follows a grammar: ``custom`` tools on OpenAI's wire, with one string instead of JSON arguments."""

from collections.abc import Iterable, Mapping
from typing import Any

from runtime.errors import InvalidOptionError, InvalidResponseError, ToolDefinitionError
from runtime.values.content import ToolCall
from runtime.values.text import clean_text, compact_json
from runtime.values.tool import GrammarSampling, GrammarVariants, Tool

DEFAULT_PROPERTY = "input"
"""The argument that holds the input of a custom tool which is not among the context's."""


def grammar_properties(tools: Iterable[Tool], *, enabled: bool) -> dict[str, str]:
    """For each grammar tool, the argument that holds its input; none unless the endpoint takes grammars.

    Raises ToolDefinitionError for a tool that cannot be sent as one.
    """
    if not enabled:
        return {}
    return {
        tool.name: _property(tool) for tool in tools if isinstance(tool.constrained_sampling, GrammarSampling)
    }


def grammar_format(tool: Tool) -> dict[str, Any]:
    """The grammar of a grammar tool as the wire wants it; Lark is preferred."""
    sampling = tool.constrained_sampling
    assert isinstance(sampling, GrammarSampling)  # noqa: S101 - grammar_properties found it
    syntax, definition = _variant(tool, sampling.variants)
    return {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}


def grammar_input(call: ToolCall, name: str) -> str:
    """The input of an earlier call of a grammar tool, from its arguments."""
    value = call.arguments.get(name) if isinstance(call.arguments, dict) else None
    if not isinstance(value, str):
        raise InvalidOptionError(
            f'Grammar tool call "{call.name}" requires argument "{name}" to be a string.'
        )
    return value


class GrammarInput:
    """Turns the text of a custom tool call, while it arrives, into the JSON text of its arguments."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pieces: list[str] = []
        self._open = False
        self._final: str | None = None

    def append(self, text: str) -> str:
        """More input; returns what it adds to the JSON."""
        if self._final is not None:
            raise self._changed("after it was closed")
        self._pieces.append(text)
        return self._opening() + _escape(text)

    def close(self, final: str | None = None) -> str:
        """The input is complete, and ``final`` all of it if the wire repeats it; returns the rest of the JSON."""
        if self._final is not None:
            if final is not None and clean_text(final) != self._final:
                raise self._changed("after it was closed")
            return ""
        streamed = clean_text("".join(self._pieces))
        whole = streamed if final is None else clean_text(final)
        if not whole.startswith(streamed):
            raise self._changed("non-monotonically")
        self._final = whole
        return self._opening() + _escape(whole[len(streamed) :]) + '"}'

    def _opening(self) -> str:
        if self._open:
            return ""
        self._open = True
        return "{" + compact_json(self._name) + ':"'

    def _changed(self, how: str) -> InvalidResponseError:
        return InvalidResponseError(f'grammar tool input for property "{self._name}" changed {how}')


_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord(character): escape
    for character, escape in {
        '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    }.items()
}  # fmt: skip


def _escape(text: str) -> str:
    """A piece of a JSON string. Halves of surrogate pairs stay: the next piece may bring the other half."""
    return text.translate(_ESCAPES)


def _property(tool: Tool) -> str:
    grammar_format(tool)
    schema = tool.parameters
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise _unusable(tool, "grammar constrained sampling requires an object parameter schema")
    match schema.get("required"):
        case [str(name)]:
            return _string_property(tool, schema.get("properties"), name)
    raise _unusable(tool, "grammar constrained sampling requires exactly one required string property")


def _string_property(tool: Tool, properties: Any, name: str) -> str:
    if not isinstance(properties, Mapping) or name not in properties:
        raise _unusable(tool, f"grammar constrained sampling requires a properties entry for {name}")
    match properties[name]:
        case {"type": "string"}:
            return name
    raise _unusable(tool, f"grammar constrained sampling property {name} must have type string")


def _variant(tool: Tool, variants: GrammarVariants) -> tuple[str, str]:
    for syntax, definition in (("lark", variants.openai_lark), ("regex", variants.openai_regex)):
        if definition and definition.strip():
            return syntax, definition
    raise _unusable(tool, "no supported grammar variant was provided")


def _unusable(tool: Tool, why: str) -> ToolDefinitionError:
    return ToolDefinitionError(f'Tool "{tool.name}" cannot use grammar constrained sampling: {why}.')
