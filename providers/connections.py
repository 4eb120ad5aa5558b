"""HTTP/1.1 connections over trio and h11, and a pool of them in which nothing is searched.

httpcore's pool looks at each of its connections whenever a request begins or ends, so that a thousand requests cost a
thousand times that. Here a request takes the idle connection that was used last, or opens one; limits are the caller's.

Closing is immediate and never waits, so that it needs no care under cancellation. TLS is not told: like httpcore, we are
``https_compatible``, and HTTP itself says where a body ends.
"""

import math
import ssl
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import h11
import trio

from .chunked import ChunkedReader

MAX_IDLE = 256
"""Idle connections that are kept, to all servers together."""
MAX_HEAD_BYTES = 100 * 1024
"""The status line and headers of a response, or the frame of a chunk, that a server may send."""
_READ_BYTES = 16 * 1024
"""Between two reads other tasks have a turn, and a flood of the smallest chunks takes milliseconds to decode."""


class Origin(NamedTuple):
    """Where connections go: those of one origin serve the same requests."""

    scheme: str
    host: str
    port: int


class Body(Protocol):
    """Takes the body of a response from what comes."""

    @property
    def finished(self) -> bool:
        """Whether it is at its end."""

    def take(self) -> bytes:
        """What is here already."""

    def feed(self, data: bytes) -> bytes:
        """Take what has come, empty when there is no more; return what of it belongs to the body."""


class _PlainBody:
    """A body that has a length, or lasts as long as the connection."""

    def __init__(self, http: h11.Connection) -> None:
        self._http = http
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        self._http.receive_data(data)
        return self.take()

    def take(self) -> bytes:
        parts = []
        while type(event := self._http.next_event()) is h11.Data:
            parts.append(event.data)
        self.finished = event is not h11.NEED_DATA
        return b"".join(parts)


