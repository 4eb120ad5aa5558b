"""The loopback server that the browser is sent to at the end of a login (RFC 8252, 7.3).

It takes one thing, an authorization code that comes with the right ``state``, and says everything else to the browser
only: a page that guesses, another program, or a user who clicked "deny" and then thinks again do not end the login.
"""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import parse_qsl

import trio

from runtime.errors import InvalidOptionError, OAuthError
from runtime.nurseries import SingleVoiceNursery
from runtime.values.secret import Secret

LOOPBACK = "127.0.0.1"
MAX_BYTES = 8192
"""Read of a request, at most: it has to hold the request line, the rest does not matter."""
MAX_CONNECTIONS = 16
"""Served at once; others wait in the system's queue. Browsers open some that they never use."""
PATIENCE = 10.0
"""Seconds for a connection, from its beginning to its end."""
_LINGER = 1.0
_LINGER_READS = 64
_MAX_FIELDS = 100
_SHOWN_CHARS = 300

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; margin: 4em auto; max-width: 40em"><h1>{title}</h1><p>{text}</p></body></html>
"""


@dataclass(frozen=True)
class Reply:
    """What a browser is told, and the authorization code if it brought one."""

    status: int
    text: str
    code: str | None = None

    def render(self) -> bytes:
        """The whole HTTP response."""
        title = "Authorized" if self.code else "Not authorized"
        page = _PAGE.format(title=title, text=escape(self.text)).encode()
        head = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(page)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",  # the address has the code in it
            "Connection: close",
        ]
        return "".join(f"{line}\r\n" for line in [*head, ""]).encode("ascii") + page


def reply_to(line: bytes, path: str, state: str) -> Reply:
    """Judge the first line of a request, whatever it is: a success is the path with a code and the right state."""
    try:
        method, target, version = line.partition(b"\r\n")[0].decode("ascii").split(" ")
        asked, _, query = target.partition("#")[0].partition("?")
        fields = dict(reversed(parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)))
    except ValueError:
        return _refusal("This is no request that a browser sends.")
    if method != "GET" or not asked.startswith("/") or version not in ("HTTP/1.0", "HTTP/1.1"):
        return _refusal("This is no request that a browser sends.")
    if asked != path:
        return Reply(HTTPStatus.NOT_FOUND, "There is nothing here.")
    return _reply_to_fields(fields, state)


def _reply_to_fields(fields: dict[str, str], state: str) -> Reply:
    if "error" in fields:
        details = " ".join(filter(None, (fields["error"], fields.get("error_description"))))
        return _refusal(f"The server did not allow it: {details[:_SHOWN_CHARS]}")
    if not fields.get("code") or not fields.get("state"):
        return _refusal("The address has no code, or no state, in it.")
    if not hmac.compare_digest(fields["state"].encode(), state.encode()):
        return _refusal("The state in the address is not that of the login that waits here.")
    return Reply(HTTPStatus.OK, "You can close this window: the program goes on.", Secret(fields["code"]))


def _refusal(text: str) -> Reply:
    return Reply(HTTPStatus.BAD_REQUEST, text)


class CallbackServer:
    """A server that listens; ``open_callback_server`` opens it, and closes it with its block."""

    def __init__(self, port: int, path: str, state: str) -> None:
        self.port = port
        """Where it listens."""
        self.arrived = trio.Event()
        """Set once a code has come."""
        self.code: str | None = None
        """The first code that came with the right state."""
        self._path = path
        self._state = state

    async def serve(self, stream: trio.SocketStream) -> None:
        """Take one request, answer it, and close. Whatever the other side does, it takes ``PATIENCE`` seconds at most."""
        reply = None
        with trio.move_on_after(PATIENCE), suppress(trio.BrokenResourceError):  # browsers go when they like
            reply = reply_to(await _read_line(stream), self._path, self._state)
            await stream.send_all(reply.render())
            await _linger(stream)
        if reply is not None and reply.code is not None and self.code is None:
            self.code = reply.code
            self.arrived.set()

    def __repr__(self) -> str:
        return f"<CallbackServer on port {self.port}, {'done' if self.arrived.is_set() else 'waiting'}>"


@asynccontextmanager
async def open_callback_server(
    state: str, *, port: int, path: str = "/callback", host: str = LOOPBACK
) -> AsyncIterator[CallbackServer]:
    """Listen for the browser beside the block; when that is left, in whatever way, nothing listens any more.

    ``host`` is a loopback address, ``port`` 0 takes a free one. Raises OAuthError if the port is taken, InvalidOptionError if
    ``host`` can be reached from outside.
    """
    _check_loopback(host)
    async with await _listen(host, port) as listener, SingleVoiceNursery() as nursery:
        server = CallbackServer(listener.socket.getsockname()[1], path, state)
        door = _Door(listener)
        await nursery.start(trio.serve_listeners, door.counted(server.serve), [door])
        yield server
        nursery.cancel_scope.cancel()


def _check_loopback(host: str) -> None:
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidOptionError(f"host must be a loopback address such as {LOOPBACK} or ::1, not {host!r}")


async def _listen(host: str, port: int) -> trio.SocketListener:
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise OAuthError(
            f"cannot wait for the browser on {host}, port {port}: {error.strerror or error} "
            "(if another login is open, in this program or in another one, end it, then try again)"
        ) from error
    return listener


class _Door(trio.abc.Listener[trio.SocketStream]):
    """A listener that lets in so many at a time."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._free = trio.Semaphore(MAX_CONNECTIONS)

    async def accept(self) -> trio.SocketStream:
        await self._free.acquire()
        try:
            return await self._listener.accept()
        except BaseException:
            self._free.release()
            raise

    async def aclose(self) -> None:
        await self._listener.aclose()

    def counted(
        self, serve: Callable[[trio.SocketStream], Awaitable[None]]
    ) -> Callable[[trio.SocketStream], Awaitable[None]]:
        """Serve, then let in the next one."""

        async def run(stream: trio.SocketStream) -> None:
            try:
                await serve(stream)
            finally:
                self._free.release()

        return run


async def _read_line(stream: trio.SocketStream) -> bytes:
    """The first line of a request, or as much of it as comes and fits."""
    data = b""
    while b"\r\n" not in data and len(data) < MAX_BYTES:
        more = await stream.receive_some(MAX_BYTES - len(data))
        if not more:
            break
        data += more
    return data


async def _linger(stream: trio.SocketStream) -> None:
    """Wait a little for the browser to close: a socket closed with unread data in it takes the page back."""
    await stream.send_eof()
    with trio.move_on_after(_LINGER):
        for _ in range(_LINGER_READS):
            if not await stream.receive_some(MAX_BYTES):
                return
