"""HTTP as httpx does it: one pool of clients for each ``trio.run``, and a POST.

Two faults of httpx's own pool shape it (httpx 0.28, httpcore 1.0): a request that is cancelled while it waits for a
connection leaks its place (encode/httpcore#1093), and each request looks at every connection of its client. So nothing
ever waits inside httpx, and no client carries more than a shard's worth of requests. Waiting, where a limit is wished
for, is done by a trio.CapacityLimiter.

Both hold for requests that go through a proxy. All others share connections of our own (``connections``), whichever client
sends them: clients come and go with the load, their connections stay for the next request.

Who dies last: the keeper, a system task. trio cancels it after the main task and everything in it have ended; it then
closes what is left, within two seconds.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Self
from urllib.request import getproxies

import trio

from runtime.errors import InvalidOptionError, TransportError
from runtime.values.secret import secrets_in, without_secrets

if TYPE_CHECKING:
    import ssl

    import httpx

    from .connections import ConnectionPool

SHARD_SIZE = 32
"""Requests that one client carries at a time."""
_SHARD_LIFE = 4096
"""Requests after which a client is replaced: whatever httpx may have lost track of by then goes with it."""
_WARM = 2
"""Idle clients that are kept, with their open connections."""
_KEEPALIVE = 30.0
_CLOSE_TIMEOUT = 2.0
_UNUSABLE = "cannot open an HTTP client with the proxy and certificate variables of the environment"
_FRAMING = frozenset({"content-length", "transfer-encoding"})  # httpx's own business


@dataclass(frozen=True)
class PoolStatistics:
    """The state of a pool at one moment.

    ``shards``: HTTP clients that are open. ``in_flight``: requests that have one. ``waiting``: requests that wait for the
    limit. ``limit``: how many may be in flight, None for any number.
    """

    shards: int
    in_flight: int
    waiting: int
    limit: int | None


class _Shard:
    """One client and how much it carries."""

    __slots__ = ("client", "in_flight", "served")

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self.client = client
        self.in_flight = 0
        self.served = 0

    @property
    def has_room(self) -> bool:
        return self.in_flight < SHARD_SIZE and self.served < _SHARD_LIFE


class Pool:
    """The HTTP clients of one ``trio.run``, and its one TLS context; ``current_pool()`` gives it.

    Proxies and certificates come from the environment as httpx reads them. Cookies are not kept. A call with an
    ``http_client`` of its own uses httpx's transport, or any other that it was given.
    """

    def __init__(self) -> None:
        self._shards: list[_Shard] = []
        self._limiter = trio.CapacityLimiter(math.inf)
        self._tls: ssl.SSLContext | None = None
        self._connections: ConnectionPool | None = None
        self._closed = False

    @asynccontextmanager
    async def lease(self) -> "AsyncIterator[httpx.AsyncClient]":
        """Lend a client for one request and its response; waits while the pool's limit is reached."""
        place = object()
        try:
            self._limiter.acquire_on_behalf_of_nowait(place)
        except trio.WouldBlock:
            await self._limiter.acquire_on_behalf_of(place)
        try:
            shard = self._take()
            try:
                yield shard.client
            finally:
                await self._give_back(shard)  # noqa: ASYNC102 - what waits in there is shielded
        finally:
            self._limiter.release_on_behalf_of(place)

    def limit(self, total: int | None) -> None:
        """Let at most ``total`` requests be in flight, None for any number; those that are finish as they are."""
        _check_limit(total)
        self._limiter.total_tokens = math.inf if total is None else total

    def statistics(self) -> PoolStatistics:
        """What the pool is doing."""
        limiter = self._limiter.statistics()
        return PoolStatistics(
            shards=len(self._shards),
            in_flight=sum(shard.in_flight for shard in self._shards),
            waiting=limiter.tasks_waiting,
            limit=None if math.isinf(limiter.total_tokens) else int(limiter.total_tokens),
        )

    def _take(self) -> _Shard:
        """The first client with room: so the last ones run empty when there is less to do."""
        if self._closed:
            raise TransportError("the HTTP pool is closed: its trio.run is at its end")
        shard = next((shard for shard in self._shards if shard.has_room), None)
        if shard is None:
            shard = _Shard(self._open_client())
            self._shards.append(shard)
        shard.in_flight += 1
        shard.served += 1
        return shard

    async def _give_back(self, shard: _Shard) -> None:
        shard.in_flight -= 1
        if shard.in_flight:
            return
        idle = [shard for shard in self._shards if not shard.in_flight]
        surplus = [shard for shard in idle if shard.served >= _SHARD_LIFE] or idle[_WARM:]
        self._shards = [shard for shard in self._shards if shard not in surplus]
        for unused in surplus:  # nobody can take them any more
            await _close(unused)

    def _open_client(self) -> "httpx.AsyncClient":
        import httpx

        from .direct import DirectClient

        try:
            if self._tls is None:
                self._tls = httpx.create_ssl_context()
            return DirectClient(
                self._kept_connections(self._tls),
                verify=self._tls,
                timeout=None,  # the transport has time-outs of its own
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                limits=httpx.Limits(
                    max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEPALIVE
                ),
            )
        except (ImportError, OSError) as error:
            raise TransportError(f"{_UNUSABLE}: {error}") from error
        except (ValueError, httpx.InvalidURL):  # which quotes an address, with the password in it
            names = ", ".join(f"{name}_proxy" for name in getproxies() if name != "no")
        raise TransportError(f"{_UNUSABLE}: one of {names} is no address of a proxy")

    def _kept_connections(self, tls: "ssl.SSLContext") -> "ConnectionPool":
        from .connections import ConnectionPool

        if self._connections is None:
            tls.set_alpn_protocols(["http/1.1"])
            self._connections = ConnectionPool(tls, _KEEPALIVE)
        return self._connections

    async def keep(self) -> None:
        """Wait for the end of the run, then close everything; never raises."""
        try:
            await trio.sleep_forever()
        finally:
            self._closed = True
            if self._connections is not None:
                self._connections.close()
            with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                for shard in self._shards:
                    await _close(shard)
            self._shards.clear()

    def __repr__(self) -> str:
        now = self.statistics()
        state = (
            "closed"
            if self._closed
            else f"{now.shards} shards, {now.in_flight} in flight, {now.waiting} waiting"
        )
        return f"<Pool {state}>"


