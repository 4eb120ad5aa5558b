"""An httpx client that sends over our own connections, in place of httpcore's, what goes through no proxy.

It raises the exceptions that httpx raises. Of the time-outs of a request, only ``connect`` holds on these connections.
The reason phrase is that of the status: what a server writes there would stand in httpx's log.
"""

import logging
from collections.abc import Coroutine
from typing import Any, NoReturn, Self

import h11
import httpx
import trio

from .connections import Connection, ConnectionPool, Origin

_PORTS = {"http": 80, "https": 443}
_FAILURES: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (h11.LocalProtocolError, httpx.LocalProtocolError),
    (h11.RemoteProtocolError, httpx.RemoteProtocolError),
    (trio.BrokenResourceError, httpx.ReadError),
    (trio.ClosedResourceError, httpx.ReadError),
)
_LOST = (trio.BrokenResourceError, h11.RemoteProtocolError)
_LOG = logging.getLogger("httpx")
SENT_ONCE = "agentrio_sent_once"
"""The extension of a request that goes over a new connection: it must not be sent again, whatever is found closed."""


class DirectClient(httpx.AsyncClient):
    """A client for many requests at a time. What the environment says of proxies is httpx's business, and stays so."""

    def __init__(self, pool: ConnectionPool, **settings: Any) -> None:
        super().__init__(**settings)
        # as an argument, ``transport`` would switch off the proxies of the environment
        self._transport = DirectTransport(pool)
        self._mounts = {where: proxy and _Quiet(proxy) for where, proxy in self._mounts.items()}

    def send(
        self, request: httpx.Request, *, stream: bool = False, **further: Any
    ) -> Coroutine[Any, Any, httpx.Response]:
        """Send a request. A streamed one without credentials in its URL skips what httpx has for others.

        Redirects, cookies and authentication do not concern it, and take a tenth of the time that a short call takes.
        """
        direct = self._transport_for_url(request.url) is self._transport
        if stream and direct and not request.url.userinfo:
            return self._send_directly(request)
        return super().send(request, stream=stream, **further)

    async def _send_directly(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        what = (
            request.method,
            request.url,
            response.http_version,
            response.status_code,
            response.reason_phrase,
        )
        _LOG.info('HTTP Request: %s %s "%s %d %s"', *what)
        return response


class _Quiet(httpx.AsyncBaseTransport):
    """A transport whose responses have the reason phrase of their status."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        response.extensions.pop("reason_phrase", None)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class DirectTransport(httpx.AsyncBaseTransport):
    """Sends requests over the connections of a pool, which it leaves open when it is closed itself.

    A request that fails or is cancelled closes its connection at once, and so does a response that is closed early. A
    request that found its idle connection closed, which shows before anything has come back, is sent again over a new one;
    one that is to be sent once begins with a new one.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its response is to be read or closed."""
        origin = _origin(request.url)
        body = b"".join([piece async for piece in request.stream])  # type: ignore[union-attr]  # an async client's
        connection = None if request.extensions.get(SENT_ONCE) else self._pool.take(origin)
        if connection is not None:
            try:
                return await self._ask(connection, request, body)
            except httpx.TransportError as error:
                if connection.is_answered or not isinstance(error.__cause__, _LOST):
                    raise
        return await self._ask(await self._connect(origin, request), request, body)

    async def _connect(self, origin: Origin, request: httpx.Request) -> Connection:
        seconds = request.extensions.get("timeout", {}).get("connect")
        try:
            return await self._pool.connect(origin, float("inf") if seconds is None else seconds)
        except trio.TooSlowError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except (OSError, trio.BrokenResourceError) as error:
            raise httpx.ConnectError(str(error)) from error

    async def _ask(self, connection: Connection, request: httpx.Request, body: bytes) -> httpx.Response:
        try:
            head = h11.Request(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
            response = await connection.ask(head, body)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - it is raised again, as itself or as httpx's
            self._pool.give_back(connection)
            _raise_as_httpx(error)
        return httpx.Response(
            response.status_code,
            headers=response.headers.raw_items(),
            stream=_Body(connection, self._pool),
            request=request,
            extensions={"http_version": b"HTTP/" + response.http_version},
        )


class _Body(httpx.AsyncByteStream):
    """The body of a response. Its connection goes back as soon as the end was read, an error came, or it is closed."""

    def __init__(self, connection: Connection, pool: ConnectionPool) -> None:
        self._connection: Connection | None = connection
        self._pool = pool

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        try:
            data = await connection.read()
        except BaseException as error:  # noqa: BLE001, ASYNC103 - it is raised again, as itself or as httpx's
            self._release()
            _raise_as_httpx(error)
        if connection.is_read:
            self._release()
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)


def _origin(url: httpx.URL) -> Origin:
    if url.scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f"Request URL has an unsupported protocol '{url.scheme}://'.")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])


def _raise_as_httpx(error: BaseException) -> NoReturn:
    for ours, theirs in _FAILURES:
        if isinstance(error, ours):
            raise theirs(str(error)) from error
    raise error
