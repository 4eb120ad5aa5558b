"""The Messages API against servers that do as they please: each failure says what it was, and keeps what had arrived."""

import json

import pytest
import trio

from providers import anthropic
from runtime.agents.opening import open_agent
from runtime.streams.call import complete, complete_simple, stream
from runtime.streams.events import StreamError, TextDelta
from runtime.streams.overflow import is_context_overflow
from runtime.testing.invariants import assert_transcript_valid
from runtime.values.content import TextContent
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.tool import JsonSchemaSampling
from tests.providers.anthropic_lab import (
    LAST,
    PING,
    TEXT,
    ending,
    opened,
    own,
    said,
    sse_of,
    start_of,
    stopped,
    tool_named,
    typed,
)
from tests.providers.loopback import SSE_HEAD, Script, Wire, chunk, head, raw, reply, serve, sse
from tools import tool

KEY = "sk-ant-loopback-0123456789"
HI = Context(messages=[user("hi")])
ONCE = StreamOptions(max_retries=0)
BEGUN = sse_of(start_of(), opened(), said("Hel"))
WHOLE = sse_of(start_of(), *TEXT, ending(), LAST)


def model_at(url: str, **settings) -> Model:
    return anthropic.messages(KEY, base_url=f"{url}/v1").model("m", **settings)


async def talk(script: Script, options: StreamOptions = ONCE) -> AssistantMessage:
    """What becomes of one call that is answered like this."""
    async with serve(script) as server:
        return await complete(model_at(server.url), HI, options)


async def test_a_conversation():
    """The request is what was encoded, the events are what was decoded, and the end does not wait for the socket."""
    async with serve(sse(WHOLE, end=False, hang=True)) as server:
        with trio.fail_after(5):
            async with stream(model_at(server.url), HI, StreamOptions(headers={"x-call": "2"})) as reply_:
                types = [event.type async for event in reply_]
                message = await reply_.result()
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/messages")
    assert (request.headers["x-api-key"], request.headers["x-call"]) == (KEY, "2")
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.json()["stream"] is True
    assert types == ["start", "text_start", "text_delta", "text_end", "done"]
    assert (message.text, message.response_id, message.provider) == ("Hello", "msg_1", "anthropic")
    assert (message.api, message.usage.total_tokens) == ("anthropic-messages", 11)


async def test_bytes_may_come_one_by_one():
    """Characters and line ends are cut too."""
    body = sse_of(start_of(), opened(), said("né 😀"), stopped(), ending(), LAST).replace(b"\n", b"\r\n")
    assert (await talk(sse(body, size=1))).text == "né 😀"


async def test_the_path_follows_the_base_url():
    """Slashes at its end do not matter, and a query stays behind."""
    async with serve(sse(WHOLE), repeat=True) as server:
        for path, target in (("/v1//", "/v1/messages"), ("/v1?v=1", "/v1/messages?v=1"), ("", "/messages")):
            model = anthropic.messages(base_url=server.url + path).model("m")
            assert (await complete(model, HI, ONCE)).text == "Hello"
            assert server.requests[-1].target == target


async def test_empty_turns_do_not_stop_a_conversation():
    """A message comes back, whatever is left of them."""
    async with serve(sse(WHOLE), repeat=True) as server:
        model = model_at(server.url)
        for messages in ([user("")], [user(" \n")], [user("hi"), own(model=model), user("again")]):
            assert (await complete(model, Context(messages=messages), ONCE)).text == "Hello"
        assert server.requests[0].json()["messages"] == []


async def test_lone_surrogates_are_sent_as_text():
    """JavaScript writes them; the provider refuses them."""
    async with serve(sse(WHOLE)) as server:
        broken = TextContent.model_construct(type="text", text="a\ud83d", text_signature=None)
        context = Context(messages=[user("x").model_copy(update={"content": (broken,)})])
        assert (await complete(model_at(server.url), context, ONCE)).text == "Hello"
    assert server.requests[0].json()["messages"][0]["content"][0]["text"] == "a"


# Failures


async def test_a_status_is_an_error():
    """With the provider's text; on_response is not called, and there is no start."""
    called = []

    async def note(info, model):
        called.append(info)

    body = '{"type":"error","error":{"type":"api_error","message":"Internal server error"}}'
    async with serve(reply(body, status=500)) as server:
        async with stream(model_at(server.url), HI, StreamOptions(max_retries=0, on_response=note)) as reply_:
            events = [event async for event in reply_]
    assert [type(event) for event in events] == [StreamError]
    assert events[0].error.error_message.startswith(
        f"provider returned HTTP 500 Internal Server Error: {body}"
    )
    assert not called


