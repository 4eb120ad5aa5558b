"""Chat Completions without a network: what would be sent, and what becomes of what would arrive."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from providers import openai
from providers.access import Access
from providers.chat import Call
from providers.openai.completions import COMPLETIONS
from providers.openai.completions_decode import CompletionsDecoder
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
OPENAI = "https://api.openai.com/v1"
IMAGE = ImageContent("aGk=", "image/png")
WEATHER = Tool(
    "get_weather", "Weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}
)


def model_of(
    *, provider: str = "openai", base_url: str = PROXY, key: str | None = None, **settings: Any
) -> Model:
    """A model called ``m`` of a handle at an endpoint."""
    return openai.chat_completions(key, provider_id=provider, base_url=base_url).model("m", **settings)


def own(
    *blocks: TextContent | ThinkingContent | ToolCall, model: Model | None = None, **fields: Any
) -> AssistantMessage:
    """A reply that the model itself wrote."""
    model = model or model_of()
    names = {"api": model.api, "provider": model.provider, "model": model.id}
    return AssistantMessage(blocks, **{**names, "stop_reason": StopReason.Stop, **fields})


def call_of(number: int = 1, name: str = "get_weather", **arguments: Any) -> ToolCall:
    return ToolCall(f"call_{number}", name, arguments or {"city": "Paris"})


def result_of(number: int = 1, *content: Any, **fields: Any) -> ToolResultMessage:
    return ToolResultMessage(f"call_{number}", "get_weather", content, **fields)


def _call(model: Model, context: Context, options: StreamOptions, api_key: str | None) -> Call[Any]:
    typed = (
        COMPLETIONS.simple_options(model, context, options)
        if isinstance(options, SimpleStreamOptions)
        else COMPLETIONS.options(options)
    )
    return Call(model, context, typed, Access(), api_key)


def payload_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, **context: Any
) -> dict[str, Any]:
    """The body that a call would have; simple options make a simple call."""
    call = _call(model, Context(messages=list(messages), **context), options or StreamOptions(), None)
    return COMPLETIONS.payload(call)


def messages_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, **context: Any
) -> list[Any]:
    """The messages that a call would send."""
    return payload_of(model, *messages, options=options, **context)["messages"]


def headers_of(
    model: Model, *messages: Any, options: StreamOptions | None = None, api_key: str | None = None
) -> dict[str, str]:
    """The headers that a call would have."""
    return COMPLETIONS.headers(
        _call(model, Context(messages=list(messages)), options or StreamOptions(), api_key)
    )


@dataclass
class Decoded:
    """What became of a stream."""

    message: AssistantMessage
    events: list[AssistantMessageEvent]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, index: int) -> list[str]:
        """The types of the events of one block."""
        return [event.type for event in self.events if getattr(event, "content_index", None) == index]


def replay(
    pieces: Iterable[bytes], model: Model | None = None, grammar: Mapping[str, str] | None = None
) -> Decoded:
    """Read the bytes of a response as the engine does, without one; failures end the message."""
    model = model or model_of()
    assembler = MessageAssembler(model, timestamp=0)
    decoder, reader = CompletionsDecoder(assembler, model, grammar), SseReader(1 << 20)
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


def _feed(decoder: CompletionsDecoder, events: list[SseEvent]) -> None:
    for event in events:
        if not decoder.finished:
            decoder.feed(event)


def sse_of(*chunks: Any, done: bool = True) -> bytes:
    """Chunks as a stream: values as JSON, bytes as they are; ``[DONE]`` at the end."""
    data = [chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode() for chunk in chunks]
    return b"".join(b"data: %b\n\n" % item for item in (*data, *([b"[DONE]"] if done else [])))


def chunk_of(delta: Any = None, finish: Any = None, **fields: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    return {"id": "c1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **fields}


def tools_of(*entries: Any, finish: Any = None) -> dict[str, Any]:
    """A chunk with pieces of tool calls."""
    return chunk_of({"tool_calls": list(entries)}, finish)


def piece_of(arguments: Any = None, name: Any = None, **fields: Any) -> dict[str, Any]:
    """A piece of a tool call."""
    return {**fields, "function": {"name": name, "arguments": arguments}}


def decode(
    *chunks: Any, done: bool = True, model: Model | None = None, grammar: Mapping[str, str] | None = None
) -> Decoded:
    """What becomes of these chunks."""
    return replay([sse_of(*chunks, done=done)], model, grammar)
