"""Image APIs and servers that do as they please: whatever happens, a call ends with a result that says what it was."""

import json
from functools import cache

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from providers.pool import current_pool
from runtime.streams.images import generate_images
from runtime.testing.sweep import cancel_everywhere
from runtime.values.images import AssistantImages, ImagesContext, ImagesStopReason
from runtime.values.options import StreamOptions
from tests.providers.images_lab import (
    APIS,
    FOX,
    GOOD,
    JSON,
    KEY,
    ONCE,
    PICTURE,
    PNG,
    answering,
    openai_answer,
    openai_at,
    openrouter_answer,
)
from tests.providers.loopback import Loopback, Wire, chunk, head, raw, reply, serve

ANSWERS = {"openai": openai_answer, "openrouter": openrouter_answer}
CHUNKED = head(200, {"content-type": "application/json", "transfer-encoding": "chunked"})


@pytest.fixture(params=APIS)
def api(request):
    """Each API in turn."""
    return request.param


async def fail(api, *scripts, options=ONCE, context=FOX) -> str:
    """The text of a call that fails; nothing of it is left."""
    async with serve(*scripts) as server:
        with trio.fail_after(20):
            result = await generate_images(APIS[api](server.url), context, options)
        assert current_pool().statistics().in_flight == 0
        shown = result.error_message.replace(server.url, "URL")
    assert (result.stop_reason, result.output) == (ImagesStopReason.Error, ())
    assert "URL/" in shown
    assert KEY not in result.model_dump_json() + repr(result)
    return shown


