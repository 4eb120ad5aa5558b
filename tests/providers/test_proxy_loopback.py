"""Client and server of a proxy over real connections: replies, refusals, cut bodies, aborts, and who closes what."""

import json

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import faux
from providers.proxy import decode_request, encode_stream, stream_fn
from providers.proxy.encode import HEARTBEAT
from runtime.agents.opening import open_agent
from runtime.errors import InvalidOptionError
from runtime.streams.call import stream_simple
from runtime.streams.events import StreamError
from runtime.testing.invariants import assert_stream_grammar, assert_transcript_valid
from runtime.testing.strategies import assistant_messages
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.loopback import raw, reply, serve, sse
from tests.providers.proxy_lab import MODEL, TOKEN, body_of, finding, named, proxied, said
from tools import tool

HELLO = Context(messages=[user("hello")])
ONCE = SimpleStreamOptions(max_retries=0)
DONE = {"type": "done", "reason": "stop", "usage": None}
EMOJI = '{"at":"😀"}'


async def through(call, model, context=HELLO, options=ONCE):
    async with call(model, context, options) as stream:
        events = [event async for event in stream]
        assert_stream_grammar(events)
        return await stream.result(), events


async def failure(script, options=ONCE, **settings):
    async with serve(script) as server:
        message, _ = await through(
            stream_fn(server.url, auth_token=TOKEN, **settings), MODEL, options=options
        )
    assert message.stop_reason is StopReason.Error
    assert TOKEN not in message.model_dump_json()
    return message.error_message


# Replies


async def test_a_reply_through_a_proxy_is_the_direct_one():
    """Deltas, signatures, calls, usage, ids; and the server saw who asked, and for what."""
    content = [
        faux.faux_thinking("hm"),
        faux.faux_text("one two three"),
        faux.faux_tool_call("look", json.loads(EMOJI)),
    ]
    scripted = faux.faux_assistant_message(
        content, stop_reason=StopReason.ToolUse, response_id="r1", timestamp=5
    )
    provider = faux.register_faux_provider(token_size=(1, 1))
    provider.set_responses([scripted, scripted])
    direct, direct_events = await through(stream_simple, provider.get_model())
    asked = []
    async with proxied(provider, asked=asked) as (server, call):
        message, events = await through(call, named(provider), options=SimpleStreamOptions(temperature=0.5))
    assert message == direct
    assert list(map(said, events)) == list(map(said, direct_events))
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/api/stream")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked[0].options == SimpleStreamOptions(temperature=0.5)


STEPS = st.tuples(
    assistant_messages(),
    st.none() | st.sampled_from(("fail", "cut", "malformed")),
    st.none() | st.integers(0, 5),
    st.none() | st.integers(0, 2),
)


def step_of(scripted, kind, after, block):
    if kind is None:
        return scripted
    return faux.faux_fault(scripted, kind, after=after, block=None if after is None else block)


class Local(httpx.AsyncBaseTransport):
    """The server's half without a network: the body comes in pieces as they were made."""

    def __init__(self, provider):
        self._provider = provider

    async def handle_async_request(self, request):
        call = decode_request(await request.aread(), finding(self._provider))
        async with stream_simple(call.model, call.context, call.options) as stream:
            body = [piece async for piece in encode_stream(stream)]
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(body))


@given(STEPS, st.integers(1, 3))
@settings(max_examples=150)
def test_whatever_a_provider_says_comes_through(step, size):
    """The message equals the direct one; the events are equal in type, index and what they say. Faults included."""

    async def both():
        provider = faux.register_faux_provider(token_size=size)
        provider.set_responses([step_of(*step), step_of(*step)])
        direct = await through(stream_simple, provider.get_model())
        async with httpx.AsyncClient(transport=Local(provider)) as client:
            call = stream_fn("http://proxy.example", auth_token=TOKEN, http_client=client)
            return direct, await through(call, named(provider))

    (direct, direct_events), (message, events) = trio.run(both)
    assert list(map(said, events)) == list(map(said, direct_events))
    if isinstance(events[0], StreamError):  # never started: its time is that of the call
        message = message.model_copy(update={"timestamp": direct.timestamp})
    assert message.model_dump_json() == direct.model_dump_json()


async def test_an_agent_works_through_a_proxy():
    """Its tools run where it is; its second turn sends what the first one said."""

    @tool
    async def look(at: str) -> str:
        """Look somewhere."""
        return f"waves at {at}"

    provider = faux.register_faux_provider()
    asks = faux.faux_assistant_message(
        faux.faux_tool_call("look", {"at": "sea"}), stop_reason=StopReason.ToolUse
    )
    provider.set_responses([asks, faux.faux_assistant_message("Waves.")])
    async with (
        proxied(provider) as (server, call),
        open_agent(named(provider), tools=[look], stream_fn=call) as agent,
    ):
        answer = await agent.prompt("What is there?")
    assert answer.text == "Waves."
    assert_transcript_valid(agent.state.messages)
    sent = server.requests[1].json()["context"]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "toolResult"]
    assert [item["name"] for item in sent["tools"]] == ["look"]


# Tokens, headers, hooks


