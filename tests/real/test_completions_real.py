"""Chat Completions against llama.cpp's own server with a real, small model."""

import signal

import pytest
import trio

from providers import openai
from runtime import (
    AgentToolResult,
    Context,
    SimpleStreamOptions,
    StopReason,
    StreamOptions,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    complete,
    open_agent,
    stream,
    user,
    validate_tool_call,
)
from runtime.testing.invariants import (
    EventRecorder,
    assert_event_grammar,
    assert_stream_grammar,
    assert_transcript_valid,
)
from tools import tool

from .conftest import KEY

pytestmark = pytest.mark.real


@tool
async def get_weather(city: str) -> str:
    """Weather of a city.

    Args:
        city: Which city.
    """
    return f"{city}: sunny"


def handle(server, key=KEY):
    return openai.chat_completions(
        key, base_url=server.base_url, provider_id="llamacpp", compat={"maxTokensField": "max_tokens"}
    )


def model_of(server, key=KEY, name="smollm2", **settings):
    return handle(server, key).model(name, max_tokens=48, context_window=2048, **settings)


async def force_tool(payload, model):
    """Have the model's template begin the call, on the turn that must call and only there."""
    if payload["messages"][-1]["role"] == "user":
        return {**payload, "tool_choice": "required", "chat_template_kwargs": {"force_tool": True}}
    return None


FORCED = SimpleStreamOptions(temperature=0, on_payload=force_tool)


async def test_text_streams_in(llama):
    """Deltas join to the reply, the grammar holds, and usage is counted."""
    context = Context("Answer briefly.", [user("Say hello.")])
    async with stream(model_of(llama), context, StreamOptions(temperature=0, max_tokens=32)) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert_stream_grammar(events)
    assert message.stop_reason in (StopReason.Stop, StopReason.Length)
    deltas = [event.delta for event in events if isinstance(event, TextDelta)]
    assert len(deltas) > 2
    assert "".join(deltas) == message.text
    assert message.usage.input + message.usage.cache_read > 5
    assert message.usage.output >= len(deltas) - 2
    assert message.response_id


async def test_the_output_limit_ends_as_length(llama):
    """max_tokens reaches the server."""
    message = await complete(
        model_of(llama), Context(messages=[user("Count to one hundred.")]), StreamOptions(max_tokens=5, temperature=0)
    )
    assert message.stop_reason is StopReason.Length
    assert message.usage.output == 5


async def test_a_forced_tool_call_has_valid_arguments(llama):
    """The arguments stream in, parse, and fit the schema."""
    context = Context(messages=[user("Use get_weather with city Paris.")], tools=[get_weather.definition])
    async with stream(
        model_of(llama), context, StreamOptions(temperature=0, max_tokens=64, on_payload=force_tool)
    ) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert message.stop_reason is StopReason.ToolUse, message.error_message
    (call,) = message.tool_calls
    assert validate_tool_call([get_weather.definition], call) == {"city": "Paris"}
    assert any(isinstance(event, ToolCallDelta) for event in events)
    assert next(event for event in events if isinstance(event, ToolCallEnd)).tool_call == call


async def test_an_agent_calls_a_tool_and_goes_on(llama):
    """Prompt, call, result, reply: the transcript is valid, and the model has read the result."""
    recorder = EventRecorder()
    async with open_agent(model_of(llama), tools=[get_weather], options=FORCED) as agent:
        agent.subscribe(recorder)
        reply = await agent.prompt("Use get_weather with city Paris.")
    assert_event_grammar(recorder.events)
    assert_transcript_valid(agent.state.messages)
    assert [message.role for message in agent.state.messages] == [
        "user",
        "assistant",
        "toolResult",
        "assistant",
    ]
    assert agent.state.messages[2].text == "Paris: sunny"
    assert reply.stop_reason in (StopReason.Stop, StopReason.Length)
    assert reply.text


async def test_two_agents_at_once(llama):
    """They share the handle's pool and do not mix."""
    cities = {}

    async def ask(city):
        async with open_agent(model_of(llama), tools=[get_weather], options=FORCED) as agent:
            await agent.prompt(f"Use get_weather with city {city}.")
            cities[city] = agent.state.messages[2].text

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "Paris")
        nursery.start_soon(ask, "Rome")
    assert cities == {"Paris": "Paris: sunny", "Rome": "Rome: sunny"}


