"""The Responses API: each block is an output item, with events of its own; a thought without words has no part."""

from typing import Any

from providers.faux.script import Block
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.usage import Usage

from .dialect import framed, text_of

_PREFIXES = {TextContent: "msg", ThinkingContent: "rs", ToolCall: "fc"}


class ResponsesDialect:
    """One reply of the Responses API. A call's id may be ``call_id|item_id``, as this API's replies have it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._events = 0

    def start(self) -> bytes:
        """The response was made, and is in progress."""
        response = self._response("in_progress", [])
        return self._event("created", response=response) + self._event("in_progress", response=response)

    def open(self, index: int, block: Block) -> bytes:
        """The item, and its part."""
        item = self._event("output_item.added", index, item=_item(index, block, "", "in_progress"))
        return item + self._part("added", index, block, "")

    def delta(self, index: int, block: Block, text: str) -> bytes:
        """More of the part."""
        return self._piece("delta", index, block, delta=text)

    def close(self, index: int, block: Block) -> bytes:
        """The whole text of the part, the part, and the item."""
        text = text_of(block)
        whole = {"arguments" if isinstance(block, ToolCall) else "text": text}
        item = _item(index, block, text, "completed")
        return b"".join(
            [
                self._piece("done", index, block, **whole),
                self._part("done", index, block, text),
                self._event("output_item.done", index, item=item),
            ]
        )

    def end(self, message: AssistantMessage, usage: Usage) -> bytes:
        """The response with all its items."""
        items = [
            _item(index, block, text_of(block), "completed") for index, block in enumerate(message.content)
        ]
        is_cut = message.stop_reason is StopReason.Length
        status = "incomplete" if is_cut else "completed"
        response = self._response(status, items, usage)
        response["incomplete_details"] = {"reason": "max_output_tokens"} if is_cut else None
        return self._event(status, response=response)

    def failure(self, text: str) -> bytes:
        """An event that is called error."""
        return framed({"type": "error", "code": "server_error", "message": text, "param": None}, "error")

    def _event(self, kind: str, index: int | None = None, **fields: Any) -> bytes:
        place = {} if index is None else {"output_index": index}
        number, self._events = self._events, self._events + 1
        name = f"response.{kind}"
        return framed({"type": name, "sequence_number": number, **place, **fields}, name)

    def _piece(self, kind: str, index: int, block: Block, **said: Any) -> bytes:
        said["item_id"] = _id(index, block)
        match block:
            case TextContent():
                return self._event(f"output_text.{kind}", index, content_index=0, logprobs=[], **said)
            case ThinkingContent():
                name = f"reasoning_summary_text.{kind}"
                return self._event(name, index, summary_index=0, **said) if block.thinking else b""
            case ToolCall():
                return self._event(f"function_call_arguments.{kind}", index, **said)

    def _part(self, kind: str, index: int, block: Block, text: str) -> bytes:
        said = {"item_id": _id(index, block), "part": _part(block, text)}
        match block:
            case TextContent():
                return self._event(f"content_part.{kind}", index, content_index=0, **said)
            case ThinkingContent():
                name = f"reasoning_summary_part.{kind}"
                return self._event(name, index, summary_index=0, **said) if block.thinking else b""
            case ToolCall():
                return b""

    def _response(self, status: str, output: list[Any], usage: Usage | None = None) -> dict[str, Any]:
        counts = usage and {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.input + usage.output,
        }
        named = {"id": "resp_fake", "object": "response", "created_at": 0, "model": self._model}
        asked: dict[str, Any] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return {**named, **asked, "status": status, "output": output, "error": None, "usage": counts}


def _id(index: int, block: Block) -> str:
    own = block.id.partition("|")[2] if isinstance(block, ToolCall) else ""
    return own or f"{_PREFIXES[type(block)]}_{index}"


def _item(index: int, block: Block, text: str, status: str) -> dict[str, Any]:
    named = {"id": _id(index, block), "status": status}
    is_told = status == "completed" and (text or not isinstance(block, ThinkingContent))
    parts = [_part(block, text)] if is_told else []
    match block:
        case TextContent():
            return {"type": "message", "role": "assistant", "content": parts, **named}
        case ThinkingContent():
            return {"type": "reasoning", "summary": parts, **named}
        case ToolCall():
            call_id = block.id.partition("|")[0]
            return {
                "type": "function_call",
                "call_id": call_id,
                "name": block.name,
                "arguments": text,
                **named,
            }


def _part(block: Block, text: str) -> dict[str, Any]:
    if isinstance(block, ThinkingContent):
        return {"type": "summary_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": []}
