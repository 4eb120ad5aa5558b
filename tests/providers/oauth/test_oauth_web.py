"""The exchange with an account server: what is sent, what is taken, and what no error gives away."""

import re
import traceback
from urllib.parse import parse_qsl

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers.oauth import web
from providers.oauth.web import WebRequest, fetch, fetch_json, form_encoded
from runtime.errors import (
    AgentrioError,
    ApiStatusError,
    InvalidOptionError,
    TransportError,
)
from tests.providers.loopback import chunk, head, raw, reply, serve

TOKEN = "sk-ant-oat01-Zm9vYmFyYmF6"
CODE = "the-code-of-the-day"


def ask(url: str) -> WebRequest:
    return WebRequest.json(f"{url}/token", {"grant_type": "authorization_code", "code": CODE})


async def failure_of(request: WebRequest, **options) -> AgentrioError:
    with pytest.raises(AgentrioError) as caught:
        await fetch_json(request, **options)
    return caught.value


def shown(error: BaseException) -> str:
    return str(error) + repr(error) + "".join(traceback.format_exception(error))


# Requests


async def test_a_json_object_is_posted():
    """With the headers of the caller, and its content type."""
    async with serve(reply('{"x": 1}')) as server:
        request = WebRequest.json(f"{server.url}/token", {"a": "é", "b": 2}, {"Accept": "application/json"})
        assert await fetch_json(request) == {"x": 1}
    (sent,) = server.requests
    assert (sent.method, sent.target, sent.json()) == ("POST", "/token", {"a": "é", "b": 2})
    assert (sent.headers["content-type"], sent.headers["accept"]) == ("application/json", "application/json")


async def test_a_form_is_posted():
    """Encoded as browsers encode it."""
    async with serve(reply("{}")) as server:
        fields = {"client_id": "me", "scope": "read:user", "device_code": "abc def/ghi"}
        await fetch_json(WebRequest.form(f"{server.url}/code?v=1", fields))
    (sent,) = server.requests
    assert sent.body == b"client_id=me&scope=read%3Auser&device_code=abc+def%2Fghi"
    assert sent.target == "/code?v=1"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_get_has_no_body():
    """Only its headers."""
    async with serve(reply('{"data": []}')) as server:
        assert await fetch_json(WebRequest.get(f"{server.url}/models", {"Authorization": "Bearer x"})) == {
            "data": []
        }
    (sent,) = server.requests
    assert (sent.method, sent.target, sent.body) == ("GET", "/models", b"")
    assert sent.headers["authorization"] == "Bearer x"
    assert "content-length" not in sent.headers
    assert "content-type" not in sent.headers


@pytest.mark.parametrize("url", ["ftp://server.test/x", "server.test", "http://"])
def test_a_request_goes_to_a_web_address(url):
    """Another one is refused when it is made."""
    with pytest.raises(InvalidOptionError, match="invalid URL"):
        WebRequest.get(url)


def test_a_request_does_not_show_what_it_carries():
    """Method and place only."""
    request = WebRequest.json("https://me:pass@server.test/token?key=1", {"code": CODE})
    assert repr(request) == f"<WebRequest POST https://server.test/token, {len(request.body)} bytes>"


FORMS = [
    ("abc def/ghi", "abc+def%2Fghi"),
    ("~!'()*-._", "%7E%21%27%28%29*-._"),
    ("a+b&c=d%", "a%2Bb%26c%3Dd%25"),
    ("é\u20ac\U0001f600", "%C3%A9%E2%82%AC%F0%9F%98%80"),
    ("half \ud83d of a pair", "half++of+a+pair"),
    ("line\nbreak", "line%0Abreak"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "encoded"), FORMS)
def test_forms_are_encoded_as_browsers_do(text, encoded):
    """Space is +, the four characters *-._ and alphanumerics stay, the rest is %XX in capitals."""
    assert form_encoded({"f": text}) == f"f={encoded}"


@given(st.lists(st.tuples(st.text(), st.text()).filter(any), max_size=5))
def test_every_form_can_be_read_again(pairs):
    """Whatever the names and values are, and in their order."""
    encoded = form_encoded(pairs)
    assert re.fullmatch(r"[A-Za-z0-9*._+%&=-]*", encoded)
    assert parse_qsl(encoded, keep_blank_values=True) == pairs


# Answers


async def test_an_answer_is_returned_whatever_its_status():
    """With its headers in lower case, and its whole body."""
    async with serve(reply("later", status=429, Retry_After="7")) as server:
        got = await fetch(ask(server.url))
    assert (got.status, got.ok, got.headers["retry-after"], got.body) == (429, False, "7", b"later")
    assert repr(got) == f"<Answer 429 of POST {server.url}/token, 5 bytes>"


async def test_nothing_is_retried():
    """A status that asks for it, too: the code may be spent."""
    async with serve(reply("busy", status=503, Retry_After="0")) as server:
        error = await failure_of(ask(server.url))
    assert len(server.requests) == 1
    assert str(error) == f"provider returned HTTP 503 Service Unavailable: busy (POST {server.url}/token)"


async def test_a_connection_that_breaks_is_no_reason_to_send_again():
    """Not even one that was open from before: the server may have taken the code before it went."""
    async with serve(reply("{}"), raw(b"", close=True)) as server:
        await fetch(ask(server.url))
        error = await failure_of(ask(server.url))
        assert len(server.requests) == 2
    assert isinstance(error, TransportError)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status):
    """Not even by a client that follows them: the code is for the one who was asked."""
    async with (
        serve(reply("", status=status, Location="/elsewhere"), repeat=True) as server,
        httpx.AsyncClient(follow_redirects=True) as client,
    ):
        for http_client in (None, client):
            error = await failure_of(ask(server.url), http_client=http_client)
            assert isinstance(error, ApiStatusError)
            assert error.status == status
            assert "redirects are not followed" in str(error)
    assert [sent.target for sent in server.requests] == ["/token", "/token"]