# Answers that are none


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (reply('{"error":{"message":"no such model"}}', 404), "provider returned HTTP 404 Not Found: {"),
        (reply(f"wrong key {KEY}", 401), "HTTP 401 Unauthorized: wrong key ***"),
        (reply("<html>Bad gateway</html>", 502), "HTTP 502 Bad Gateway: <html>Bad gateway</html>"),
        (
            reply("<html>Sign in</html>", content_type="text/html"),
            "could not decode the images: expected value",
        ),
        (reply("<html>Sign in</html>", content_type="text/html"), "text/html came: '<html>Sign in</html>'"),
        (reply(""), "could not decode the images: EOF"),
        (reply(b"\x00\xff garbage"), "could not decode the images"),
        (answering([1]), "could not decode the images: the answer must be an object, not a list"),
        (answering({"error": {"message": "quota is gone"}}), "the answer is an error"),
        (answering({"error": {"message": "quota is gone"}}), "quota is gone"),
        (raw(b"", close=True), "did not keep to HTTP"),
        (raw(b"no HTTP\r\n\r\n", close=True), "did not keep to HTTP"),
        (raw(head(200, {"content-length": "99"}) + b'{"data":', close=True), "did not keep to HTTP"),
        (raw(CHUNKED + chunk(b'{"data":'), close=True), "did not keep to HTTP"),
        (raw(head(200) + b'{"data":[{"b64_json":"aGk', close=True), "could not decode the images: EOF"),
        (raw(head(200, {"content-encoding": "gzip"}) + b"none", close=True), "cannot be unpacked"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(api, script, says):
    """It says what came in its place, and where."""
    assert says in await fail(api, script)


async def test_a_server_that_is_not_there_is_an_error(api):
    """It is tried as often as the options say."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()
    result = await generate_images(APIS[api](url), FOX, ONCE)
    assert result.error_message.startswith(f"cannot connect to {url}/")


async def test_a_busy_server_is_asked_again(api):
    """As often as the options say, in the end with the same body: a form, too."""
    busy = reply("busy", 429, retry_after_ms="1")
    context = ImagesContext.of("x", PICTURE)
    async with serve(busy, reply("down", 503, retry_after_ms="1"), GOOD[api]) as server:
        with trio.fail_after(10):
            result = await generate_images(APIS[api](server.url), context, StreamOptions(max_retries=2))
        assert len({request.body for request in server.requests}) == 1
    assert result.images == (PICTURE,)
    assert "HTTP 429 Too Many Requests: busy" in await fail(
        api, busy, busy, options=StreamOptions(max_retries=1)
    )


async def test_an_answer_has_a_limit(api):
    """At the limit it is taken."""
    body = json.dumps(ANSWERS[api](PNG * 1000)).encode()
    options = StreamOptions(max_event_bytes=len(body))
    async with serve(reply(body)) as server:
        assert (await generate_images(APIS[api](server.url), FOX, options)).images[0].to_bytes() == PNG * 1000
    said = await fail(api, raw(CHUNKED + chunk(body + b" "), hang=True), options=options)
    assert f"the answer is longer than max_event_bytes={len(body)}" in said


async def test_megabytes_are_no_trouble(api):
    """An image of some size arrives as it was."""
    image = PNG + bytes(range(256)) * 40_000
    async with serve(answering(ANSWERS[api](image, image))) as server:
        with trio.fail_after(20):
            result = await generate_images(APIS[api](server.url), FOX, ONCE)
    assert [found.to_bytes() == image for found in result.images] == [True, True]


@given(st.sampled_from(sorted(APIS)), JSON)
@settings(max_examples=50)
def test_any_json_is_a_result(api, value):
    """Never an exception."""

    async def main():
        answer = httpx.MockTransport(lambda request: httpx.Response(200, content=json.dumps(value)))
        async with httpx.AsyncClient(transport=answer) as client:
            return await generate_images(APIS[api]("http://h"), FOX, StreamOptions(http_client=client))

    result = trio.run(main)
    assert AssistantImages.model_validate_json(result.model_dump_json()) == result
    assert (result.stop_reason is ImagesStopReason.Error) == bool(result.error_message)


# Hooks and time-outs


@pytest.mark.parametrize("hook", ["on_payload", "on_response"])
async def test_a_hook_that_raises_is_an_error(api, hook):
    """With its text."""

    async def broken(*seen):
        raise ZeroDivisionError("mine")

    async with serve(GOOD[api], repeat=True) as server:
        result = await generate_images(APIS[api](server.url), FOX, StreamOptions(**{hook: broken}))
        assert current_pool().statistics().in_flight == 0
    assert result.error_message.startswith(f"{hook} failed: mine")


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(api):
    """The time-out is named, and the connection closed."""
    options = StreamOptions(max_retries=0, first_event_timeout=0.05)
    said = await fail(api, raw(CHUNKED, hang=True), options=options)
    assert "within first_event_timeout=0.05 seconds" in said


# Aborts


async def hanging(wire: Wire) -> None:
    await wire.wait_closed()


def beginning(api) -> bytes:
    return CHUNKED + chunk(json.dumps(ANSWERS[api](PNG)).encode()[:-5])


@pytest.mark.parametrize("phase", ["payload", "answer", "body", "retry", "response"])
async def test_an_abort_ends_a_call_in_every_phase(api, phase):
    """In the hooks, before the answer, in its middle, and while the next attempt is waited for; the connection is closed."""
    scripts = {
        "answer": [hanging],
        "body": [raw(beginning(api), hang=True)],
        "retry": [reply("busy", 429, retry_after="30")],
        "response": [GOOD[api]],
    }
    there, abort = trio.Event(), trio.Event()

    async def hook(*seen):
        there.set()
        await trio.sleep_forever()

    hooks = {"payload": {"on_payload": hook}, "response": {"on_response": hook}}.get(phase, {})
    options = StreamOptions(abort=abort, **hooks)
    async with serve(*scripts.get(phase, ())) as server, trio.open_nursery() as nursery:
        results = []

        async def call():
            results.append(await generate_images(APIS[api](server.url), FOX, options))

        nursery.start_soon(call)
        with trio.fail_after(10):
            await (there.wait() if hooks else server.wait_requests())
            await wait_all_tasks_blocked(0.05)
            abort.set()
            while not results:
                await wait_all_tasks_blocked()
            if phase in ("answer", "body"):
                await server.wait_closed()
        assert current_pool().statistics().in_flight == 0
    (result,) = results
    assert (result.stop_reason, result.error_message) == (ImagesStopReason.Aborted, "request was cancelled")


def lose(server: Loopback) -> None:
    for wire in server.wires:
        wire.lose()


def idle_connections(server: Loopback) -> int:
    """The connections to a server that the pool keeps for the next request."""
    port = server.url.rsplit(":", 1)[1]
    shards = current_pool()._shards
    found = [connection for shard in shards for connection in shard.client._transport._pool.connections]
    return sum(connection.is_idle() and port in repr(connection) for connection in found)


def test_cut_anywhere_nothing_is_left(monkeypatch):
    """By an abort, the scope around, or the loss of the connection, at any step: no socket in use, and the right result."""
    monkeypatch.setattr(
        httpx, "create_ssl_context", cache(httpx.create_ssl_context)
    )  # one for all runs: it takes long

    async def scenario(cutter):
        results, abort = [], trio.Event()
        body = json.dumps(openai_answer(PNG)).encode()
        pieces = raw(CHUNKED + chunk(body[:20]) + chunk(body[20:]) + chunk(b""), size=150)
        async with serve(reply("busy", 429, retry_after_ms="1"), pieces, repeat=True) as server:
            model, options = openai_at(server.url), StreamOptions(max_retries=3, abort=abort)
            with trio.CancelScope() as scope:
                cutter.arm(abort=abort.set, caller=scope.cancel, lost=lambda: lose(server))
                results.append(await generate_images(model, ImagesContext.of("x", PICTURE), options))
            cutter.disarm()
            assert current_pool().statistics().in_flight == 0
            await server.wait_closed(but=idle_connections(server))
        return abort.is_set(), scope.cancelled_caught, results

    def check(left):
        aborted, cancelled, results = left
        assert len(results) == (0 if cancelled else 1)
        for result in results:
            match result.stop_reason:
                case ImagesStopReason.Stop:
                    assert result.images == (PICTURE,)
                case ImagesStopReason.Aborted:
                    assert aborted
                case ImagesStopReason.Error:
                    assert "127.0.0.1" in result.error_message

    report = cancel_everywhere(scenario, check, clock=lambda: None)
    assert min(report.cuts.values()) > 10, report.cuts


# Secrets


# Hypothesis takes words from our sources, too, such as the name of the API: with a mark behind them they stand nowhere
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=11, max_size=39).map(
    lambda key: f"{key}~"
)
SPELLINGS = (
    lambda key: key,
    lambda key: json.dumps(key)[1:-1],
    lambda key: json.dumps(json.dumps(key))[1:-1],
    lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    lambda key: "".join(f"%{ord(char):02X}" for char in key),
)


@given(
    st.sampled_from(sorted(APIS)), SECRETS, st.sampled_from(SPELLINGS), st.integers(0, 4), st.integers(0, 600)
)
@settings(max_examples=150)
def test_no_secret_is_in_a_result(api, key, spell, place, before):
    """Wherever a server puts it, however it spells it, and wherever a quote is cut."""
    echo = f"{'x' * before} {spell(key)} x"
    good = ANSWERS[api](PNG)
    answers = [
        httpx.Response(401, content=echo),
        httpx.Response(401, content=json.dumps({"error": {"message": f"key {key}"}})),
        httpx.Response(200, content=echo, headers={"content-type": "text/html"}),
        httpx.Response(200, content=json.dumps({"error": {"message": echo}})),
        httpx.Response(
            200, content=json.dumps({**good, "id": f"id {key}", **said(api, f"a fox with {key}")})
        ),
    ]

    async def main():
        transport = httpx.MockTransport(lambda request: answers[place])
        async with httpx.AsyncClient(transport=transport) as client:
            options = StreamOptions(max_retries=0, http_client=client, headers={"x-key": key})
            return await generate_images(APIS[api]("http://h", key), FOX, options)

    result = trio.run(main)
    shown = result.model_dump_json() + repr(result) + str(result.error_message) + result.text
    assert key not in shown
    assert json.dumps(key)[1:-1] not in shown
    assert spell(key) not in shown


def said(api, text):
    """An answer with a text beside the image."""
    if api == "openai":
        return openai_answer({"revised_prompt": text})
    return {name: value for name, value in openrouter_answer(PNG, content=text).items() if name != "id"}