async def test_an_abort_in_mid_stream_reaches_the_server(llama):
    """The server sees the connection close and stops generating; the reply is Aborted and partial."""
    await llama.wait_until_idle(10)
    async with open_agent(model_of(llama), options=SimpleStreamOptions(max_tokens=1500)) as agent:
        async with agent.stream("Write a long story about a dragon.") as run:
            async for event in run:
                if event.type == "message_update" and len(event.message.text) > 40:
                    break
            assert await llama.busy_slots() == 1
            agent.abort()
            reply = await run.result()
        assert await llama.wait_until_idle(2) < 1
        assert reply.stop_reason is StopReason.Aborted
        assert len(reply.text) > 40
        agent.update(options=SimpleStreamOptions(max_tokens=8))
        assert (await agent.prompt("Say hello.")).stop_reason in (StopReason.Stop, StopReason.Length)


async def test_a_time_out_around_a_call_frees_the_server(llama):
    """Cancelling from outside closes the connection just the same."""
    await llama.wait_until_idle(10)
    with trio.move_on_after(0.5) as scope:
        await complete(
            model_of(llama), Context(messages=[user("Write a long story.")]), StreamOptions(max_tokens=1500)
        )
    assert scope.cancelled_caught
    assert await llama.wait_until_idle(2) < 1


async def test_a_wrong_key_is_an_error_that_does_not_tell_it(llama):
    """Status and the server's own words; the key is in no text."""
    message = await complete(model_of(llama, key="sk-wrong-key-123"), Context(messages=[user("hi")]))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith("provider returned HTTP 401 Unauthorized")
    assert llama.url in message.error_message
    assert "sk-wrong-key-123" not in message.model_dump_json()


async def test_a_wrong_path_is_an_error(llama):
    """404, with the endpoint."""
    wrong = openai.chat_completions(KEY, base_url=f"{llama.url}/nowhere", provider_id="llamacpp").model(
        "smollm2"
    )
    message = await complete(wrong, Context(messages=[user("hi")]))
    assert message.error_message.startswith("provider returned HTTP 404 Not Found")


async def test_an_unknown_model_is_answered_by_the_one_that_is_there(llama):
    """llama.cpp serves one model whatever is asked for; the reply names it, or the server refuses."""
    message = await complete(
        model_of(llama, name="no-such-model"), Context(messages=[user("hi")]), StreamOptions(max_tokens=4)
    )
    assert message.model == "no-such-model"
    if message.stop_reason is StopReason.Error:
        assert "no-such-model" in message.error_message
    else:
        assert message.response_model == "smollm2"


async def test_the_server_dying_in_mid_stream_is_an_error_with_what_had_arrived(mortal_llama):
    """kill -9 gives a plain end of input; that must not pass for a finished answer."""
    model = model_of(mortal_llama)
    async with stream(
        model, Context(messages=[user("Write a long story.")]), StreamOptions(max_tokens=1500)
    ) as reply:
        async for event in reply:
            if isinstance(event, TextDelta) and len(event.partial.text) > 20:
                mortal_llama.process.send_signal(signal.SIGKILL)
                break
        with trio.fail_after(10):
            message = await reply.result()
    assert message.stop_reason is StopReason.Error
    assert len(message.text) > 20
    after = await complete(model, Context(messages=[user("hi")]), StreamOptions(max_retries=0))
    assert after.stop_reason is StopReason.Error
    assert mortal_llama.url in after.error_message


async def test_a_frozen_server_runs_into_the_event_time_out(mortal_llama):
    """A stall is not waited for longer than event_timeout."""
    model = model_of(mortal_llama)
    options = StreamOptions(max_tokens=1500, event_timeout=0.5)
    async with stream(model, Context(messages=[user("Write a long story.")]), options) as reply:
        async for event in reply:
            if isinstance(event, TextDelta):
                mortal_llama.process.send_signal(signal.SIGSTOP)
                break
        try:
            with trio.fail_after(10):
                message = await reply.result()
        finally:
            mortal_llama.process.send_signal(signal.SIGCONT)
    assert message.stop_reason is StopReason.Error
    assert "event_timeout" in message.error_message


async def test_images_are_left_out_for_a_model_that_cannot_see(llama):
    """The request is accepted."""
    from runtime import ImageContent

    context = Context(messages=[user("What is this?", [ImageContent("iVBORw0KGgo=", "image/png")])])
    message = await complete(model_of(llama, input=("text",)), context, StreamOptions(max_tokens=4))
    assert message.stop_reason is StopReason.Length
    assert AgentToolResult.text("x").content
