"""Our own connections under httpx's client: reuse, its limits, and what becomes of a connection when something goes wrong."""

import logging

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from providers import connections
from providers.connections import MAX_HEAD_BYTES
from tests.providers.direct_lab import ask, connections_of, direct, fetch, pool_of
from tests.providers.loopback import Wire, chunk, head, raw, reply, serve


@pytest.fixture
async def client():
    async with direct() as client:
        yield client


async def test_an_answer_is_what_httpx_gives(client):
    """Status, headers in their case, version, request, and body; the reason is that of the status, whatever the server says."""
    async with serve(raw(b"HTTP/1.1 201 Fine\r\nX-CaSe: \xe9\r\ncontent-length: 2\r\n\r\nok")) as server:
        response = await ask(client, server.url, b"abc", **{"X-Mine": "1"})
        assert (response.status_code, response.reason_phrase, response.http_version) == (
            201,
            "Created",
            "HTTP/1.1",
        )
        assert (b"X-CaSe", b"\xe9") in response.headers.raw
        assert await response.aread() == b"ok"
        assert response.request.url == server.url
    assert server.requests[0].body == b"abc"
    assert server.requests[0].headers["x-mine"] == "1"


async def test_a_request_is_logged_as_httpx_logs_it(caplog, client):
    """Who has switched httpx's log on sees these requests in it, too."""
    caplog.set_level(logging.INFO, "httpx")
    async with serve(reply("ok")) as server:
        await fetch(client, server.url)
    assert caplog.messages == [f'HTTP Request: POST {server.url} "HTTP/1.1 200 OK"']


@pytest.mark.parametrize("end", [b"", b"\r\n"])
async def test_chunks_of_a_packet_are_one_part(end, client):
    """As many chunks as a packet brings come in one part; without the last one, an error follows."""
    async with serve(raw(head(200, {"transfer-encoding": "chunked"}) + chunk(b"a") + chunk(b"b") + b"0\r\n" + end, close=True)) as server:  # fmt: skip
        response, parts = await ask(client, server.url), []
        try:
            async for part in response.stream:
                parts.append(part)
        except httpx.RemoteProtocolError as error:
            assert "incomplete chunked read" in str(error)
            assert not end
        else:
            assert end
        assert parts == [b"ab"]


async def test_a_body_without_a_length_lasts_until_the_end(client):
    """Such a connection is closed and not used again."""
    async with serve(raw(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True), reply("b")) as server:
        assert [await fetch(client, server.url) for _ in range(2)] == [b"all of it", b"b"]
        assert len(server.wires) == 2


@pytest.mark.parametrize(
    "answer",
    [
        head(200, {"content-length": "1", "connection": "close"}) + b"a",
        head(200, {"content-length": "1"}) + b"a" + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
        head(200, {"transfer-encoding": "chunked"}) + chunk(b"a") + chunk(b"") + b"x",
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na",
    ],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(answer, client):
    """Where the server wants it closed, or has sent more than was asked for: that is nobody's answer."""
    async with serve(raw(answer), reply("b")) as server:
        assert [await fetch(client, server.url) for _ in range(2)] == [b"a", b"b"]
        assert len(server.wires) == 2
        await server.wait_closed(but=1)


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(status, client):
    """They are at their end at once, whatever they say of a body, and the connection is used again."""
    async with serve(raw(head(status, {"transfer-encoding": "chunked"})), reply("b")) as server:
        assert [await fetch(client, server.url) for _ in range(2)] == [b"", b"b"]
        assert len(server.wires) == 1


async def test_interim_answers_are_passed_over(client):
    """A 100 or 103 before the answer is not the answer."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with serve(raw(interim + head(200, {"content-length": "2"}) + b"ok")) as server:
        assert await fetch(client, server.url) == b"ok"


# Idle connections


async def test_an_idle_connection_that_was_closed_is_not_used(client):
    """The server's end is seen before the next request is sent."""
    async with serve(reply("a"), reply("b")) as server:
        assert await fetch(client, server.url) == b"a"
        await server.wires[0].close()
        await wait_all_tasks_blocked(0.01)
        assert await fetch(client, server.url) == b"b"
        assert len(server.requests) == 2


async def test_an_idle_connection_that_says_something_is_not_used(client):
    """What comes without a question, such as a 408, is no answer to the next one."""
    tired = trio.Event()

    async def answer(wire: Wire) -> None:
        await wire.send(head(200, {"content-length": "1"}) + b"a")
        await tired.wait()
        await wire.send(head(408, {"content-length": "0"}))

    async with serve(answer, reply("b")) as server:
        assert await fetch(client, server.url) == b"a"
        tired.set()
        await wait_all_tasks_blocked(0.01)
        assert await fetch(client, server.url) == b"b"


async def test_a_request_that_meets_the_end_of_an_idle_connection_is_sent_again(client):
    """It was closed just then, and nothing had come back: a new connection, one more time."""

    async def gone(wire: Wire) -> None:
        await wire.close()

    async with serve(reply("a"), gone, reply("b"), gone) as server:
        assert [await fetch(client, server.url) for _ in range(2)] == [b"a", b"b"]
        assert len(server.wires) == 2
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await fetch(client, server.url)  # of a new connection, that is the answer


async def test_a_request_that_was_answered_in_part_is_not_sent_again(client):
    """Something came back: the server has it, and may have acted on it."""
    async with serve(reply("a"), raw(b"HTTP/1.1 2", close=True)) as server:
        assert await fetch(client, server.url) == b"a"
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(client, server.url)
        assert len(server.requests) == 2


async def test_idle_connections_expire(autojump_clock, client):
    """After their time they are closed, when the next connection becomes idle at the latest."""
    async with serve(reply("a"), reply("b"), reply("c")) as server:
        assert await fetch(client, server.url) == b"a"
        await trio.sleep(29)
        assert await fetch(client, server.url) == b"b"
        assert len(server.wires) == 1
        await trio.sleep(31)
        assert await fetch(client, server.url) == b"c"
        assert len(server.wires) == 2
        await server.wait_closed(but=1)


async def test_so_many_idle_connections_are_kept(monkeypatch, client):
    """The one that was used longest ago goes; the one that was used last is used next."""
    monkeypatch.setattr(connections, "MAX_IDLE", 2)
    async with serve(reply("x"), repeat=True) as server:
        answers = [await ask(client, server.url) for _ in range(4)]
        for answer in answers:
            await answer.aread()
        assert repr(pool_of(client)) == "<ConnectionPool 2 open, 2 idle>"
        await server.wait_closed(but=2)
        last = server.wires[3]
        await last.close()
        await wait_all_tasks_blocked(0.01)
        await fetch(client, server.url)
        assert len(server.wires) == 4
        pool_of(client).close()
        await server.wait_closed()


# What goes wrong


@pytest.mark.parametrize("cut", ["close", "cancel"])
async def test_a_response_that_is_left_closes_its_socket_at_once(cut, client):
    """Whoever closes the response, or is cancelled while reading it, leaves no connection behind, without a checkpoint."""
    async with serve(raw(head(200, {"transfer-encoding": "chunked"}) + chunk(b"a"), hang=True)) as server:
        response = await ask(client, server.url)
        assert await anext(aiter(response.stream)) == b"a"
        if cut == "cancel":
            with trio.move_on_after(0.01):
                await anext(aiter(response.stream))
        else:
            await response.aclose()
        assert connections_of(client) == []
        await server.wait_closed()


async def test_cancelled_while_it_waits_for_an_answer_a_request_closes_its_socket(client):
    """The server sees the end as soon as the request is cancelled."""
    async with serve(raw(b"", hang=True)) as server, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client, server.url)
        await server.wait_requests()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await server.wait_closed()
        assert connections_of(client) == []