_POOL: "trio.lowlevel.RunVar[Pool]" = trio.lowlevel.RunVar("agentrio HTTP pool")


def current_pool() -> Pool:
    """The pool of the running ``trio.run``, made when it is first asked for."""
    try:
        return _POOL.get()
    except LookupError:
        pool = Pool()
        _POOL.set(pool)
        trio.lowlevel.spawn_system_task(pool.keep, name="agentrio HTTP pool")
        return pool


def limit_requests(total: int | None) -> None:
    """Let at most ``total`` model requests of this ``trio.run`` be in flight at a time; None lifts the limit.

    The others wait their turn, and their time-outs with them. Calls with an ``http_client`` of their own do not count.
    """
    current_pool().limit(total)


def pool_statistics() -> PoolStatistics:
    """What the pool of this ``trio.run`` is doing now."""
    return current_pool().statistics()


def _check_limit(total: object) -> None:
    if total is None or (isinstance(total, int) and not isinstance(total, bool) and total >= 1):
        return
    raise InvalidOptionError(f"a limit of requests must be a whole number of at least 1, not {total!r}")


async def _close(shard: _Shard) -> None:
    """Close a client, also under cancellation; what it says to that interests nobody."""
    with trio.move_on_after(_CLOSE_TIMEOUT, shield=True), suppress(Exception):
        await shard.client.aclose()


async def post(
    client: "httpx.AsyncClient",
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    connect_timeout: float,
    *,
    once: bool = False,
) -> "httpx.Response":
    """Send one POST and return its response, the body unread. Cancelled or failed, it leaves no socket open."""
    return await send(client, "POST", url, headers, body, connect_timeout=connect_timeout, once=once)


async def send(
    client: "httpx.AsyncClient",
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    connect_timeout: float,
    once: bool = False,
) -> "httpx.Response":
    """The same for any method. ``once``: not even a connection that was closed while it was idle is a reason to send it again.

    Redirects are not followed, whatever the client is set to: keys in headers would go with them, to any host.
    """
    import httpx

    from .direct import SENT_ONCE

    connection = _NewConnection()
    request = client.build_request(
        method,
        _quiet_url(url),
        headers=_wire_headers(headers),
        content=body,
        timeout=httpx.Timeout(None, connect=connect_timeout),
        extensions={"trace": connection.follow, SENT_ONCE: once},
    )
    request.url = _quiet_url(str(request.url))  # with the parameters of the client
    request.stream = _body_stream()(body)
    try:
        return await client.send(request, stream=True, follow_redirects=False)
    except BaseException:
        await connection.aclose()
        raise


def proxy_secrets() -> Iterator[str]:
    """The credentials in the addresses of the proxies that the environment names."""
    for address in getproxies().values():
        yield from secrets_in(address if "://" in address else f"http://{address}")


def _wire_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    sent = {"accept-encoding": "gzip, deflate"} | {name.lower(): value for name, value in headers.items()}
    return [
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in sent.items()
        if name not in _FRAMING
    ]


@lru_cache(maxsize=64)
def _quiet_url(url: str) -> "httpx.URL":
    """A URL that shows neither password nor query. To read one takes longer than to send the head, and few are used."""
    return _quiet_url_type()(url)


@cache
def _quiet_url_type() -> "type[httpx.URL]":
    import httpx

    class QuietURL(httpx.URL):  # httpx writes every URL into its log
        def __str__(self) -> str:
            return without_secrets(super().__str__())

        __repr__ = __str__

    return QuietURL


@cache
def _body_stream() -> "Callable[[bytes], httpx.AsyncByteStream]":
    """A request body that is no async generator: a cancelled request would leave that one unfinished."""
    import httpx

    class BodyStream(httpx.AsyncByteStream):
        def __init__(self, body: bytes) -> None:
            self._body = body

        def __aiter__(self) -> AsyncIterator[bytes]:
            return Pieces([self._body])

    return BodyStream


class Pieces:
    """Pieces of a body that are here already, as an async iterator."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class _NewConnection:
    """The connection that a request opens, until httpcore takes care of it.

    A cancellation in a TLS handshake, or between connecting and sending, leaves its socket open (httpcore 1.0.9).
    """

    def __init__(self) -> None:
        self._stream: Any = None

    async def follow(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow what httpcore does (its ``trace`` extension)."""
        if event.startswith("http"):
            self._stream = None
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]

    async def aclose(self) -> None:
        if self._stream is not None:
            with trio.move_on_after(_CLOSE_TIMEOUT, shield=True), suppress(Exception):
                await self._stream.aclose()
