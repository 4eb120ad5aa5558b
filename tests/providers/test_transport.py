"""One POST: retries, failures and their texts, bodies, hooks, clients, cancellation, secrets."""

import gc
import gzip
import itertools
import json
import logging
import socket
import zlib

import httpx
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from providers.pool import current_pool, limit_requests
from providers.transport import Patience, Request, join_url, open_response
from runtime.errors import (
    AgentrioError,
    ApiStatusError,
    HookError,
    InvalidOptionError,
    ProviderError,
    TransportError,
)
from runtime.values.model import Model
from runtime.values.options import ResponseInfo, StreamOptions
from tests.providers.loopback import SSE_HEAD, Script, Wire, chunk, head, raw, reply, serve, sse

MODEL = Model("m", api="a", provider="p")
KEY = "sk-tést/0123456789+abc=".replace("é", "e")
ONCE = StreamOptions(max_retries=0)
SOON = {"retry_after_ms": "1"}


def request_to(url: str, key: str = KEY) -> Request:
    return Request(url + "/v1/chat", {"Authorization": f"Bearer {key}"}, b'{"hello":1}', (key,))


async def fetch(url: str, options: StreamOptions = ONCE) -> bytes:
    async with open_response(request_to(url), options, MODEL) as response:
        return b"".join([piece async for piece in response])


async def failure(url: str, options: StreamOptions = ONCE) -> AgentrioError:
    with pytest.raises(AgentrioError) as caught:
        await fetch(url, options)
    return caught.value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# Requests


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://h/v1", "/chat", "http://h/v1/chat"),
        ("http://h/v1///", "/chat", "http://h/v1/chat"),
        (" http://h ", "/chat", "http://h/chat"),
        ("http://h/x/?api-version=1", "/chat/completions", "http://h/x/chat/completions?api-version=1"),
        ("http://h/x?a=1", "/m?beta=true", "http://h/x/m?beta=true&a=1"),
    ],
)
def test_a_path_is_joined_before_the_query(base, path, url):
    """Trailing slashes go, the query of the base URL stays."""
    assert join_url(base, path) == url


def test_the_repr_of_a_request_shows_no_value():
    """Neither header values nor user, password or query are shown."""
    request = Request("https://u:pass@h/v1?key=abc", {"Authorization": "Bearer abc"}, b"12", ("abc",))
    assert repr(request) == "<Request POST https://h/v1, 2 bytes, headers Authorization>"


@pytest.mark.parametrize("url", ["", "h/v1", "ftp://h/", "http://", "http:///v1", "https://?key=secret"])
def test_a_url_must_name_a_host(url):
    """A URL that cannot work is refused when the request is made, without showing its query."""
    with pytest.raises(InvalidOptionError, match="invalid URL") as caught:
        Request(url, {}, b"")
    assert "secret" not in str(caught.value)


def test_headers_are_checked():
    """A header that HTTP cannot carry is refused; its value is not shown."""
    with pytest.raises(InvalidOptionError, match="X-Key") as caught:
        Request("http://h", {"X-Key": "secret\n"}, b"")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h:port/", "http://[::1/", "http://h/\x00", f"http://{'a' * 64}.x/"])
async def test_an_impossible_url_is_an_invalid_option(url):
    """What httpx or the resolver finds wrong with a URL is the caller's mistake, and is not retried."""
    with pytest.raises(InvalidOptionError, match="invalid URL"):
        await fetch(url, StreamOptions(max_retries=5))


async def test_what_is_sent():
    """Method, path, query, headers and body arrive as they were given."""
    async with serve(reply("ok")) as server:
        request = Request(server.url + "/a/b?v=1", {"X-Name": "x", "Accept": "y"}, b'{"a":1}')
        async with open_response(request, ONCE, MODEL) as response:
            assert [piece async for piece in response] == [b"ok"]
    (sent,) = server.requests
    assert (sent.method, sent.target, sent.json()) == ("POST", "/a/b?v=1", {"a": 1})
    assert (sent.headers["x-name"], sent.headers["accept"]) == ("x", "y")
    assert sent.headers["accept-encoding"] == "gzip, deflate"


# Retries


