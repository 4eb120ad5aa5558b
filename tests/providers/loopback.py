"""A small HTTP/1.1 server on loopback for tests: it answers with scripted raw bytes and remembers what it was sent.

::

    async with serve(reply("nope", status=503), sse('data: {"x":1}\\n\\n')) as server:
        ...  # POST to server.url
    assert server.requests[0].json() == {...}

Each request takes the next script; a request too many, or a script that nobody took, fails the test.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import trio

from runtime.nurseries import SingleVoiceNursery


@dataclass(frozen=True)
class Received:
    """A request as it came: header names in lower case, the last of a repeated name."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection, seen from the server."""

    def __init__(self, stream: trio.SocketStream, changed: Callable[[], None]) -> None:
        self._stream = stream
        self._changed = changed
        self._input = bytearray()
        self.busy = False
        """A response is being sent."""
        self.closed = trio.Event()
        """The client has closed its end, or broken off."""

    async def send(self, data: bytes, size: int | None = None) -> None:
        """Send bytes as they are; with ``size``, in packets of that many."""
        try:
            for start in range(0, len(data), size or max(1, len(data))):
                await self._stream.send_all(data[start : start + (size or len(data))])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._set_closed()

    async def wait_closed(self) -> None:
        """Hang until the client closes."""
        while await self._more():
            pass

    async def close(self) -> None:
        await self._stream.aclose()

    def lose(self) -> None:
        """Break the connection off, from anywhere."""
        with suppress(OSError):
            self._stream.socket.shutdown(trio.socket.SHUT_RDWR)

    async def receive(self) -> Received | None:
        """The next request; None when the client has closed."""
        while b"\r\n\r\n" not in self._input:
            if not await self._more():
                return None
        head, _, rest = bytes(self._input).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        self._input = bytearray(rest)
        while len(self._input) < size:
            if not await self._more():
                return None
        body = bytes(self._input[:size])
        del self._input[:size]
        method, target, _ = first.split(" ")
        return Received(method, target, headers, body)

    async def _more(self) -> bool:
        try:
            data = await self._stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self._input += data
        if not data:
            self._set_closed()
        return bool(data)

    def _set_closed(self) -> None:
        self.closed.set()
        self._changed()


Script = Callable[[Wire], Awaitable[None]]


class Loopback:
    """The server: where it is, what it was sent, and which connections it has."""

    def __init__(self, scripts: Iterable[Script], port: int, repeat: bool) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[Received] = []
        self.wires: list[Wire] = []
        self._scripts = list(scripts)
        self._repeat = repeat
        self._change = trio.Event()

    @property
    def open_connections(self) -> int:
        """Connections that the client has not closed."""
        return sum(not wire.closed.is_set() for wire in self.wires)

    async def wait_requests(self, count: int = 1) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < count:
            await self._change.wait()

    async def wait_closed(self, but: int = 0) -> None:
        """Wait until the client has closed all connections but so many; fail after five seconds."""
        with trio.fail_after(5):
            while self.open_connections > but:
                await self._change.wait()

    def _changed(self) -> None:
        self._change.set()
        self._change = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        wire = Wire(stream, self._changed)
        self.wires.append(wire)
        while (request := await wire.receive()) is not None:
            self.requests.append(request)
            self._changed()
            wire.busy = True
            await self._next_script()(wire)
            wire.busy = False

    def _next_script(self) -> Script:
        assert self._scripts, f"unexpected request number {len(self.requests)}"
        return self._scripts[0] if self._repeat and len(self._scripts) == 1 else self._scripts.pop(0)

    def check_done(self) -> None:
        assert self._repeat or not self._scripts, f"{len(self._scripts)} scripts were not used"


@asynccontextmanager
async def serve(*scripts: Script, repeat: bool = False) -> AsyncIterator[Loopback]:
    """Run a server beside the block; with ``repeat``, the last script answers all further requests."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Loopback(scripts, listener.socket.getsockname()[1], repeat)
    async with SingleVoiceNursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        server.check_done()
        nursery.cancel_scope.cancel()


# Scripts


def raw(data: bytes, *, size: int | None = None, hang: bool = False, close: bool = False) -> Script:
    """Send these bytes; then wait for the client to close, close, or take the next request."""

    async def run(wire: Wire) -> None:
        await wire.send(data, size)
        if hang:
            await wire.wait_closed()
        if close:
            await wire.close()

    return run


def head(status: int = 200, headers: dict[str, str] | None = None) -> bytes:
    """The beginning of a response, up to the empty line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Odd"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def reply(body: str | bytes = b"", status: int = 200, **headers: str) -> Script:
    """A whole response with its length; header names are written with ``_`` for ``-``."""
    data = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw(head(status, {"content-length": str(len(data)), **named}) + data)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of nothing: its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


SSE_HEAD = head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})


def sse(
    *pieces: str | bytes, end: bool = True, hang: bool = False, close: bool = False, size: int | None = None
) -> Script:
    """A stream of server-sent events, each piece a chunk of its own; without ``end``, the body never ends properly."""
    chunks = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    return raw(
        SSE_HEAD + b"".join(map(chunk, [*chunks, b""] if end else chunks)), hang=hang, close=close, size=size
    )
