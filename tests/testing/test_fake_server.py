"""The fake server speaks the three chat APIs from a script, as the faux provider does without a socket."""

import time

import httpx
import pytest
import trio

from providers.faux import (
    faux_assistant_message,
    faux_delayed,
    faux_failure,
    faux_fault,
    faux_text,
    faux_thinking,
    faux_tool_call,
)
from runtime import (
    Context,
    InvalidOptionError,
    SimpleStreamOptions,
    StopReason,
    complete_simple,
    open_agent,
    stream_simple,
    user,
)
from runtime.testing import (
    EventRecorder,
    assert_event_grammar,
    assert_nothing_left,
    assert_stream_grammar,
    assert_transcript_valid,
    fake_bytes,
    fake_status,
    open_fake_server,
)
from tools import tool

APIS = ("chat_completions", "responses", "messages")
ONCE = SimpleStreamOptions(max_retries=0)
every_api = pytest.mark.parametrize("api", APIS)


def asks(*texts):
    return Context(messages=[user(text) for text in texts])


async def ask(server, api, options=ONCE, text="hi"):
    return await complete_simple(getattr(server, api).model("m"), asks(text), options)


@every_api
async def test_a_reply_arrives_as_it_was_scripted(api):
    """Thinking, text and calls, in pieces, with a usage; the request is there to be looked at."""
    blocks = [
        faux_thinking("Let me think about it."),
        faux_text("Hello. " * 9),
        faux_tool_call("look", {"at": ["a", 1]}, id="c1"),
    ]
    async with open_fake_server(faux_assistant_message(blocks, stop_reason=StopReason.ToolUse)) as server:
        async with stream_simple(getattr(server, api).model("m"), asks("hi")) as stream:
            events = [event async for event in stream]
    reply = events[-1].message
    assert_stream_grammar(events)
    assert (reply.thinking, reply.text, reply.stop_reason) == (
        "Let me think about it.",
        "Hello. " * 9,
        StopReason.ToolUse,
    )
    (call,) = reply.tool_calls
    assert (call.id.split("|")[0], call.name, call.arguments) == ("c1", "look", {"at": ["a", 1]})
    assert sum(event.type == "text_delta" for event in events) > 2
    assert reply.usage.input > 0 < reply.usage.output
    (request,) = server.requests
    assert (request.api, request.model, len(request.messages)) == (api, "m", 1)
    assert "hi" in str(request.messages)
    assert "fake-key" in str(request.headers)
    assert "fake-key" not in repr(request)


@every_api
@pytest.mark.parametrize("reason", [StopReason.Stop, StopReason.Length])
async def test_a_reply_ends_as_it_was_scripted(api, reason):
    """Complete, or cut by the output limit."""
    async with open_fake_server(faux_assistant_message("done", stop_reason=reason)) as server:
        assert (await ask(server, api)).stop_reason is reason


@tool
async def look(at: str) -> str:
    """Look at something."""
    return f"{at} is fine"


@every_api
async def test_an_agent_works_with_it(api):
    """Tool calls, their results in the next request, and nothing left behind."""
    calls = [faux_tool_call("look", {"at": place}) for place in ("home", "work")]
    script = [
        faux_assistant_message(calls, stop_reason=StopReason.ToolUse),
        faux_assistant_message("All fine."),
    ]
    async with assert_nothing_left(), open_fake_server(*script) as server:
        recorder = EventRecorder()
        async with open_agent(getattr(server, api).model("m"), tools=[look]) as agent:
            agent.subscribe(recorder)
            assert (await agent.prompt("Is all fine?")).text == "All fine."
        assert_event_grammar(recorder)
        assert_transcript_valid(agent.state.messages)
        assert "work is fine" in str(server.requests[1].messages)


@every_api
async def test_a_provider_that_fails_on_the_way(api):
    """What had arrived stays."""
    reply = faux_fault(
        faux_assistant_message("one two three four five six"), "fail", after=1, error="out of order"
    )
    async with open_fake_server(reply) as server:
        message = await ask(server, api)
    assert message.stop_reason is StopReason.Error
    assert "out of order" in message.error_message
    assert "one two three four five six".startswith(message.text)
    assert message.text