async def test_a_failure_is_retried():
    """500, then 200: two attempts with the same body, and the second one's answer."""
    async with serve(reply("down", 500, **SOON), reply("up")) as server:
        assert await fetch(server.url, StreamOptions(max_retries=1)) == b"up"
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
async def test_statuses_that_are_retried(status):
    """Each of them is worth another attempt."""
    async with serve(reply("down", status, **SOON), reply("up")) as server:
        assert await fetch(server.url, StreamOptions(max_retries=1)) == b"up"


async def test_without_retries_the_first_answer_counts():
    """``max_retries=0``: one attempt, and its error."""
    async with serve(reply("down", 500, **SOON)) as server:
        error = await failure(server.url)
    assert isinstance(error, ApiStatusError)
    assert (error.status, error.body) == (500, "down")
    assert str(error) == f"provider returned HTTP 500 Internal Server Error: down (POST {server.url}/v1/chat)"


async def test_exhausted_retries_give_the_last_answer():
    """After two retries the third failure is the error."""
    scripts = [reply(f"down {count}", 503, **SOON) for count in range(3)]
    async with serve(*scripts) as server:
        assert (await failure(server.url, StreamOptions(max_retries=2))).body == "down 2"


@pytest.mark.parametrize(("status", "word", "attempts"), [(429, "false", 1), (400, "true", 2)])
async def test_the_server_decides_about_retries(status, word, attempts):
    """``x-should-retry`` outranks the status."""
    scripts = [reply("no", status, x_should_retry=word, **SOON), reply("yes")][:attempts]
    async with serve(*scripts) as server:
        if attempts == 1:
            assert (await failure(server.url, StreamOptions(max_retries=3))).status == status
        else:
            assert await fetch(server.url, StreamOptions(max_retries=3)) == b"yes"


@pytest.mark.parametrize(("asked", "cap", "words"), [("277403", 1, ("277403s", "max: 1s")), ("61", 60, ("61s", "max: 60s"))])  # fmt: skip
async def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(asked, cap, words):
    """Above ``max_retry_delay`` the call fails at once, and says what the server asked and answered."""
    async with serve(reply('{"error":"slow down"}', 429, retry_after=asked)) as server:
        error = await failure(server.url, StreamOptions(max_retries=2, max_retry_delay=cap))
    assert isinstance(error, ProviderError)
    text = f"Server requested {words[0]} retry delay ({words[1]}). provider returned HTTP 429 Too Many Requests: "
    assert str(error).startswith(text + '{"error":"slow down"}')


async def test_without_retries_a_long_wait_is_not_looked_at():
    """With no attempts left the answer itself is the error."""
    async with serve(reply("busy", 503, retry_after="9999")) as server:
        assert (await failure(server.url)).body == "busy"


async def test_no_cap_waits_as_long_as_asked(mock_clock):
    """With cap 0 any wait is held; cancelling it ends the call at once, after one attempt."""
    async with serve(reply("later", 503, retry_after="1e9")) as server:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fetch, server.url, StreamOptions(max_retry_delay=0))
                await server.wait_requests()
                await wait_all_tasks_blocked(0.02)
                mock_clock.jump(1e8)
                await wait_all_tasks_blocked(0.02)
                scope.cancel()
        assert scope.cancelled_caught
        assert current_pool().statistics().in_flight == 0


async def test_no_cap_retries_after_a_short_wait():
    """With cap 0 a wait that is asked for is held, then the request is sent again."""
    async with serve(reply("later", 503, **SOON), reply("now")) as server:
        assert await fetch(server.url, StreamOptions(max_retry_delay=0)) == b"now"


async def test_a_connection_that_breaks_before_the_answer_is_retried():
    """A server that hangs up without a word is asked again."""
    async with serve(raw(b"", close=True), reply("here")) as server:
        assert await fetch(server.url, StreamOptions(max_retries=1)) == b"here"


async def test_a_success_is_never_retried():
    """What breaks after a 2xx has arrived is an error, even before the first byte of its body."""
    async with serve(raw(SSE_HEAD, close=True)) as server:
        assert isinstance(await failure(server.url, StreamOptions(max_retries=5)), TransportError)


# Failures on the way


