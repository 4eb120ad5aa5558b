"""A small HTTP/1.1 server on loopback: it hands each request to a function, which answers with bytes as it likes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
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
        """The body as JSON; ValueError if it is none."""
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
        """Send bytes as they are; with ``size``, in packets of that many. To a client that has gone, nothing is sent."""
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
        """Close this end."""
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

    def __repr__(self) -> str:
        state = "closed" if self.closed.is_set() else "busy" if self.busy else "idle"
        return f"<Wire {state}>"


Answer = Callable[[Wire, Received], Awaitable[None]]


class Loopback:
    """The server: where it is, what it was sent, and which connections it has."""

    def __init__(self, answer: Answer, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[Received] = []
        self.wires: list[Wire] = []
        self._answer = answer
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
        """Serve one connection, until the client closes it."""
        wire = Wire(stream, self._changed)
        self.wires.append(wire)
        while (request := await wire.receive()) is not None:
            self.requests.append(request)
            self._changed()
            wire.busy = True
            await self._answer(wire, request)
            wire.busy = False

    def __repr__(self) -> str:
        return f"<Loopback {self.url}, {len(self.requests)} requests, {self.open_connections} connections>"


@asynccontextmanager
async def open_loopback(answer: Answer) -> AsyncIterator[Loopback]:
    """Run a server beside the block; when the block is left, its connections are broken off.

    An exception of ``answer`` ends the block, and leaves as itself.
    """
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Loopback(answer, listener.socket.getsockname()[1])
    async with SingleVoiceNursery() as nursery:
        serving = partial(trio.serve_listeners, server.serve, [listener], handler_nursery=nursery)
        nursery.start_soon(serving, name=f"server {server.url}")
        yield server
        nursery.cancel_scope.cancel()


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """The beginning of a response, up to the empty line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Odd"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole response, with its length."""
    return head(status, {"content-length": str(len(body)), **(headers or {})}) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of nothing: its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


SSE_HEAD = head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
