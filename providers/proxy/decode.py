"""The client's half of a reply: the events of the wire, put together again."""

from collections.abc import Callable, Mapping
from typing import Any

from providers.loose_json import read_event_json, text_at
from providers.sse import SseEvent
from runtime.errors import InvalidResponseError
from runtime.streams.assembler import MessageAssembler
from runtime.values.message import StopReason
from runtime.values.redaction import redacted
from runtime.values.text import compact_json
from runtime.values.usage import Usage

NOT_ENDED = "the proxy's stream ended before done or error"
_UNKNOWN = "An unknown error occurred"
_FAILURES = (StopReason.Error, StopReason.Aborted)
_Fields = dict[str, Any]


class ProxyDecoder:
    """Reads one stream into an assembler. ``redact`` takes the client's credentials out of what the server reports."""

    def __init__(self, assembler: MessageAssembler, redact: Callable[[str], str] = str) -> None:
        self.finished = False
        """``done`` or ``error`` was seen."""
        self._assembler = assembler
        self._redact = redact
        self._blocks = 0
        self._open: dict[int, str] = {}  # what kinds of blocks are open, by their index

    def feed(self, event: SseEvent) -> bool:
        """Take one event; False if it says nothing, or something that is not known here.

        Raises InvalidResponseError for what cannot stand here, ValueError for what cannot be read.
        """
        if not event.data.strip():
            return False
        fields = read_event_json(event.data)
        name = fields.get("type") if isinstance(fields, dict) else None
        if not isinstance(name, str):
            raise InvalidResponseError("an event without a type")
        handler, kind = _HANDLERS.get(name, (None, ""))
        if handler is None:
            return False
        handler(self, kind, fields)
        return True

    def finish(self) -> None:
        """Raise InvalidResponseError if the reply is not complete: its end has ended it already."""
        if not self.finished:
            raise InvalidResponseError(NOT_ENDED)

    # The message

    def _start(self, _: str, fields: _Fields) -> None:
        if self._assembler.started:
            raise InvalidResponseError("a second start")
        self._assembler.start(None if fields.get("timestamp") is None else _count(fields, "timestamp"))

    def _done(self, _: str, fields: _Fields) -> None:
        reason = StopReason(text_at(fields, "reason"))
        if reason in _FAILURES:
            raise InvalidResponseError(f"done, with the reason {reason}")
        self._check_started("done")
        self._complete(fields)
        self._assembler.close_open_blocks()
        self._assembler.done(reason)
        self.finished = True

    def _error(self, _: str, fields: _Fields) -> None:
        reason = StopReason(text_at(fields, "reason"))
        if reason not in _FAILURES:
            raise InvalidResponseError(f"error, with the reason {reason}")
        if self._assembler.started:
            self._complete(fields)
        told = _text(fields, "errorMessage")
        self._assembler.fail(_UNKNOWN if told is None else self._redact(told), reason)
        self.finished = True

    def _complete(self, fields: _Fields) -> None:
        """Set what the last event says of the whole message."""
        assembler = self._assembler
        usage = fields.get("usage")
        assembler.update(
            response_id=_text(fields, "responseId"),
            response_model=_text(fields, "responseModel"),
            usage=None if usage is None else Usage.model_validate(usage),
        )
        for entry in _objects(fields, "blocks"):
            self._mark(_count(entry, "contentIndex"), entry)
        for entry in _objects(fields, "providerItems"):
            assembler.add_provider_item(entry.get("item"), _count(entry, "index"))
        for entry in _list(fields, "diagnostics"):
            assembler.add_diagnostic(redacted(entry, self._redact))

    # Blocks

    def _block_start(self, kind: str, fields: _Fields) -> None:
        self._check_started(f"{kind}_start")
        assembler, index = self._assembler, _count(fields, "contentIndex")
        if index != self._blocks:
            raise InvalidResponseError(f"{kind}_start of block {index}, where {self._blocks} is the next")
        match kind:
            case "text":
                assembler.text_start(text_at(fields, "content"))
            case "thinking":
                redacted = fields.get("redacted")
                assembler.thinking_start(
                    text_at(fields, "content"), redacted=redacted if isinstance(redacted, bool) else None
                )
            case _:
                assembler.tool_call_start(
                    text_at(fields, "id"), text_at(fields, "toolName"), fields.get("arguments")
                )
        self._blocks += 1
        self._open[index] = kind

    def _block_delta(self, kind: str, fields: _Fields) -> None:
        index = self._open_index(kind, "delta", fields)
        if (delta := _text(fields, "delta")) is None:
            raise InvalidResponseError(f"{kind}_delta of block {index} without a text")
        match kind:
            case "text":
                self._assembler.text_delta(index, delta)
            case "thinking":
                self._assembler.thinking_delta(index, delta)
            case _:
                self._assembler.tool_call_delta(index, delta)

    def _block_end(self, kind: str, fields: _Fields) -> None:
        index = self._open_index(kind, "end", fields)
        self._mark(index, fields)
        del self._open[index]
        match kind:
            case "text":
                self._assembler.text_end(index, _text(fields, "content"))
            case "thinking":
                self._assembler.thinking_end(index, _text(fields, "content"))
            case _:
                self._assembler.tool_call_end(index, self._final_arguments(index, fields))

    def _final_arguments(self, index: int, fields: _Fields) -> str | None:
        """The JSON text of arguments that the deltas do not say; never one that would count as their continuation."""
        if "arguments" not in fields:
            return None
        text = compact_json(fields["arguments"])
        return f" {text}" if text.startswith(self._assembler.text_of(index)) else text

    def _mark(self, index: int, fields: _Fields) -> None:
        """Set what is known of a block beside its text."""
        if index >= self._blocks:
            raise InvalidResponseError(f"there is no block {index}")
        if (signature := _text(fields, "contentSignature")) is not None:
            self._assembler.sign(index, signature)
        if self._open.get(index) == "toolcall":
            self._assembler.tool_call_update(index, _text(fields, "id"), _text(fields, "toolName"))

    def _open_index(self, kind: str, phase: str, fields: _Fields) -> int:
        index = _count(fields, "contentIndex")
        if self._open.get(index) != kind:
            raise InvalidResponseError(f"{kind}_{phase} of block {index}, which is no open one of that kind")
        return index

    def _check_started(self, what: str) -> None:
        if not self._assembler.started:
            raise InvalidResponseError(f"{what} before the start")