@every_api
async def test_a_provider_that_fails_before_it_begins(api):
    """Like any refusal: it is not tried again."""
    async with open_fake_server(faux_failure("no such model")) as server:
        message = await ask(server, api, None)
    assert (message.stop_reason, message.content) == (StopReason.Error, ())
    assert "400" in message.error_message
    assert "no such model" in message.error_message


@every_api
@pytest.mark.parametrize("after", [None, 0, 1])
async def test_a_connection_that_breaks_off(api, after):
    """Before the response, at its beginning, or in the middle."""
    async with open_fake_server(
        faux_fault(faux_assistant_message("one two three four five"), "cut", after=after)
    ) as server:
        assert (await ask(server, api)).stop_reason is StopReason.Error


@every_api
async def test_a_reply_that_is_damaged(api):
    """An event that is no JSON."""
    async with open_fake_server(
        faux_fault(faux_assistant_message("one two three four"), "malformed")
    ) as server:
        assert (await ask(server, api)).stop_reason is StopReason.Error


@every_api
@pytest.mark.parametrize("after", [None, 1])
async def test_a_reply_that_stalls(api, after):
    """Until the client has had enough; then the connection is closed."""
    async with open_fake_server(
        faux_fault(faux_assistant_message("one two three four"), "stall", after=after)
    ) as server:
        message = await ask(
            server, api, SimpleStreamOptions(first_event_timeout=0.05, event_timeout=0.05, max_retries=0)
        )
        await server.wait_closed()
    assert message.stop_reason is StopReason.Error
    assert "event" in message.error_message


@every_api
async def test_a_reply_that_is_scripted_as_an_error(api):
    """All of it is sent, and then the error."""
    async with open_fake_server(
        faux_assistant_message("all of it", stop_reason=StopReason.Error, error_message="and yet")
    ) as server:
        message = await ask(server, api)
    assert message.text == "all of it"
    assert "and yet" in message.error_message


@every_api
async def test_a_rate_limit_is_waited_for(api):
    """The client comes again when it was told to."""
    async with open_fake_server(
        fake_status(429, "slow down", retry_after=0.2), faux_assistant_message("here")
    ) as server:
        began = time.monotonic()
        message = await ask(server, api, None)
        assert time.monotonic() - began > 0.19
    assert message.text == "here"
    assert len(server.requests) == 2


@every_api
async def test_a_status_says_what_is_wrong_in_the_language_of_the_api(api):
    """Clients show the sentence, not the JSON around it."""
    async with open_fake_server(fake_status(403, "not for you", headers={"x-request-id": "r1"})) as server:
        message = await ask(server, api)
    assert "403" in message.error_message
    assert "not for you" in message.error_message


async def test_json_of_ones_own_is_sent_as_it_is():
    """For what a provider says in its own way."""
    async with open_fake_server(fake_status(200, '{"odd": true}')) as server:
        response = await post(server, "/responses", {"stream": True})
    assert response.json() == {"odd": True}


async def post(server, path, body):
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{server.url}{path}", json=body)


@every_api
async def test_bytes_take_the_place_of_a_response(api):
    """Any bytes; and a connection that is closed, or left to the client."""
    nonsense = fake_bytes(b"HTTP/9 what\r\n\r\n")
    async with open_fake_server(
        nonsense, fake_bytes(), fake_bytes(b"HTTP/1.1 200 OK\r\n\r\n", hang=True)
    ) as server:
        assert (await ask(server, api)).stop_reason is StopReason.Error
        assert (await ask(server, api)).stop_reason is StopReason.Error
        with trio.move_on_after(0.05) as patience:
            await ask(server, api)
        assert patience.cancelled_caught


async def test_pace_and_delay_are_those_of_the_faux_provider():
    """A reply comes as fast as it was told to, and begins when it was told to."""
    script = [
        faux_assistant_message("one two three four five six seven eight"),
        faux_delayed(faux_assistant_message("late"), 0.1),
    ]
    async with open_fake_server(*script, tokens_per_second=100, token_size=1) as server:
        for least in (0.09, 0.1):
            began = time.monotonic()
            await ask(server, "responses")
            assert time.monotonic() - began > least


