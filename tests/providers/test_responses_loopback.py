"""The Responses API against servers that do as they please: what is sent, what fails and how, and what is kept."""

import pytest
import trio

from providers import anthropic, openai
from runtime.streams.call import complete, complete_simple, stream, stream_simple
from runtime.streams.events import StreamError, TextDelta
from runtime.streams.overflow import is_context_overflow
from runtime.values.content import TextContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.tool import GrammarSampling, GrammarVariants, Tool
from tests.providers.loopback import SSE_HEAD, Script, Wire, chunk, reply, serve, sse
from tests.providers.responses_lab import (
    WEATHER,
    added,
    arguments_delta,
    completed,
    event_of,
    message_of,
    result_of,
    sse_of,
    summary_delta,
    text_delta,
)

KEY = "sk-loopback-0123456789"
GRAMMAR = Tool(
    "sample_tool",
    "Takes text",
    {"type": "object", "properties": {"payload": {"type": "string"}}, "required": ["payload"]},
    GrammarSampling(GrammarVariants(openai_lark="start: A")),
)
HI = Context(messages=[user("hi")])
ONCE = StreamOptions(max_retries=0)
HELLO = sse_of(added(0, "message", "msg_1"), text_delta(0, "Hello"))
STOP = sse_of(
    event_of("output_item.done", 0, item=message_of("msg_1", "Hello")),
    completed(usage={"input_tokens": 3, "output_tokens": 2}),
)
CALL = sse_of(
    added(1, "function_call", "fc_1", call_id="call_1", name="get_weather"), arguments_delta(1, '{"city":"Os')
)


def model_at(url: str, **settings) -> Model:
    return openai.responses(KEY, base_url=f"{url}/v1").model("m", **settings)


async def talk(script: Script, options: StreamOptions = ONCE) -> AssistantMessage:
    """What becomes of one call that is answered like this."""
    async with serve(script) as server:
        return await complete(model_at(server.url), HI, options)


# Good ones


async def test_a_call():
    """The request is what was encoded, the events are what was decoded."""
    async with serve(sse(HELLO, STOP)) as server:
        model = model_at(server.url, headers={"x-model": "1"})
        async with stream(model, HI, StreamOptions(headers={"x-call": "2"}, session_id="s-1")) as reply_:
            types = [event.type async for event in reply_]
            message = await reply_.result()
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/responses")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["x-model"], request.headers["x-call"]) == ("1", "2")
    assert request.headers["session_id"] == request.headers["x-client-request-id"] == "s-1"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "stream": True,
        "store": False,
        "prompt_cache_key": "s-1",
    }
    assert types == ["start", "text_start", "text_delta", "text_end", "done"]
    assert (message.text, message.usage.input, message.provider, message.api) == (
        "Hello",
        3,
        "openai",
        "openai-responses",
    )


async def test_a_conversation():
    """Thinking and a call of the first turn go back in the second as they came, before the result."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"}
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": '{"city":"Oslo"}',
    }
    first = sse_of(
        added(0, "reasoning", "rs_1", summary=[]),
        summary_delta(0, "hm"),
        event_of("output_item.done", 0, item=thought),
        event_of("output_item.done", 1, item=call),
        completed(thought, call),
    )
    context = Context(messages=[user("hi")], tools=[WEATHER])
    async with serve(sse(first), sse(HELLO, STOP)) as server:
        model = model_at(server.url, reasoning=True)
        asked = await complete_simple(model, context, SimpleStreamOptions(reasoning="low"))
        assert asked.stop_reason is StopReason.ToolUse
        assert asked.content[1] == ToolCall("call_1|fc_1", "get_weather", {"city": "Oslo"})
        context.messages += [asked, result_of("call_1|fc_1", TextContent("sunny"))]
        assert (await complete_simple(model, context, SimpleStreamOptions(reasoning="low"))).text == "Hello"
    sent = [request.json() for request in server.requests]
    assert sent[0]["include"] == ["reasoning.encrypted_content"]
    assert sent[1]["input"][:1] == sent[0]["input"]
    assert sent[1]["input"][1:] == [
        thought,
        call,
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]


@pytest.mark.parametrize("path", ["/v1", "/v1///", "/v1/?api-version=2025-04-01"])
async def test_the_path_follows_the_base_url(path):
    """Slashes at its end do not matter, and a query stays behind."""
    async with serve(sse(HELLO + STOP)) as server:
        assert (
            await complete(openai.responses(base_url=server.url + path).model("m"), HI, ONCE)
        ).text == "Hello"
    assert server.requests[0].target == "/v1/responses" + ("?api-version=2025-04-01" if "?" in path else "")


@pytest.mark.parametrize("key", [None, "", "  "])
async def test_another_endpoint_needs_no_key(key, monkeypatch):
    """And gets none, whatever the environment holds."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    async with serve(sse(HELLO + STOP)) as server:
        model = openai.responses(key, base_url=server.url).model("m")
        async with stream_simple(model, HI, SimpleStreamOptions()) as reply_:
            assert (await reply_.result()).text == "Hello"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("last", "reason"),
    [("completed", StopReason.Stop), ("incomplete", StopReason.Length), ("cancelled", StopReason.Error)],
)
async def test_finishing_does_not_wait_for_the_socket(last, reason):
    """The last event ends the reply, also when the server keeps the connection."""
    end = sse_of(event_of(last, response={"status": last}))
    with trio.fail_after(5):
        message = await talk(sse(HELLO + end, end=False, hang=True))
    assert (message.stop_reason, message.text) == (reason, "Hello")


