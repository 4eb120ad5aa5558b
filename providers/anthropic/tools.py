"""Tools on the Messages wire, and which of them a conversation makes available only later."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import ToolDefinitionError
from runtime.values.message import AssistantMessage, Message, ToolResultMessage
from runtime.values.tool import JsonSchemaSampling, Tool

from .compat import MessagesCompat
from .identity import ToolNames

WireTool = dict[str, Any]


def tools_by_name(tools: Iterable[Tool], names: ToolNames) -> dict[str, Tool]:
    """The tools by their names on the wire; of those that share one, the last, at the place of the first."""
    return {names.sent(tool.name): tool for tool in tools}


@dataclass(frozen=True)
class Deferral:
    """Which tools are loaded later, and by which messages: names on the wire, by the message's place."""

    deferred: frozenset[str] = frozenset()
    loaded_by: Mapping[int, Sequence[str]] = field(default_factory=dict)


def deferral(transcript: Sequence[Message], known: Iterable[str], names: ToolNames) -> Deferral:
    """Find the tools that results make available, and that were not called before.

    Each message is judged by what stands before it, so that a longer transcript begins in the same way. Some tool
    has to be there at once: a result that would leave none loads none.
    """
    at_once = set(known)
    used: set[str] = set()
    loaded_by: dict[int, Sequence[str]] = {}
    for place, message in enumerate(transcript):
        if isinstance(message, AssistantMessage):
            used.update(names.sent(call.name) for call in message.tool_calls)
        elif isinstance(message, ToolResultMessage):
            added = dict.fromkeys(map(names.sent, message.added_tool_names))
            new = [name for name in added if name in at_once and name not in used]
            if new and len(new) < len(at_once):
                loaded_by[place] = new
                at_once.difference_update(new)
    return Deferral(frozenset(name for load in loaded_by.values() for name in load), loaded_by)


def wire_tools(
    tools: Mapping[str, Tool], deferred: frozenset[str], compat: MessagesCompat, mark: dict[str, str] | None
) -> list[WireTool]:
    """The ``tools`` of a request: those that are there at once, the last one marked for the cache, then the others."""
    at_once = [wire_tool(name, tool, compat) for name, tool in tools.items() if name not in deferred]
    later = [wire_tool(name, tool, compat) for name, tool in tools.items() if name in deferred]
    if at_once and mark and compat.supports_cache_control_on_tools:
        at_once[-1]["cache_control"] = dict(mark)
    return at_once + [{**tool, "defer_loading": True} for tool in later]


def wire_tool(name: str, tool: Tool, compat: MessagesCompat) -> WireTool:
    """One tool, its schema whole. Raises ToolDefinitionError if it must be strict where that is unknown."""
    wire: WireTool = {"name": name, "description": tool.description, "input_schema": _schema(tool.parameters)}
    if isinstance(tool.constrained_sampling, JsonSchemaSampling):
        if compat.supports_strict_tools:
            wire["strict"] = True
        elif tool.constrained_sampling.strict == "require":
            raise ToolDefinitionError(
                f'Tool "{tool.name}" requires JSON-schema constrained sampling, but strict tools are unsupported.'
            )
    if compat.supports_eager_tool_input_streaming:
        wire["eager_input_streaming"] = True
    return wire


def _schema(parameters: Any) -> dict[str, Any]:
    """The schema with what the provider insists on."""
    given = parameters if isinstance(parameters, dict) else {}
    properties, required = given.get("properties"), given.get("required")
    return {
        **given,
        "type": "object",
        "properties": properties if isinstance(properties, dict) else {},
        "required": required if isinstance(required, list) else [],
    }
