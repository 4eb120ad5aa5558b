"""The Responses API against llama.cpp's own server with a real, small model."""

import signal

import pytest
import trio

from providers import openai
from runtime import (
    Context,
    SimpleStreamOptions,
    StopReason,
    StreamOptions,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    complete,
    is_context_overflow,
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


def model_of(server, key=KEY, **settings):
    handle = openai.responses(key, base_url=server.base_url, provider_id="llamacpp")
    return handle.model("smollm2", max_tokens=48, context_window=2048, **settings)


async def force_tool(payload, model):
    """Have the model's template begin the call, on the turn that must call and only there."""
    if payload["input"][-1].get("role") == "user":
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
    assert message.stop_reason is StopReason.Stop, message.error_message
    deltas = [event.delta for event in events if isinstance(event, TextDelta)]
    assert len(deltas) > 2
    assert "".join(deltas) == message.text
    assert message.usage.input + message.usage.cache_read > 5
    assert message.usage.output >= len(deltas) - 2
    assert message.usage.total_tokens == message.usage.input + message.usage.cache_read + message.usage.output
    assert message.response_id.startswith("resp_")
    assert '"id":"msg_' in message.content[0].text_signature


async def test_the_output_limit_reaches_the_server(llama):
    """It stops there; this server calls that completed."""
    context = Context(messages=[user("Write a long story about a dragon.")])
    message = await complete(model_of(llama), context, StreamOptions(temperature=0, max_tokens=17))
    assert message.usage.output == 17
    assert message.stop_reason in (StopReason.Stop, StopReason.Length)


async def test_a_conversation_goes_on(llama):
    """The server takes its own items back."""
    context = Context("Answer briefly.", [user("Say hello.")])
    model = model_of(llama)
    for text in ("Say it again.", "And again."):
        reply = await complete(model, context, StreamOptions(temperature=0, max_tokens=16))
        assert reply.stop_reason is StopReason.Stop, reply.error_message
        context.messages += [reply, user(text)]


async def test_a_forced_tool_call_has_valid_arguments(llama):
    """The arguments stream in, parse, and fit the schema."""
    context = Context(messages=[user("Use get_weather with city Paris.")], tools=[get_weather.definition])
    options = StreamOptions(temperature=0, max_tokens=64, on_payload=force_tool)
    async with stream(model_of(llama), context, options) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert_stream_grammar(events)
    assert message.stop_reason is StopReason.ToolUse, message.error_message
    (call,) = message.tool_calls
    assert validate_tool_call([get_weather.definition], call) == {"city": "Paris"}
    assert "|fc_" in call.id
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
    roles = [message.role for message in agent.state.messages]
    assert roles == ["user", "assistant", "toolResult", "assistant"]
    assert agent.state.messages[2].text == "Paris: sunny"
    assert reply.stop_reason is StopReason.Stop, reply.error_message
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


async def test_a_transcript_moves_between_the_two_apis(llama):
    """A call that was made on one is answered on the other."""
    chat = openai.chat_completions(
        KEY, base_url=llama.base_url, provider_id="llamacpp", compat={"maxTokensField": "max_tokens"}
    ).model("smollm2", max_tokens=48, context_window=2048)
    for first, second in ((model_of(llama), chat), (chat, model_of(llama))):
        async with open_agent(
            first, tools=[get_weather], options=SimpleStreamOptions(temperature=0)
        ) as agent:
            agent.update(options=SimpleStreamOptions(temperature=0, on_payload=force_any, max_tokens=48))
            await agent.prompt("Use get_weather with city Paris.")
            agent.update(model=second, options=SimpleStreamOptions(temperature=0, max_tokens=16))
            reply = await agent.prompt("Thank you.")
        assert agent.state.messages[2].text == "Paris: sunny"
        assert reply.stop_reason in (StopReason.Stop, StopReason.Length), reply.error_message


async def force_any(payload, model):
    last = payload["input" if "input" in payload else "messages"][-1]
    if last.get("role") == "user":
        return {**payload, "tool_choice": "required", "chat_template_kwargs": {"force_tool": True}}
    return None


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
        agent.update(options=SimpleStreamOptions(max_tokens=16))
        assert (await agent.prompt("Say hello.")).stop_reason in (StopReason.Stop, StopReason.Length)


async def test_a_time_out_around_a_call_frees_the_server(llama):
    """Cancelling from outside closes the connection just the same."""
    await llama.wait_until_idle(10)
    with trio.move_on_after(0.5) as scope:
        context = Context(messages=[user("Write a long story.")])
        await complete(model_of(llama), context, StreamOptions(max_tokens=1500))
    assert scope.cancelled_caught
    assert await llama.wait_until_idle(2) < 1


async def test_a_wrong_key_is_an_error_that_does_not_tell_it(llama):
    """Status and the server's own words; the key is in no text."""
    message = await complete(model_of(llama, key="sk-wrong-key-123"), Context(messages=[user("hi")]))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith("OpenAI API error (401): ")
    assert llama.url in message.error_message
    assert "sk-wrong-key-123" not in message.model_dump_json()


async def test_a_context_that_is_too_long_is_known_as_such(llama):
    """By the server's words."""
    message = await complete(model_of(llama), Context(messages=[user("x " * 6000)]))
    assert message.stop_reason is StopReason.Error
    assert is_context_overflow(message)


async def test_the_server_dying_in_mid_stream_is_an_error_with_what_had_arrived(mortal_llama):
    """kill -9 gives a plain end of input; that must not pass for a finished answer."""
    model = model_of(mortal_llama)
    context = Context(messages=[user("Write a long story.")])
    async with stream(model, context, StreamOptions(max_tokens=1500)) as reply:
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
