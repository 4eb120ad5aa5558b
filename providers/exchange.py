"""The engine of a streamed call: transport, framing, decoder and assembler, joined.

One network chunk is cut, decoded and assembled without a pause, then its events cross to the reader in one go.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from runtime.errors import AgentrioError, HookError, InvalidResponseError, TransportError
from runtime.streams.channel import MessageWriter
from runtime.values.model import Model
from runtime.values.options import RequestOptions

from .sse import SseEvent, SseReader
from .transport import Patience, Request, Response, open_response

_DRAIN_SECONDS = 0.01
_CHUNK_COST = 512
"""What a chunk costs beside its bytes, in bytes."""
_TURN = 64 * 1024
"""After so many bytes other tasks have a turn, whatever is here already."""
_TICK = 0.001
"""Time-outs begin anew if so many seconds have passed: moving a deadline costs as much as decoding an event."""
ERROR_CHARACTERS = 64 * 1024
"""How much is shown of what a server says in a stream that went wrong, or of what is odd in one."""
_QUOTED_BYTES = 2048
_QUOTED_EVENT_BYTES = 300


class Decoder(Protocol):
    """One API's wire events, without I/O. It calls the methods of the assembler that it was made with."""

    finished: bool
    """The API's own last event was seen: what the socket still brings does not matter."""

    def feed(self, event: SseEvent) -> bool:
        """Take one event; False if it was no progress, such as a ping."""

    def finish(self) -> None:
        """The input is at its end: end the reply as ``done``, or raise what is missing."""


async def exchange(
    request: Request, decoder: Decoder, writer: MessageWriter, options: RequestOptions, model: Model
) -> None:
    """Send a request and write the reply that its decoder reads from the answer, up to ``done``.

    Raises AgentrioErrors: those of ``open_response``, those of the decoder, TransportError when a time-out or a limit is
    passed, InvalidResponseError for bytes that are no answer. The events before a failure have been made by then.
    """
    watch = Watch(options)
    with placed(request), watch.scope:
        async with open_response(request, options, model, watch) as response:
            writer.assembler.start()
            await watch.flush(writer)
            reading = _Reading(response, decoder, options.max_event_bytes)
            async for chunk in response:
                progress = reading.take(chunk)
                if decoder.finished:
                    break
                await watch.flush(writer, progress=progress, size=len(chunk))
            reading.finish()
            await response.aclose(_DRAIN_SECONDS)
    if watch.scope.cancelled_caught and writer.assembler.final is None:
        raise watch.error(request.endpoint)
    await writer.flush()


@contextmanager
def placed(request: Request) -> Iterator[None]:
    """Every failure says where it happened, and holds no credential."""
    try:
        yield
    except AgentrioError as error:
        where = "" if request.endpoint in str(error) else f" (POST {request.endpoint})"
        error.args = (request.redactor(f"{error}{where}"),)
        _check_cause(error, request)
        raise


def _check_cause(error: AgentrioError, request: Request) -> None:
    """Leave out the causes of an error if they quote a credential, as h11 quotes what it cannot read; its own text says enough."""
    cause = error.__cause__
    if cause is not None and not isinstance(error, HookError) and request.redactor.is_quoted_in(cause):
        error.__cause__ = error.__context__ = None


