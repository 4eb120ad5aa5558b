"""The pool of HTTP clients: sharding, limits, cancelled requests, and its end with the run."""

import gc
import itertools
import socket
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from providers import pool as pool_module
from providers.pool import SHARD_SIZE, Pool, current_pool, limit_requests, post
from runtime.errors import InvalidOptionError, TransportError
from runtime.values.secret import without_secrets
from tests.providers.loopback import Wire, head, reply, serve


async def fetch(url: str) -> bytes:
    async with current_pool().lease() as client:
        response = await post(client, url, {}, b"{}", 5)
        return await response.aread()


async def hold(pool: Pool, release: trio.Event, task_status=trio.TASK_STATUS_IGNORED) -> None:
    async with pool.lease() as client:
        task_status.started(client)
        await release.wait()


async def test_a_client_carries_one_shard_of_requests():
    """The request after a full shard opens another client; all within a shard have the same one."""
    pool, release = current_pool(), trio.Event()
    async with trio.open_nursery() as nursery:
        clients = [await nursery.start(hold, pool, release) for _ in range(2 * SHARD_SIZE + 1)]
        assert [len({id(client) for client in clients[:count]}) for count in (1, SHARD_SIZE, SHARD_SIZE + 1)] == [
            1, 1, 2,
        ]  # fmt: skip
        assert pool.statistics() == pool_module.PoolStatistics(3, 2 * SHARD_SIZE + 1, 0, None)
        assert repr(pool) == "<Pool 3 shards, 65 in flight, 0 waiting>"
        release.set()


async def test_surplus_clients_are_closed():
    """When the rush is over, two clients stay warm, the others are closed."""
    pool, release = current_pool(), trio.Event()
    async with trio.open_nursery() as nursery:
        clients = [await nursery.start(hold, pool, release) for _ in range(5 * SHARD_SIZE)]
        release.set()
    assert pool.statistics().shards == 2
    assert len({id(client) for client in clients if client.is_closed}) == 3


async def test_a_client_is_replaced_after_its_time(monkeypatch):
    """A client that has served its number of requests gets no more, and is closed when the last one is over."""
    monkeypatch.setattr(pool_module, "_SHARD_LIFE", 3)
    pool, release = current_pool(), trio.Event()
    async with trio.open_nursery() as nursery:
        old = [await nursery.start(hold, pool, release) for _ in range(3)]
        async with pool.lease() as new:
            assert new is not old[0]
        assert not old[0].is_closed
        release.set()
    assert old[0].is_closed
    assert not new.is_closed


async def test_the_limit_holds_over_all_clients():
    """With a limit, the next request waits until one is over; lifting the limit lets it go."""
    pool, release = current_pool(), trio.Event()
    limit_requests(2)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            await nursery.start(hold, pool, release)
        nursery.start_soon(hold, pool, release)
        await wait_all_tasks_blocked()
        assert pool.statistics() == pool_module.PoolStatistics(1, 2, 1, 2)
        limit_requests(None)
        await wait_all_tasks_blocked()
        assert pool.statistics() == pool_module.PoolStatistics(1, 3, 0, None)
        release.set()


@pytest.mark.parametrize("total", [0, -1, True, 1.5, "2"])
async def test_a_limit_is_a_whole_number(total):
    """A limit that would stop everything, or is no number, is refused."""
    with pytest.raises(InvalidOptionError, match="limit of requests"):
        limit_requests(total)


async def test_a_cancelled_wait_for_the_limit_takes_nothing():
    """Cancelling requests that wait for the limit leaves the limit whole."""
    pool = current_pool()
    limit_requests(1)
    async with pool.lease():
        for _ in range(10):
            with trio.move_on_after(0):
                async with pool.lease():
                    raise AssertionError("must wait")
    async with pool.lease():
        assert pool.statistics().in_flight == 1


async def test_a_thousand_cancelled_requests_leave_a_working_pool():
    """Requests cancelled while they wait for an answer lose nothing: the next one works at once, no socket is left."""

    async def answer(wire: Wire) -> None:
        if server.requests[-1].body == b"go":
            await wire.send(head(200, {"content-length": "2"}) + b"ok")
        else:
            await wire.wait_closed()

    async def request(client_limit: trio.Semaphore) -> None:
        async with client_limit, current_pool().lease() as client:
            await post(client, server.url, {}, b"wait", 30)

    async with serve(answer, repeat=True) as server:
        for _ in range(10):
            async with trio.open_nursery() as nursery:
                slots = trio.Semaphore(100)
                for _ in range(100):
                    nursery.start_soon(request, slots)
                asked = len(server.requests)
                await server.wait_requests(asked + 50)  # some wait for an answer, some are still connecting
                nursery.cancel_scope.cancel()
        with trio.fail_after(5):
            async with current_pool().lease() as client:
                response = await post(client, server.url, {}, b"go", 5)
                assert await response.aread() == b"ok"
        await server.wait_closed(but=1)
        assert current_pool().statistics().in_flight == 0


async def test_a_request_cancelled_in_a_tls_handshake_closes_its_socket():
    """The server sees the end of the connection as soon as the request is cancelled."""
    closed = trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            greeted.set()
        closed.set()

    greeted = trio.Event()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, silent, [listener])
        async with current_pool().lease() as client, trio.open_nursery() as request:
            request.start_soon(post, client, url, {}, b"", 30)
            await greeted.wait()
            request.cancel_scope.cancel()
        with trio.fail_after(5):
            await closed.wait()
        nursery.cancel_scope.cancel()
    gc.collect()