async def test_a_refused_connection_names_endpoint_and_cause():
    """Nobody listens: the error says where and why, and its cause is the library's own error."""
    url = f"http://127.0.0.1:{free_port()}"
    error = await failure(url)
    assert isinstance(error, TransportError)
    assert str(error).startswith(f"cannot connect to {url}/v1/chat: ")
    assert "refused" in str(error)
    assert isinstance(error.__cause__, httpx.ConnectError)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.9\r\n", b"\x00\xff" * 40, b"HTTP/1.1 abc\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nbad\r\n\r\n"]
)  # fmt: skip
async def test_bytes_that_are_no_http(answer):
    """A server that speaks something else is a TransportError."""
    async with serve(raw(answer, close=True)) as server:
        error = await failure(server.url)
    assert isinstance(error, TransportError)
    assert str(error).startswith(f"{server.url}/v1/chat did not keep to HTTP: ")


async def test_tls_to_a_server_that_has_none():
    """A failed handshake says so."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def plain(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, plain, [listener])
        url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
        error = await failure(url)
        nursery.cancel_scope.cancel()
    assert isinstance(error, TransportError)
    assert str(error).startswith(f"cannot connect to {url}/v1/chat: ")
    assert "SSL" in str(error)


async def test_the_connect_timeout_names_itself():
    """A handshake that never ends is cut by ``connect_timeout``."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with listener:
        error = await failure(url, StreamOptions(max_retries=0, connect_timeout=0.05))
    assert str(error) == f"no connection to {url}/v1/chat within connect_timeout=0.05 seconds"
    gc.collect()


@pytest.mark.parametrize(
    "answer",
    [head(200, {"content-length": "10"}) + b"abc", SSE_HEAD + chunk(b"abc"), SSE_HEAD + chunk(b"abc") + b"zz\r\n"],
)  # fmt: skip
async def test_a_body_that_breaks_off(answer):
    """What came is delivered, then the break is an error."""
    got = []
    async with serve(raw(answer, close=True)) as server:
        with pytest.raises(TransportError, match="did not keep to HTTP"):
            async with open_response(request_to(server.url), ONCE, MODEL) as response:
                async for piece in response:
                    got.append(piece)
    assert got == [b"abc"]


async def test_a_body_without_length_ends_with_the_connection():
    """HTTP/1.0 servers end a body by closing."""
    async with serve(raw(b"HTTP/1.0 200 OK\r\n\r\nall of it", close=True)) as server:
        assert await fetch(server.url) == b"all of it"


# Bodies


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        ("deflate", zlib.compress),
        ("Deflate", deflated),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("size", [1, None])
async def test_compressed_bodies_are_unpacked(encoding, pack, size):
    """gzip (also in several members), zlib and bare deflate, also byte by byte."""
    packed = pack(b"data: hello\n\n")
    body = head(200, {"content-length": str(len(packed)), "content-encoding": encoding}) + packed
    async with serve(raw(body, size=size)) as server:
        assert await fetch(server.url) == b"data: hello\n\n"


async def test_a_compressed_gigabyte_comes_in_pieces():
    """No packet unpacks to more than a mebibyte at a time."""
    sizes = []
    async with serve(reply(gzip.compress(bytes(20_000_000)), content_encoding="gzip")) as server:
        async with open_response(request_to(server.url), ONCE, MODEL) as response:
            async for piece in response:
                sizes.append(len(piece))
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 1 << 20


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", b"no gzip"), ("gzip", b"\x1f\x8b junk"), ("br", b"\x0b")]
)
async def test_a_body_that_cannot_be_unpacked(encoding, body):
    """Damage, and a packing that was not asked for, are TransportErrors."""
    async with serve(reply(body, content_encoding=encoding)) as server:
        error = await failure(server.url)
    assert isinstance(error, TransportError)
    assert "cannot be unpacked" in str(error)


# Error bodies


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "caf\u00e9"}}, "café"),
        ({"error": "caf\u00e9"}, "café"),
        ({"message": "caf\u00e9"}, "café"),
        ({"detail": "caf\u00e9"}, "café"),
        ([{"error": {"message": "caf\u00e9"}}], "café"),
        ({"error": {"message": "Failed", "metadata": {"raw": '{"error":{"message":"caf\u00e9"}}'}}}, "Failed: café"),
        ({"error": {"message": "Failed", "metadata": {"raw": 'not "json"'}}}, 'Failed: not "json"'),
        ({"error": {"message": "Failed", "metadata": {"raw": {"message": "caf\u00e9"}}}}, "Failed: café"),
    ],
)  # fmt: skip
async def test_a_message_hidden_by_escapes_is_added(body, message):
    """The raw body stays as it is; the sentence for people follows where escapes have made it unreadable."""
    text = json.dumps(body)
    async with serve(reply(text, 400)) as server:
        error = await failure(server.url)
    assert (
        str(error)
        == f"provider returned HTTP 400 Bad Request: {text} [{message}] (POST {server.url}/v1/chat)"
    )
    assert error.body == text