class Connection:
    """One connection, for one request after another: ``ask``, ``read`` to the end, ``renew``.

    Raises h11's RemoteProtocolError for what is no HTTP, and trio's BrokenResourceError when the connection is lost.
    """

    _http: h11.Connection
    _body: Body
    _is_begun: bool
    is_answered: bool
    """Whether anything has come since the request was sent."""

    def __init__(self, origin: Origin, tcp: trio.SocketStream, stream: trio.abc.Stream) -> None:
        self.origin = origin
        self.idle_until = math.inf
        self._socket = tcp.socket
        self._stream = stream
        self._start_over()

    async def ask(self, request: h11.Request, body: bytes) -> h11.Response:
        """Send a request and return the head of its response. Raises h11's LocalProtocolError for what cannot be sent."""
        http = self._http
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        data = b"".join([http.send(event) or b"" for event in events])
        with suppress(trio.BrokenResourceError):  # a server may refuse a request before it has read all of it
            await self._stream.send_all(data)
        while type(event := http.next_event()) is not h11.Response:
            if event is h11.PAUSED:
                raise h11.RemoteProtocolError("Server switched to another protocol.")
            if event is h11.NEED_DATA:
                if not (data := await self._receive()):
                    raise h11.RemoteProtocolError("Server disconnected without sending a response.")
                http.receive_data(data)
        self._expect(event, bodiless=request.method == b"HEAD" or event.status_code in (204, 304))
        return event

    def _expect(self, response: h11.Response, *, bodiless: bool) -> None:
        is_chunked = any(name == b"transfer-encoding" for name, _ in response.headers)
        if is_chunked and not bodiless:
            self._body = ChunkedReader(self._http.trailing_data[0])
        else:
            self._body = _PlainBody(self._http)

    async def read(self) -> bytes:
        """The next part of the body, as much as one packet brings; empty at the end.

        One part for a packet, and not for each chunk in it: a token is one, and each part costs several calls further up.
        """
        part, self._is_begun = b"" if self._is_begun else self._body.take(), True
        while not part and not self._body.finished:
            part = self._body.feed(await self._receive())
        return part

    @property
    def is_read(self) -> bool:
        """Whether the response was read to its end."""
        return self._body.finished

    async def _receive(self) -> bytes:
        data = bytes(await self._stream.receive_some(_READ_BYTES))
        self.is_answered = self.is_answered or bool(data)
        return data

    def renew(self) -> bool:
        """Make it ready for another request; False if it cannot take one, such as after a body that was not read."""
        rest = self._body.unread if isinstance(self._body, ChunkedReader) else self._http.trailing_data[0]
        is_agreed = self._http.our_state is h11.DONE  # where either side wants it closed, it is MUST_CLOSE
        if rest or self._has_records or not self.is_read or not is_agreed:
            return False
        self._start_over()
        return True

    def _start_over(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._body = ChunkedReader()  # until the response is here, it is one that is not at its end
        self._is_begun = False
        self.is_answered = False

    @property
    def _has_records(self) -> bool:
        """Whether more of TLS is here than was read, which the socket cannot tell: another answer, or the end."""
        if not isinstance(self._stream, trio.SSLStream):
            return False
        return self._stream._incoming.pending > 0  # noqa: SLF001 - nothing public of trio's tells it

    def is_usable(self, now: float) -> bool:
        """Whether an idle one may still be used. Whatever can be read now is its end, or nothing that was asked for."""
        return now < self.idle_until and not self._socket.is_readable()

    def is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self.idle_until < math.inf and self._socket.fileno() >= 0

    def close(self) -> None:
        """Close it, at once."""
        self._socket.close()

    def get_extra_info(self, name: str) -> Any:
        """What httpx's network streams tell: only the ``socket``."""
        return self._socket if name == "socket" else None

    @property
    def _network_stream(self) -> "Connection":
        """For tests that look for idle connections, httpcore's and these alike."""
        return self

    def __repr__(self) -> str:
        host, port = self.origin[1:]
        return f"<Connection to {host}:{port}{', idle' if self.is_idle() else ''}>"


async def connect(origin: Origin, tls: ssl.SSLContext, within: float) -> Connection:
    """Open a connection within ``within`` seconds, TLS included. Raises OSError, BrokenResourceError, TooSlowError."""
    with trio.fail_after(within):
        tcp = await trio.open_tcp_stream(origin.host, origin.port)
        if origin.scheme == "http":
            return Connection(origin, tcp, tcp)
        try:
            secure = trio.SSLStream(tcp, tls, server_hostname=origin.host, https_compatible=True)
            await secure.do_handshake()
        except BaseException:
            tcp.socket.close()
            raise
        return Connection(origin, tcp, secure)


class ConnectionPool:
    """The connections of one ``trio.run``. Idle ones are kept for ``keepalive`` seconds, at most ``MAX_IDLE`` of them."""

    def __init__(self, tls: ssl.SSLContext, keepalive: float) -> None:
        self._tls = tls
        self._keepalive = keepalive
        self._open: set[Connection] = set()
        self._idle: dict[Origin, dict[Connection, None]] = {}
        self._oldest_first: OrderedDict[Connection, None] = OrderedDict()  # the idle ones of all origins

    def take(self, origin: Origin) -> Connection | None:
        """The idle connection that was used last, and can be used again; None if there is none."""
        now = trio.current_time()
        while origin in self._idle:
            connection = next(reversed(self._idle[origin]))
            usable = connection.is_usable(now)
            self._awake(connection)
            if usable:
                return connection
            self._close(connection)
        return None

    async def connect(self, origin: Origin, within: float) -> Connection:
        """Open another one."""
        connection = await connect(origin, self._tls, within)
        self._open.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose response was read to its end; close any other."""
        now = trio.current_time()
        if connection in self._open and connection.renew():
            connection.idle_until = now + self._keepalive
            self._idle.setdefault(connection.origin, {})[connection] = None
            self._oldest_first[connection] = None
        else:
            self._close(connection)
        while oldest := next(iter(self._oldest_first), None):
            if now < oldest.idle_until and len(self._oldest_first) <= MAX_IDLE:
                break
            self._awake(oldest)
            self._close(oldest)

    def close(self) -> None:
        """Close all that are open."""
        for connection in self._open:
            connection.close()
        for kept in (self._open, self._idle, self._oldest_first):
            kept.clear()

    @property
    def connections(self) -> Iterable[Connection]:
        """Those that are open."""
        return tuple(self._open)

    def _awake(self, connection: Connection) -> None:
        connection.idle_until = math.inf
        del self._oldest_first[connection]
        kept = self._idle[connection.origin]
        del kept[connection]
        if not kept:
            del self._idle[connection.origin]

    def _close(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    def __repr__(self) -> str:
        return f"<ConnectionPool {len(self._open)} open, {len(self._oldest_first)} idle>"