async def test_a_token_can_be_asked_for_before_every_call():
    """Such as one that expires."""
    tokens = iter(["first", "second"])

    async def ask():
        return next(tokens)

    async with serve(sse(body_of({"type": "start"}, DONE)), repeat=True) as server:
        call = stream_fn(server.url, auth_token=ask)
        await through(call, MODEL)
        await through(call, MODEL)
        third, events = await through(call, MODEL)
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer first",
        "Bearer second",
    ]
    assert third.error_message.startswith("auth_token failed")
    assert isinstance(events[0], StreamError)


async def test_headers_and_hooks_belong_to_the_way_to_the_server():
    """Those of the options over those of the client; the payload hook sees the request to the proxy."""
    seen = []

    async def on_payload(payload, _):
        seen.append(sorted(payload))

    options = SimpleStreamOptions(headers={"x-two": "call"}, api_key="provider-key", on_payload=on_payload)
    async with serve(sse(body_of({"type": "start"}, DONE))) as server:
        call = stream_fn(f"{server.url}/app/?v=1", headers={"x-one": "1", "x-two": "client"})
        await through(call, MODEL, options=options)
    (request,) = server.requests
    assert request.target == "/app/api/stream?v=1"
    assert (request.headers["x-one"], request.headers["x-two"]) == ("1", "call")
    assert "authorization" not in request.headers
    assert "provider-key" not in str(request)
    assert seen == [["context", "model", "options"]]


@pytest.mark.parametrize(
    ("url", "settings"),
    [("localhost:8000", {}), ("http://h", {"auth_token": 5}), ("http://h", {"auth_token": "a\nb"}), ("http://h", {"headers": {"a b": "c"}}), (5, {})],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_at_once(url, settings):
    """Not at the first call."""
    with pytest.raises(InvalidOptionError):
        stream_fn(url, **settings)


def test_a_client_shows_no_secret():
    """It says where it calls."""
    call = stream_fn("http://me:hidden@h.example/x?key=hidden", auth_token=TOKEN)
    assert repr(call) == "<ProxyStreamFn POST http://h.example/x/api/stream>"


async def test_arguments_are_checked():
    """As those of ``stream_simple``."""
    for wrong in ((None, HELLO), (MODEL, []), (MODEL, HELLO, StreamOptions())):
        with pytest.raises(InvalidOptionError):
            stream_fn("http://h")(*wrong)


async def test_an_abort_that_is_set_asks_nobody():
    """A lone event says so."""
    abort = trio.Event()
    abort.set()
    async with serve() as server:
        message, events = await through(
            stream_fn(server.url), MODEL, options=SimpleStreamOptions(abort=abort)
        )
    assert message.stop_reason is StopReason.Aborted
    assert len(events) == 1


# Servers that fail


async def test_a_refusal_is_an_error():
    """With the server's own words, and without the token that it echoed."""
    error = await failure(reply(json.dumps({"error": f"unknown token {TOKEN}"}), status=401))
    assert "401" in error
    assert "unknown token ***" in error
    assert "/api/stream" in error


async def test_an_echoed_token_is_in_no_message():
    """Neither in the error of a reply nor in its notes."""
    note = {"type": "note", "seen": [f"Bearer {TOKEN}"]}
    said_so = {
        "type": "error",
        "reason": "error",
        "errorMessage": f"bad token {TOKEN}",
        "diagnostics": [note],
    }
    assert await failure(sse(body_of({"type": "start"}, said_so))) == "bad token ***"


HALF = body_of({"type": "start"}, {"type": "text_start", "contentIndex": 0}, {"type": "text_delta", "contentIndex": 0, "delta": "hal"})  # fmt: skip


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (sse(HALF), "ended before done or error"),
        (sse(HALF, b'data: {"type":"text_de'), "cut in the middle of an event"),
        (sse(HALF, end=False, close=True), "did not keep to HTTP"),
        (sse(HALF, b"data: nonsense\n\n"), "could not be decoded"),
        (sse(HALF, b'data: {"type":"start"}\n\n'), "a second start"),
        (sse(b""), "ended before done or error"),
        (reply("<html>", content_type="text/html"), "server-sent events were expected"),
        (raw(b"", close=True), "did not keep to HTTP"),
    ],
)
async def test_a_body_that_is_no_reply_is_an_error(script, why):
    """Cut, broken or something else; the message says which."""
    assert why in await failure(script)


async def test_what_had_arrived_is_kept():
    """In the message of the error."""
    async with serve(sse(HALF)) as server:
        message, events = await through(stream_fn(server.url), MODEL)
    assert message.text == "hal"
    assert [event.type for event in events] == ["start", "text_start", "text_delta", "error"]


async def test_an_event_may_not_be_too_long():
    """The client's own limit."""
    options = SimpleStreamOptions(max_retries=0, max_event_bytes=200)
    assert "max_event_bytes" in await failure(sse(HALF, b"data: " + b"x" * 500), options)


async def test_a_silent_server_is_not_waited_for():
    """Comments keep a connection alive, and are no events."""
    options = SimpleStreamOptions(max_retries=0, event_timeout=0.2)
    assert "event_timeout" in await failure(sse(HALF, HEARTBEAT * 3, end=False, hang=True), options)


async def test_unknown_events_do_no_harm():
    """A newer server may say more."""
    body = HALF + body_of({"type": "weather", "sky": "blue"}, {"type": "text_end", "contentIndex": 0}, DONE)
    async with serve(sse(body)) as server:
        message, _ = await through(stream_fn(server.url), MODEL)
    assert (message.text, message.stop_reason) == ("hal", StopReason.Stop)
