"""Chat Completions against servers that do as they please: each failure says what it was, and keeps what had arrived."""

import pytest
import trio

from providers import openai
from runtime.streams.call import complete, stream, stream_simple
from runtime.streams.events import StreamError, TextDelta
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.completions_lab import WEATHER, chunk_of, piece_of, sse_of, tools_of
from tests.providers.loopback import SSE_HEAD, Script, Wire, chunk, head, raw, reply, serve, sse

KEY = "sk-loopback-0123456789"
HI = Context(messages=[user("hi")])
ONCE = StreamOptions(max_retries=0)
HELLO = sse_of(chunk_of({"content": "Hello"}), done=False)
STOP = sse_of(chunk_of(finish="stop"))
CALL = sse_of(tools_of(piece_of('{"city":"Os', "get_weather", index=0, id="a")), done=False)


def model_at(url: str, **settings) -> Model:
    return openai.chat_completions(KEY, base_url=f"{url}/v1").model("m", **settings)


async def talk(script: Script, options: StreamOptions = ONCE) -> AssistantMessage:
    """What becomes of one call that is answered like this."""
    async with serve(script) as server:
        return await complete(model_at(server.url), HI, options)


# A good one


async def test_a_conversation():
    """The request is what was encoded, the events are what was decoded, and the connection is left alone."""
    thinking = sse_of(chunk_of({"reasoning": "hm"}), done=False)
    usage = sse_of({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    async with serve(sse(thinking, HELLO, sse_of(chunk_of(finish="stop"), done=False) + usage)) as server:
        model = model_at(server.url, headers={"x-model": "1"}, compat={"supports_store": False})
        async with stream(model, HI, StreamOptions(headers={"x-call": "2"})) as reply_:
            types = [event.type async for event in reply_]
            message = await reply_.result()
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["x-model"], request.headers["x-call"]) == ("1", "2")
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert types == [
        "start", "thinking_start", "thinking_delta", "text_start", "text_delta", "thinking_end", "text_end", "done",
    ]  # fmt: skip
    assert (message.text, message.usage.total_tokens, message.provider, message.api) == (
        "Hello",
        5,
        "ollama",
        "openai-completions",
    )


@pytest.mark.parametrize("path", ["/v1", "/v1///", "/v1/?api-version=2024-10-21"])
async def test_the_path_follows_the_base_url(path):
    """Slashes at its end do not matter, and a query stays behind."""
    async with serve(sse(HELLO + STOP)) as server:
        model = openai.chat_completions(base_url=server.url + path).model("m")
        assert (await complete(model, HI, ONCE)).text == "Hello"
    assert server.requests[0].target == "/v1/chat/completions" + (
        "?api-version=2024-10-21" if "?" in path else ""
    )


async def test_a_server_of_ones_own_needs_no_key(monkeypatch):
    """And gets none, whatever the environment holds."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    async with serve(sse(HELLO + STOP), repeat=True) as server:
        for key in (None, "", "  "):
            handle = openai.chat_completions(key, base_url=server.url, provider_id="openai")
            async with stream_simple(handle.model("m"), HI, SimpleStreamOptions()) as reply_:
                assert (await reply_.result()).text == "Hello"
    assert not any("authorization" in request.headers for request in server.requests)


async def test_an_api_key_header_of_the_handle_is_sent_and_not_written_down():
    """Azure's way: it is in every request, and in no model."""
    async with serve(sse(HELLO + STOP)) as server:
        handle = openai.chat_completions(base_url=server.url, headers={"api-key": KEY})
        model = handle.model("m")
        await complete(model, HI, ONCE)
    assert server.requests[0].headers["api-key"] == KEY
    assert "authorization" not in server.requests[0].headers
    assert KEY not in model.model_dump_json() + repr(model) + repr(handle)


async def test_finishing_does_not_wait_for_the_socket():
    """The mark of the end ends the reply, also when the server keeps the connection."""
    with trio.fail_after(5):
        assert (await talk(sse(HELLO + STOP, end=False, hang=True))).text == "Hello"


# Bytes that are none of it


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (raw(b"hello, this is no HTTP\r\n\r\n", close=True), "did not keep to HTTP"),
        (raw(b"", close=True), "did not keep to HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-le", close=True), "did not keep to HTTP"),
        (reply("<html><body>Sign in</body></html>", content_type="text/html"), "Sign in"),
        (reply('{"choices":[{"message":{"content":"x"}}]}', content_type="application/json"), "application/json came"),
        (reply('{"error":{"message":"quota is gone"}}', content_type="application/json"), "quota is gone"),
        (reply("", content_type="text/event-stream"), "Stream ended without finish_reason"),
        (reply("just words\n\n", content_type="text/plain"), "just words"),
        (sse(": only\n\n", ": comments\n\n"), "Stream ended without finish_reason"),
        (sse(b"\xff\xfe\x00garbage\n\n"), "Stream ended without finish_reason"),
        (sse("data: {}\n\n"), "Stream ended without finish_reason"),
        (raw(head(200, {"content-encoding": "br"}) + b"x", close=True), "content-encoding 'br' was not asked for"),
        (raw(head(200, {"content-encoding": "gzip"}) + b"no gzip", close=True), "cannot be unpacked"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_stream_is_an_error(script, says):
    """It says what came in its place."""
    message = await talk(script)
    assert message.stop_reason is StopReason.Error
    assert says in message.error_message
    assert message.content == ()


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        (b"data: no JSON\n\n", "no JSON"),
        (b"data: \xff\xfe\n\n", "could not be decoded"),
        (b'data: {"choices":[{"delta":{"content":"\xff', "cut in the middle of an event"),
        (b'data: {"error":{"message":"slot is gone","code":500}}\n\n', "slot is gone (code: 500)"),
        (b"event: error\ndata: out of memory\n\n", "out of memory"),
        (b"", "Stream ended without finish_reason"),
        (b": ping\n\n", "Stream ended without finish_reason"),
    ],
)  # fmt: skip
async def test_an_answer_that_goes_wrong_keeps_what_had_arrived(rest, says):
    """Text and calls so far; no block has an end."""
    async with serve(sse(HELLO, CALL, rest)) as server, stream(model_at(server.url), HI, ONCE) as reply_:
        events = [event async for event in reply_]
        message = await reply_.result()
    assert isinstance(events[-1], StreamError)
    assert not [event for event in events if event.type.endswith("_end")]
    assert message.stop_reason is StopReason.Error
    assert says in message.error_message
    assert (message.text, message.tool_calls[0].arguments) == ("Hello", {"city": "Os"})


