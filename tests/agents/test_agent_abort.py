"""What abort, cancellation and closing leave behind: nothing but a valid transcript."""

import logging
import threading

import pytest
import trio
import trio.lowlevel
from agent_doubles import Probe, after, calls, opened, result_texts, roles, says, sleeper, tool_ends
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.faux import faux_assistant_message, faux_text, faux_tool_call, register_faux_provider
from runtime.agents.events import MessageUpdate
from runtime.agents.opening import open_agent
from runtime.agents.tool import AgentToolResult
from runtime.errors import AgentClosedError, EventsLostError
from runtime.testing.invariants import EventRecorder, assert_event_grammar, assert_transcript_valid
from runtime.values.message import StopReason

LONG = "word " * 500


async def stays_for_ever(call):
    await trio.sleep_forever()


async def test_abort_while_streaming_keeps_what_had_arrived(autojump_clock):
    """The reply is Aborted and partial, and the next prompt works."""
    async with opened(says(LONG), says("ok"), pace=100) as (agent, recorder, _):
        async with trio.open_nursery() as nursery:

            async def stop(event):
                if len(recorder.of(MessageUpdate)) == 5:
                    agent.abort()

            with agent.subscribe(stop):
                reply = await agent.prompt("hi")
            nursery.cancel_scope.cancel()
        assert reply.stop_reason is StopReason.Aborted
        assert reply.error_message == "Request was aborted"
        assert 0 < len(reply.text) < len(LONG)
        assert agent.state.messages[-1] == reply
        assert (await agent.prompt("again")).text == "ok"


async def test_abort_cuts_running_tools_and_keeps_finished_ones(autojump_clock):
    """Who had ended keeps its result, who ran gets Operation aborted; an empty Aborted reply closes the run."""
    tools = [sleeper("fast", 1), Probe("endless", stays_for_ever)]
    async with opened(calls("fast", "endless", "endless"), tools=tools) as (agent, recorder, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 5, agent.abort)
            reply = await agent.prompt("hi")
    assert result_texts(agent) == ["fast done", "Operation aborted", "Operation aborted"]
    assert sorted(tool_ends(recorder)) == [("endless", True), ("endless", True), ("fast", False)]
    assert (reply.stop_reason, reply.content) == (StopReason.Aborted, ())
    assert recorder.types[-5:] == ["turn_start", "message_start", "message_end", "turn_end", "agent_end"]


