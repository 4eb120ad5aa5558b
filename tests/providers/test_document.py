"""Whole JSON documents: what comes, what does not, and what is no document."""

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from providers.document import Document, fetch_document
from providers.pool import current_pool
from providers.transport import Request
from runtime.errors import (
    AgentrioError,
    ApiStatusError,
    HookError,
    InvalidResponseError,
    ProviderError,
    TransportError,
)
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from tests.providers.loopback import Wire, chunk, head, raw, reply, serve

MODEL = Model("m", api="a", provider="p")
KEY = "sk-document-0123456789"
ONCE = StreamOptions(max_retries=0)
JSON = {"content_type": "application/json"}
CHUNKED = head(200, {"content-type": "application/json", "transfer-encoding": "chunked"})


def request_to(url: str) -> Request:
    return Request(url + "/v1/things", {"Authorization": f"Bearer {KEY}"}, b"{}", (KEY,))


async def fetch(url: str, options: StreamOptions = ONCE) -> Document:
    return await fetch_document(request_to(url), options, MODEL)


async def failure(script, options: StreamOptions = ONCE) -> AgentrioError:
    """How a document fails to come; it leaves nothing in use."""
    async with serve(script) as server:
        with pytest.raises(AgentrioError) as caught:
            (await fetch(server.url, options)).json()
        assert current_pool().statistics().in_flight == 0
    assert f"(POST {server.url}/v1/things" in str(caught.value) or f"{server.url}/v1/things" in str(
        caught.value
    )
    assert KEY not in str(caught.value)
    return caught.value


# What comes


async def test_a_document_comes_whole():
    """In however many pieces, and the connection is used again."""
    body = json.dumps({"a": "x" * 100_000, "b": [1.5, None]})
    pieces = raw(
        CHUNKED
        + b"".join(chunk(body[at : at + 999].encode()) for at in range(0, len(body), 999))
        + chunk(b"")
    )
    async with serve(reply(body, **JSON), pieces) as server:
        for _ in range(2):
            document = await fetch(server.url, StreamOptions())
            assert document.json() == json.loads(body)
            assert document.data == body.encode()
        assert len(server.wires) == 1
        assert current_pool().statistics().in_flight == 0


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n \r\n\t", b"\r\n\xef\xbb\xbf"])
async def test_what_stands_before_a_document_does_not_matter(before):
    """A byte order mark, and the blank lines that keep connections alive."""
    async with serve(reply(before + b' {"a":1}', **JSON)) as server:
        assert (await fetch(server.url)).json() == {"a": 1}


async def test_half_of_a_surrogate_pair_is_let_through():
    """Servers write them; values drop them."""
    async with serve(reply(b'{"a":"\\ud83d","b":"\\ud83d\\ude00"}', **JSON)) as server:
        assert (await fetch(server.url)).json() == {"a": "\ud83d", "b": "\U0001f600"}


async def test_a_document_shows_no_content():
    """Its size and where it is from."""
    async with serve(reply('{"a":1}', **JSON)) as server:
        assert repr(await fetch(server.url)) == f"<Document of 7 bytes from {server.url}/v1/things>"


async def test_a_retry_helps():
    """Before the success, as for streams."""
    async with serve(
        raw(b"", close=True), reply("busy", 429, retry_after_ms="1"), reply("{}", **JSON)
    ) as server:
        options = StreamOptions(max_retries=2)
        with trio.fail_after(10):
            assert (await fetch(server.url, options)).json() == {}
        assert len(server.requests) == 3


async def test_the_hook_sees_the_response():
    """Status and headers; what it raises ends the call."""
    seen = []

    async def look(info, model):
        seen.append((info.status, info.headers["content-type"], model))

    async with serve(reply("{}", **JSON)) as server:
        await fetch(server.url, StreamOptions(on_response=look))
    assert seen == [(200, "application/json", MODEL)]

    async def fail(info, model):
        raise KeyError(f"no {KEY}")

    error = await failure(reply("{}"), StreamOptions(on_response=fail))
    assert isinstance(error, HookError)
    assert "no ***" in str(error)


# What is none


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "could not decode the response: EOF while parsing"),
        (b"<html><body>Sign in</body></html>", "text/html came: '<html><body>Sign in</body></html>'"),
        (b'{"a":', "EOF while parsing a value"),
        (b'{"a":NaN}', "could not decode the response"),
        (b"[1]]", "trailing characters"),
        (b"\xff\xfe", "could not decode the response"),
        (b"data: {}\n\n", "expected value"),
        (b"[" * 100_000, "recursion limit"),
    ],
)
async def test_what_is_no_json_is_quoted(body, says):
    """With the place of the fault, and how it begins."""
    error = await failure(reply(body, content_type="text/html"))
    assert isinstance(error, InvalidResponseError)
    assert says in str(error)
    assert len(str(error)) < 1000


async def test_a_quote_holds_no_credential():
    """However the server spells it."""
    body = json.dumps({"echo": f"Bearer {KEY}"}) + json.dumps({"again": KEY.replace("-", "\\u002d")})
    assert "***" in str(await failure(reply(body)))
    error = await failure(reply(f"key was {KEY}", 401))
    assert (type(error), error.status) == (ApiStatusError, 401)
    assert KEY not in error.body