async def test_statuses_of_anthropics_own():
    """One is not registered; one means that the prompt is too long."""
    overloaded = await talk(reply("{}", status=529))
    assert overloaded.error_message.startswith("provider returned HTTP 529 <unknown status code>: {}")
    large = await talk(reply('{"error":{"type":"request_too_large","message":"x"}}', status=413))
    assert is_context_overflow(large)
    long = await talk(
        reply('{"error":{"message":"prompt is too long: 213462 tokens > 200000 maximum"}}', status=400)
    )
    assert is_context_overflow(long)


async def test_an_error_body_in_openais_shape():
    """llama.cpp's."""
    message = await talk(
        reply('{"error":{"code":401,"message":"Invalid API Key","type":"authentication_error"}}', status=401)
    )
    assert "Invalid API Key" in message.error_message
    assert KEY not in message.model_dump_json()


async def test_a_key_that_a_server_echoes_is_not_told():
    """In a status, and in the stream."""
    echo = json.dumps({"error": {"message": f"bad key {KEY}"}})
    for script in (reply(echo, status=403), sse(BEGUN, f"event: error\ndata: {echo}\n\n")):
        message = await talk(script)
        assert message.stop_reason is StopReason.Error
        assert "bad key ***" in message.error_message


async def test_retries():
    """None unless asked for; a success after one is a success."""
    failed = reply("no", status=500, retry_after_ms="0")
    assert "500" in (await talk(failed)).error_message
    async with serve(failed, sse(WHOLE)) as server:
        assert (await complete(model_at(server.url), HI, StreamOptions(max_retries=1))).text == "Hello"
        assert len(server.requests) == 2


async def test_an_error_in_the_stream_keeps_what_had_arrived():
    """The connection is not read further."""
    error = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with trio.fail_after(5):
        message = await talk(sse(BEGUN, f"event: error\ndata: {error}\n\n", hang=True))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith(f"{error} (POST http://127.0.0.1")
    assert (message.text, message.usage.input) == ("Hel", 10)


async def test_a_refusal_is_told_as_it_is():
    """The error message begins with the explanation."""
    details = {"type": "refusal", "explanation": "That would be unsafe."}
    message = await talk(sse(sse_of(start_of(), ending("refusal", stop_details=details), LAST)))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith("That would be unsafe. (POST")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (sse(BEGUN), "Anthropic stream ended before message_stop"),
        (sse(), "Anthropic stream ended without a stop reason"),
        (sse(BEGUN, end=False, close=True), "did not keep to HTTP"),
        (raw(SSE_HEAD + chunk(BEGUN)[:-9], close=True), "did not keep to HTTP"),
        (reply("", content_type="text/event-stream"), "Anthropic stream ended without a stop reason"),
        (
            reply('{"type":"message","content":[]}', content_type="application/json"),
            "server-sent events were expected",
        ),
        (reply("<html>busy</html>", content_type="text/html"), "server-sent events were expected"),
    ],
)
async def test_an_answer_that_is_no_whole_stream_is_an_error(script, text):
    """Never a success without content."""
    message = await talk(script)
    assert message.stop_reason is StopReason.Error
    assert text in message.error_message


async def test_pings_do_not_keep_a_stalled_reply_alive():
    """The time-out is between events that say something."""

    async def ping(wire: Wire) -> None:
        await wire.send(SSE_HEAD + chunk(BEGUN))
        while not wire.closed.is_set():
            await wire.send(chunk(sse_of(PING)))
            await trio.sleep(0.01)

    with trio.fail_after(5):
        message = await talk(ping, StreamOptions(max_retries=0, event_timeout=0.1))
    assert "event_timeout" in message.error_message
    assert message.text == "Hel"


# Aborts


async def test_an_abort_keeps_what_had_arrived():
    """Text and usage; a later call goes on, with what was cut left out."""
    async with serve(sse(BEGUN, end=False, hang=True), sse(WHOLE)) as server:
        model = model_at(server.url)
        async with stream(model, HI, ONCE) as reply_:
            async for event in reply_:
                if isinstance(event, TextDelta):
                    reply_.abort()
            message = await reply_.result()
        assert (message.stop_reason, message.error_message) == (StopReason.Aborted, "Request was aborted")
        assert (message.text, message.usage.input, message.usage.output) == ("Hel", 10, 1)
        after = Context(messages=[*HI.messages, message, user("again")])
        assert (await complete(model, after, ONCE)).text == "Hello"
    assert [sent["role"] for sent in server.requests[1].json()["messages"]] == ["user", "user"]