@pytest.mark.parametrize(
    "body", ['{"error":{"message":"plain"}}', '{"x":1}', "[]", "null", "{", "<html>", ""]
)
async def test_other_bodies_stand_alone(body):
    """Nothing is added to a body that can be read, says nothing, or is no JSON."""
    async with serve(reply(body, 404)) as server:
        error = await failure(server.url)
    assert str(error) == f"provider returned HTTP 404 Not Found: {body} (POST {server.url}/v1/chat)"


async def test_an_unregistered_status_and_a_redirect_are_errors():
    """Whatever is not 2xx is an ApiStatusError; redirects are not followed with a key in hand."""
    async with serve(reply("odd", 599), reply("", 307, location="http://elsewhere.invalid/")) as server:
        assert "HTTP 599 <unknown status code>: odd" in str(await failure(server.url))
        assert (await failure(server.url)).status == 307


async def test_an_endless_error_body_is_cut():
    """At most 64 KiB of it are read, and the connection is closed."""

    async def flood(wire: Wire) -> None:
        await wire.send(head(500, {"transfer-encoding": "chunked"}))
        while not wire.closed.is_set():
            await wire.send(chunk(b"spam" * 1000))

    async with serve(flood) as server:
        error = await failure(server.url)
        await server.wait_closed()
    assert len(error.body) < 66_000
    assert error.body.endswith(" [...]")


async def test_a_slow_error_body_is_not_waited_for(mock_clock):
    """After five seconds what has come is shown."""
    async with serve(raw(head(500, {"content-length": "99"}) + b"so far", hang=True)) as server:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def check() -> None:
                error = await failure(server.url)
                assert error.body == "so far"

            await server.wait_requests()
            await wait_all_tasks_blocked(0.02)
            mock_clock.jump(5)


async def test_a_compressed_error_body_is_unpacked_and_a_damaged_one_left_out():
    """The status counts in any case."""
    packed = gzip.compress(b'{"error":"no"}')
    async with serve(
        reply(packed, 400, content_encoding="gzip"), reply(b"\x00", 400, content_encoding="zstd")
    ) as server:
        assert (await failure(server.url)).body == '{"error":"no"}'
        assert (await failure(server.url)).body == ""


# Secrets


@pytest.mark.parametrize(
    "echo",
    [KEY, f"Bearer {KEY}", json.dumps({"error": {"message": f"bad é {KEY}"}}), KEY.replace("/", "\\/")],
)
async def test_a_key_that_a_server_echoes_is_masked(echo):
    """In the text, in the body, in whatever way it is spelt."""
    async with serve(reply(echo, 401)) as server:
        error = await failure(server.url)
    for text in (str(error), error.body):
        assert "0123456789" not in text
        assert "***" in text


@pytest.mark.parametrize("place", range(65_536 - 30, 65_540, 4))
async def test_half_a_key_at_the_cut_is_not_shown(place):
    """Where a body is cut, a key that lies across the cut is not shown in part."""
    key = "q" * 30
    async with serve(reply("x" * place + key + "y" * 100, 500)) as server:
        with pytest.raises(ApiStatusError) as caught:
            async with open_response(request_to(server.url, key), ONCE, MODEL):
                pass
    assert "q" not in caught.value.body


async def test_a_key_in_the_url_is_in_no_error_and_no_log(caplog):
    """httpx logs each URL; ours are shown without user and query, and their secrets are masked where echoed."""
    caplog.set_level(logging.DEBUG)
    async with serve(reply("bad key s3cr3tkey of passw0rd", 403)) as server:
        url = server.url.replace("//", "//user:passw0rd@") + "/x?api-key=s3cr3tkey"
        with pytest.raises(ApiStatusError) as caught:
            async with open_response(Request(url, {}, b""), ONCE, MODEL):
                pass
    assert server.requests[0].target == "/x?api-key=s3cr3tkey"
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    shown = str(caught.value) + caplog.text
    assert "HTTP Request: POST http://127.0.0.1" in caplog.text
    assert "s3cr3tkey" not in shown
    assert "passw0rd" not in shown


