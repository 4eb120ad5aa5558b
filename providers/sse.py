"""Server-sent events from bytes, without I/O.

The framing of https://html.spec.whatwg.org/multipage/server-sent-events.html as far as language model APIs use it:
``event`` and ``data`` count, ids, retries and comments do not. Two things differ, both to lose nothing: a last event without its
blank line is delivered, and so is an event that has a name but no data.
"""

import re
from typing import NamedTuple

from runtime.errors import TransportError

_BOM = b"\xef\xbb\xbf"
_BLOCK = re.compile(
    rb"(?:event: ([^ \n][^\n]*+)\n)?data: ([^\n]*+)\n\n"  # nearly all events look like this
    rb"|([^\n]++(?:\n[^\n]++)*+)\n\n"
)


class SseEvent(NamedTuple):
    """One event. ``event`` is None where the server named none; ``data`` is valid UTF-8, its lines joined with LF."""

    event: str | None
    data: bytes


class SseReader:
    """Cuts a stream of bytes into events; the same ones however the bytes are cut into chunks.

    A line or an event of more than ``max_event_bytes`` is a TransportError, raised once the events before it were
    returned: by the same call if there are none, else by the next. Comments take no memory, however many come.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._start: bytes | None = b""  # what may be part of a byte order mark; None after that
        self._after_cr = False
        self._partial = (
            bytearray()
        )  # an unfinished line: growing it is linear, and only new bytes are searched
        self._name: str | None = None
        self._data: list[bytes] = []
        self._size = 0
        self._failure: TransportError | None = None
        self._between = False  # nothing is begun, kept or wrong

    @property
    def failure(self) -> TransportError | None:
        """The limit that was passed; the next call raises it."""
        return self._failure

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes; return the events that they complete."""
        if self._between and chunk.endswith(b"\n\n") and b"\r" not in chunk and len(chunk) <= self._limit:
            return _events_in(chunk)  # whole events and nothing else, as many servers send them
        return self._collect(self._unify(chunk if self._start is None else self._skip_mark(chunk)))

    def finish(self) -> list[SseEvent]:
        """The input is at its end; return the event that was never closed by a blank line, if there is one."""
        rest, self._start = self._start or b"", None
        return self._collect(rest + b"\n\n" if rest or self._partial else b"\n")

    def _collect(self, text: bytes) -> list[SseEvent]:
        self._between = False
        if self._failure is not None:
            raise self._failure
        events: list[SseEvent] = []
        try:
            self._read(text, events)
        except TransportError as error:
            self._failure = error
            if not events:
                raise
        self._between = self._start is None and not (
            self._partial or self._is_open() or self._after_cr or self._failure
        )
        return events

    def _skip_mark(self, chunk: bytes) -> bytes:
        head = (self._start or b"") + chunk
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._start = head
            return b""
        self._start = None
        return head.removeprefix(_BOM)

    def _unify(self, chunk: bytes) -> bytes:
        """Make every line end an LF. A CR ends its line at once; an LF that follows in the next chunk belongs to it."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _read(self, text: bytes, events: list[SseEvent]) -> None:
        """Whole events are split off in one go where none is open; what is around them is read line by line."""
        position = 0
        last_blank = text.rfind(b"\n\n") if len(text) <= self._limit else -1
        while True:
            if position <= last_blank and not (self._partial or self._is_open()):
                events.extend(_events_in(text[position : last_blank + 2]))
                position = last_blank + 2
            end = text.find(b"\n", position)
            if end < 0:
                break
            self._partial += text[position:end]
            self._end_line(events)
            position = end + 1
        self._partial += text[position:]
        self._check("line", len(self._partial))

    def _is_open(self) -> bool:
        return self._name is not None or bool(self._data)

    def _end_line(self, events: list[SseEvent]) -> None:
        self._check("line", len(self._partial))
        line = bytes(self._partial)
        self._partial.clear()
        if line:
            self._take_field(line)
        elif self._is_open():
            events.append(SseEvent(self._name, _as_utf8(b"\n".join(self._data))))
            self._name, self._data, self._size = None, [], 0

    def _take_field(self, line: bytes) -> None:
        field, value = _field(line)
        if field not in (b"data", b"event"):
            return
        self._size += len(line) + 1
        self._check("event", self._size)
        if field == b"data":
            self._data.append(value)
        else:
            self._name = value.decode(errors="replace")

    def _check(self, what: str, size: int) -> None:
        if size > self._limit:
            raise TransportError(f"SSE {what} exceeded {self._limit} bytes (option max_event_bytes)")

    def __repr__(self) -> str:
        return f"<SseReader {len(self._partial)} bytes of a line, {len(self._data)} lines of an event>"


def _events_in(text: bytes) -> list[SseEvent]:
    """The events of whole blocks, each with its blank line. Taking them apart in one go costs half of what a loop does."""
    events = []
    for name, data, other in _BLOCK.findall(text):
        if not other:
            events.append(SseEvent(name.decode(errors="replace") if name else None, data))
        elif (event := _event_of(other)) is not None:
            events.append(event)
    if text.isascii() or _is_utf8(text):
        return events
    return [SseEvent(name, _as_utf8(data)) for name, data in events]


def _event_of(block: bytes) -> SseEvent | None:
    name, data = None, []
    for line in block.split(b"\n"):
        field, value = _field(line)
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
    return None if name is None and not data else SseEvent(name, b"\n".join(data))


def _field(line: bytes) -> tuple[bytes, bytes]:
    field, _, value = line.partition(b":")
    return field, value.removeprefix(b" ")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _as_utf8(text: bytes) -> bytes:
    return text if text.isascii() or _is_utf8(text) else text.decode(errors="replace").encode()
