"""Each API against a server that fails in every way that providers do, and judges its client."""

import math
import time
from contextlib import contextmanager

import pytest
import trio

from providers.pool import current_pool
from runtime import (
    Context,
    StopReason,
    StreamOptions,
    TextDelta,
    complete,
    open_agent,
    stream,
    user,
)
from runtime.testing.invariants import (
    EventRecorder,
    assert_event_grammar,
    assert_stream_grammar,
    assert_transcript_valid,
)
from tools import tool

pytestmark = pytest.mark.faults

TEXT = "One two three four five six seven eight."
HELLO = Context("Be brief.", [user("Say hello.")])
PATIENT = StreamOptions(max_tokens=100, first_event_timeout=20, event_timeout=20, timeout=60)


def says(text=TEXT, **more):
    return {"type": "reply", "text": text, **more}


def calls(*tool_calls, **more):
    listed = [{"name": name, "arguments": arguments} for name, arguments in tool_calls]
    return {"type": "reply", "tool_calls": listed, **more}


def fails(status, **more):
    return {"type": "fail", "status": status, **more}


def breaks(kind, after=6, **more):
    return {"type": "stream_fault", "kind": kind, "after_chunks": after, **more}


@contextmanager
def takes(at_least=0.0, at_most=math.inf):
    """The block takes that many seconds of real time."""
    began = time.monotonic()
    yield
    assert at_least <= time.monotonic() - began <= at_most


async def collect(model, context=HELLO, options=PATIENT):
    """The events of a call, which keep to the grammar, and its message."""
    async with stream(model, context, options) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert_stream_grammar(events)
    return events, message


def is_whole(message, text=TEXT):
    return message.stop_reason is StopReason.Stop and message.text == text and message.error_message is None


def is_part(message, text=TEXT):
    """An error with some of the text, but not all."""
    return message.stop_reason is StopReason.Error and text.startswith(message.text) and message.text != text


async def saw_its_client_leave(llmock):
    """The one reply of the server has ended long before it could be complete."""
    (request,) = await llmock.requests()
    assert not request["completed"]
    assert (request["stall_waited"] or 0) < 2


async def test_a_reply_arrives_whole(llmock, api):
    """Without a fault: text as it was sent, usage counted, the model and id of the response known."""
    await llmock.script(says())
    events, message = await collect(llmock.model(api))
    assert is_whole(message)
    assert sum(isinstance(event, TextDelta) for event in events) == 8
    assert message.usage.input > 0
    assert message.usage.output > 0
    assert message.response_id
    assert await llmock.findings() == []


async def test_a_rate_limit_is_waited_out(llmock, api):
    """429 with Retry-After: for as long as it says, be that more or less than our own pauses; the caller never notices."""
    await llmock.script(fails(429, retry_after=1.2), fails(429, retry_after=0.05), says())
    with takes(at_least=1.25, at_most=4):
        _, message = await collect(llmock.model(api))
    assert is_whole(message)
    first, second, third = await llmock.requests()
    assert [first["status"], second["status"], third["status"]] == [429, 429, 200]
    assert (
        third["started_at"] - second["ended_at"]
        < 0.6
        < 1.2
        <= second["started_at"] - first["ended_at"] + 0.01
    )
    assert await llmock.findings() == []


async def test_too_long_a_wait_is_an_error_at_once(llmock, api):
    """Retry-After above max_retry_delay: one attempt, an error that names the wait, the limit and the endpoint."""
    await llmock.script(fails(429, retry_after=50), says())
    model = llmock.model(api)
    with takes(at_most=2):
        events, message = await collect(model, options=StreamOptions(max_tokens=100, max_retry_delay=7))
    assert [event.type for event in events] == ["error"]
    assert "Server requested 50s retry delay (max: 7s)" in message.error_message
    assert "Rate limit exceeded" in message.error_message
    assert f"{model.base_url}{api.path}" in message.error_message
    assert await llmock.findings() == ["gave_up"]
    assert is_whole(await complete(model, Context(messages=[user("Later.")]), PATIENT))


