"""Servers that break HTTP on purpose, against our own connections: an error, no wait without end, and nobody else's answer."""

import httpx
import pytest
import trio

from providers.transport import Request, open_response
from runtime.errors import TransportError
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from tests.providers.direct_lab import connections_of, direct, fetch
from tests.providers.loopback import Wire, chunk, head, raw, reply, serve

INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


@pytest.fixture
async def client():
    async with direct() as client:
        yield client


@pytest.mark.parametrize(
    "fields",
    [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: -1",
        "content-length: 0x5",
        "content-length: " + "9" * 5000,
        "transfer-encoding: gzip",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "no colon",
        "bad name : 1",
        "x: a\rb",
        "x: a\x00b",
    ],
)
async def test_a_head_that_may_be_read_in_two_ways_is_refused(fields, client):
    """Where it is doubtful what belongs to an answer, it is none, and its connection is closed."""
    answer = f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello".encode()
    async with serve(raw(answer), reply("next")) as server:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await fetch(client, server.url)
        assert str(caught.value)
        assert connections_of(client) == []
        assert await fetch(client, server.url) == b"next"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 1000 High\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\x00\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    ],
)
async def test_a_status_line_that_is_none_is_refused(answer, client):
    """It is told as such, and the connection is closed."""
    async with serve(raw(answer, hang=True)) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(client, server.url)
        assert connections_of(client) == []


async def test_a_switch_to_another_protocol_is_refused(client):
    """Not even a caller who offers one gets one: nothing here could speak it."""
    switched = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\nother words"
    async with serve(raw(switched, hang=True)) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="another protocol"):
            await fetch(client, server.url, upgrade="other", connection="upgrade")
        assert connections_of(client) == []


async def test_interim_answers_without_end_can_be_given_up(client):
    """They keep nobody from running: a deadline holds, and the socket is closed."""
    ticks = 0

    async def flood(wire: Wire) -> None:
        while not wire.closed.is_set():
            await wire.send(INTERIM * 100)

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.001)
            ticks += 1

    async with serve(flood) as server, trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        with trio.move_on_after(0.1) as scope:
            await fetch(client, server.url)
        assert scope.cancelled_caught
        assert ticks > 5
        assert connections_of(client) == []
        await server.wait_closed()
        nursery.cancel_scope.cancel()


async def test_a_body_shorter_than_its_length(client):
    """What is missing is told; what came is not taken for all of it."""
    async with serve(raw(head(200, {"content-length": "9"}) + b"part", close=True)) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await fetch(client, server.url)
        assert connections_of(client) == []


async def test_a_chunk_that_is_announced_too_large_is_only_an_announcement(client):
    """Memory is taken by what comes, not by what is promised."""
    promise = head(200, {"transfer-encoding": "chunked"}) + b"f" * 15 + b"\r\n" + b"x" * 50_000
    async with serve(raw(promise, close=True)) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await fetch(client, server.url)
        assert connections_of(client) == []


async def test_extensions_and_trailers_are_passed_over(client):
    """They are in no body and in no header; the connection is used again."""
    chunks = b'5;a="b"\r\nhello\r\n0;last\r\nset-cookie: a=b\r\ncontent-length: 3\r\n\r\n'
    async with serve(raw(head(200, {"transfer-encoding": "chunked"}) + chunks), reply("b")) as server:
        assert await fetch(client, server.url) == b"hello"
        assert await fetch(client, server.url) == b"b"
        assert len(server.wires) == 1


async def test_a_second_answer_in_the_same_packet_is_nobodys(client):
    """Not that of the next request, whatever the first one's framing."""
    second = head(200, {"content-length": "6"}) + b"forged"
    firsts = [
        head(200, {"content-length": "1"}) + b"a",
        head(200, {"transfer-encoding": "chunked"}) + chunk(b"a") + chunk(b""),
        head(204) + b"",
        head(304, {"content-length": "7"}),
    ]
    for first in firsts:
        async with serve(raw(first + second), reply("b")) as server:
            assert await fetch(client, server.url) in (b"a", b"")
            assert await fetch(client, server.url) == b"b"
            assert len(server.wires) == 2


@pytest.mark.parametrize("framing", [{"content-length": "5"}, {"transfer-encoding": "chunked"}])
async def test_a_head_request_has_an_answer_without_a_body(framing, client):
    """Whatever its header says: the connection can be used again."""
    async with serve(raw(head(200, framing)), reply("b")) as server:
        assert await fetch(client, server.url, "HEAD") == b""
        assert await fetch(client, server.url) == b"b"
        assert len(server.wires) == 1


async def test_a_head_in_the_smallest_packets(client):
    """Bytes that come one by one are the same answer."""
    answer = INTERIM + head(200, {"transfer-encoding": "chunked"}) + chunk(b"slow") + chunk(b"")
    async with serve(raw(answer, size=1)) as server:
        assert await fetch(client, server.url) == b"slow"


@pytest.mark.parametrize("place", range(60, 110, 10))
async def test_half_a_key_in_a_chunk_header_is_not_shown(place):
    """The error quotes what was no chunk; nowhere is it cut before credentials are taken out."""
    key, model = "k3y" * 12, Model(id="m", api="openai-completions", provider="test")
    nonsense = b"x" * place + key.encode() + b"y" * 100 + b"\r\n"
    async with serve(raw(head(200, {"transfer-encoding": "chunked"}) + nonsense, hang=True)) as server:
        request = Request(server.url, {}, b"{}", (key,))
        with pytest.raises(TransportError, match="illegal chunk header") as caught:
            async with open_response(request, StreamOptions(max_retries=0), model) as response:
                async for _ in response:
                    pass
    assert "k3y" not in str(caught.value)
