"""A transcript as the ``input`` of a Responses request.

What a message becomes depends on itself and on what stands before it, so a longer transcript begins with the same bytes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from runtime.streams.call_ids import short_hash
from runtime.streams.handoff import LanguageMessage
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, ToolResultMessage, UserMessage
from runtime.values.model import Model, same_model
from runtime.values.text import compact_json

from .grammar import grammar_input
from .responses_signatures import call_extras, reasoning_item, text_identity
from .responses_tools import ToolLoader, WireItem

ONLY_IMAGE = "(see attached image)"
NO_OUTPUT = "(no tool output)"
_ID_LENGTH = 64
_STORING_HOSTS = (
    "api.openai.com",
    "openai.azure.com",
    "services.ai.azure.com",
    "cognitiveservices.azure.com",
)
"""Where a reasoning item without anything to read is looked up among stored items. Nothing is stored (``store: false``), so the
whole request would be refused. So would be the ids of what was said after it, and what the provider's own tools did."""


def input_items(
    model: Model,
    system_prompt: str | None,
    transcript: Iterable[LanguageMessage],
    grammar: Mapping[str, str],
    loader: ToolLoader,
    *,
    developer: bool = False,
) -> list[WireItem]:
    """The items of a transcript that ``transform_messages`` made fit for the model.

    Raises InvalidOptionError for a call of a grammar tool without its input.
    """
    writing = _Writing(model, grammar, loader)
    if system_prompt:
        role = "developer" if developer else "system"
        writing.wire.append({"role": role, "content": system_prompt})
    for message in transcript:
        match message:
            case UserMessage():
                writing.user(message)
            case AssistantMessage():
                writing.assistant(message)
            case ToolResultMessage():
                writing.result(message)
    return writing.wire


@dataclass
class _Writing:
    model: Model
    grammar: Mapping[str, str]
    loader: ToolLoader
    wire: list[WireItem] = field(default_factory=list)
    turns: int = 0
    calls: Mapping[str, WireItem] = field(default_factory=dict)
    """The calls of the reply before, by their ids on the wire."""

    def user(self, message: UserMessage) -> None:
        content = message.content
        parts = [_text(content)] if isinstance(content, str) else [_part(block) for block in content]
        if parts:
            self._say([{"role": "user", "content": parts}])

    def assistant(self, message: AssistantMessage) -> None:
        reply = _Reply(message, self.model, self.grammar, self.turns)
        items = list(reply.items())
        self.calls = reply.calls
        if items:
            self._say(items)

    def result(self, message: ToolResultMessage) -> None:
        call_id = wire_call_id(message.tool_call_id)
        call = self.calls.get(call_id, {})
        kind = _OUTPUT_TYPES[call.get("type", "function_call")]
        item = {"type": kind, "call_id": call_id, "output": self._output(message)}
        if "caller" in call:
            item["caller"] = call["caller"]
        self._say([item, *self.loader.after(message)])

    def _say(self, items: Sequence[WireItem]) -> None:
        self.wire.extend(items)
        self.turns += 1

    def _output(self, message: ToolResultMessage) -> Any:
        images = [block for block in message.content if isinstance(block, ImageContent)]
        if images and "image" in self.model.input:
            return [*([_text(message.text)] if message.text else []), *map(_part, images)]
        return message.text or (ONLY_IMAGE if images else NO_OUTPUT)


_OUTPUT_TYPES = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def wire_call_id(call_id: str) -> str:
    """The part of an id that ties a result to its call: what stands before the pipe, else whatever there is."""
    call, _, item = call_id.partition("|")
    return call or item or "call"


def _text(text: str) -> WireItem:
    return {"type": "input_text", "text": text}


def _part(block: TextContent | ImageContent) -> WireItem:
    if isinstance(block, TextContent):
        return _text(block.text)
    url = f"data:{block.mime_type};base64,{block.data}"
    return {"type": "input_image", "detail": "auto", "image_url": url}


class _Reply:
    """One earlier reply, which becomes several items: its blocks, and the provider's own items between them.

    ``calls`` are those of its items that are calls, by their ids on the wire.
    """

    def __init__(
        self, message: AssistantMessage, model: Model, grammar: Mapping[str, str], turn: int
    ) -> None:
        self.calls: dict[str, WireItem] = {}
        self._message = message
        self._grammar = grammar
        self._turn = turn
        self._sibling = not same_model(message, model) and (message.provider, message.api) == (
            model.provider,
            model.api,
        )
        self._texts = 0
        self._reasoning = {
            place: item
            for place, block in enumerate(message.content)
            if isinstance(block, ThinkingContent) and (item := reasoning_item(block.thinking_signature))
        }
        storing = _is_storing(model.base_url)
        self._withheld = {
            place for place, item in self._reasoning.items() if storing and not _is_readable(item)
        }

    def items(self) -> Iterator[WireItem]:
        provided = self._provider_items()
        for place, block in enumerate(self._message.content):
            yield from provided.pop(place, ())
            match block:
                case ThinkingContent():
                    if place in self._reasoning and place not in self._withheld:
                        yield self._reasoning[place]
                case TextContent():
                    yield self._text(block)
                case ToolCall():
                    yield self._call(block)
        for rest in provided.values():
            yield from rest

    def _provider_items(self) -> dict[int, list[WireItem]]:
        """By the index of the block that they stand before; the others stand last."""
        placed: defaultdict[int, list[WireItem]] = defaultdict(list)
        for entry in () if self._withheld else self._message.provider_items:
            match entry:
                case {"index": int(index), "item": {"type": str()} as item}:
                    placed[max(0, index)].append(item)
        return dict(sorted(placed.items()))

    def _text(self, block: TextContent) -> WireItem:
        told_id, phase = text_identity(block.text_signature)
        number, self._texts = self._texts, self._texts + 1
        item_id = f"msg_pi_{self._turn}_{number}" if number else f"msg_pi_{self._turn}"
        if told_id and not self._withheld:
            item_id = told_id if len(told_id) <= _ID_LENGTH else f"msg_{short_hash(told_id)}"
        item = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": block.text, "annotations": []}],
            "status": "completed",
            "id": item_id,
        }
        return item | ({"phase": phase} if phase else {})

    def _call(self, call: ToolCall) -> WireItem:
        item: WireItem = {"call_id": wire_call_id(call.id), "name": call.name}
        is_custom = call.name in self._grammar
        if is_custom:
            item = {
                "type": "custom_tool_call",
                **item,
                "input": grammar_input(call, self._grammar[call.name]),
            }
        else:
            item = {"type": "function_call", **item, "arguments": compact_json(call.arguments)}
        item_id = call.id.partition("|")[2]
        if item_id and item_id.startswith("fc_") != is_custom and not self._sibling and not self._withheld:
            item["id"] = item_id
        self.calls[item["call_id"]] = item = item | call_extras(call.thought_signature)
        return item


def _is_storing(base_url: str) -> bool:
    try:
        host = urlsplit(base_url.strip()).hostname or ""
    except ValueError:
        return False
    return any(host == name or host.endswith(f".{name}") for name in _STORING_HOSTS)


def _is_readable(item: WireItem) -> bool:
    return bool(item.get("encrypted_content") or item.get("content"))