class CancelBefore(trio.abc.Instrument):
    """Cancels a scope just before a task goes on for the n-th time: what it waited for has happened already."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._task, self._scope, self._left = trio.lowlevel.current_task(), scope, step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= task is self._task
        if not self._left:
            self._scope.cancel()


async def test_cancelled_at_any_checkpoint_a_request_leaves_no_socket():
    """Wherever a request is cancelled, from its first checkpoint to the end of its answer, no socket stays in use."""
    async with serve(reply("ok"), repeat=True) as server:
        for step in itertools.count(1):
            async with current_pool()._open_client() as client:
                with trio.CancelScope() as scope:
                    instrument = CancelBefore(scope, step)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        await (await post(client, server.url, {}, b"{}", 5)).aread()
                    finally:
                        trio.lowlevel.remove_instrument(instrument)
                if not scope.cancelled_caught:
                    break
                idle = sum(connection.is_idle() for connection in client._transport._pool.connections)
                await server.wait_closed(but=idle)
        assert step > 3


async def test_answers_keep_the_connection():
    """Requests in a row use one connection."""
    async with serve(reply("a"), reply("b"), reply("c")) as server:
        assert [await fetch(server.url) for _ in range(3)] == [b"a", b"b", b"c"]
        assert len(server.wires) == 1


async def test_cookies_are_not_kept():
    """What one answer sets is not sent with the next request: calls of different accounts share the pool."""
    async with serve(reply("a", set_cookie="session=1; Path=/"), reply("b")) as server:
        await fetch(server.url)
        await fetch(server.url)
        assert "cookie" not in server.requests[1].headers


async def test_header_values_may_be_latin_1():
    """A header value with bytes above 127 is sent as it is, and framing headers are left to HTTP itself."""
    async with serve(reply("ok")) as server, current_pool().lease() as client:
        await (await post(client, server.url, {"X-Name": "\xe9", "Content-Length": "7"}, b"{}", 5)).aread()
        assert server.requests[0].headers["x-name"] == "\xe9"
        assert server.requests[0].headers["content-length"] == "2"


class StillServer:
    """A server in a thread, which outlives the trio.run that is tested: answers one request, then waits for the end."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._socket, self._socket.accept()[0] as peer:
            peer.settimeout(5)
            received = b""
            while not received.endswith(b"{}"):
                received += peer.recv(65536)
            peer.sendall(head(200, {"content-length": "2"}) + b"ok")
            if peer.recv(1) == b"":
                self.closed.set()

    def join(self) -> None:
        self._thread.join(5)


def test_the_pool_is_closed_with_its_run():
    """At the end of trio.run the idle connection is closed, and asking the pool for more is an error."""

    async def main() -> Pool:
        assert await fetch(server.url) == b"ok"
        return current_pool()

    server = StillServer()
    pool = trio.run(main)
    assert server.closed.wait(5)
    server.join()
    assert repr(pool) == "<Pool closed>"
    with pytest.raises(TransportError, match="closed"):
        pool._take()
    gc.collect()  # an unclosed socket would warn, and warnings are errors


def test_each_run_has_its_own_pool():
    """Two runs after one another, and two in threads, share nothing."""
    pools: list[Pool] = []

    async def main(server: StillServer) -> None:
        assert await fetch(server.url) == b"ok"
        pools.append(current_pool())
        assert current_pool() is pools[-1] or len(pools) > 1

    servers = [StillServer() for _ in range(4)]
    for server in servers[:2]:
        trio.run(main, server)
    threads = [threading.Thread(target=trio.run, args=(main, server)) for server in servers[2:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for server in servers:
        assert server.closed.wait(5)
        server.join()
    assert len({id(pool) for pool in pools}) == 4


def test_a_crash_of_the_run_closes_the_pool():
    """The pool's end does not hide why the run ended."""

    async def main() -> None:
        await fetch(server.url)
        raise LookupError("mine")

    server = StillServer()
    with pytest.raises(LookupError, match="mine"):
        trio.run(main)
    assert server.closed.wait(5)
    server.join()


async def test_the_environment_is_honoured(monkeypatch):
    """Requests go through the proxy that the environment names; settings that cannot be used are a TransportError."""
    async with serve(reply("from the proxy")) as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        assert await fetch("http://model.invalid/v1") == b"from the proxy"
        assert server.requests[0].target == "http://model.invalid/v1"
    monkeypatch.setenv("http_proxy", "x://me:s3cret@h")
    with pytest.raises(TransportError, match="one of .*http_proxy.* is no address of a proxy") as caught:
        Pool()._open_client()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(TransportError, match="cannot open an HTTP client"):
        Pool()._open_client()


async def test_who_is_excepted_is_asked_directly(monkeypatch):
    """The environment's exceptions go past its proxy, over connections that are kept."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with serve(reply("a"), reply("b")) as server:
        assert [await fetch(server.url) for _ in range(2)] == [b"a", b"b"]
        assert server.requests[0].target == "/"
        assert len(server.wires) == 1


def test_urls_are_shown_without_what_is_private():
    """User, password, query and fragment are left out, also of what is no URL."""
    assert without_secrets("https://u:p@h:1/x/y?key=k#f") == "https://h:1/x/y"
    assert without_secrets("https://u:p@ss@h/x") == "https://h/x"
    assert without_secrets("http://[::1?key=k") == "http://[::1"


def test_the_url_of_a_request_shows_nothing_private():
    """Neither as a text nor by its repr, which errors and debuggers show."""
    shown = pool_module._quiet_url("https://u:p@h/x?key=k")
    assert (str(shown), repr(shown)) == ("https://h/x", "https://h/x")
