"""Tools on the Responses wire: those that a request brings at once, and those that the transcript loads."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.streams.call_ids import short_hash
from runtime.streams.handoff import LanguageMessage
from runtime.values.message import AssistantMessage, Message, ToolResultMessage
from runtime.values.tool import Tool

from .grammar import grammar_format
from .responses_compat import ResponsesCompat
from .strict_tools import strict_field

WireItem = dict[str, Any]


def wire_tool(tool: Tool, compat: ResponsesCompat, grammar: Mapping[str, str]) -> WireItem:
    """One tool: a custom one if it has a grammar that the endpoint takes, else a function."""
    named = {"name": tool.name, "description": tool.description}
    if tool.name in grammar:
        return {"type": "custom", **named, "format": {"type": "grammar", **grammar_format(tool)["grammar"]}}
    strict = strict_field(tool, supported=compat.supports_strict_mode)
    return {"type": "function", **named, "parameters": tool.parameters, **strict}


def deferred_names(
    messages: Iterable[Message], sent: Iterable[LanguageMessage], compat: ResponsesCompat
) -> frozenset[str]:
    """The tools that a result makes available in mid-conversation, before any call of them.

    ``sent`` is what remains of the messages in the request: a tool whose announcement is left out is there from the start.
    """
    if not compat.supports_tool_search:
        return frozenset()
    used: set[str] = set()
    deferred: set[str] = set()
    for message in messages:
        if isinstance(message, AssistantMessage):
            used.update(call.name for call in message.tool_calls)
        elif isinstance(message, ToolResultMessage):
            deferred.update(set(message.added_tool_names) - used)
    announced = (name for one in sent if isinstance(one, ToolResultMessage) for name in one.added_tool_names)
    return frozenset(deferred.intersection(announced))


def immediate_tools(
    tools: Iterable[Tool], deferred: Collection[str], compat: ResponsesCompat, grammar: Mapping[str, str]
) -> list[WireItem]:
    """The ``tools`` of a request. Of tools with one name the last counts, in the place of the first."""
    distinct = {tool.name: tool for tool in tools}
    return [wire_tool(tool, compat, grammar) for tool in distinct.values() if tool.name not in deferred]


@dataclass
class ToolLoader:
    """Shows deferred tools to the model where they became available, as the answer to a search of its own."""

    tools: Iterable[Tool]
    deferred: Collection[str]
    compat: ResponsesCompat
    grammar: Mapping[str, str]
    _waiting: dict[str, Tool] = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = {tool.name: tool for tool in self.tools if tool.name in self.deferred}

    def after(self, result: ToolResultMessage) -> list[WireItem]:
        """What follows a result: a search and its answer, if the result adds tools that are not loaded yet."""
        names = [name for name in dict.fromkeys(result.added_tool_names) if name in self._waiting]
        if not names:
            return []
        loaded = [wire_tool(self._waiting.pop(name), self.compat, self.grammar) for name in names]
        place = f"{result.tool_call_id}:{','.join(names)}"
        shared = {
            "call_id": f"pi_tool_load_{short_hash(place)}",
            "execution": "client",
            "status": "completed",
        }
        query = {"query": " ".join(names), "limit": len(names)}
        return [
            {"type": "tool_search_call", **shared, "arguments": query},
            {
                "type": "tool_search_output",
                **shared,
                "tools": [{**tool, "defer_loading": True} for tool in loaded],
            },
        ]