@pytest.mark.parametrize(("status", "words"), [(500, "Internal server error"), (529, "overloaded")])
async def test_failures_that_last_end_the_call(llmock, api, status, words):
    """One attempt and max_retries more, with growing pauses; then the status, what was said, and by whom."""
    asked = {"retry_after": 0.1} if status == 529 else {}
    await llmock.script(fails(status, times=3, **asked), says())
    model = llmock.model(api)
    events, message = await collect(model)
    assert [event.type for event in events] == ["error"]
    assert message.stop_reason is StopReason.Error
    assert str(status) in message.error_message
    assert words in message.error_message
    assert f"{model.base_url}{api.path}" in message.error_message
    assert len(await llmock.requests()) == 3
    assert await llmock.findings() == []
    assert is_whole(await complete(model, Context(messages=[user("Later.")]), PATIENT))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_cannot_succeed_is_not_tried_again(llmock, api, status):
    """Refusals are errors at once."""
    await llmock.script(fails(status, message="No, because of 1, 2, 3."))
    _, message = await collect(llmock.model(api))
    assert message.stop_reason is StopReason.Error
    assert str(status) in message.error_message
    assert "No, because of 1, 2, 3." in message.error_message
    assert len(await llmock.requests()) == 1
    assert await llmock.findings() == []


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
async def test_a_stream_that_breaks_is_an_error_with_what_had_arrived(llmock, api, kind):
    """Never a silent success, nor a second attempt behind the caller's back; the caller's own one works.

    The text is long, so that the server is still at it when its client leaves.
    """
    text = "and on " * 1000
    await llmock.script(breaks(kind), says(text, times=2))
    model = llmock.model(api)
    events, message = await collect(model)
    assert is_part(message, text)
    assert message.text
    assert events[-1].type == "error"
    told = {
        "disconnect": f"{model.base_url}{api.path}",
        "truncate": api.cut_short,
        "malformed": "EOF while parsing",
    }
    assert told[kind] in message.error_message
    assert current_pool().statistics().in_flight == 0
    assert len(await llmock.requests()) == 1
    assert is_whole(await complete(model, HELLO, PATIENT), text)
    assert await llmock.findings() == []


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
async def test_a_stream_broken_anywhere_is_never_taken_for_a_whole_one(llmock, api, kind):
    """At every chunk: an error with a part of the text, or success with all of it."""
    model, outcomes = llmock.model(api), []
    for place in range(40):
        await llmock.post("/_llmock/reset")
        await llmock.script(breaks(kind, after=place), says(times=3))
        _, message = await collect(model)
        outcomes.append(message.stop_reason)
        assert is_whole(message) or (
            message.stop_reason is StopReason.Error and TEXT.startswith(message.text)
        )
        if (await llmock.requests())[-1]["fault"] is None:
            break
    assert outcomes.count(StopReason.Error) >= 8
    assert outcomes[-1] is StopReason.Stop
    await llmock.post("/_llmock/reset")


async def test_a_stall_runs_into_the_event_time_out(llmock, api):
    """The error names the endpoint, the option and its value; the server sees its client leave."""
    await llmock.script(breaks("stall", stall_seconds=20), says(times=2))
    model = llmock.model(api)
    with takes(at_least=0.3, at_most=2):
        _, message = await collect(model, options=StreamOptions(max_tokens=100, event_timeout=0.3))
    assert is_part(message)
    assert message.text
    assert (
        f"no further event from {model.base_url}{api.path} within event_timeout=0.3 seconds"
        in message.error_message
    )
    await saw_its_client_leave(llmock)
    assert is_whole(await complete(model, Context(messages=[user("Later.")]), PATIENT))
    assert await llmock.findings() == []


async def test_a_stall_that_is_short_enough_is_waited_for(llmock, api):
    """event_timeout is not reached."""
    await llmock.script(breaks("stall", stall_seconds=0.4), says())
    with takes(at_least=0.4, at_most=5):
        _, message = await collect(llmock.model(api), options=StreamOptions(max_tokens=100, event_timeout=5))
    assert is_whole(message)