async def test_a_request_that_is_cut_takes_its_used_connection_with_it(client):
    """Its answer is still to come there: the next request must not get it."""
    slow = trio.Event()

    async def late(wire: Wire) -> None:
        slow.set()
        await wire.wait_closed()
        await wire.send(head(200, {"content-length": "4"}) + b"late")

    async with serve(reply("a"), late, reply("b")) as server:
        assert await fetch(client, server.url) == b"a"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client, server.url)
            await slow.wait()
            nursery.cancel_scope.cancel()
        assert connections_of(client) == []
        assert await fetch(client, server.url) == b"b"
        assert len(server.wires) == 2


async def test_a_fault_in_a_body_comes_after_its_head(client):
    """However little of the body came with the head: the answer has begun, and nobody may think that it has not."""
    async with serve(raw(head(200, {"transfer-encoding": "chunked"}) + b"nonsense\r\n", hang=True)) as server:
        response = await ask(client, server.url)
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="illegal chunk header"):
            await response.aread()


async def test_heads_are_bounded(client):
    """A server whose headers never end is cut off."""
    endless = b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEAD_BYTES // 5)
    async with serve(raw(endless, hang=True)) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, server.url)


async def test_an_answer_before_the_request_was_read_is_the_answer(client):
    """A server may refuse what it has not read all of, and close."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(10)
        await stream.send_all(head(413, {"content-length": "3", "connection": "close"}) + b"big")
        await stream.send_eof()
        while await stream.receive_some():
            pass

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, refuse, [listener])
        response = await ask(client, url, b"x" * 10_000_000)
        assert (response.status_code, await response.aread()) == (413, b"big")
        nursery.cancel_scope.cancel()


async def test_a_connection_that_takes_too_long(client):
    """TLS is part of connecting: a server that says nothing is given up after ``connect``."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
    request = client.build_request("POST", url, timeout=httpx.Timeout(None, connect=0.05))
    with pytest.raises(httpx.ConnectTimeout):
        await client.send(request, stream=True)
    assert connections_of(client) == []
    await listener.aclose()


async def test_where_there_is_no_server(client):
    """A refused connection and an unknown protocol are told as httpx tells them."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(httpx.ConnectError):
        await fetch(client, f"http://127.0.0.1:{port}")
    with pytest.raises(httpx.UnsupportedProtocol):
        await fetch(client, "ftp://127.0.0.1")


async def test_an_address_of_version_six(client):
    """It stands in brackets in a URL, and nowhere else."""

    async def answer(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        await stream.send_all(head(200, {"content-length": "2"}) + b"ok")

    asked: list[bytes] = []
    try:
        (listener,) = await trio.open_tcp_listeners(0, host="::1")
    except OSError:
        pytest.skip("there is no IPv6 here")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        port = listener.socket.getsockname()[1]
        assert await fetch(client, f"http://[::1]:{port}/x") == b"ok"
        nursery.cancel_scope.cancel()
    assert f"host: [::1]:{port}\r\n".encode() in asked[0].lower()