# Bytes that are none of it


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (reply("<html><body>Sign in</body></html>", content_type="text/html"), "Sign in"),
        (reply('{"error":{"message":"quota is gone"}}', content_type="application/json"), "quota is gone"),
        (reply("", content_type="text/event-stream"), "ended before a terminal response event"),
        (sse(": only\n\n", ": comments\n\n"), "ended before a terminal response event"),
        (sse("data: {}\n\n"), "ended before a terminal response event"),
        (sse("data: [DONE]\n\n", hang=True, end=False), "ended before a terminal response event"),
    ],
)
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
        (b'data: {"error":{"message":"slot is gone","code":500}}\n\n', "slot is gone (code: 500)"),
        (b'data: {"type":"error","code":"c","message":"boom"}\n\n', "Error Code c: boom"),
        (b"event: error\ndata: out of memory\n\n", "out of memory"),
        (b"", "ended before a terminal response event"),
        (b": ping\n\n", "ended before a terminal response event"),
    ],
)
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


async def endless(wire: Wire, piece: bytes) -> None:
    await wire.send(SSE_HEAD)
    while not wire.closed.is_set():
        await wire.send(chunk(piece))


@pytest.mark.parametrize("piece", [b": ping\n\n", b'data: {"type":"keepalive"}\n\n', b"data:\n\n"])
async def test_endless_pings_are_no_progress(piece):
    """The reply is given up when nothing else comes in time."""
    with trio.fail_after(20):
        options = StreamOptions(max_retries=0, first_event_timeout=0.3)
        message = await talk(lambda wire: endless(wire, piece * 100), options)
    assert "first_event_timeout=0.3" in message.error_message


async def test_a_stalled_reply_is_given_up():
    """With what had arrived, and with the name of the option that set the time."""
    message = await talk(sse(HELLO, end=False, hang=True), StreamOptions(max_retries=0, event_timeout=0.2))
    assert message.text == "Hello"
    assert "event_timeout=0.2" in message.error_message


async def test_items_without_end_are_refused():
    """A reply has room for so many."""
    many = sse_of(*(added(None, "web_search_call") for _ in range(10_001)))
    assert "more than 10000 items" in (await talk(sse(many))).error_message


# Refusals and retries


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ('{"error":{"message":"no such model","code":"x"}}', 400, "OpenAI API error (400): no such model\n"),
        ('{"message":"no such model"}', 404, "OpenAI API error (404): no such model\n"),
        ('{"code":"c","error":"bad key"}', 400, "OpenAI API error (400): bad key\n"),
        ('"bad key"', 401, "OpenAI API error (401): bad key\n"),
        ("<html>bad gateway</html>", 502, "OpenAI API error (502): <html>bad gateway</html>"),
        ('{"error":{}}', 500, 'OpenAI API error (500): {"error":{}}'),
        ("", 500, "OpenAI API error (500): 500 status code (no body)\n"),
    ],
)
async def test_a_refusal_is_told_in_the_providers_words(body, status, text):
    """As a lone error, with the whole answer and the endpoint behind it; the response hook is not asked."""
    seen = []

    async def hook(info, model):
        seen.append(info)

    options = StreamOptions(max_retries=0, on_response=hook)
    async with (
        serve(reply(body, status=status)) as server,
        stream(model_at(server.url), HI, options) as reply_,
    ):
        (event,) = [event async for event in reply_]
        assert server.url in event.error.error_message
    assert isinstance(event, StreamError)
    assert event.error.error_message.startswith(text)
    assert body in event.error.error_message
    assert seen == []


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ("", 413, True),
        ("", 400, True),
        ("", 500, False),
        ('{"error":{"message":"Your input exceeds the context window of this model."}}', 400, True),
        ('{"error":{"message":"bad request"}}', 400, False),
    ],
)
async def test_a_context_that_is_too_long_is_known_as_such(body, status, expected):
    """By the provider's words, or by a status without any."""
    assert is_context_overflow(await talk(reply(body, status=status))) is expected