@pytest.mark.parametrize(
    "script",
    [
        sse(HELLO, end=False, close=True),
        raw(SSE_HEAD + b"zz\r\n", close=True),
        raw(SSE_HEAD + chunk(HELLO) + b"ff\r\ndata: {", close=True),
        raw(head(200, {"content-type": "text/event-stream", "content-length": "9999"}) + HELLO, close=True),
    ],
    ids=["no last chunk", "bad chunk", "cut chunk", "short body"],
)
async def test_a_connection_that_breaks_is_an_error(script):
    """Even when what had arrived would be an answer."""
    message = await talk(script)
    assert message.stop_reason is StopReason.Error
    assert "did not keep to HTTP" in message.error_message
    assert message.text in ("Hello", "")


async def test_nothing_is_sent_again_once_the_reply_has_begun():
    """The reader has seen it already."""
    async with serve(sse(HELLO, end=False, close=True)) as server:
        message = await complete(model_at(server.url), HI, StreamOptions(max_retries=5))
    assert message.stop_reason is StopReason.Error
    assert len(server.requests) == 1


async def endless(wire: Wire, piece: bytes) -> None:
    await wire.send(SSE_HEAD)
    while not wire.closed.is_set():
        await wire.send(chunk(piece))


@pytest.mark.parametrize("piece", [b"x" * 8000, b"data: " + b"[" * 8000, b"data: 1\n" * 1000])
async def test_an_endless_event_is_an_error(piece):
    """At the size that the call allows."""
    with trio.fail_after(20):
        message = await talk(
            lambda wire: endless(wire, piece), StreamOptions(max_retries=0, max_event_bytes=100_000)
        )
    assert message.stop_reason is StopReason.Error
    assert "exceeded 100000 bytes (option max_event_bytes)" in message.error_message