async def test_calls_that_had_not_started_are_answered_too(autojump_clock):
    """In a sequential batch the rest gets start, end and the same result."""
    endless = Probe("endless", stays_for_ever)
    async with opened(calls("endless", "endless"), tools=[endless], tool_execution="sequential") as (
        agent,
        recorder,
        _,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            await agent.prompt("hi")
    assert len(endless.seen) == 1
    assert recorder.types.count("tool_execution_start") == 2
    assert result_texts(agent) == ["Operation aborted"] * 2


async def test_a_tool_that_swallows_the_cancellation_is_aborted_all_the_same(autojump_clock):
    """Whatever it returns afterwards."""

    async def stubborn(call):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return AgentToolResult.text("I did it anyway")

    async with opened(calls("stubborn"), tools=[Probe("stubborn", stubborn)]) as (agent, _, _faux):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            await agent.prompt("hi")
    assert result_texts(agent) == ["Operation aborted"]


async def test_a_tool_with_a_nursery_that_fails_while_it_is_cut(autojump_clock):
    """Its exception group is no more than an aborted call."""

    async def breaks():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cleanup failed")

    async def nests(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(breaks)
            nursery.start_soon(breaks)
            nursery.start_soon(trio.sleep_forever)

    async with opened(calls("nests"), tools=[Probe("nests", nests)]) as (agent, _, _faux):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            await agent.prompt("hi")
    assert result_texts(agent) == ["Operation aborted"]


async def test_settling_waits_for_a_thread_and_warns_about_it(caplog):
    """Nothing of the run is alive when it has settled; what resists longer than the grace is named."""
    release, entered = threading.Event(), threading.Event()

    def work():
        entered.set()
        release.wait(5)

    async def threaded(call):
        await trio.to_thread.run_sync(work)

    with caplog.at_level(logging.WARNING, logger="agentrio"):
        async with opened(calls("threaded"), tools=[Probe("threaded", threaded)], abort_grace=0) as (
            agent,
            _,
            _faux,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(agent.prompt, "hi")
                await trio.to_thread.run_sync(entered.wait, 5)
                agent.abort()
                agent.abort()
                await wait_all_tasks_blocked(0.01)
                assert agent.state.is_streaming
                release.set()
                await agent.wait_for_idle()
                assert not agent.state.is_streaming
    warning = next(record for record in caplog.records if "threaded (c0)" in record.msg)
    assert (warning.agent, warning.run, warning.turn) == ("agent", 1, 1)
    assert result_texts(agent) == ["Operation aborted"]


@pytest.mark.parametrize("hook", ["transform_context", "convert_to_llm", "get_api_key"])
async def test_abort_before_the_model_call_gives_an_empty_reply_in_that_turn(autojump_clock, hook):
    """A hook that waits is cut."""

    async def waits(*args):
        await trio.sleep_forever()

    async with opened(**{hook: waits}) as (agent, recorder, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            reply = await agent.prompt("hi")
    assert (reply.stop_reason, reply.content) == (StopReason.Aborted, ())
    assert recorder.types.count("turn_start") == 1


@pytest.mark.parametrize("hook", ["prepare_next_turn", "should_stop_after_turn"])
async def test_abort_between_turns_closes_with_a_turn_of_its_own(autojump_clock, hook):
    """A run that was aborted always ends with an Aborted reply."""

    async def waits(info):
        await trio.sleep_forever()

    async with opened(says("done"), **{hook: waits}) as (agent, recorder, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            reply = await agent.prompt("hi")
    assert reply.stop_reason is StopReason.Aborted
    assert roles(agent.state.messages) == ["user", "assistant", "assistant"]


@pytest.mark.parametrize("hook", ["before_tool_call", "after_tool_call"])
async def test_abort_cuts_tool_hooks(autojump_clock, hook):
    """The call is answered as aborted."""

    async def waits(*args):
        await trio.sleep_forever()

    async with opened(calls("a", "a"), tools=[Probe("a")], **{hook: waits}) as (agent, _, _faux):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            await agent.prompt("hi")
    assert result_texts(agent) == ["Operation aborted"] * 2


async def test_abort_cuts_a_stream_that_does_not_open(autojump_clock):
    """Also while stream_fn itself waits."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def never_opens(model, context, options):
        await trio.sleep_forever()
        yield

    async with opened(stream_fn=never_opens) as (agent, _, _faux):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            reply = await agent.prompt("hi")
    assert reply.stop_reason is StopReason.Aborted


async def test_abort_without_a_run_does_nothing():
    """The next run is not touched by it."""
    async with opened(says("ok")) as (agent, _, _faux):
        agent.abort()
        await agent.wait_for_idle()
        assert (await agent.prompt("hi")).text == "ok"


async def test_the_options_signal_aborts_every_run(autojump_clock):
    """It is level-triggered: runs started after it was set are aborted, too."""
    from runtime.values.options import SimpleStreamOptions

    abort = trio.Event()
    async with opened(
        calls("endless"), tools=[Probe("endless", stays_for_ever)], options=SimpleStreamOptions(abort=abort)
    ) as (agent, _, _faux):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, abort.set)
            assert (await agent.prompt("hi")).stop_reason is StopReason.Aborted
        assert (await agent.prompt("again")).stop_reason is StopReason.Aborted
    assert result_texts(agent) == ["Operation aborted"]


async def test_steering_is_not_lost_by_an_abort(autojump_clock):
    """What was queued stays queued, and joins the next run in its order; each receipt says where."""
    steered, followed = [], []

    async def steer(call):
        if not steered:
            steered.extend(agent.steer(text) for text in ("one", "two", "three"))
            followed.extend(agent.follow_up(text) for text in ("four", "five"))
        else:
            await trio.sleep_forever()

    async with opened(calls("a"), calls("a"), *(says("ok") for _ in range(4)), tools=[Probe("a", steer)]) as (
        agent,
        _,
        _faux,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            await agent.prompt("hi")
        assert repr(steered[0]) == "<Delivery delivered in run 1, turn 2>"
        assert [one.status for one in steered[1:] + followed] == ["queued"] * 4
        assert (agent.statistics().queued_steering, agent.statistics().queued_follow_up) == (2, 2)
        await agent.prompt("next")
    assert [(one.run, one.turn) for one in steered + followed] == [(1, 2), (2, 1), (2, 2), (2, 3), (2, 4)]
    said = [m.content for m in agent.state.messages if m.role == "user"]
    assert said == ["hi", "one", "next", "two", "three", "four", "five"]


# Cancelling the caller


async def test_a_time_out_around_prompt_aborts_the_run(autojump_clock):
    """The caller waits for the run to settle; then its cancellation goes on."""
    async with opened(calls("endless"), says("ok"), tools=[Probe("endless", stays_for_ever)]) as (
        agent,
        _,
        _faux,
    ):
        with trio.move_on_after(3) as scope:
            await agent.prompt("hi")
        assert scope.cancelled_caught
        assert not agent.state.is_streaming
        assert agent.state.messages[-1].stop_reason is StopReason.Aborted
        assert (await agent.prompt("again")).text == "ok"


async def test_a_cancelled_caller_waits_no_longer_than_the_grace(autojump_clock):
    """What resists stays with the agent, which is busy until it is gone; its block waits for it."""

    async def resists(call):
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    begin = trio.current_time()
    async with opened(calls("resists"), tools=[Probe("resists", resists)], abort_grace=5) as (
        agent,
        _,
        _faux,
    ):
        with trio.move_on_after(1):
            await agent.prompt("hi")
        assert trio.current_time() - begin == 6
        assert agent.state.is_streaming
    assert trio.current_time() - begin == 20
    assert agent.state.messages[-1].stop_reason is StopReason.Aborted


async def test_leaving_the_block_aborts_the_run(autojump_clock):
    """A prompt that waits in another task returns the Aborted reply; later calls raise AgentClosedError."""
    replies = []
    async with trio.open_nursery() as nursery:
        async with opened(calls("endless"), tools=[Probe("endless", stays_for_ever)]) as (agent, _, _faux):

            async def wait():
                replies.append(await agent.prompt("hi"))

            nursery.start_soon(wait)
            await trio.sleep(1)
            delivery = agent.steer("never")
    assert replies[0].stop_reason is StopReason.Aborted
    assert delivery.status == "returned"
    for call in (
        lambda: agent.steer("x"),
        lambda: agent.follow_up("x"),
        agent.reset,
        lambda: agent.update(system_prompt="x"),
    ):
        with pytest.raises(AgentClosedError):
            call()
    for wait in (lambda: agent.prompt("x"), agent.continue_run):
        with pytest.raises(AgentClosedError):
            await wait()


@pytest.mark.parametrize("where", ["stream", "agent"])
async def test_an_exception_of_the_block_wins(autojump_clock, where):
    """It leaves as itself, after the run has settled, also when a listener raises meanwhile."""
    died = []

    async def dies(event):
        if event.type == "agent_end":
            died.append(event)
            raise LookupError("the listener died")

    async def prompt():
        with pytest.raises(LookupError, match="the listener died"):
            await agent.prompt("hi")

    async with trio.open_nursery() as outside:
        with pytest.raises(KeyError, match="mine"):
            async with opened(calls("endless"), tools=[Probe("endless", stays_for_ever)]) as (
                agent,
                recorder,
                _,
            ):
                agent.subscribe(dies)
                if where == "agent":
                    outside.start_soon(prompt)
                    await trio.sleep(1)
                    raise KeyError("mine")
                async with agent.stream("hi") as run:
                    await anext(run)
                    raise KeyError("mine")
        assert len(died) == 1
    assert_event_grammar(recorder.events, runs=1)
    assert_transcript_valid(agent.state.messages)


def test_cancelling_around_the_block_still_ends_every_start():
    """The run says how it ended, and nothing of it is left when the block has been left."""
    recorder = EventRecorder()

    async def main():
        with register_faux_provider() as faux, trio.move_on_after(5) as scope:
            faux.set_responses([calls("endless", "endless")])
            async with open_agent(faux.get_model(), tools=[Probe("endless", stays_for_ever)]) as agent:
                agent.subscribe(recorder)
                await agent.prompt("hi")
        assert scope.cancelled_caught
        assert agent.state.messages[-1].stop_reason is StopReason.Aborted
        assert_transcript_valid(agent.state.messages)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert_event_grammar(recorder.events, runs=1)


def test_listeners_share_the_grace_when_the_agent_is_cancelled(caplog):
    """All of them together; an abort alone does not cut them."""

    async def slow(event):
        if event.type not in ("agent_start", "turn_start", "message_start", "message_update"):
            await trio.sleep(2 if "tool" in event.type else 0)

    async def main():
        begin = trio.current_time()
        with register_faux_provider() as faux, trio.move_on_after(5):
            faux.set_responses([calls("endless")])
            async with open_agent(
                faux.get_model(), tools=[Probe("endless", stays_for_ever)], abort_grace=3
            ) as agent:
                agent.subscribe(slow)
                agent.subscribe(slow)
                await agent.prompt("hi")
        assert trio.current_time() - begin == 8
        assert_transcript_valid(agent.state.messages)

    with caplog.at_level(logging.WARNING, logger="agentrio"):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert "listeners were cut" in caplog.text


# Readers


async def test_a_feed_gives_every_event_to_another_task():
    """In order, with back-pressure, over several runs, until the agent is closed."""
    heard = []

    async def read(task_status):
        async with agent.events(max_buffer=1) as events:
            task_status.started()
            async for event in events:
                heard.append(event)
                await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        async with opened(says("a"), says("b")) as (agent, recorder, _):
            await nursery.start(read)
            await agent.prompt("1")
            await agent.prompt("2")
    assert heard == recorder.events


async def test_a_slow_reader_is_waited_for_without_an_abort(autojump_clock):
    """Back-pressure, not loss."""
    heard = []

    async def read(task_status):
        async with agent.events(max_buffer=0) as events:
            task_status.started()
            async for event in events:
                await trio.sleep(100)
                heard.append(event)

    async with trio.open_nursery() as nursery:
        async with opened(says("a")) as (agent, recorder, _):
            await nursery.start(read)
            await agent.prompt("1")
    assert heard == recorder.events


async def test_a_reader_that_is_too_late_after_an_abort_gets_events_lost(autojump_clock, caplog):
    """Until the deadline it is waited for, also by a send that was blocked already."""
    begin = trio.current_time()
    async with opened(says(LONG), pace=1000, abort_grace=5) as (agent, recorder, _):
        async with agent.events(max_buffer=3) as events, trio.open_nursery() as nursery:
            nursery.start_soon(after, 10, agent.abort)
            with caplog.at_level(logging.WARNING, logger="agentrio"):
                await agent.prompt("hi")
            assert trio.current_time() - begin == 15
            heard = []
            with pytest.raises(EventsLostError, match="more than 3 events behind"):
                async for event in events:
                    heard.append(event)
    assert heard == recorder.events[:3]
    assert "reader was dropped" in caplog.text


async def test_a_reader_that_left_is_dropped_silently(caplog):
    """Nobody waits for it."""
    async with opened(says("a"), says("b")) as (agent, _, _faux):
        async with agent.events(max_buffer=0) as events:
            assert "0 of 0" in repr(events)
        with caplog.at_level(logging.DEBUG):
            await agent.prompt("hi")
        assert agent.statistics().feeds == 0
    assert "dropped" not in caplog.text


# agent.stream


async def test_stream_gives_the_events_of_its_run_in_the_same_task():
    """From agent_start to agent_end, then the reply."""
    async with opened(says("a")) as (agent, recorder, _):
        async with agent.stream("hi") as run:
            events = [event async for event in run]
            reply = await run.result()
        assert agent.statistics().feeds == 0
    assert events == recorder.events
    assert reply.text == "a"


async def test_result_of_a_stream_reads_the_rest():
    """No iteration is needed."""
    async with opened(says(LONG)) as (agent, _, _faux):
        async with agent.stream("hi") as run:
            assert (await run.result()).text == LONG
            assert "Run 1" in repr(run)


async def test_leaving_a_stream_early_aborts_its_run(autojump_clock):
    """When the block is left, nothing of the run is left."""
    async with opened(calls("endless"), says("ok"), tools=[Probe("endless", stays_for_ever)]) as (
        agent,
        _,
        _faux,
    ):
        async with agent.stream("hi") as run:
            async for event in run:
                if event.type == "tool_execution_start":
                    break
        assert not agent.state.is_streaming
        assert agent.state.messages[-1].stop_reason is StopReason.Aborted
        async with agent.stream("again") as run:
            assert (await run.result()).text == "ok"


async def test_a_partial_tool_call_of_an_aborted_reply_is_not_run(autojump_clock):
    """It stays in the aborted reply, has no result, and no tool starts."""
    reply = faux_assistant_message(
        [faux_text("x"), faux_tool_call("a", {"text": LONG})], stop_reason=StopReason.ToolUse
    )
    probe = Probe("a")
    async with opened(reply, pace=100, tools=[probe]) as (agent, recorder, _):

        async def stop(event):
            if isinstance(event, MessageUpdate) and event.assistant_message_event.type == "toolcall_delta":
                agent.abort()

        with agent.subscribe(stop):
            final = await agent.prompt("hi")
    assert probe.seen == []
    assert len(final.tool_calls) == 1
    assert final.stop_reason is StopReason.Aborted
    assert "tool_execution_start" not in recorder.types
