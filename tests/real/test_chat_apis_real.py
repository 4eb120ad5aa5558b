"""Each chat API against llama.cpp's own server with a real, small model."""

import signal
from itertools import permutations

import pytest
import trio

from providers import anthropic
from runtime import (
    Context,
    ImageContent,
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
from runtime.testing import (
    EventRecorder,
    assert_event_grammar,
    assert_stream_grammar,
    assert_transcript_valid,
)

from .apis import APIS, MESSAGES, RESPONSES, force_tool, get_weather
from .conftest import KEY

pytestmark = pytest.mark.real

LONG = "Write a long story about a dragon."  # at temperature 0, over 900 tokens
CALL = "Use get_weather with city Paris."
FORCED = SimpleStreamOptions(temperature=0, on_payload=force_tool)


@pytest.fixture(params=APIS, ids=lambda api: api.id)
def api(request):
    return request.param


def at_most(tokens, **settings):
    return StreamOptions(temperature=0, max_tokens=tokens, **settings)


async def test_text_streams_in(llama, api):
    """Deltas join to the reply, the grammar holds, and usage is counted."""
    context = Context("Answer briefly.", [user("Say hello.")])
    async with stream(api.model(llama), context, at_most(64)) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert_stream_grammar(events)
    assert message.stop_reason is StopReason.Stop, message.error_message
    deltas = [event.delta for event in events if isinstance(event, TextDelta)]
    assert len(deltas) > 2
    assert "".join(deltas) == message.text
    usage = message.usage
    assert usage.input + usage.cache_read > 5
    assert usage.output >= len(deltas) - 2
    assert usage.total_tokens == usage.input + usage.cache_read + usage.output
    assert message.response_id.startswith(api.reply_id)


async def test_the_output_limit_reaches_the_server(llama, api):
    """It writes so many tokens and stops there."""
    message = await complete(api.model(llama), Context(messages=[user(LONG)]), at_most(17))
    assert message.stop_reason is api.at_limit, message.error_message
    assert message.usage.output == 17


async def test_a_conversation_goes_on(llama, api):
    """The server takes its own replies back."""
    context = Context("Answer briefly.", [user("Say hello.")])
    model = api.model(llama)
    for text in ("Say it again.", "And again."):
        reply = await complete(model, context, at_most(64))
        assert reply.stop_reason is StopReason.Stop, reply.error_message
        assert reply.text
        context.messages += [reply, user(text)]


async def test_a_forced_tool_call_has_valid_arguments(llama, api):
    """The arguments stream in, parse, and fit the schema."""
    context = Context(messages=[user(CALL)], tools=[get_weather.definition])
    async with stream(api.model(llama), context, at_most(64, on_payload=force_tool)) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert_stream_grammar(events)
    assert message.stop_reason is StopReason.ToolUse, message.error_message
    (call,) = message.tool_calls
    assert validate_tool_call([get_weather.definition], call) == {"city": "Paris"}
    assert any(isinstance(event, ToolCallDelta) for event in events)
    assert next(event for event in events if isinstance(event, ToolCallEnd)).tool_call == call


async def test_an_agent_calls_a_tool_and_goes_on(llama, api):
    """Prompt, call, result, reply: the transcript is valid, and the model has read the result."""
    recorder = EventRecorder()
    async with open_agent(api.model(llama), tools=[get_weather], options=FORCED) as agent:
        agent.subscribe(recorder)
        reply = await agent.prompt(CALL)
    assert_event_grammar(recorder.events)
    assert_transcript_valid(agent.state.messages)
    roles = [message.role for message in agent.state.messages]
    assert roles == ["user", "assistant", "toolResult", "assistant"]
    assert agent.state.messages[2].text == "Paris: sunny"
    assert reply.stop_reason is StopReason.Stop, reply.error_message
    assert "sunny" in reply.text


async def test_two_agents_at_once(llama, api):
    """They share the handle's pool and do not mix."""
    cities = {}
    model = api.model(llama)

    async def ask(city):
        async with open_agent(model, tools=[get_weather], options=FORCED) as agent:
            await agent.prompt(f"Use get_weather with city {city}.")
            cities[city] = agent.state.messages[2].text

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "Paris")
        nursery.start_soon(ask, "Rome")
    assert cities == {"Paris": "Paris: sunny", "Rome": "Rome: sunny"}


@pytest.mark.parametrize(("first", "second"), list(permutations(APIS, 2)), ids=lambda api: api.id)
async def test_a_transcript_moves_to_another_api(llama, first, second):
    """The call, its result and the reply that one has are taken by the other."""
    async with open_agent(first.model(llama), tools=[get_weather], options=FORCED) as agent:
        await agent.prompt(CALL)
        options = SimpleStreamOptions(temperature=0, max_tokens=16)
        agent.update(model=second.model(llama), options=options)
        reply = await agent.prompt("Thank you.")
    assert_transcript_valid(agent.state.messages)
    assert agent.state.messages[2].text == "Paris: sunny"
    assert [agent.state.messages[index].api for index in (1, 3)] == [first.wire, first.wire]
    assert reply.api == second.wire
    assert reply.stop_reason in second.ends, reply.error_message


