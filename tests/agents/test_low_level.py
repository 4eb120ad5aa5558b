"""The loop without the agent."""

import pytest
import trio
from agent_doubles import Probe, calls, roles, says
from trio.testing import MockClock

from providers.faux import register_faux_provider
from runtime.agents.low_level import agent_loop, agent_loop_continue, run_agent_loop, run_agent_loop_continue
from runtime.agents.settings import AgentLoopConfig
from runtime.agents.tool import AgentContext
from runtime.errors import NothingToContinueError
from runtime.testing.invariants import EventRecorder, assert_event_grammar
from runtime.values.message import CustomMessage, StopReason, user
from runtime.values.options import SimpleStreamOptions


def faux(*steps, **options):
    provider = register_faux_provider(**options)
    provider.set_responses(steps)
    return provider


async def test_run_agent_loop_awaits_the_whole_loop():
    """It returns the new messages; the context is not changed."""
    provider, recorder = faux(calls("a"), says("ok")), EventRecorder()
    context = AgentContext(
        system_prompt="be brief", messages=(user("before"), says("hm")), tools=(Probe("a"),)
    )
    added = await run_agent_loop([user("hi")], context, AgentLoopConfig(model=provider.get_model()), recorder)
    assert roles(added) == ["user", "assistant", "toolResult", "assistant"]
    assert len(context.messages) == 2
    assert roles(provider.calls[0].context.messages) == ["user", "assistant", "user"]
    assert_event_grammar(recorder.events, runs=1)


async def test_sources_of_messages_are_polled():
    """Steering at each boundary, follow-up when the run would end."""
    steering, follow_up = [[user("s")], [], []], [[user("f")], []]

    async def steer():
        return steering.pop(0) if steering else []

    async def follow():
        return follow_up.pop(0)

    provider, recorder = faux(says("1"), says("2")), EventRecorder()
    config = AgentLoopConfig(
        model=provider.get_model(), get_steering_messages=steer, get_follow_up_messages=follow
    )
    added = await run_agent_loop([user("hi")], AgentContext(), config, recorder)
    assert [getattr(m, "text", m.content) for m in added] == ["hi", "s", "1", "f", "2"]


async def test_continue_goes_on_from_the_context():
    """A custom message may be last; a reply, or nothing, may not, and then nothing is emitted."""
    provider, recorder = faux(says("ok")), EventRecorder()
    config = AgentLoopConfig(model=provider.get_model())
    added = await run_agent_loop_continue(
        AgentContext(messages=(user("x"), CustomMessage("n"))), config, recorder
    )
    assert roles(added) == ["assistant"]
    silent = EventRecorder()
    for messages in ((), (user("x"), says("y"))):
        with pytest.raises(NothingToContinueError):
            await run_agent_loop_continue(AgentContext(messages=messages), config, silent)
        with pytest.raises(NothingToContinueError):
            async with agent_loop_continue(AgentContext(messages=messages), config):
                pass
    assert silent.events == []


async def test_agent_loop_streams_the_same_events():
    """In order, in the caller's task, and the new messages in the end."""
    provider = faux(calls("a"), says("ok"))
    config = AgentLoopConfig(model=provider.get_model())
    async with agent_loop([user("hi")], AgentContext(tools=(Probe("a"),)), config) as stream:
        events = [event async for event in stream]
        added = await stream.result()
    assert_event_grammar(events, runs=1)
    assert list(events[-1].messages) == added
    provider.set_responses([says("more")])
    async with agent_loop_continue(AgentContext(messages=added[:-1]), config) as stream:
        assert roles(await stream.result()) == ["assistant"]


async def test_the_signal_of_the_options_aborts_the_loop(autojump_clock):
    """The loop returns, with an Aborted reply last."""
    abort = trio.Event()

    async def endless(call):
        abort.set()
        await trio.sleep_forever()

    provider, recorder = faux(calls("a")), EventRecorder()
    config = AgentLoopConfig(model=provider.get_model(), options=SimpleStreamOptions(abort=abort))
    added = await run_agent_loop([user("hi")], AgentContext(tools=(Probe("a", endless),)), config, recorder)
    assert added[-1].stop_reason is StopReason.Aborted
    assert_event_grammar(recorder.events, runs=1)


def test_a_cancellation_goes_on_after_every_start_has_had_its_end():
    """The low-level loop keeps the grammar, too."""
    recorder = EventRecorder()

    async def endless(call):
        await trio.sleep_forever()

    async def main():
        config = AgentLoopConfig(model=faux(calls("a", "a")).get_model())
        with trio.move_on_after(5) as scope:
            await run_agent_loop([user("hi")], AgentContext(tools=(Probe("a", endless),)), config, recorder)
        assert scope.cancelled_caught

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert_event_grammar(recorder.events, runs=1)
    assert recorder.events[-1].messages[-1].stop_reason is StopReason.Aborted


async def test_leaving_agent_loop_early_aborts_it(autojump_clock):
    """And waits for its end."""
    gone = trio.Event()

    async def endless(call):
        try:
            await trio.sleep_forever()
        finally:
            gone.set()

    config = AgentLoopConfig(model=faux(calls("a")).get_model())
    async with agent_loop([user("hi")], AgentContext(tools=(Probe("a", endless),)), config) as stream:
        async for event in stream:
            if event.type == "tool_execution_start":
                await trio.testing.wait_all_tasks_blocked()
                break
    assert gone.is_set()


async def test_what_emit_raises_leaves_the_loop():
    """After the loop has ended; emit is not called again."""
    heard = []

    async def emit(event):
        heard.append(event.type)
        raise LookupError("emit is broken")

    config = AgentLoopConfig(model=faux().get_model())
    with pytest.raises(LookupError):
        await run_agent_loop([user("hi")], AgentContext(), config, emit)
    assert heard == ["agent_start"]
