"""The loopback server that waits for the browser: what it takes, what it refuses, and what is left of it."""

import socket
import struct
from contextlib import suppress

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.oauth import callback_server
from providers.oauth.callback_server import (
    LOOPBACK,
    MAX_BYTES,
    MAX_CONNECTIONS,
    open_callback_server,
    reply_to,
)
from providers.oauth.web import form_encoded
from runtime.errors import InvalidOptionError, OAuthError

STATE = "the-state"
GOOD = f"/callback?code=abc&state={STATE}"


def opened():
    return open_callback_server(STATE, port=0)


async def dial(server) -> trio.SocketStream:
    return await trio.open_tcp_stream(LOOPBACK, server.port)


async def exchange(stream: trio.SocketStream, *pieces: bytes) -> bytes:
    async with stream:
        for piece in pieces:
            await stream.send_all(piece)
        return b"".join([data async for data in stream])


async def send(server, *pieces: bytes) -> bytes:
    return await exchange(await dial(server), *pieces)


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def can_be_bound(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
            sock.listen()
        except OSError:
            return False
    return True


async def test_it_takes_a_code_with_the_right_state():
    """The browser gets a whole page that nobody keeps, and the code is there."""
    async with opened() as server:
        answer = await send(server, get(GOOD))
        with trio.fail_after(5):
            await server.arrived.wait()
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d\r\n" % len(page) in head
    assert b"Connection: close" in head
    assert b"Cache-Control: no-store" in head
    assert b"Referrer-Policy: no-referrer" in head
    assert b"Authorized" in page
    assert b"abc" not in page
    assert server.code == "abc"
    assert repr(server.code) == "'***'"


REFUSALS = [
    ("nonsense", 400, "no request"),
    ("GET /callback", 400, "no request"),
    (f"GET http://localhost{GOOD} HTTP/1.1", 400, "no request"),
    (f"POST {GOOD} HTTP/1.1", 400, "no request"),
    (f"GET {GOOD} HTTP/2", 400, "no request"),
    (f"GET {GOOD}{'&x=y' * 100} HTTP/1.1", 400, "no request"),
    (f"GET /other?code=abc&state={STATE} HTTP/1.1", 404, "nothing here"),
    ("GET /favicon.ico HTTP/1.1", 404, "nothing here"),
    (f"GET {GOOD}&error=access_denied HTTP/1.1", 400, "access_denied"),
    (
        "GET /callback?error=access_denied&error_description=not+today HTTP/1.1",
        400,
        "access_denied not today",
    ),
    ("GET /callback HTTP/1.1", 400, "no code"),
    (f"GET /callback?state={STATE} HTTP/1.1", 400, "no code"),
    (f"GET /callback?code=&state={STATE} HTTP/1.1", 400, "no code"),
    ("GET /callback?code=abc HTTP/1.1", 400, "no state"),
    ("GET /callback?code=abc&state=another HTTP/1.1", 400, "The state"),
    ("GET /callback?code=abc&state=%ff%fe HTTP/1.1", 400, "The state"),
    (f"GET /callback?code=abc&state=another&state={STATE} HTTP/1.1", 400, "The state"),
]


@pytest.mark.parametrize(("line", "code", "text"), REFUSALS)
async def test_it_refuses_and_goes_on(line, code, text):
    """Everything else is answered as what it is, and the login still waits for its code."""
    async with opened() as server:
        answer = await send(server, f"{line}\r\n\r\n".encode())
        assert status(answer) == code
        assert text in answer.decode()
        assert b"Not authorized" in answer
        assert server.code is None
        assert status(await send(server, get(GOOD))) == 200
        await server.arrived.wait()


async def test_what_the_address_says_is_shown_as_text():
    """An error of an address is no HTML, and not longer than a few lines."""
    async with opened() as server:
        query = form_encoded({"error": "<script>alert('x')</script>", "error_description": "y" * 5000})
        answer = await send(server, get(f"/callback?{query}"))
    assert b"&lt;script&gt;alert(&#x27;x&#x27;)" in answer
    assert b"<script" not in answer
    assert len(answer) < 2000


async def test_the_first_code_counts():
    """A second one changes nothing any more."""
    async with opened() as server:
        await send(server, get(GOOD))
        await server.arrived.wait()
        assert status(await send(server, get(GOOD.replace("abc", "def")))) == 200
        assert server.code == "abc"


async def test_a_request_may_come_in_pieces():
    """The line is read to its end, however it is cut."""
    async with opened() as server:
        stream = await dial(server)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = get(GOOD)
        line = data.index(b"\r\n") + 2  # after that, it may be closed
        assert status(await exchange(stream, *(data[at : at + 1] for at in range(line)))) == 200
        await server.arrived.wait()


async def test_a_request_with_large_headers_gets_its_page():
    """What is not read of a request does not cost the browser the answer."""
    async with opened() as server:
        cookies = b"Cookie: " + b"c" * 200_000 + b"\r\n\r\n"
        assert status(await send(server, get(GOOD)[:-2] + cookies)) == 200
        with trio.fail_after(5):
            await server.arrived.wait()


async def test_a_line_that_is_too_long_is_refused():
    """No more of a line is read than the limit."""
    async with opened() as server:
        padding = "p" * MAX_BYTES
        assert status(await send(server, get(f"/callback?x={padding}&code=abc&state={STATE}"))) == 400
        assert server.code is None


async def test_a_browser_that_breaks_off_has_brought_its_code():
    """Nobody reads the page, and the login goes on."""
    async with opened() as server:
        stream = await dial(server)
        await stream.send_all(get(GOOD))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()
        with trio.fail_after(5):
            await server.arrived.wait()


async def test_silent_connections_are_closed_in_time(monkeypatch):
    """More of them than are served at once only delay the one that has something to say."""
    monkeypatch.setattr(callback_server, "PATIENCE", 0.1)
    async with opened() as server:
        silent = [await dial(server) for _ in range(MAX_CONNECTIONS + 5)]
        with trio.fail_after(5):
            assert status(await send(server, get(GOOD))) == 200
            for stream in silent:
                assert await stream.receive_some() == b""
                await stream.aclose()


async def test_no_more_connections_than_the_limit_are_taken():
    """Those beyond it wait in the queue of the system, and are served when others go."""
    async with opened() as server:
        silent = [await dial(server) for _ in range(MAX_CONNECTIONS)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        late = await dial(server)
        await late.send_all(get(GOOD))
        await late.send_eof()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert server.code is None
        for stream in silent:
            await stream.aclose()
        with trio.fail_after(5):
            await server.arrived.wait()
        await late.aclose()


async def test_a_port_that_is_taken_is_an_error_that_says_so():
    """Which host, which port, and what to do."""
    async with opened() as server:
        with pytest.raises(
            OAuthError, match=rf"{LOOPBACK}, port {server.port}: .*[Aa]ddress.* in use \(if another login"
        ):
            async with open_callback_server(STATE, port=server.port):
                pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost.example", ""])
async def test_it_listens_on_loopback_only(host):
    """An address that others can reach is refused."""
    with pytest.raises(InvalidOptionError, match="loopback"):
        async with open_callback_server(STATE, port=0, host=host):
            pass


async def test_another_loopback_address_will_do():
    """On a machine that has it."""
    async with open_callback_server(STATE, port=0, host="127.0.0.2") as server:
        stream = await trio.open_tcp_stream("127.0.0.2", server.port)
        assert status(await exchange(stream, get(GOOD))) == 200


async def test_nothing_listens_after_the_block():
    """The port is free, and a connection that was open is closed."""
    async with opened() as server:
        stream = await dial(server)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert can_be_bound(server.port)
    assert await stream.receive_some() == b""
    await stream.aclose()


async def test_an_exception_leaves_the_block_as_itself():
    """Not in a group, and the port is free."""
    with pytest.raises(LookupError, match="mine"):
        async with opened() as server:
            raise LookupError("mine")
    assert can_be_bound(server.port)


async def test_a_cancelled_block_closes_the_server():
    """The scope's cancellation stays its own."""
    with trio.move_on_after(0.01) as scope:
        async with opened() as server:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert can_be_bound(server.port)


async def test_its_repr_tells_the_state():
    """Neither code nor state are in it."""
    async with opened() as server:
        assert repr(server) == f"<CallbackServer on port {server.port}, waiting>"
        await send(server, get(GOOD))
        await server.arrived.wait()
        assert repr(server) == f"<CallbackServer on port {server.port}, done>"


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: f"GET /callback?{text} HTTP/1.1".encode())
)
def test_any_line_gets_a_reply(line):
    """Whatever the bytes are, the answer is an HTTP response, and without the state there is no code."""
    reply = reply_to(line, "/callback", STATE)
    assert reply.status in (400, 404)
    assert reply.code is None
    assert reply.render().startswith(f"HTTP/1.1 {reply.status} ".encode())


@given(
    st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])), st.text(min_size=1, max_size=50)
)
def test_every_code_comes_through(code, state):
    """As it was encoded, whatever its characters."""
    query = form_encoded({"code": code, "state": state.encode("utf-8", "replace").decode()})
    reply = reply_to(
        f"GET /callback?{query} HTTP/1.1\r\n".encode(), "/callback", state.encode("utf-8", "replace").decode()
    )
    assert (reply.status, reply.code) == (200, code)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=100), max_size=4), st.booleans())
def test_no_bytes_bring_it_down(pieces, polite):
    """After whatever a connection brought, and however it ended, the next browser is served."""

    async def main():
        async with opened() as server:
            stream = await dial(server)
            async with stream:
                with suppress(trio.BrokenResourceError):  # it has heard enough
                    for piece in pieces:
                        await stream.send_all(piece)
                    if polite:
                        await stream.send_eof()
            assert status(await send(server, get(GOOD))) == 200
            await server.arrived.wait()

    trio.run(main)