async def test_a_client_of_the_caller_is_used_and_stays_open():
    """Its headers are sent along."""
    async with serve(reply("{}")) as server, httpx.AsyncClient(headers={"x-mine": "1"}) as client:
        await fetch_json(ask(server.url), http_client=client)
        assert not client.is_closed
    assert server.requests[0].headers["x-mine"] == "1"


async def test_a_proxy_of_the_environment_is_used(monkeypatch):
    """As for every request of the pool."""
    async with serve(reply('{"via": "proxy"}')) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert await fetch_json(ask("http://server.test")) == {"via": "proxy"}
    assert proxy.requests[0].target == "http://server.test/token"


async def test_a_compressed_answer_is_unpacked_within_the_limit():
    """A small packet may hold a gigabyte of nothing."""
    import gzip

    bomb = gzip.compress(b" " * (web.MAX_BYTES + 1))
    async with serve(
        reply(gzip.compress(b'{"x":1}'), content_encoding="gzip"), reply(bomb, content_encoding="gzip")
    ) as server:
        assert await fetch_json(ask(server.url)) == {"x": 1}
        assert "longer than 1048576 bytes" in str(await failure_of(ask(server.url)))


# Failures on the way


async def test_an_answer_has_a_limit():
    """One that is longer is an error, however it is sent; the beginning of a failure is still told."""
    endless = [chunk(b"x" * 65536)] * 40
    chunked = {"transfer-encoding": "chunked"}
    async with serve(
        raw(head(200, chunked) + b"".join(endless), hang=True),
        raw(head(500, chunked) + b"".join(endless), hang=True),
    ) as server:
        error = await failure_of(ask(server.url))
        assert isinstance(error, TransportError)
        assert str(error) == f"the answer from {server.url}/token is longer than {web.MAX_BYTES} bytes"
        error = await failure_of(ask(server.url))
        assert isinstance(error, ApiStatusError)
        assert len(str(error)) < 3000
        await server.wait_closed()


@pytest.mark.parametrize(
    "script",
    [raw(b"", hang=True), raw(head(200, {"content-length": "9"}) + b'{"a"', hang=True)],
    ids=["head", "body"],
)
async def test_a_silent_server_is_not_waited_for(script):
    """The time-out is for the whole answer, and nothing stays open."""
    async with serve(script) as server:
        error = await failure_of(ask(server.url), within=0.3)
        await server.wait_closed()
    assert isinstance(error, TransportError)
    assert str(error) == f"no whole answer from POST {server.url}/token within 0.3 seconds"


async def test_a_dripping_server_is_not_waited_for():
    """Bytes that come one by one do not prolong the time."""

    async def drip(wire):
        await wire.send(head(200, {"content-length": "100000"}))
        while not wire.closed.is_set():
            await wire.send(b" ")
            await trio.sleep(0.005)

    async with serve(drip) as server:
        assert "within 0.3 seconds" in str(await failure_of(ask(server.url), within=0.3))


async def test_a_connection_that_breaks_in_the_answer():
    """The error says where; half an answer is none."""
    async with serve(
        raw(head(200, {"content-length": "99"}) + b'{"access_token":"abcdef', close=True)
    ) as server:
        error = await failure_of(ask(server.url))
    assert isinstance(error, TransportError)
    assert str(error).startswith(f"{server.url}/token did not keep to HTTP: ")
    assert "abcdef" not in shown(error)


async def test_a_refusal_that_breaks_off_is_told_as_far_as_it_came():
    """Its status matters more than its end."""
    async with serve(raw(head(400, {"content-length": "99"}) + b"invalid_gra", close=True)) as server:
        error = await failure_of(ask(server.url))
    assert isinstance(error, ApiStatusError)
    assert error.body == "invalid_gra"


async def test_nobody_is_there():
    """A refused connection is a TransportError with the address."""
    async with serve() as server:
        url = server.url
    error = await failure_of(ask(url))
    assert isinstance(error, TransportError)
    assert str(error).startswith(f"cannot connect to {url}/token: ")


async def test_what_is_no_http_gives_nothing_away():
    """A server that speaks something else is quoted without what looks like a token."""
    async with serve(raw(f'{{"access_token":"{TOKEN}"}}\r\n\r\n'.encode(), close=True)) as server:
        error = await failure_of(ask(server.url))
    assert isinstance(error, TransportError)
    assert "did not keep to HTTP" in str(error)
    assert TOKEN not in shown(error)


async def test_a_cancelled_exchange_leaves_no_connection():
    """While the head is awaited, and in the body."""
    async with serve(
        raw(b"", hang=True), raw(head(200, {"content-length": "9"}) + b"{", hang=True)
    ) as server:
        for count in (1, 2):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fetch, ask(server.url))
                    await server.wait_requests(count)
                    scope.cancel()
            assert scope.cancelled_caught
            await server.wait_closed()


async def test_what_was_sent_is_in_no_error_of_a_real_exchange():
    """Neither in the text, nor in its traceback."""
    async with serve(reply(f"no such code: {CODE}", status=400)) as server:
        error = await failure_of(ask(server.url))
    assert "no such code: ***" in str(error)
    assert CODE not in shown(error)
