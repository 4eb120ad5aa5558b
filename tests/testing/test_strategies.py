"""The strategies give what they say: scripts that a run takes, batches that an agent answers, bytes that decoders read."""

from functools import partial

import pytest
import trio
from hypothesis import find, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from providers.faux import faux_assistant_message, register_faux_provider
from runtime import SimpleStreamOptions, StopReason, open_agent
from runtime.testing import (
    EventRecorder,
    FakeTool,
    assert_event_grammar,
    assert_nothing_left,
    assert_transcript_valid,
    open_fake_server,
)
from runtime.testing.strategies import (
    chunkings,
    damaged_bodies,
    fake_tools,
    faux_scripts,
    tool_batches,
    wire_replies,
)
from tests.providers import anthropic_lab, completions_lab, responses_lab

REPLAYS = {
    "chat_completions": completions_lab.replay,
    "responses": responses_lab.replay,
    "messages": anthropic_lab.replay,
}
every_api = pytest.mark.parametrize("api", REPLAYS)


def on_virtual_time(main, *args):
    return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


async def run_of(script, tools, during=None, *, whole=True):
    """A run of an agent on a script, which it takes as a whole, and what it left."""
    recorder, faux = EventRecorder(), register_faux_provider(tokens_per_second=50)
    faux.set_responses(script)
    async with assert_nothing_left(), open_agent(faux.get_model(), tools=tools) as agent:
        agent.subscribe(recorder)
        async with trio.open_nursery() as nursery:
            if during is not None:
                nursery.start_soon(during, agent)
            await agent.prompt("hi")
            nursery.cancel_scope.cancel()
    assert_event_grammar(recorder)
    assert_transcript_valid(agent.state.messages)
    if whole:
        faux.assert_no_pending_responses()
    return agent


@given(faux_scripts())
def test_a_run_takes_the_whole_script(script):
    """Whatever is in it, faults included."""
    agent = on_virtual_time(run_of, script, [FakeTool("look"), FakeTool("search")])
    assert agent.state.messages[-1].stop_reason in (StopReason.Stop, StopReason.Length, StopReason.Error)


@given(faux_scripts(["look"], faults=False))
def test_a_script_without_faults_ends_well(script):
    """Then every reply arrives as it was scripted."""
    agent = on_virtual_time(run_of, script, [FakeTool("look")])
    replies = [message.text for message in agent.state.messages if message.role == "assistant"]
    assert replies == [step.message.text for step in script]


@given(faux_scripts([], stalls=True), st.floats(0, 100))
def test_a_script_that_stalls_can_be_aborted(script, when):
    """At any time."""

    async def abort(agent):
        await trio.sleep(when)
        agent.abort()

    reply = on_virtual_time(run_of, script, [], abort).state.messages[-1]
    assert reply.stop_reason is StopReason.Aborted or trouble_of(script[0]) != "stall"


def trouble_of(step):
    return None if step.fault is None else step.fault.kind


@given(tool_batches())
def test_every_call_of_a_batch_is_answered(batch):
    """In order; tools get the calls that name them with right arguments, and none of them runs on."""
    script = [
        batch.reply,
        faux_assistant_message("not needed if there are no calls, or if all tools end the run"),
    ]
    agent = on_virtual_time(partial(run_of, script, batch.tools, whole=False))
    results = [message for message in agent.state.messages if message.role == "toolResult"]
    assert [result.tool_call_id for result in results] == [call.id for call in batch.calls]
    for call, result in zip(batch.calls, results, strict=True):
        tool = batch.find(call.name)
        was_run = tool is not None and call.id in [seen.id for seen in tool.calls]
        assert was_run == (tool is not None and type(call.arguments.get("n")) is int)
        assert was_run or result.is_error
    assert not any(tool.running for tool in batch.tools)


@given(fake_tools("any"))
def test_a_fake_tool_says_what_it_does(tool):
    """So that a failing example can be read."""
    assert repr(tool).startswith("<FakeTool 'any' ")
    assert repr(tool).endswith(": 0 calls>")


@every_api
@given(data=st.data())
def test_whole_bodies_say_what_they_were_made_of(api, data):
    """A decoder reads the reply from them, however they are cut into chunks."""
    reply = data.draw(wire_replies(api))
    decoded = REPLAYS[api](data.draw(chunkings(reply.body)))
    message, expected = decoded.message, reply.message
    assert (message.text, message.thinking) == (expected.text, expected.thinking)
    assert message.stop_reason is expected.stop_reason
    assert [(call.name, call.arguments) for call in message.tool_calls] == [
        (call.name, call.arguments) for call in expected.tool_calls
    ]
    assert (message.usage.input, message.usage.output) == (reply.usage.input, reply.usage.output)


@given(st.binary(max_size=60).flatmap(lambda body: st.tuples(st.just(body), chunkings(body))))
def test_chunks_are_the_body(drawn):
    """Cut, and nothing else."""
    body, chunks = drawn
    assert b"".join(chunks) == body


@every_api
@given(data=st.data())
def test_damaged_bodies_end_as_messages(api, data):
    """They never raise; cut into chunks in another way, they end alike."""
    body = data.draw(damaged_bodies(api))
    decoded = REPLAYS[api]([body])
    assert decoded.message.stop_reason is not StopReason.Aborted
    again = REPLAYS[api](data.draw(chunkings(body)))
    assert again.message == decoded.message


@every_api
def test_damage_is_done(api):
    """Some bodies are not whole any more."""
    replay = REPLAYS[api]
    assert (
        find(damaged_bodies(api), lambda body: replay([body]).message.stop_reason is StopReason.Error)
        is not None
    )


@every_api
@given(data=st.data())
@settings(max_examples=10)
def test_a_script_plays_over_http_as_it_does_in_memory(api, data):
    """The same texts, calls and ends, whichever API is between."""
    script = data.draw(
        faux_scripts(["look"], max_turns=3).filter(lambda steps: not any(step.delay for step in steps))
    )

    async def in_memory():
        return (await run_of(script, [FakeTool("look")])).state.messages

    async def over_http():
        async with open_fake_server(*script, token_size=2) as server:
            model = getattr(server, api).model("m")
            options = SimpleStreamOptions(max_retries=0)
            async with open_agent(model, tools=[FakeTool("look")], options=options) as agent:
                await agent.prompt("hi")
        return agent.state.messages

    assert said(trio.run(over_http)) == said(on_virtual_time(in_memory))


def said(messages):
    """What does not depend on the API: of a failed reply, only that it failed."""
    return [
        (message.role, message.stop_reason, () if message.failed else (message.text, calls_of(message)))
        if message.role == "assistant"
        else (message.role, getattr(message, "text", None))
        for message in messages
    ]


def calls_of(message):
    return [(call.name, call.arguments) for call in message.tool_calls]