async def test_an_abort_while_nothing_comes():
    """Not even a head."""
    abort = trio.Event()

    async def hang(wire: Wire) -> None:
        abort.set()
        await wire.wait_closed()

    with trio.fail_after(5):
        message = await talk(hang, StreamOptions(max_retries=0, abort=abort))
    assert (message.stop_reason, message.content) == (StopReason.Aborted, ())


# Hooks


async def test_on_payload_cannot_turn_streaming_off():
    """By a payload of its own, or by changing the one that it sees; otherwise it may do as it likes."""

    async def replace(payload, model):
        return {"model": "mine", "stream": False}

    async def change(payload, model):
        del payload["stream"]
        payload["top_k"] = 5

    async def nothing(payload, model):
        return None

    async with serve(sse(WHOLE), repeat=True) as server:
        for hook in (replace, change, nothing):
            await complete_simple(model_at(server.url), HI, SimpleStreamOptions(on_payload=hook))
    bodies = [request.json() for request in server.requests]
    assert bodies[0] == {"model": "mine", "stream": True}
    assert (bodies[1]["stream"], bodies[1]["top_k"]) == (True, 5)
    assert bodies[2]["stream"] is True


async def test_hooks_that_fail_end_the_call():
    """Before anything is sent; what they return must be a payload."""

    async def fail(payload, model):
        raise ValueError("not today")

    async def odd(payload, model):
        return "text"

    async with serve(repeat=True) as server:
        for hook, text in (
            (fail, "on_payload failed: not today"),
            (odd, "on_payload must return a dict or None"),
        ):
            message = await complete(model_at(server.url), HI, StreamOptions(on_payload=hook))
            assert message.stop_reason is StopReason.Error
            assert message.error_message.startswith(text)
    assert server.requests == []


async def test_on_response_sees_a_success():
    """Status and headers, before the start."""
    seen = []

    async def note(info, model):
        seen.append((info.status, info.headers["request-id"]))

    body = head(
        200, {"content-type": "text/event-stream", "request-id": "req_1", "content-length": str(len(WHOLE))}
    )
    await talk(raw(body + WHOLE), StreamOptions(on_response=note))
    assert seen == [(200, "req_1")]


async def test_a_tool_that_cannot_be_strict_is_an_error():
    """Of the call, not of the program."""
    require = tool_named("a", constrained_sampling=JsonSchemaSampling("require"))
    async with serve(repeat=True) as server:
        model = model_at(server.url, compat={"supports_strict_tools": False})
        message = await complete(model, Context(messages=[user("hi")], tools=[require]), ONCE)
    assert message.stop_reason is StopReason.Error
    assert message.error_message.endswith("but strict tools are unsupported.")


# Agents


@tool
async def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"{city}: rain"


async def test_an_agent_calls_tools_and_goes_on():
    """Thinking goes back signed, results in one message, and the turns before stay what they were."""
    calls = sse_of(
        start_of(),
        opened(0, "thinking", thinking="hm", signature="sig"),
        stopped(0),
        opened(1, "tool_use", id="toolu_1", name="get_weather", input={}),
        opened(2, "tool_use", id="toolu_2", name="get_weather", input={}),
        typed('{"city":"Oslo"}', 1),
        typed('{"city":"Rome"}', 2),
        stopped(1),
        stopped(2),
        ending("tool_use"),
        LAST,
    )
    async with serve(sse(calls), sse(WHOLE), sse(WHOLE)) as server:
        options = SimpleStreamOptions(cache_retention="none")
        async with open_agent(model_at(server.url), tools=[get_weather], options=options) as agent:
            await agent.prompt("Weather?")
            assert (await agent.prompt("And now?")).text == "Hello"
            assert_transcript_valid(agent.state.messages)
    first, second, third = (request.json()["messages"] for request in server.requests)
    assert (second[:1], third[:3]) == (first, second)
    assert [block["type"] for block in second[1]["content"]] == ["thinking", "tool_use", "tool_use"]
    assert [block["content"] for block in second[2]["content"]] == ["Oslo: rain", "Rome: rain"]