async def test_a_key_in_bytes_that_are_no_http_is_masked():
    """The protocol error quotes the server's bytes."""
    async with serve(raw(f"{KEY}\r\n\r\n".encode(), close=True)) as server:
        assert "0123456789" not in str(await failure(server.url))


# Hooks and clients


async def test_on_response_is_told_once_of_the_success():
    """After retries, with lower-case header names, before the body is read; failures are not told."""
    told = []

    async def hook(info: ResponseInfo, model: Model) -> None:
        told.append((info, model))

    async with serve(reply("down", 500, **SOON), reply("up", X_Id="1"), reply("no", 400)) as server:
        options = StreamOptions(on_response=hook)
        assert await fetch(server.url, options) == b"up"
        await failure(server.url, options)
    ((info, model),) = told
    assert (info.status, info.headers["x-id"], model) == (200, "1", MODEL)


async def test_an_exception_of_on_response_fails_the_call_and_closes_the_connection():
    """It becomes a HookError with its text."""

    async def hook(info: ResponseInfo, model: Model) -> None:
        raise LookupError("not today")

    async with serve(sse("data: x\n\n", end=False, hang=True)) as server:
        error = await failure(server.url, StreamOptions(on_response=hook))
        await server.wait_closed()
    assert isinstance(error, HookError)
    assert "not today" in str(error)


async def test_a_client_of_the_caller_is_used_and_left_open():
    """``options.http_client`` replaces the pool, with its own headers and transport."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=gzip.compress(request.content + request.headers["x-mine"].encode()),
                              headers={"content-encoding": "gzip"})  # fmt: skip

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), headers={"x-mine": "!"}) as client:
        options = StreamOptions(max_retries=0, http_client=client)
        assert await fetch("http://h", options) == b'{"hello":1}!'
        assert not client.is_closed
    error = await failure("http://h", options)
    assert isinstance(error, InvalidOptionError)
    assert "closed" in str(error)


async def test_a_client_of_the_caller_may_have_read_the_body():
    """A hook that reads each response, to log it, leaves nothing on the wire; the body counts all the same."""

    async def log(response: httpx.Response) -> None:
        await response.aread()

    async with serve(reply(gzip.compress(b"hello"), content_encoding="gzip")) as server:
        async with httpx.AsyncClient(event_hooks={"response": [log]}) as client:
            with trio.fail_after(5):
                assert await fetch(server.url, StreamOptions(http_client=client)) == b"hello"


async def test_exceptions_of_a_client_of_the_caller_are_translated():
    """Whatever its transport raises is a TransportError."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise KeyError("odd")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        error = await failure("http://h", StreamOptions(max_retries=0, http_client=client))
    assert str(error) == "the exchange with http://h/v1/chat failed: 'odd'"


async def test_waiting_for_the_limit_is_paused():
    """The clocks stand still as long as a request waits for the pool's limit."""
    paused: list[bool] = []

    class Watched(Patience):
        def pause(self):
            return self

        def __enter__(self):
            paused.append(True)

        def __exit__(self, *args):
            paused.append(False)

    async with serve(reply("ok")) as server:
        limit_requests(1)
        async with trio.open_nursery() as nursery:
            async with current_pool().lease():

                @nursery.start_soon
                async def call() -> None:
                    async with open_response(request_to(server.url), ONCE, MODEL, Watched()):
                        pass

                await wait_all_tasks_blocked(0.02)
                assert paused == [True]
        assert paused == [True, False]


# The end


async def test_leaving_early_closes_the_connection():
    """A body that is not read to its end is not waited for."""
    async with serve(sse("data: x\n\n", end=False, hang=True)) as server:
        async with open_response(request_to(server.url), ONCE, MODEL) as response:
            assert await anext(response) == b"data: x\n\n"
            assert repr(response) == f"<Response 200 of {server.url}/v1/chat>"
        await server.wait_closed()
    gc.collect()  # an unfinished generator would warn


