"""The Messages API without a network: what would be sent, and what becomes of what would arrive."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from providers import anthropic
from providers.access import Access
from providers.anthropic.credentials import AnthropicAccess
from providers.anthropic.decode import MessagesDecoder
from providers.anthropic.messages_api import MESSAGES
from providers.chat import Call
from providers.sse import SseEvent, SseReader
from runtime.errors import ProviderError
from runtime.streams.assembler import MessageAssembler
from runtime.streams.events import AssistantMessageEvent
from runtime.testing.invariants import assert_stream_grammar
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, ToolResultMessage
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.tool import Tool

PROXY = "https://proxy.example.com/v1"
ANTHROPIC = "https://api.anthropic.com/v1"
SUBSCRIPTION = "sk-ant-oat01-0123456789"
IMAGE = ImageContent("aGk=", "image/png")
WIRE_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


def tool_named(name: str, description: str = "A tool", **settings: Any) -> Tool:
    return Tool(name, description, {"type": "object", "properties": {"city": {"type": "string"}}}, **settings)


def model_of(
    name: str = "m", *, provider: str = "anthropic", base_url: str = PROXY, **settings: Any
) -> Model:
    """A model of a handle at an endpoint."""
    return anthropic.messages(provider_id=provider, base_url=base_url).model(name, **settings)


def own(
    *blocks: TextContent | ThinkingContent | ToolCall, model: Model | None = None, **fields: Any
) -> AssistantMessage:
    """A reply that the model itself wrote."""
    model = model or model_of()
    names = {"api": model.api, "provider": model.provider, "model": model.id}
    return AssistantMessage(blocks, **{**names, "stop_reason": StopReason.Stop, **fields})


def call_of(number: int = 1, name: str = "get_weather", **arguments: Any) -> ToolCall:
    return ToolCall(f"toolu_{number}", name, arguments or {"city": "Paris"})


def result_of(number: int = 1, *content: Any, **fields: Any) -> ToolResultMessage:
    blocks = tuple(TextContent(block) if isinstance(block, str) else block for block in content)
    return ToolResultMessage(f"toolu_{number}", "get_weather", blocks, **fields)


def _call(
    model: Model, context: Context, options: StreamOptions, access: Access | None, api_key: str | None
) -> Call[Any]:
    typed = (
        MESSAGES.simple_options(model, context, options)
        if isinstance(options, SimpleStreamOptions)
        else MESSAGES.options(options)
    )
    return Call(model, context, typed, access or Access(), api_key)


def payload_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, posing: bool = False, **context: Any
) -> dict[str, Any]:
    """The body that a call would have; simple options make a simple call. ``posing``: as Claude Code."""
    access = AnthropicAccess(claude_code_identity=True) if posing else None
    key = SUBSCRIPTION if posing else None
    given = Context(messages=list(messages), **context)
    return MESSAGES.payload(_call(model, given, options or StreamOptions(), access, key))


def messages_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, **context: Any
) -> list[Any]:
    """The messages that a call would send, without marks for the cache."""
    bare = options or StreamOptions(cache_retention="none")
    return payload_of(model, *messages, options=bare, **context)["messages"]


def headers_of(
    model: Model,
    *messages: Any,
    options: StreamOptions | None = None,
    access: Access | None = None,
    api_key: str | None = None,
    **context: Any,
) -> dict[str, str]:
    """The headers that a call would have."""
    given = Context(messages=list(messages), **context)
    return MESSAGES.headers(_call(model, given, options or StreamOptions(), access, api_key))


@dataclass
class Decoded:
    """What became of a stream."""

    message: AssistantMessage
    events: list[AssistantMessageEvent]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def error(self) -> str:
        assert self.message.stop_reason is StopReason.Error
        return self.message.error_message or ""

    def of(self, index: int) -> list[str]:
        """The types of the events of one block."""
        return [event.type for event in self.events if getattr(event, "content_index", None) == index]


def replay(
    pieces: Iterable[bytes], model: Model | None = None, names: Mapping[str, str] | None = None
) -> Decoded:
    """Read the bytes of a response as the engine does, without one; failures end the message."""
    model = model or model_of()
    assembler = MessageAssembler(model, timestamp=0)
    decoder, reader = MessagesDecoder(assembler, model, names), SseReader(1 << 20)
    assembler.start()
    try:
        for piece in pieces:
            _feed(decoder, reader.feed(piece))
        _feed(decoder, reader.finish())
        decoder.finish()
    except (ProviderError, ValueError) as error:
        assembler.fail(str(error))
    events = assembler.take()
    assert_stream_grammar(events)
    assert assembler.final is not None
    return Decoded(assembler.final, events)


def _feed(decoder: MessagesDecoder, events: list[SseEvent]) -> None:
    for event in events:
        if not decoder.finished:
            decoder.feed(event)


# What servers send


def sse_of(*events: Any) -> bytes:
    """Events as a stream: values with their type as the event's name, bytes as they are."""
    return b"".join(event if isinstance(event, bytes) else _sse(event) for event in events)


def _sse(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def start_of(usage: Any = None, **message: Any) -> dict[str, Any]:
    """The first event."""
    usage = {"input_tokens": 10, "output_tokens": 1} if usage is None else usage
    return {"type": "message_start", "message": {"id": "msg_1", "usage": usage, **message}}


def opened(index: int = 0, kind: str = "text", **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **block}}


def more(index: int = 0, kind: str = "text_delta", **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def said(text: str, index: int = 0) -> dict[str, Any]:
    return more(index, text=text)


def typed(piece: str, index: int = 0) -> dict[str, Any]:
    """A piece of a call's arguments."""
    return more(index, "input_json_delta", partial_json=piece)


def stopped(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: Any = "end_turn", usage: Any = None, **delta: Any) -> dict[str, Any]:
    """The event with the stop reason."""
    counts = {} if usage is None else {"usage": usage}
    return {"type": "message_delta", "delta": {"stop_reason": reason, **delta}, **counts}


LAST = {"type": "message_stop"}
PING = {"type": "ping"}
TEXT = (opened(), said("Hello"), stopped())
"""A whole text block."""


def decode(*events: Any, model: Model | None = None, names: Mapping[str, str] | None = None) -> Decoded:
    """What becomes of these events."""
    return replay([sse_of(*events)], model, names)


def reply_of(*events: Any, reason: str = "end_turn", **settings: Any) -> Decoded:
    """What becomes of a reply with these events between its start and its end."""
    return decode(start_of(), *events, ending(reason), LAST, **settings)
