"""Chat Completions. The API knows one text and one thought a reply: further blocks of either kind go on with the first."""

from collections.abc import Mapping
from typing import Any

from providers.faux.script import Block
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.usage import Usage

from .dialect import framed

_FINISH: Mapping[StopReason, str] = {StopReason.Length: "length", StopReason.ToolUse: "tool_calls"}


class CompletionsDialect:
    """One reply of Chat Completions."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._calls: dict[int, int] = {}

    def start(self) -> bytes:
        """The role."""
        return self._chunk({"role": "assistant", "content": ""})

    def open(self, index: int, block: Block) -> bytes:
        """Only calls have a beginning."""
        if not isinstance(block, ToolCall):
            return b""
        number = self._calls[index] = len(self._calls)
        function = {"name": block.name, "arguments": ""}
        call = {"index": number, "id": block.id, "type": "function", "function": function}
        return self._chunk({"tool_calls": [call]})

    def delta(self, index: int, block: Block, text: str) -> bytes:
        """Text, a thought as most servers send it, or a piece of arguments."""
        match block:
            case TextContent():
                return self._chunk({"content": text})
            case ThinkingContent():
                return self._chunk({"reasoning_content": text})
            case ToolCall():
                return self._chunk(
                    {"tool_calls": [{"index": self._calls[index], "function": {"arguments": text}}]}
                )

    def close(self, index: int, block: Block) -> bytes:
        """Nothing has an end."""
        del index, block
        return b""

    def end(self, message: AssistantMessage, usage: Usage) -> bytes:
        """The finish reason, the usage, and the mark."""
        counts = {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
        }
        last = self._chunk({}, finish=_FINISH.get(message.stop_reason, "stop"))
        return last + framed({**self._frame(), "choices": [], "usage": counts}) + b"data: [DONE]\n\n"

    def failure(self, text: str) -> bytes:
        """An object with an error in place of a chunk."""
        return framed({"error": {"message": text, "type": "server_error", "code": None}})

    def _frame(self) -> dict[str, Any]:
        return {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": self._model}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return framed({**self._frame(), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