@pytest.mark.parametrize(
    "piece", [b": ping\n\n", b"data: null\n\n", b'data: {"object":"ping"}\n\n', b"data:\n\n"]
)
async def test_endless_pings_are_no_progress(piece):
    """The reply is given up when nothing else comes in time."""
    with trio.fail_after(20):
        options = StreamOptions(max_retries=0, first_event_timeout=0.3)
        message = await talk(lambda wire: endless(wire, piece * 100), options)
    assert message.stop_reason is StopReason.Error
    assert "first_event_timeout=0.3" in message.error_message


async def test_an_endless_reply_can_be_left():
    """Leaving the block closes the connection."""
    with trio.fail_after(20):
        async with serve(lambda wire: endless(wire, HELLO)) as server:
            async with stream(model_at(server.url), HI, ONCE) as reply_:
                async for event in reply_:
                    if isinstance(event, TextDelta):
                        break
            assert (await reply_.result()).stop_reason is StopReason.Aborted
            await server.wires[0].closed.wait()


async def test_a_stalled_reply_is_given_up():
    """With what had arrived, and with the name of the option that set the time."""
    message = await talk(sse(HELLO, end=False, hang=True), StreamOptions(max_retries=0, event_timeout=0.2))
    assert message.text == "Hello"
    assert "event_timeout=0.2" in message.error_message


# Refusals and retries


async def test_a_failure_without_retries_is_told_with_its_status():
    """As a lone error."""
    async with serve(reply("no", status=500)) as server, stream(model_at(server.url), HI, ONCE) as reply_:
        (event,) = [event async for event in reply_]
    assert isinstance(event, StreamError)
    assert event.error.error_message.startswith("provider returned HTTP 500 Internal Server Error: no")


async def test_a_failure_is_tried_again():
    """With the same body and headers, the hook asked once."""
    asked = []

    async def note(payload, model):
        asked.append(model.id)

    async with serve(reply("no", status=500, retry_after_ms="1"), sse(HELLO + STOP)) as server:
        message = await complete(model_at(server.url), HI, StreamOptions(max_retries=1, on_payload=note))
    assert message.text == "Hello"
    assert asked == ["m"]
    assert server.requests[0].body == server.requests[1].body


async def test_a_server_that_asks_for_a_long_wait_is_not_waited_for():
    """The error says how long, what is allowed, and what the server said."""
    body = '{"error":{"message":"come back in three days"}}'
    message = await talk(reply(body, status=429, retry_after="277403"), StreamOptions(max_retry_delay=1))
    assert "Server requested 277403s retry delay (max: 1s)" in message.error_message
    assert "come back in three days" in message.error_message


@pytest.mark.parametrize(
    "answer", [reply(f"bad key {KEY}", status=401), sse(sse_of({"error": f"bad key {KEY}"}))]
)
async def test_no_error_holds_the_key(answer):
    """Not even one that the server echoed."""
    message = await talk(answer)
    assert "bad key ***" in message.error_message
    assert KEY not in message.model_dump_json()


# Hooks


