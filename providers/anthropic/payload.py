"""The body of a Messages request."""

from typing import Any

from providers.handle import MAX_TOKENS
from runtime.streams.call_ids import normalize_anthropic_id
from runtime.streams.handoff import transform_messages
from runtime.values.limits import clamp_max_tokens_to_context

from . import identity
from .caching import cache_mark, mark_last_message
from .compat import MessagesCompat, messages_compat
from .credentials import MessagesCall, poses_as_claude_code
from .identity import ToolNames
from .options import AnthropicOptions
from .thinking import thinking_fields, thinks
from .tools import Deferral, deferral, tools_by_name, wire_tools
from .transcript import wire_messages

Payload = dict[str, Any]


def messages_payload(call: MessagesCall) -> Payload:
    """The body of a request, its fields in the order of the documentation."""
    model, context, options = call.model, call.context, call.options
    compat = messages_compat(model)
    names = ToolNames(poses_as_claude_code(call))
    mark = cache_mark(options.cache_retention, compat)
    tools = tools_by_name(context.tools, names)
    transcript = transform_messages(
        context.messages, model, normalize_anthropic_id, foreign_thinking=options.foreign_thinking
    )
    later = deferral(transcript, tools, names) if compat.supports_tool_references else Deferral()
    messages = wire_messages(transcript, later.loaded_by, names, compat)
    if mark:
        mark_last_message(messages, mark)
    payload: Payload = {
        "model": model.id,
        "messages": messages,
        "max_tokens": _max_tokens(call),
        "stream": True,
    }
    if system := _system(call, names, mark):
        payload["system"] = system
    if tools:
        payload["tools"] = wire_tools(tools, later.deferred, compat, mark)
    if options.tool_choice is not None:
        payload["tool_choice"] = _tool_choice(options.tool_choice, names)
    return payload | _temperature(call, compat) | thinking_fields(model, options, compat) | _metadata(options)


def _max_tokens(call: MessagesCall) -> int:
    """The provider insists on a limit, also where nobody knows one."""
    if call.options.max_tokens is not None:
        return call.options.max_tokens
    limit = call.model.max_tokens
    return limit or clamp_max_tokens_to_context(call.model, call.context, MAX_TOKENS) or MAX_TOKENS


def _system(call: MessagesCall, names: ToolNames, mark: dict[str, str] | None) -> list[Payload]:
    texts = (identity.SYSTEM_PROMPT if names.posing else None, call.context.system_prompt)
    return [
        {"type": "text", "text": text} | ({"cache_control": dict(mark)} if mark else {})
        for text in texts
        if text
    ]


def _tool_choice(choice: Any, names: ToolNames) -> Any:
    match choice:
        case str(kind):
            return {"type": kind}
        case {"name": str(name)}:
            return {**choice, "name": names.sent(name)}
    return choice


def _temperature(call: MessagesCall, compat: MessagesCompat) -> Payload:
    """Thinking and a temperature exclude each other."""
    temperature = call.options.temperature
    if temperature is None or not compat.supports_temperature or thinks(call.model, call.options, compat):
        return {}
    return {"temperature": temperature}


def _metadata(options: AnthropicOptions) -> Payload:
    """Of the caller's metadata, what the provider has a field for."""
    match options.metadata:
        case {"user_id": str(user_id)}:
            return {"metadata": {"user_id": user_id}}
    return {}