@pytest.mark.parametrize("kind", ["slow_first_token", "delay"])
async def test_a_slow_beginning_has_a_time_out_of_its_own(llmock, api, kind):
    """Only first_event_timeout counts until the reply begins, before or after its headers."""
    await llmock.script({"type": kind, "seconds": 0.6}, says())
    model = llmock.model(api)
    with takes(at_least=0.6, at_most=5):
        options = StreamOptions(max_tokens=100, first_event_timeout=5, event_timeout=0.3)
        _, message = await collect(model, options=options)
    assert is_whole(message)
    assert await llmock.findings() == []


@pytest.mark.parametrize("kind", ["slow_first_token", "delay"])
async def test_too_slow_a_beginning_is_an_error(llmock, api, kind):
    """It names the endpoint, the option and its value; it is not tried again."""
    await llmock.script({"type": kind, "seconds": 1.5}, says(times=2))
    model = llmock.model(api)
    with takes(at_least=0.3, at_most=1.4):
        options = StreamOptions(max_tokens=100, first_event_timeout=0.3)
        _, message = await collect(model, options=options)
    assert message.stop_reason is StopReason.Error
    assert (
        f"no event from {model.base_url}{api.path} within first_event_timeout=0.3 seconds"
        in message.error_message
    )
    assert is_whole(await complete(model, Context(messages=[user("Later.")]), PATIENT))
    assert await llmock.findings() == []


async def test_a_cancelled_call_lets_go_of_the_server(llmock, api):
    """A scope around the call: the exception passes, the connection is closed, the server sees it."""
    await llmock.script(breaks("stall", stall_seconds=20), says(times=2))
    model = llmock.model(api)
    with takes(at_most=2), trio.move_on_after(0.4) as scope:
        await complete(model, HELLO, PATIENT)
    assert scope.cancelled_caught
    assert current_pool().statistics().in_flight == 0
    await saw_its_client_leave(llmock)
    assert is_whole(await complete(model, Context(messages=[user("Later.")]), PATIENT))


async def test_an_abort_in_a_stall_keeps_what_had_arrived(llmock, api):
    """The reply is Aborted and partial, at once; the server sees its client leave."""
    await llmock.script(breaks("stall", stall_seconds=20), says(times=2))
    model, stop = llmock.model(api), trio.Event()
    with takes(at_most=2):
        async with stream(model, HELLO, StreamOptions(max_tokens=100, abort=stop)) as reply:
            async for event in reply:
                if isinstance(event, TextDelta):
                    stop.set()
            message = await reply.result()
    assert message.stop_reason is StopReason.Aborted
    assert message.text
    assert TEXT.startswith(message.text)
    await saw_its_client_leave(llmock)
    assert is_whole(await complete(model, Context(messages=[user("Later.")]), PATIENT))


async def test_a_crowd_of_calls_all_end(llmock, api):
    """Thirty at once, faults among them: each is whole or an error with a part, and none is left."""
    faults = [
        breaks(kind, after=after) for kind in ("disconnect", "truncate", "malformed") for after in (1, 5)
    ]
    await llmock.script(
        fails(429, retry_after=0.2, times=4), fails(503, retry_after=0.1, times=3), *faults, says(times=30)
    )
    model, messages = llmock.model(api), []

    async def ask(number):
        messages.append(await complete(model, Context(messages=[user(f"Question {number}.")]), PATIENT))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(ask, number)
    broken = [message for message in messages if message.stop_reason is StopReason.Error]
    assert all(is_whole(message) or is_part(message) for message in messages)
    assert len(messages) == 30
    assert len(broken) == len(faults)
    assert {"retry_after_ignored", "retry_storm", "retried_non_retryable"}.isdisjoint(await llmock.findings())


# Agents


@tool
async def get_weather(city: str, country: str) -> str:
    """Weather of a city.

    Args:
        city: Which city.
        country: Where it is.
    """
    return f"{city}, {country}: sunny"