class Watch(Patience):
    """The time-outs of one call, in one cancel scope whose deadline moves.

    While a slow reader or a limit of our own holds things up, only the whole call's ``timeout`` runs on.
    """

    def __init__(self, options: RequestOptions) -> None:
        now = trio.current_time()
        self._options = options
        self._end = now + (math.inf if options.timeout is None else options.timeout)
        self._due = now + options.first_event_timeout
        self._begun = False
        self._unpaused = 0
        self.scope = trio.CancelScope(deadline=min(self._due, self._end))

    async def flush(self, writer: MessageWriter, *, progress: bool = False, size: int = _TURN) -> None:
        """Send what was made of ``size`` bytes; waits at the reader's pace. After progress the next event has a full time-out.

        Mostly it does not wait: the reader has its turn when nothing is left to be decoded. But a flood, be it of pings,
        must not keep other tasks from running.
        """
        self._unpaused += size + _CHUNK_COST
        if not writer.flush_nowait() or self._unpaused >= _TURN:
            self._unpaused = 0
            with self.pause():
                await writer.flush()
                await trio.lowlevel.checkpoint()
        if progress:
            due = trio.current_time() + self._options.event_timeout
            if due >= self._due + _TICK or not self._begun:
                self._begun = True
                self._go_on(due)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Count the time that passes in this block against nobody."""
        self.scope.deadline = self._end
        began = trio.current_time()
        try:
            yield
        finally:
            self._go_on(self._due + trio.current_time() - began)

    def _go_on(self, due: float) -> None:
        self._due = due
        self.scope.deadline = min(due, self._end)

    def error(self, endpoint: str) -> TransportError:
        """Say which time-out it was that passed."""
        options = self._options
        what, name, seconds = "no event", "first_event_timeout", options.first_event_timeout
        if options.timeout is not None and trio.current_time() >= self._end:
            what, name, seconds = "no end of the reply", "timeout", options.timeout
        elif self._begun:
            what, name, seconds = "no further event", "event_timeout", options.event_timeout
        before = f" (the attempt before: {self.failure})" if self.failure else ""
        return TransportError(f"{what} from {endpoint} within {name}={seconds:g} seconds{before}")


class _Reading:
    """Reads one response into a decoder, without waiting for anything."""

    def __init__(self, response: Response, decoder: Decoder, max_event_bytes: int) -> None:
        self._response = response
        self._decoder = decoder
        self._reader = SseReader(max_event_bytes)
        self._before = b""  # how the body began, as long as no event was in it
        self._seen = False
        self._event = SseEvent(None, b"")

    def take(self, chunk: bytes) -> bool:
        """Decode what a chunk brings; True if it was progress."""
        if not self._seen and len(self._before) <= _QUOTED_BYTES:
            self._before += chunk[:_QUOTED_BYTES]
        progress = self._decode(self._reader.feed(chunk))
        if self._reader.failure is not None and not self._decoder.finished:
            raise self._reader.failure
        return progress

    def finish(self) -> None:
        """Decode what is left, and let the decoder end the reply."""
        decoder = self._decoder
        if not decoder.finished:
            self._decode_the_rest()
        if not self._seen:
            self._check_framing()
        self._decode([], end=True)

    def _decode_the_rest(self) -> None:
        """What is left was never ended by a blank line: if it makes no sense, it was cut."""
        try:
            self._decode(self._reader.finish())
        except InvalidResponseError as error:
            if isinstance(error.__cause__, ValueError):
                why = str(error).removeprefix("invalid provider response: ")
                raise InvalidResponseError(f"the stream was cut in the middle of an event ({why})") from error
            raise

    def _decode(self, events: list[SseEvent], *, end: bool = False) -> bool:
        self._seen = self._seen or bool(events)
        decoder, progress = self._decoder, False
        try:
            for event in events:
                self._event = event
                if decoder.feed(event):
                    progress = True
                if decoder.finished:
                    break
            if end:
                decoder.finish()
        except AgentrioError as error:
            error.args = (self._response.request.quote(str(error), ERROR_CHARACTERS),)
            raise
        except Exception as error:
            raise self._undecodable(error) from error
        return progress

    def _undecodable(self, error: Exception) -> InvalidResponseError:
        """Anything but an AgentrioError was caused by the bytes, whatever it is."""
        request = self._response.request
        why = request.quote(str(error) or type(error).__name__, _QUOTED_BYTES)
        event = request.quote(self._event.data, _QUOTED_EVENT_BYTES)
        return InvalidResponseError(f"could not be decoded: {why}, in the event {event!r}")

    def _check_framing(self) -> None:
        """Without a single event: was it another kind of document, such as an error page behind a 200?"""
        start = self._before.lstrip(b"\xef\xbb\xbf \t\r\n")
        kind = self._response.headers.get("content-type", "nothing")
        if start and (start[:1] in b"{[<" or "text/event-stream" not in kind.lower()):
            shown = self._response.request.describe(self._before, _QUOTED_BYTES)
            raise InvalidResponseError(f"server-sent events were expected, {kind} came: {shown}")
