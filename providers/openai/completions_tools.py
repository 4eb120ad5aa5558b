"""Tools on the Chat Completions wire."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runtime.values.context import Context
from runtime.values.message import AssistantMessage, Message, ToolResultMessage
from runtime.values.tool import Tool

from .completions_compat import CompletionsCompat
from .grammar import grammar_format
from .strict_tools import strict_field


def wire_tools(context: Context, compat: CompletionsCompat, grammar: Mapping[str, str]) -> list[Any] | None:
    """The ``tools`` of a request; empty where the transcript has calls or results, because some servers insist on the key then."""
    deferred = _deferred_names(context.messages) if compat.deferred_tools_mode == "kimi" else frozenset[str]()
    tools = [wire_tool(tool, compat, grammar) for tool in context.tools if tool.name not in deferred]
    return tools if tools or any(map(_is_about_tools, context.messages)) else None


def wire_tool(tool: Tool, compat: CompletionsCompat, grammar: Mapping[str, str]) -> dict[str, Any]:
    """One tool: a custom one if it has a grammar that the endpoint takes, else a function."""
    if tool.name in grammar:
        custom = {"name": tool.name, "description": tool.description, "format": grammar_format(tool)}
        return {"type": "custom", "custom": custom}
    strict = strict_field(tool, supported=compat.supports_strict_mode)
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters, **strict}
    return {"type": "function", "function": function}


def added_tools(
    results: Sequence[ToolResultMessage],
    tools: Iterable[Tool],
    compat: CompletionsCompat,
    grammar: Mapping[str, str],
) -> list[dict[str, Any]]:
    """The definitions of the tools that a run of results makes available, each once."""
    if compat.deferred_tools_mode != "kimi":
        return []
    known = {tool.name: tool for tool in tools}
    names = dict.fromkeys(name for result in results for name in result.added_tool_names)
    return [wire_tool(known[name], compat, grammar) for name in names if name in known]


def _deferred_names(messages: Iterable[Message]) -> frozenset[str]:
    results = (message for message in messages if isinstance(message, ToolResultMessage))
    return frozenset(name for result in results for name in result.added_tool_names)


def _is_about_tools(message: Message) -> bool:
    return isinstance(message, ToolResultMessage) or (
        isinstance(message, AssistantMessage) and bool(message.tool_calls)
    )