async def run_agent(model, prompt="What is the weather in Oslo and in Rome?"):
    """The transcript of a run, valid, and its events, which keep to the grammar."""
    recorder = EventRecorder()
    with trio.fail_after(20):
        async with open_agent(model, tools=[get_weather]) as agent:
            agent.subscribe(recorder)
            await agent.prompt(prompt)
            messages = agent.state.messages
    assert_event_grammar(recorder.events)
    assert_transcript_valid(messages)
    return messages


async def test_an_agent_calls_tools_in_parallel(llmock, api):
    """Three calls in one reply: three results in their order, sent back, and read."""
    cities = [("Oslo", "Norway"), ("Rome", "Italy"), ("Lima", "Peru")]
    wanted = [("get_weather", {"city": city, "country": country}) for city, country in cities]
    await llmock.script(calls(*wanted, text="Let me see."), says("Sunny everywhere."))
    messages = await run_agent(llmock.model(api))
    assert [message.role for message in messages] == ["user", "assistant", *["toolResult"] * 3, "assistant"]
    assert [call.arguments for call in messages[1].tool_calls] == [arguments for _, arguments in wanted]
    assert messages[1].text == "Let me see."
    assert [result.text for result in messages[2:5]] == [
        f"{city}, {country}: sunny" for city, country in cities
    ]
    assert messages[-1].text == "Sunny everywhere."
    second = str((await llmock.requests())[1]["body"])
    assert (
        second.index("Oslo, Norway: sunny")
        < second.index("Rome, Italy: sunny")
        < second.index("Lima, Peru: sunny")
    )
    assert await llmock.findings() == []


async def test_a_model_that_decides_by_itself_is_answered(llmock, api):
    """Nothing scripted: the server reads our schema, calls with arguments made from it, and answers on the result."""
    messages = await run_agent(llmock.model(api), "get weather")
    assert [message.role for message in messages] == ["user", "assistant", "toolResult", "assistant"]
    assert set(messages[1].tool_calls[0].arguments) == {"city", "country"}
    assert not messages[2].is_error
    assert messages[-1].stop_reason is StopReason.Stop


async def test_malformed_arguments_come_back_as_an_error(llmock, api):
    """Arguments cut in the middle are told to the model; the run goes on."""
    wanted = ("get_weather", {"city": "Oslo", "country": "Norway"})
    await llmock.script(calls(wanted), {"type": "tool_fault", "kind": "malformed_arguments"}, says("I see."))
    messages = await run_agent(llmock.model(api))
    assert [message.role for message in messages] == ["user", "assistant", "toolResult", "assistant"]
    assert messages[1].stop_reason is StopReason.ToolUse
    assert messages[2].is_error
    assert "country" in messages[2].text
    assert messages[-1].text == "I see."
    assert await llmock.findings() == []


async def test_an_unknown_tool_comes_back_as_an_error(llmock, api):
    """A tool that was never offered is told to the model by name; the other call of the reply runs."""
    wanted = [("get_weather", {"city": city, "country": "Norway"}) for city in ("Oslo", "Bergen")]
    await llmock.script(calls(*wanted), {"type": "tool_fault", "kind": "unknown_tool"}, says("I see."))
    messages = await run_agent(llmock.model(api))
    assert [result.is_error for result in messages[2:4]] == [True, False]
    assert "llmock_unknown_tool" in messages[2].text
    assert messages[-1].text == "I see."
    assert await llmock.findings() == []


async def test_a_stream_that_breaks_in_a_tool_call_runs_nothing(llmock, api):
    """A call that did not arrive whole is not run; the agent can be asked again."""
    wanted = ("get_weather", {"city": "Oslo", "country": "Norway"})
    await llmock.script(calls(wanted), breaks("truncate", after=4), says("Sorry."))
    model = llmock.model(api)
    async with open_agent(model, tools=[get_weather]) as agent:
        broken = await agent.prompt("What is the weather in Oslo?")
        again = await agent.prompt("Again, please.")
        assert_transcript_valid(agent.state.messages)
        roles = [message.role for message in agent.state.messages]
    assert broken.stop_reason is StopReason.Error
    assert again.text == "Sorry."
    assert "toolResult" not in roles
    assert current_pool().statistics().in_flight == 0