async def test_a_refusal_begins_as_it_is_told_to():
    """And may be made for a document of a wrong shape."""
    async with serve(reply("no", content_type="text/plain"), reply(f'["{KEY}"]', **JSON)) as server:
        with pytest.raises(InvalidResponseError, match="^invalid provider response: could not read things: "):
            (await fetch(server.url)).json("could not read things")
        error = (await fetch(server.url)).invalid(f"expected two of {KEY}")
    assert str(error) == (
        f"invalid provider response: expected two of *** (POST {server.url}/v1/things; application/json came: '[\"***\"]')"
    )


async def test_a_body_that_breaks_off_is_not_taken():
    """Nor asked for again: the answer had begun."""
    for script in (
        raw(head(200, {"content-length": "100"}) + b'{"a":1}', close=True),
        raw(CHUNKED + chunk(b'{"a":1}'), close=True),
    ):
        error = await failure(script, StreamOptions(max_retries=2))
        assert isinstance(error, TransportError)
        assert "did not keep to HTTP" in str(error)


async def test_a_document_may_not_be_too_long():
    """At the limit it is taken; one byte more is not waited for."""
    body = b'"' + b"x" * 998 + b'"'
    async with serve(reply(body)) as server:
        assert len((await fetch(server.url, StreamOptions(max_event_bytes=1000))).data) == 1000
    for script in (reply(body + b" "), raw(CHUNKED + chunk(body + b" "), hang=True)):
        error = await failure(script, StreamOptions(max_event_bytes=1000, max_retries=0))
        assert isinstance(error, TransportError)
        assert "the answer is longer than max_event_bytes=1000" in str(error)


async def test_a_packed_body_counts_as_it_is_unpacked():
    """A small one may hold a gigabyte of nothing."""
    import zlib

    packed = zlib.compress(b" " * 5 + b"[" + b" " * 50_000_000)
    error = await failure(
        reply(packed, content_encoding="deflate"), StreamOptions(max_event_bytes=1 << 20, max_retries=0)
    )
    assert "longer than max_event_bytes=1048576" in str(error)


async def test_the_wait_that_a_server_asks_for_has_a_limit():
    """It says how long that was."""
    error = await failure(reply("busy", 429, retry_after="3600"))
    assert isinstance(error, ApiStatusError)
    error = await failure(reply("busy", 429, retry_after="3600"), StreamOptions(max_retries=1))
    assert type(error) is ProviderError
    assert "Server requested 3600s retry delay (max: 60s)." in str(error)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
@settings(max_examples=60)
def test_any_bytes_are_json_or_an_invalid_response(data):
    """Nothing else is raised."""
    request = request_to("http://h")
    try:
        value = Document(request, {}, data).json()
    except InvalidResponseError as error:
        assert str(error).startswith("invalid provider response: could not decode the response: ")
    else:
        assert json.loads(data) == value


# Time


def script_of(*pieces: bytes | float):
    """Send pieces, and in between wait for seconds of trio's clock."""

    async def run(wire: Wire) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                await wire.send(piece)
            else:
                with trio.move_on_after(piece):
                    await wire.wait_closed()
        await wire.wait_closed()

    return run


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ((), "no event from {} within first_event_timeout=10 seconds"),
        ((CHUNKED,), "no event from {} within first_event_timeout=10 seconds"),
        (
            (CHUNKED, 6, chunk(b" \n"), 6, chunk(b"{}")),
            "no event from {} within first_event_timeout=10 seconds",
        ),
        (
            (CHUNKED, 6, chunk(b"{"), 19, chunk(b"}"), 21),
            "no further event from {} within event_timeout=20 seconds",
        ),
        ((CHUNKED, *((chunk(b"["), 9) * 9)), "no end of the reply from {} within timeout=50 seconds"),
    ],
)
async def test_each_time_out_says_which_it_was(mock_clock, pieces, says):
    """Blank bytes are no progress; every other piece has its full time."""
    options = StreamOptions(max_retries=0, first_event_timeout=10, event_timeout=20, timeout=50)
    async with serve(script_of(*pieces)) as server, trio.open_nursery() as nursery:
        done = trio.Event()

        async def ask() -> None:
            with pytest.raises(TransportError) as caught:
                await fetch(server.url, options)
            assert str(caught.value) == says.format(f"{server.url}/v1/things")
            done.set()

        nursery.start_soon(ask)
        for _ in range(60):
            await wait_all_tasks_blocked(0.01)
            if done.is_set():
                break
            mock_clock.jump(1)
        assert done.is_set()
        await server.wires[0].closed.wait()


async def test_a_slow_document_may_take_its_time(mock_clock):
    """As long as something comes."""
    pieces = [item for byte in b'{"a":1}' for item in (chunk(bytes([byte])), 19.0)]
    async with serve(script_of(CHUNKED, *pieces, chunk(b""))) as server, trio.open_nursery() as nursery:
        documents = []

        async def ask() -> None:
            documents.append(await fetch(server.url, StreamOptions(first_event_timeout=1, event_timeout=20)))

        nursery.start_soon(ask)
        await server.wait_requests()
        for _ in range(200):
            await wait_all_tasks_blocked(0.01)
            if documents:
                break
            mock_clock.jump(1)
        assert documents[0].json() == {"a": 1}