async def test_an_abort_in_mid_stream_reaches_the_server(llama, api):
    """The server sees the connection close and stops generating; the reply is Aborted and partial."""
    await llama.wait_until_idle(10)
    options = SimpleStreamOptions(temperature=0, max_tokens=1500)
    async with open_agent(api.model(llama), options=options) as agent:
        async with agent.stream(LONG) as run:
            async for event in run:
                if event.type == "message_update" and len(event.message.text) > 40:
                    break
            assert await llama.busy_slots() == 1
            agent.abort()
            reply = await run.result()
        assert await llama.wait_until_idle(2) < 1
        assert reply.stop_reason is StopReason.Aborted
        assert len(reply.text) > 40
        agent.update(options=SimpleStreamOptions(temperature=0, max_tokens=16))
        after = await agent.prompt("Say hello.")
    assert after.stop_reason in api.ends, after.error_message


async def test_a_time_out_around_a_call_frees_the_server(llama, api):
    """Cancelling from outside closes the connection just the same."""
    await llama.wait_until_idle(10)
    with trio.move_on_after(0.5) as scope:
        await complete(api.model(llama), Context(messages=[user(LONG)]), at_most(1500))
    assert scope.cancelled_caught
    assert await llama.wait_until_idle(2) < 1


async def test_a_wrong_key_is_an_error_that_does_not_tell_it(llama, api):
    """Status and the server's own words, which are OpenAI's on each API; the key is in no text."""
    message = await complete(api.model(llama, key="sk-wrong-key-123"), Context(messages=[user("hi")]))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith(api.refused.format(401, "Unauthorized"))
    assert llama.url in message.error_message
    assert "sk-wrong-key-123" not in message.model_dump_json()


async def test_a_wrong_path_is_an_error(llama, api):
    """404, with the endpoint."""
    message = await complete(api.model(llama, path="/nowhere"), Context(messages=[user("hi")]))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith(api.refused.format(404, "Not Found"))
    assert f"{llama.url}/nowhere/" in message.error_message


async def test_an_unknown_model_is_answered_by_the_one_that_is_there(llama, api):
    """The server has one model whatever is asked for; the reply keeps the name that was asked for."""
    message = await complete(
        api.model(llama, name="no-such-model"), Context(messages=[user(LONG)]), at_most(4)
    )
    assert message.stop_reason is api.at_limit, message.error_message
    assert message.model == "no-such-model"
    assert message.response_model == ("smollm2" if api.names_model else None)


async def test_a_prompt_that_is_too_long_is_known_as_such(llama, api):
    """By the words in which the server refuses it."""
    message = await complete(api.model(llama), Context(messages=[user("dragon " * 5000)]), at_most(4))
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith(api.refused.format(400, "Bad Request"))
    assert is_context_overflow(message), message.error_message


async def test_images_are_left_out_for_a_model_that_cannot_see(llama, api):
    """The server, which cannot either, accepts the request."""
    context = Context(messages=[user("What is this?", [ImageContent("iVBORw0KGgo=", "image/png")])])
    message = await complete(api.model(llama, input=("text",)), context, at_most(4))
    assert message.stop_reason is api.at_limit, message.error_message
    assert message.text


async def test_the_server_dying_in_mid_stream_is_an_error_with_what_had_arrived(mortal_llama, api):
    """kill -9 gives a plain end of input; that must not pass for a finished answer."""
    model = api.model(mortal_llama)
    context = Context(messages=[user(LONG)])
    async with stream(model, context, at_most(1500)) as reply:
        async for event in reply:
            if isinstance(event, TextDelta) and len(event.partial.text) > 20:
                mortal_llama.process.send_signal(signal.SIGKILL)
                break
        with trio.fail_after(10):
            message = await reply.result()
    assert message.stop_reason is StopReason.Error
    assert len(message.text) > 20
    after = await complete(model, context, StreamOptions(max_retries=0))
    assert after.stop_reason is StopReason.Error
    assert mortal_llama.url in after.error_message


async def test_a_frozen_server_runs_into_the_event_time_out(mortal_llama, api):
    """A stall is not waited for longer than event_timeout."""
    options = at_most(1500, event_timeout=0.5)
    async with stream(api.model(mortal_llama), Context(messages=[user(LONG)]), options) as reply:
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


async def test_responses_keep_the_ids_of_the_servers_items(llama):
    """A text has its item's in its signature, a call has its item's behind its own."""
    model = RESPONSES.model(llama)
    said = await complete(model, Context(messages=[user("Say hello.")]), at_most(16))
    assert '"id":"msg_' in said.content[0].text_signature
    context = Context(messages=[user(CALL)], tools=[get_weather.definition])
    called = await complete(model, context, at_most(64, on_payload=force_tool))
    (call,) = called.tool_calls
    assert "|fc_" in call.id


async def test_a_token_is_as_good_as_a_key(llama):
    """The Messages API takes it as a bearer's."""
    handle = anthropic.messages(auth_token=KEY, base_url=llama.base_url, provider_id=MESSAGES.id)
    message = await complete(handle.model("smollm2"), Context(messages=[user(LONG)]), at_most(4))
    assert message.stop_reason is MESSAGES.at_limit, message.error_message