async def test_a_failure_is_tried_again_when_the_call_allows_it():
    """Once here; without retries it is told at once."""
    failure = reply("no", status=500, retry_after_ms="1")
    assert "500" in (await talk(failure)).error_message
    async with serve(failure, sse(HELLO + STOP)) as server:
        assert (await complete(model_at(server.url), HI, StreamOptions(max_retries=1))).text == "Hello"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        reply(f"bad key {KEY}", status=401),
        reply(f'{{"error":{{"message":"bad key {KEY}"}}}}', status=401),
        sse(sse_of({"error": f"bad key {KEY}"})),
    ],
)
async def test_no_error_holds_the_key(answer):
    """Not even one that the server echoed."""
    message = await talk(answer)
    assert "bad key ***" in message.error_message
    assert KEY not in message.model_dump_json()


@pytest.mark.parametrize("connect", [openai.responses, openai.chat_completions, anthropic.messages])
@pytest.mark.parametrize("spelled", [r"sk-very\u002Fsecret\u002Bkey", r"\u0073k-very\/secret\u002bkey"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda body: reply(body, status=401),
        lambda body: reply(body, content_type="application/json"),
        lambda body: sse(f"event: error\ndata: {body}\n\n"),
        lambda body: sse(f"event: message\ndata: {body[:-1]}\n\n"),
    ],
)
async def test_no_error_holds_a_key_that_was_escaped(connect, spelled, answer):
    """Neither as the server spelled it nor as it reads."""
    body = f'{{"error":{{"message":"bad key {spelled}"}}}}'
    async with serve(answer(body)) as server:
        model = connect("sk-very/secret+key", base_url=f"{server.url}/v1").model("m")
        message = await complete(model, HI, ONCE)
    assert message.stop_reason is StopReason.Error
    assert message.error_message.count("bad key") == message.error_message.count("bad key ***")
    assert "secret" not in message.model_dump_json()


async def test_a_transcript_that_cannot_be_sent_is_an_error():
    """As a lone event, before any request; it says what is wrong."""
    async with serve() as server:
        model = model_at(server.url, compat={"supports_openai_grammar_tools": True})
        broken = AssistantMessage(
            [ToolCall("call_1|ctc_1", "sample_tool", {})],
            api=model.api,
            provider=model.provider,
            model=model.id,
            stop_reason=StopReason.Stop,
        )
        async with stream(model, Context(messages=[broken], tools=[GRAMMAR]), ONCE) as reply_:
            (event,) = [event async for event in reply_]
    assert 'requires argument "payload"' in event.error.error_message
    assert server.requests == []


# Hooks and aborts


async def test_the_payload_hook_may_replace_the_payload():
    """What it returns is sent."""

    async def hook(payload, model):
        return {**payload, "text": {"verbosity": "low"}}

    async with serve(sse(HELLO + STOP)) as server:
        await complete(model_at(server.url), HI, StreamOptions(on_payload=hook))
    assert server.requests[0].json()["text"] == {"verbosity": "low"}


async def test_the_whole_answer_may_cost_less_than_was_asked_for():
    """The tier that the call asks for counts unless the server names another."""
    options = StreamOptions(provider_options={"serviceTier": "priority"})
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    costs = []
    async with serve(
        sse(sse_of(completed(usage=usage))), sse(sse_of(completed(usage=usage, service_tier="flex")))
    ) as server:
        model = model_at(server.url, cost={"input": 2, "output": 0, "cacheRead": 0, "cacheWrite": 0})
        for _ in range(2):
            costs.append((await complete(model, HI, options)).usage.cost.total)
    assert [request.json()["service_tier"] for request in server.requests] == ["priority", "priority"]
    assert costs == [4, 1]


async def test_an_abort_beforehand_needs_no_key_and_sends_nothing():
    """A lone event."""
    stop = trio.Event()
    stop.set()
    model = openai.responses().model("m")
    async with stream(model, HI, StreamOptions(abort=stop)) as reply_:
        (event,) = [event async for event in reply_]
    assert (event.reason, event.error.error_message, event.error.content) == (
        StopReason.Aborted,
        "Request was aborted",
        (),
    )


async def test_an_abort_in_the_middle_keeps_the_text():
    """Unsigned; the next call leaves that reply out."""
    stop = trio.Event()
    async with serve(sse(HELLO, end=False, hang=True), sse(HELLO + STOP)) as server:
        model, context = model_at(server.url), Context(messages=[user("hi")])
        async with stream(model, context, StreamOptions(abort=stop)) as reply_:
            async for event in reply_:
                if isinstance(event, TextDelta):
                    stop.set()
            message = await reply_.result()
        assert (message.stop_reason, message.error_message) == (StopReason.Aborted, "Request was aborted")
        assert message.content == (TextContent("Hello"),)
        assert message.usage.total_tokens == 0
        await server.wires[0].closed.wait()
        context.messages += [message, user("again")]
        assert (await complete(model, context)).text == "Hello"
    assert [item["role"] for item in server.requests[1].json()["input"]] == ["user", "user"]


async def test_the_connection_is_used_again():
    """A reply that has ended leaves it open."""
    async with serve(sse(HELLO + STOP), sse(HELLO + STOP)) as server:
        model = model_at(server.url)
        for _ in range(2):
            await complete(model, HI)
        assert len(server.wires) == 1
