"""The Responses API without a network: what would be sent, and what becomes of what would arrive."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from providers import openai
from providers.access import Access
from providers.chat import Call
from providers.openai.responses import RESPONSES
from providers.openai.responses_decode import ResponsesDecoder
from providers.sse import SseEvent, SseReader
from runtime.errors import ProviderError
from runtime.streams.assembler import MessageAssembler
from runtime.streams.events import TextDelta, ThinkingDelta, ToolCallDelta
from runtime.testing.invariants import assert_stream_grammar
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, ToolResultMessage
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.tool import Tool
from tests.providers.completions_lab import Decoded

PROXY = "https://proxy.example.com/v1"
OPENAI = "https://api.openai.com/v1"
IMAGE = ImageContent("aGk=", "image/png")
WEATHER = Tool(
    "get_weather", "Weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}
)
DELTAS = TextDelta | ThinkingDelta | ToolCallDelta


def model_of(
    name: str = "m",
    *,
    provider: str = "openai",
    base_url: str = PROXY,
    key: str | None = None,
    **settings: Any,
) -> Model:
    """A model of a handle at an endpoint."""
    return openai.responses(key, provider_id=provider, base_url=base_url).model(name, **settings)


def own(
    *blocks: TextContent | ThinkingContent | ToolCall, model: Model | None = None, **fields: Any
) -> AssistantMessage:
    """A reply that the model itself wrote."""
    model = model or model_of()
    names = {"api": model.api, "provider": model.provider, "model": model.id}
    return AssistantMessage(blocks, **{**names, "stop_reason": StopReason.Stop, **fields})


def call_of(call_id: str = "call_1|fc_1", name: str = "get_weather", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, name, arguments or {"city": "Paris"})


def result_of(
    call_id: str = "call_1|fc_1", *content: Any, name: str = "get_weather", **fields: Any
) -> ToolResultMessage:
    return ToolResultMessage(call_id, name, content, **fields)


def _call(model: Model, context: Context, options: StreamOptions, api_key: str | None) -> Call[Any]:
    typed = (
        RESPONSES.simple_options(model, context, options)
        if isinstance(options, SimpleStreamOptions)
        else RESPONSES.options(options)
    )
    return Call(model, context, typed, Access(), api_key)


def payload_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, **context: Any
) -> dict[str, Any]:
    """The body that a call would have; simple options make a simple call."""
    call = _call(model, Context(messages=list(messages), **context), options or StreamOptions(), None)
    return RESPONSES.payload(call)


def input_of(model: Model, *messages: Any, options: StreamOptions | None = None, **context: Any) -> list[Any]:
    """The items that a call would send."""
    return payload_of(model, *messages, options=options, **context)["input"]


def headers_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, api_key: str | None = None
) -> dict[str, str]:
    """The headers that a call would have."""
    return RESPONSES.headers(
        _call(model, Context(messages=list(messages)), options or StreamOptions(), api_key)
    )


# Streams


def replay(
    pieces: Iterable[bytes],
    model: Model | None = None,
    grammar: Mapping[str, str] | None = None,
    service_tier: str | None = None,
) -> Decoded:
    """Read the bytes of a response as the engine does, without one; failures end the message."""
    model = model or model_of()
    assembler = MessageAssembler(model, timestamp=0)
    decoder, reader = ResponsesDecoder(assembler, model, grammar, service_tier), SseReader(1 << 20)
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


def _feed(decoder: ResponsesDecoder, events: list[SseEvent]) -> None:
    for event in events:
        if not decoder.finished:
            decoder.feed(event)


def event_of(kind: str, index: int | None = None, **fields: Any) -> dict[str, Any]:
    """An event of the API; ``kind`` without its ``response.``."""
    place = {} if index is None else {"output_index": index}
    return {"type": f"response.{kind}", **place, **fields}


def added(index: int | None, kind: str, item_id: str | None = None, **fields: Any) -> dict[str, Any]:
    return event_of("output_item.added", index, item=item_of(kind, item_id, **fields))


def done(index: int | None, kind: str, item_id: str | None = None, **fields: Any) -> dict[str, Any]:
    return event_of("output_item.done", index, item=item_of(kind, item_id, **fields))


def item_of(kind: str, item_id: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **({} if item_id is None else {"id": item_id}), **fields}


def message_of(item_id: str | None, text: Any, **fields: Any) -> dict[str, Any]:
    """A finished message item with one text."""
    return item_of(
        "message", item_id, content=[{"type": "output_text", "text": text, "annotations": []}], **fields
    )


def text_delta(index: int | None, delta: Any, **fields: Any) -> dict[str, Any]:
    return event_of("output_text.delta", index, delta=delta, **fields)


def arguments_delta(index: int | None, delta: Any, **fields: Any) -> dict[str, Any]:
    return event_of("function_call_arguments.delta", index, delta=delta, **fields)


def summary_delta(index: int | None, delta: Any, **fields: Any) -> dict[str, Any]:
    return event_of("reasoning_summary_text.delta", index, delta=delta, **fields)


def completed(*output: Any, status: Any = "completed", **fields: Any) -> dict[str, Any]:
    """The last event of a response that went through."""
    return event_of(
        "completed", response={"id": "resp_1", "status": status, "output": list(output), **fields}
    )


def sse_of(*events: Any) -> bytes:
    """Events as a stream, named as the API names them; bytes are data as they are."""
    return b"".join(map(_framed, events))


def _framed(event: Any) -> bytes:
    if isinstance(event, bytes):
        return b"data: %b\n\n" % event
    name = (
        b"event: %b\n" % event["type"].encode()
        if isinstance(event, dict) and isinstance(event.get("type"), str)
        else b""
    )
    return name + b"data: %b\n\n" % json.dumps(event).encode()


def decode(*events: Any, **more: Any) -> Decoded:
    """What becomes of these events."""
    return replay([sse_of(*events)], **more)


def deltas(decoded: Decoded, index: int = 0) -> list[str]:
    """The deltas of one block."""
    return [
        event.delta for event in decoded.events if isinstance(event, DELTAS) and event.content_index == index
    ]