async def test_a_rest_that_comes_soon_saves_the_connection():
    """With a little patience the end of the body is awaited, and the next request uses the same connection."""
    async with serve(sse("data: x\n\n"), reply("next")) as server:
        async with open_response(request_to(server.url), ONCE, MODEL) as response:
            await anext(response)
            await response.aclose(patience=5)
        assert await fetch(server.url, StreamOptions()) == b"next"
        assert len(server.wires) == 1


async def test_a_body_that_never_pauses_can_be_closed():
    """Closing ends even when a client of the caller's own has always more to give."""

    class Endless(httpx.AsyncByteStream):
        def __aiter__(self):
            return self

        async def __anext__(self):
            return b": ping\n\n"

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Endless()))
    async with httpx.AsyncClient(transport=transport) as client:
        async with open_response(
            request_to("http://h"), StreamOptions(http_client=client), MODEL
        ) as response:
            assert await anext(response) == b": ping\n\n"


class CancelBefore(trio.abc.Instrument):
    """Cancels a scope just before a task goes on for the n-th time."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._task, self._scope, self._left = trio.lowlevel.current_task(), scope, step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= task is self._task
        if not self._left:
            self._scope.cancel()


@pytest.mark.parametrize(
    "scripts",
    [
        (sse("data: 1\n\n", "data: 2\n\n", size=40),),
        (reply("down", 503, **SOON), reply("up")),
        (reply("bad", 400),),
    ],
)
async def test_cancelled_at_any_checkpoint(scripts: tuple[Script, ...]):
    """Wherever it is cancelled: Cancelled comes through, no request is in flight, and only idle connections are open."""
    for step in itertools.count(1):
        async with serve(*scripts, repeat=True) as server:
            with trio.CancelScope() as scope:
                instrument = CancelBefore(scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await fetch(server.url, StreamOptions(max_retries=1))
                except ApiStatusError:
                    pass
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            assert current_pool().statistics().in_flight == 0
            shards = current_pool()._shards
            connections = [c for shard in shards for c in shard.client._transport._pool.connections]
            idle = sum(c.is_idle() and str(server.url.rsplit(":", 1)[1]) in repr(c) for c in connections)
            await server.wait_closed(but=idle)
        if not scope.cancelled_caught:
            break
    assert step > 4


TLS = httpx.create_ssl_context()
WIRES = st.binary(max_size=200) | st.tuples(
    st.sampled_from([head(200), head(200, {"content-length": "20"}), head(200, {"content-encoding": "gzip"}),
                     SSE_HEAD, head(503, {"transfer-encoding": "chunked"}), b"HTTP/1.1 1"]),
    st.binary(max_size=60) | st.sampled_from([chunk(b"data: x\n\n"), b"ffffffffffffffffff\r\n", b"-1\r\n\r\n"]),
).map(b"".join)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(WIRES)
def test_arbitrary_bytes_are_an_answer_or_an_error_of_ours(wire):
    """Whatever a server sends, nothing but an AgentrioError is raised, and the call ends when the connection does."""

    async def main() -> None:
        async with serve(raw(wire, close=True)) as server, httpx.AsyncClient(verify=TLS) as client:
            with trio.fail_after(10):
                try:
                    await fetch(server.url, StreamOptions(max_retries=0, http_client=client))
                except AgentrioError as error:
                    assert not isinstance(error, InvalidOptionError)

    trio.run(main)


@pytest.mark.parametrize(
    "spelled",
    [
        "k-é/s+\"'0", r"k-\u00e9\/s\u002B\"\u0027" + "0", r"\u006b\u002d\u00E9\\u002Fs\\u002b\u0022'0", "k-%C3%A9%2fs%2B%22%270",
    ],
)  # fmt: skip
def test_a_key_is_known_in_any_spelling(spelled):
    """Its characters may be escaped each in its own way, as JSON encoders and URLs do."""
    request = Request("http://h/v1", {}, b"", ("k-é/s+\"'0",))
    assert request.redactor(f"<{spelled}>") == "<***>"


def test_a_sentence_that_hides_a_key_stands_for_its_body():
    """Where only reading the JSON brings a key to light, the raw text is not shown."""
    request = Request("http://h/v1", {}, b"")
    data = rb'{"error":{"message":"bad api\u005fkey: sk-unknown-123"}}'
    assert request.describe(data, 1000) == "bad api_key: ***"
