"""A transcript on the Messages wire.

What a message becomes depends on itself and on what stands before it, so a longer transcript begins with the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from providers.loose_json import text_at
from runtime.streams.handoff import LanguageMessage
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason, ToolResultMessage, UserMessage

from .compat import MessagesCompat
from .identity import ToolNames
from .signatures import CALL_FIELDS, read_citations, read_fields

WireMessage = dict[str, Any]
WireBlock = dict[str, Any]

ONLY_IMAGE = "(see attached image)"
SERVER_USES = ("server_tool_use", "mcp_tool_use")
"""Blocks that the provider wants a result for."""


def wire_messages(
    transcript: Sequence[LanguageMessage],
    loaded_by: Mapping[int, Sequence[str]],
    names: ToolNames,
    compat: MessagesCompat,
) -> list[WireMessage]:
    """The ``messages`` of a request. A run of tool results is one message; what is empty is left out."""
    wire: list[WireMessage] = []
    for is_results, run in groupby(
        enumerate(transcript), lambda item: isinstance(item[1], ToolResultMessage)
    ):
        if is_results:
            wire.append(
                _results(
                    (message, loaded_by.get(place, ()))
                    for place, message in run
                    if isinstance(message, ToolResultMessage)
                )
            )
        else:
            wire.extend(
                {"role": message.role, "content": content}
                for _, message in run
                if (content := _content(message, names, compat))
            )
    return wire


def _content(
    message: LanguageMessage, names: ToolNames, compat: MessagesCompat
) -> str | list[WireBlock] | None:
    if isinstance(message, UserMessage):
        if isinstance(message.content, str):
            return message.content if message.content.strip() else None
        return list(_user_blocks(message.content))
    assert isinstance(message, AssistantMessage)  # noqa: S101 - results are written elsewhere
    return list(_reply_blocks(message, names, compat))


def _user_blocks(blocks: Iterable[TextContent | ImageContent]) -> Iterator[WireBlock]:
    for block in blocks:
        if isinstance(block, ImageContent):
            source = {"type": "base64", "media_type": block.mime_type, "data": block.data}
            yield {"type": "image", "source": source}
        elif block.text.strip():
            yield _text(block.text)


def _text(text: str) -> WireBlock:
    return {"type": "text", "text": text}


# Replies


def _reply_blocks(message: AssistantMessage, names: ToolNames, compat: MessagesCompat) -> Iterator[WireBlock]:
    """The blocks of an earlier reply, with the provider's own ones where they stood."""
    own = _own_blocks(message)
    for place, block in enumerate(message.content):
        yield from (item["item"] for item in own if item["index"] == place)
        wire = _reply_block(block, names, compat)
        if wire is not None:
            yield wire
    yield from (item["item"] for item in own if item["index"] >= len(message.content))


def _own_blocks(message: AssistantMessage) -> list[Any]:
    """The provider's own blocks, without the uses of its tools that a limit cut off from their results.

    A reply that was paused, or that waits for the caller's results, goes back with them: the provider goes on there.
    """
    own = [item for item in message.provider_items if _is_block(item)]
    if message.stop_reason is not StopReason.Length:
        return own
    kept = {text_at(item["item"], "tool_use_id") for item in own}
    kept |= {_caller_of(call) for call in message.tool_calls}
    return [
        item
        for item in own
        if item["item"]["type"] not in SERVER_USES or text_at(item["item"], "id") in kept - {""}
    ]


def _caller_of(call: ToolCall) -> str:
    """The id of the use that made a call; empty where the model itself did."""
    return text_at(read_fields(call.thought_signature, CALL_FIELDS), "caller", "tool_id")


def _is_block(item: Any) -> bool:
    match item:
        case {"index": int(index), "item": {"type": str()}}:
            return index >= 0
    return False


def _reply_block(
    block: TextContent | ThinkingContent | ToolCall, names: ToolNames, compat: MessagesCompat
) -> WireBlock | None:
    match block:
        case TextContent():
            text = {**_text(block.text), **read_citations(block.text_signature)}
            return text if block.text.strip() else None
        case ThinkingContent():
            return _thinking(block, compat)
        case ToolCall():
            caller = read_fields(block.thought_signature, CALL_FIELDS)
            call = {"type": "tool_use", "id": block.id, "name": names.sent(block.name)}
            return {**call, "input": _input(block.arguments), **caller}


def _thinking(block: ThinkingContent, compat: MessagesCompat) -> WireBlock | None:
    """Signed thinking goes back as it is, also when nothing of it is told; unsigned thinking only where that is accepted."""
    signature = block.thinking_signature or ""
    if block.redacted:
        return {"type": "redacted_thinking", "data": signature} if signature else None
    if signature.strip():
        return {"type": "thinking", "thinking": block.thinking, "signature": signature}
    if not block.thinking.strip():
        return None
    if compat.allow_empty_signature:
        return {"type": "thinking", "thinking": block.thinking, "signature": ""}
    return _text(block.thinking)


def _input(arguments: Any) -> dict[str, Any]:
    """The provider takes nothing but objects, and refuses a transcript with anything else for ever."""
    if isinstance(arguments, dict):
        return arguments
    return {} if arguments is None else {"arguments": arguments}


# Results


def _results(run: Iterable[tuple[ToolResultMessage, Sequence[str]]]) -> WireMessage:
    """A run of results. Those that make tools available hold references alone; what they say comes behind all results."""
    content: list[WireBlock] = []
    behind: list[WireBlock] = []
    for result, loads in run:
        told: str | list[WireBlock] = _told(result)
        if loads:
            behind += _siblings(told)
            told = [{"type": "tool_reference", "tool_name": name} for name in loads]
        content.append(
            {
                "type": "tool_result",
                "tool_use_id": result.tool_call_id,
                "content": told,
                "is_error": result.is_error,
            }
        )
    return {"role": "user", "content": content + behind}


def _told(result: ToolResultMessage) -> str | list[WireBlock]:
    if not any(isinstance(block, ImageContent) for block in result.content):
        return result.text
    blocks = list(_user_blocks(result.content))
    return blocks if any(block["type"] == "text" for block in blocks) else [_text(ONLY_IMAGE), *blocks]


def _siblings(told: str | list[WireBlock]) -> list[WireBlock]:
    if isinstance(told, list):
        return told
    return [_text(told)] if told.strip() else []
