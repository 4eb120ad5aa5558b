"""A small HTTP/1.1 server on loopback for tests: it answers with scripted raw bytes and remembers what it was sent.

::

    async with serve(reply("nope", status=503), sse('data: {"x":1}\\n\\n')) as server:
        ...  # POST to server.url
    assert server.requests[0].json() == {...}

Each request takes the next script; a request too many, or a script that nobody took, fails the test.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from runtime.testing.server.loopback import (
    SSE_HEAD,
    Loopback,
    Received,
    Wire,
    chunk,
    head,
    open_loopback,
    response,
)

__all__ = [
    "SSE_HEAD",
    "Loopback",
    "Received",
    "Script",
    "Wire",
    "chunk",
    "head",
    "raw",
    "reply",
    "serve",
    "sse",
]

Script = Callable[[Wire], Awaitable[None]]


@asynccontextmanager
async def serve(*scripts: Script, repeat: bool = False) -> AsyncIterator[Loopback]:
    """Run a server beside the block; with ``repeat``, the last script answers all further requests."""
    left = list(scripts)

    async def answer(wire: Wire, request: Received) -> None:
        assert left, f"unexpected request {request}"
        script = left[0] if repeat and len(left) == 1 else left.pop(0)
        await script(wire)

    async with open_loopback(answer) as server:
        yield server
        assert repeat or not left, f"{len(left)} scripts were not used"


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


def reply(body: str | bytes = b"", status: int = 200, **headers: str) -> Script:
    """A whole response with its length; header names are written with ``_`` for ``-``."""
    data = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw(response(data, status, named))


def sse(
    *pieces: str | bytes, end: bool = True, hang: bool = False, close: bool = False, size: int | None = None
) -> Script:
    """A stream of server-sent events, each piece a chunk of its own; without ``end``, the body never ends properly."""
    chunks = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    return raw(
        SSE_HEAD + b"".join(map(chunk, [*chunks, b""] if end else chunks)), hang=hang, close=close, size=size
    )
