"""Anthropic's Messages API: each block has a start, deltas and a stop."""

from collections.abc import Mapping
from typing import Any

from providers.faux.script import Block
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.usage import Usage

from .dialect import framed

_STOP: Mapping[StopReason, str] = {StopReason.Length: "max_tokens", StopReason.ToolUse: "tool_use"}


class MessagesDialect:
    """One reply of the Messages API. ``input_tokens`` are told at its start."""

    def __init__(self, model: str, input_tokens: int = 0) -> None:
        self._model = model
        self._input_tokens = input_tokens

    def start(self) -> bytes:
        """The message, still empty, and a ping."""
        usage = {"input_tokens": self._input_tokens, "output_tokens": 1}
        named = {"id": "msg_fake", "type": "message", "role": "assistant", "model": self._model}
        unsaid: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        message = {**named, **unsaid, "usage": usage}
        return _event("message_start", message=message) + _event("ping")

    def open(self, index: int, block: Block) -> bytes:
        """The block, still empty; redacted thinking comes whole."""
        return _event("content_block_start", index=index, content_block=_empty(block))

    def delta(self, index: int, block: Block, text: str) -> bytes:
        """More text, more thinking, or a piece of arguments."""
        match block:
            case TextContent():
                return _delta(index, "text", text=text)
            case ThinkingContent():
                return b"" if block.redacted else _delta(index, "thinking", thinking=text)
            case ToolCall():
                return _delta(index, "input_json", partial_json=text)

    def close(self, index: int, block: Block) -> bytes:
        """The signature of thinking, then the stop."""
        signature = b""
        if isinstance(block, ThinkingContent) and not block.redacted:
            signature = _delta(index, "signature", signature=block.thinking_signature or "fake-signature")
        return signature + _event("content_block_stop", index=index)

    def end(self, message: AssistantMessage, usage: Usage) -> bytes:
        """The stop reason with the rest of the usage, and the stop."""
        reason = {"stop_reason": _STOP.get(message.stop_reason, "end_turn"), "stop_sequence": None}
        counts = {"input_tokens": usage.input, "output_tokens": usage.output}
        return _event("message_delta", delta=reason, usage=counts) + _event("message_stop")

    def failure(self, text: str) -> bytes:
        """An event that is called error."""
        return _event("error", error={"type": "api_error", "message": text})


def _event(kind: str, **fields: Any) -> bytes:
    return framed({"type": kind, **fields}, kind)


def _delta(index: int, kind: str, **fields: Any) -> bytes:
    return _event("content_block_delta", index=index, delta={"type": f"{kind}_delta", **fields})


def _empty(block: Block) -> dict[str, Any]:
    match block:
        case TextContent():
            return {"type": "text", "text": ""}
        case ThinkingContent() if block.redacted:
            return {"type": "redacted_thinking", "data": block.thinking_signature or "fake-data"}
        case ThinkingContent():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolCall():
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