def _count(fields: _Fields, name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise InvalidResponseError(f"{name} must be a whole number of at least 0, not {value!r}")
    return value


def _text(fields: _Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _list(fields: _Fields, name: str) -> list[Any]:
    value = fields.get(name)
    return value if isinstance(value, list) else []


def _objects(fields: _Fields, name: str) -> list[_Fields]:
    return [entry for entry in _list(fields, name) if isinstance(entry, dict)]


_Handler = Callable[[ProxyDecoder, str, _Fields], None]
_KINDS = ("text", "thinking", "toolcall")
_HANDLERS: Mapping[str, tuple[_Handler, str]] = {
    "start": (ProxyDecoder._start, ""),  # noqa: SLF001 - its own
    "done": (ProxyDecoder._done, ""),  # noqa: SLF001
    "error": (ProxyDecoder._error, ""),  # noqa: SLF001
    **{f"{kind}_start": (ProxyDecoder._block_start, kind) for kind in _KINDS},  # noqa: SLF001
    **{f"{kind}_delta": (ProxyDecoder._block_delta, kind) for kind in _KINDS},  # noqa: SLF001
    **{f"{kind}_end": (ProxyDecoder._block_end, kind) for kind in _KINDS},  # noqa: SLF001
}
"""What each event does, and the kind of block that it does it to."""
