"""A Messages stream, read event by event."""

from collections.abc import Callable, Mapping
from typing import Any

from providers.loose_json import read_event_json, text_at, whole_number
from providers.sse import SseEvent
from runtime.errors import InvalidResponseError, ProviderError
from runtime.streams.assembler import MAX_BLOCKS, MessageAssembler
from runtime.streams.json_repair import repair_json
from runtime.values.message import StopReason
from runtime.values.model import Model

from .blocks import CONTENT_BLOCKS, CallBlock, JsonObject, OpenBlock, ProviderBlock
from .usage import UsageReader

NOT_STOPPED = "Anthropic stream ended before message_stop"
NO_REASON = "Anthropic stream ended without a stop reason"
REFUSED = "The model refused to complete the request"
UNKNOWN = "An unknown error occurred"
_QUOTED = 2000
_STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": StopReason.Stop,
    "stop_sequence": StopReason.Stop,
    "pause_turn": StopReason.Stop,  # of a server-side tool: to be sent back as it is
    "compaction": StopReason.Stop,  # likewise
    "max_tokens": StopReason.Length,
    "tool_use": StopReason.ToolUse,
}


class MessagesDecoder:
    """Reads one stream into an assembler. ``names`` are the caller's names of tools, by those of the wire in lower case."""

    def __init__(
        self, assembler: MessageAssembler, model: Model, names: Mapping[str, str] | None = None
    ) -> None:
        self.finished = False
        """``message_stop`` was seen."""
        self._assembler = assembler
        self._model = model
        self._names = names or {}
        self._usage = UsageReader(model)
        self._open: dict[int, OpenBlock] = {}  # by the server's index
        self._content_blocks = 0
        self._provider_blocks = 0
        self._begun = False
        self._reason: StopReason | None = None
        self._failure: str | None = None

    def feed(self, event: SseEvent) -> bool:
        """Take one event; False if it says nothing, such as a ping.

        Raises ProviderError for a failure that the server reports, and for what cannot be read.
        """
        name = event.event
        if name is not None and name not in _HANDLERS:
            if name == "error":
                raise ProviderError(_told(event.data))
            return False
        try:
            fields = read_event_json(event.data)
        except ValueError as error:
            fields = _repaired(event, error)
        if type(fields) is not dict:
            fields = {}  # the name may say it all
        kind = fields.get("type")
        handler = _HANDLERS.get(kind if type(kind) is str else name or "")
        if handler is None:
            if kind == "error" or (kind is None and fields.get("error")):
                raise ProviderError(_told(event.data))
            return False
        handler(self, fields)
        return True

    def finish(self) -> None:
        """End the reply. Raises ProviderError if it is not complete, or if its stop reason is a failure."""
        if not self.finished:
            begun = self._begun or self._reason or self._failure
            said = f" ({self._failure})" if self._failure else ""
            raise ProviderError((NOT_STOPPED if begun else NO_REASON) + said)
        for block in self._open.values():
            block.end()
        self._open.clear()
        if self._failure is not None:
            raise ProviderError(self._failure)
        if self._reason is None:
            raise ProviderError(NO_REASON)
        self._assembler.done(self._reason)

    # The message

    def _message_start(self, fields: JsonObject) -> None:
        self._begun = True
        message = fields.get("message")
        if not isinstance(message, dict):
            return
        served = text_at(message, "model")
        self._assembler.update(
            response_id=text_at(message, "id") or None,
            response_model=served if served and served != self._model.id else None,
            usage=self._usage.take(message.get("usage"), at_start=True),
        )

    def _message_delta(self, fields: JsonObject) -> None:
        delta = fields.get("delta")
        if isinstance(delta, dict) and (reason := text_at(delta, "stop_reason")):
            self._stop(reason, delta)
        if (usage := self._usage.take(fields.get("usage"))) is not None:
            self._assembler.update(usage=usage)

    def _stop(self, reason: str, delta: JsonObject) -> None:
        self._reason = _STOP_REASONS.get(reason)
        match reason, delta:
            case "refusal", {"stop_details": {"explanation": str(explanation)}} if explanation.strip():
                self._failure = explanation
            case "refusal", _:
                self._failure = REFUSED
            case "sensitive", _:
                self._failure = f"Provider stopped with: {reason}"
            case _ if self._reason is None:
                raise ProviderError(f"Unhandled stop reason: {reason}")

    def _message_stop(self, fields: JsonObject) -> None:
        del fields
        self.finished = True

    # Its blocks

    def _block_start(self, fields: JsonObject) -> None:
        start, index = fields.get("content_block"), _index(fields)
        if not isinstance(start, dict) or not (kind := text_at(start, "type")):
            return
        if (last := self._open.pop(index, None)) is not None:  # a server that numbers badly
            last.end()
        self._open[index] = self._block(kind, start)

    def _block(self, kind: str, start: JsonObject) -> OpenBlock:
        if kind == "tool_use" or kind in CONTENT_BLOCKS:
            self._content_blocks += 1
            if kind == "tool_use":
                return CallBlock(self._assembler, start, self._names)
            return CONTENT_BLOCKS[kind](self._assembler, start)
        self._provider_blocks += 1
        if self._provider_blocks > MAX_BLOCKS:
            raise InvalidResponseError(f"a reply of more than {MAX_BLOCKS} blocks")
        return ProviderBlock(self._assembler, start, self._content_blocks)

    def _block_delta(self, fields: JsonObject) -> None:
        block, delta = self._open.get(_index(fields)), fields.get("delta")
        if block is not None and type(delta) is dict:
            block.delta(delta)

    def _block_stop(self, fields: JsonObject) -> None:
        if (block := self._open.pop(_index(fields), None)) is not None:
            block.end()


_HANDLERS: Mapping[str, Callable[[MessagesDecoder, JsonObject], None]] = {
    "message_start": MessagesDecoder._message_start,  # noqa: SLF001 - its own
    "message_delta": MessagesDecoder._message_delta,  # noqa: SLF001
    "message_stop": MessagesDecoder._message_stop,  # noqa: SLF001
    "content_block_start": MessagesDecoder._block_start,  # noqa: SLF001
    "content_block_delta": MessagesDecoder._block_delta,  # noqa: SLF001
    "content_block_stop": MessagesDecoder._block_stop,  # noqa: SLF001
}


def _index(fields: JsonObject) -> int:
    return whole_number(fields.get("index")) or 0


def _repaired(event: SseEvent, error: ValueError) -> Any:
    """Nothing, where there is no data, or only the mark by which other APIs end; else JSON that is not written as it should be: with raw line breaks in strings, and escapes that escape nothing."""
    text = event.data.decode().strip()
    if text in ("", "[DONE]"):
        return None
    try:
        return read_event_json(repair_json(text).encode())
    except ValueError:
        raise ProviderError(
            f"Could not parse Anthropic SSE event {event.event}: {error}; data={text[:_QUOTED]}"
        ) from error


def _told(data: bytes) -> str:
    """What a server says went wrong: the data as it came, with the sentence for people where escapes have made it unreadable."""
    text = data.decode().strip()
    try:
        sentence = _sentence(read_event_json(data))
    except ValueError:
        sentence = None
    return f"{text} [{sentence}]" if sentence and sentence not in text else text or UNKNOWN


def _sentence(value: Any) -> str | None:
    match value:
        case {"error": {"message": str(message)}} | {"error": str(message)} | {"message": str(message)}:
            return message
    return None