@pytest.mark.parametrize("changed", [True, False])
async def test_the_payload_hook_may_replace_the_payload_or_change_it(changed):
    """What it returns is sent, or what it was given, and still as a stream; the context stays as it is."""

    context = Context(messages=[user("hi")], tools=[WEATHER])
    before = context.model_dump_json()

    async def hook(payload, model):
        payload["messages"][0]["content"] = "changed"
        payload["tools"][0]["function"]["parameters"]["changed"] = True
        return {"model": model.id, "own": True} if changed else None

    async with serve(sse(HELLO + STOP)) as server:
        await complete(model_at(server.url), context, StreamOptions(on_payload=hook))
    sent = server.requests[0].json()
    assert sent["stream"] is True
    assert (
        sent == {"model": "m", "own": True, "stream": True}
        if changed
        else sent["messages"][0]["content"] == "changed"
    )
    assert context.model_dump_json() == before


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("text", "on_payload must return a dict or None, not str"),
        ({"a": float("nan")}, "the payload is no JSON"),
        ({"a": object()}, "the payload is no JSON"),
    ],
)
async def test_a_payload_that_cannot_be_sent_is_an_error(result, says):
    """Nothing is sent."""

    async def hook(payload, model):
        return result

    async with serve() as server:
        message = await complete(model_at(server.url), HI, StreamOptions(on_payload=hook))
    assert message.stop_reason is StopReason.Error
    assert says in message.error_message


async def test_halves_of_characters_in_a_replaced_payload_are_dropped():
    """So that it can be written."""

    async def hook(payload, model):
        return {"a": "x\ud83d", "b": "\ud83d\ude00"}

    async with serve(sse(HELLO + STOP)) as server:
        await complete(model_at(server.url), HI, StreamOptions(on_payload=hook))
    assert server.requests[0].json() == {"a": "x", "b": "😀", "stream": True}


async def test_a_hook_that_raises_ends_the_call():
    """With its text, and without a request."""

    async def hook(payload, model):
        raise ValueError("not today")

    async with serve() as server:
        message = await complete(model_at(server.url), HI, StreamOptions(on_payload=hook))
    assert message.error_message == "on_payload failed: not today"


async def test_the_response_hook_sees_a_success_only():
    """Before the reply begins."""
    seen = []

    async def hook(info, model):
        seen.append((info.status, info.headers["x-request-id"]))

    options = StreamOptions(max_retries=0, on_response=hook)
    async with serve(
        reply("no", status=400, x_request_id="1"),
        reply(HELLO + STOP, content_type="text/event-stream", x_request_id="2"),
    ) as server:
        model = model_at(server.url)
        assert (await complete(model, HI, options)).stop_reason is StopReason.Error
        assert (await complete(model, HI, options)).text == "Hello"
    assert seen == [(200, "2")]


# Aborts


async def test_an_abort_in_the_middle_keeps_the_text():
    """And closes the connection; the next call on the same transcript goes through."""
    stop = trio.Event()
    async with serve(sse(HELLO, end=False, hang=True), sse(HELLO + STOP)) as server:
        model, context = model_at(server.url), Context(messages=[user("hi")])
        async with stream(model, context, StreamOptions(abort=stop)) as reply_:
            async for event in reply_:
                if isinstance(event, TextDelta):
                    stop.set()
            message = await reply_.result()
        assert (message.stop_reason, message.error_message, message.text) == (
            StopReason.Aborted,
            "Request was aborted",
            "Hello",
        )
        assert message.usage.total_tokens == 0
        await server.wires[0].closed.wait()
        context.messages += [message, user("again")]
        assert (await complete(model, context)).text == "Hello"
    assert [item["content"] for item in server.requests[1].json()["messages"]] == ["hi", "again"]


async def test_messages_that_are_appended_later_are_not_sent():
    """The call has its own copy of the transcript from its entry on."""
    context = Context(messages=[user("hi")])
    async with serve(sse(HELLO + STOP)) as server, stream(model_at(server.url), context) as reply_:
        context.messages.append(user("too late"))
        await reply_.result()
    assert len(server.requests[0].json()["messages"]) == 1
