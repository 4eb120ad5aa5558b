"""The server's half of a reply: its events, without what the client can work out by itself, as server-sent events."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import trio
from pydantic_core import to_json

from runtime.streams.channel import MessageStream
from runtime.streams.events import (
    AssistantMessageEvent,
    StreamDone,
    StreamError,
    StreamStart,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from runtime.streams.partial_json import parse_partial_json
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.text import compact_json

HEARTBEAT = b": \n\n"
_Block = TextContent | ThinkingContent | ToolCall
_Start = TextStart | ThinkingStart | ToolCallStart
_End = TextEnd | ThinkingEnd | ToolCallEnd
_Fields = dict[str, Any]


def encode_stream(stream: MessageStream, *, heartbeat: float | None = 15.0) -> AsyncIterator[bytes]:
    """What a server sends for a reply: server-sent events, up to ``done`` or ``error``, a network chunk of the model at a time.

    It reads the stream that the application has opened with ``async with stream_simple(...)``, and owns nothing: cancelling
    it, or no longer asking it, ends nothing but itself, and leaving that block closes the connection to the model. After
    each ``heartbeat`` seconds (None: never) without an event it gives a comment, so that nobody on the way takes the
    connection for dead. What a broken program raises where a stream is read is raised here.
    """
    return _EncodedStream(stream, heartbeat)


class _EncodedStream:
    def __init__(self, stream: MessageStream, heartbeat: float | None) -> None:
        self._stream = stream
        self._heartbeat = heartbeat
        self._encoder = EventEncoder()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with trio.CancelScope() as patience:
            if self._heartbeat is not None:
                patience.deadline = trio.current_time() + self._heartbeat
            event = await anext(self._stream)
        return HEARTBEAT if patience.cancelled_caught else await self._chunk(event)

    async def _chunk(self, first: AssistantMessageEvent) -> bytes:
        """The event and those that came with it: they are here, and the first that is not would wait, which this scope forbids."""
        pieces = [self._encoder.encode(first)]
        with trio.CancelScope() as here:
            here.cancel()
            async for event in self._stream:
                pieces.append(self._encoder.encode(event))  # noqa: PERF401 - a comprehension would lose them
        return b"".join(pieces)

    def __repr__(self) -> str:
        return f"<encoded {self._stream!r}>"


@dataclass
class _Told:
    """What the client knows of a block: its text so far, a call's initial arguments, and what else was said of it."""

    pieces: list[str]
    arguments: Any = None
    marks: dict[str, str] = field(default_factory=dict)


class EventEncoder:
    """Turns the events of one reply into those of the wire. It remembers what the client knows, to tell it only what is new."""

    def __init__(self) -> None:
        self._told: list[_Told] = []

    def encode(self, event: AssistantMessageEvent) -> bytes:
        """One event, framed."""
        return b"data: %b\n\n" % to_json(self.fields(event))

    def fields(self, event: AssistantMessageEvent) -> _Fields:
        """One event as JSON."""
        match event:
            case TextDelta() | ThinkingDelta() | ToolCallDelta():
                self._told[event.content_index].pieces.append(event.delta)
                return _of_block(event, delta=event.delta)
            case TextStart() | ThinkingStart() | ToolCallStart():
                return self._start(event)
            case TextEnd() | ThinkingEnd() | ToolCallEnd():
                return self._end(event)
            case StreamStart():
                return {"type": event.type, "timestamp": event.partial.timestamp}
            case StreamDone() | StreamError():
                return {"type": event.type, "reason": event.reason, **self._last(event)}

    def _start(self, event: _Start) -> _Fields:
        match _block(event):
            case ToolCall() as call:
                marks = {"id": call.id, "toolName": call.name}
                self._told.append(_Told([], call.arguments, marks))
                return _of_block(event, **marks, **_known(arguments=_or_none(call.arguments, {})))
            case ThinkingContent() as block:
                self._told.append(_Told([block.thinking]))
                return _of_block(
                    event, **_known(content=_or_none(block.thinking, ""), redacted=block.redacted)
                )
            case TextContent() as block:
                self._told.append(_Told([block.text]))
                return _of_block(event, **_known(content=_or_none(block.text, "")))

    def _end(self, event: _End) -> _Fields:
        told = self._told[event.content_index]
        streamed = "".join(told.pieces)
        told.pieces.clear()
        final: _Fields = {}
        match event:
            case ToolCallEnd(tool_call=call) if not _says(streamed, told.arguments, call.arguments):
                final = {"arguments": call.arguments}
            case TextEnd(content=content) | ThinkingEnd(content=content) if content != streamed:
                final = {"content": content}
        return _of_block(event, **final, **self._news(event.content_index, _block(event)))

    def _last(self, event: StreamDone | StreamError) -> _Fields:
        message = event.message
        news = ((index, self._news(index, block)) for index, block in enumerate(message.content))
        return {
            "usage": message.usage.model_dump(mode="json"),
            **_known(
                errorMessage=message.error_message,
                responseId=message.response_id,
                responseModel=message.response_model,
                diagnostics=message.diagnostics or None,
                providerItems=message.provider_items or None,
                blocks=[{"contentIndex": index, **marks} for index, marks in news if marks] or None,
            ),
        }

    def _news(self, index: int, block: _Block) -> dict[str, str]:
        """What the client does not know yet of the block beside its text."""
        told = self._told[index].marks
        news = {name: value for name, value in _marks(block).items() if told.get(name) != value}
        told.update(news)
        return news


def _block(event: _Start | _End) -> _Block:
    """The block at its event. ``partial`` builds all the others, too: in a reply of many blocks, that is quadratic."""
    return event._record.blocks[event.content_index].content_at(event._moment)  # noqa: SLF001


def _marks(block: _Block) -> dict[str, str]:
    match block:
        case TextContent():
            marks = {"contentSignature": block.text_signature}
        case ThinkingContent():
            marks = {"contentSignature": block.thinking_signature}
        case ToolCall():
            marks = {"contentSignature": block.thought_signature, "id": block.id, "toolName": block.name}
    return _known(**marks)


def _of_block(event: Any, **fields: Any) -> _Fields:
    return {"type": event.type, "contentIndex": event.content_index, **fields}


def _known(**fields: Any) -> _Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _or_none(value: Any, usual: Any) -> Any:
    return None if value == usual else value


def _says(streamed: str, initial: Any, arguments: Any) -> bool:
    """Whether the client reads these arguments out of what it was sent. Their texts are compared: for Python, 1 is True."""
    read = parse_partial_json(streamed) if streamed.strip() else initial
    return compact_json(read) == compact_json(arguments)