async def test_a_function_can_answer():
    """Of the request, async or not."""

    async def answer(request):
        await trio.lowlevel.checkpoint()
        return faux_assistant_message(f"you are {request.headers['user-agent'].split('/')[0]}")

    async with open_fake_server(answer, lambda request: fake_status(418, request.model)) as server:
        assert (await ask(server, "responses")).text.startswith("you are ")
        assert "418" in (await ask(server, "responses")).error_message


async def test_what_a_function_raises_ends_the_block():
    """An assertion about the request is one of the test."""

    def check(request):
        raise AssertionError("wrong question")

    with pytest.raises(AssertionError, match="wrong question"):
        async with open_fake_server(check) as server:
            await ask(server, "responses")
    with pytest.raises(InvalidOptionError, match=r"factory .* must return a step, not str"):
        async with open_fake_server(lambda _: "hi") as server:
            await ask(server, "responses")


async def test_steps_that_nobody_took_fail_the_block():
    """They are named; unless the block raises."""
    with pytest.raises(
        AssertionError, match="3 fake responses not used: reply 'unheard'; status 500; 3 bytes"
    ):
        async with open_fake_server(faux_assistant_message("unheard"), fake_status(500), fake_bytes(b"abc")):
            pass
    with pytest.raises(KeyError):
        async with open_fake_server(faux_assistant_message("unheard")):
            raise KeyError


async def test_a_request_too_many_is_refused():
    """And not tried again."""
    async with open_fake_server() as server:
        assert "No more fake responses queued" in (await ask(server, "messages", None)).error_message
        assert len(server.requests) == 1


async def test_the_script_can_be_changed_on_the_way():
    """As that of the faux provider; what is no step is refused, and then nothing changes."""
    async with open_fake_server() as server:
        server.append_responses([faux_assistant_message("one"), faux_assistant_message("two")])
        with pytest.raises(InvalidOptionError, match="step 1 must be an AssistantMessage, .* not int"):
            server.set_responses([faux_assistant_message("three"), 4])
        with pytest.raises(InvalidOptionError, match="responses must be a list of steps, not str"):
            server.append_responses("five")
        assert server.get_pending_response_count() == 2
        assert (await ask(server, "responses")).text == "one"
        assert repr(server) == f"<FakeServer {server.url}: 1 responses pending, 1 requests>"
        server.set_responses([])
    with pytest.raises(InvalidOptionError, match="status must be a number from 200 to 599, not 99"):
        fake_status(99)


async def test_other_requests_are_told_what_it_takes():
    """Wrong paths, wrong methods, bodies that are no JSON, and requests that do not stream."""
    async with open_fake_server() as server, httpx.AsyncClient(trust_env=False) as client:
        for response in (
            await client.get(f"{server.url}/models"),
            await client.post(f"{server.url}/embeddings", json={}),
        ):
            assert response.status_code == 404
            assert "this server takes POST /chat/completions, /responses, /messages" in response.text
        response = await client.post(f"{server.url}/responses", content=b"{")
        assert (response.status_code, "the body is no JSON" in response.text) == (400, True)
        response = await client.post(f"{server.url}/messages", json={"model": "m"})
        assert (response.status_code, "this server only streams" in response.text) == (400, True)
        assert server.requests == []


async def test_connections_can_be_broken_off():
    """In the middle of a reply."""
    async with open_fake_server(faux_fault(faux_assistant_message("one two three four"), "stall")) as server:
        replies = []

        async def one():
            replies.append(await ask(server, "responses"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await server.wait_requests()
            assert server.open_connections == 1
            server.drop_connections()
        assert replies[0].stop_reason is StopReason.Error
        await server.wait_closed()
        assert server.open_connections == 0


async def test_when_the_block_is_left_it_is_gone():
    """With its port; what it was asked can still be looked at."""
    async with assert_nothing_left(), open_fake_server(faux_assistant_message("hi")) as server:
        await ask(server, "messages")
        url = server.url
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)
    assert repr(server) == "<FakeServer not running: 0 responses pending, 1 requests>"
    with pytest.raises(RuntimeError, match="this fake server does not run"):
        server.drop_connections()
