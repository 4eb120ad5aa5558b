"""Promises that are easy to break: nurseries inside of what is cut, readers that stay behind, exceptions that nobody hears."""

import logging
import time

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, result_texts, roles, says
from trio.testing import MockClock

from providers.faux import register_faux_provider
from runtime.agents.low_level import agent_loop, run_agent_loop
from runtime.agents.opening import open_agent
from runtime.agents.settings import AgentLoopConfig
from runtime.agents.tool import AgentContext, AgentToolResult
from runtime.errors import AgentBusyError, InvalidOptionError
from runtime.streams.channel import open_message_stream
from runtime.testing.invariants import EventRecorder, assert_event_grammar
from runtime.values.message import StopReason, user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions


async def waits_in_a_nursery(*args):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize(
    "where",
    [
        "tool",
        "before_tool_call",
        "after_tool_call",
        "prepare_next_turn",
        "should_stop_after_turn",
        "get_api_key",
    ],
)
async def test_an_abort_cuts_what_waits_in_a_nursery_of_its_own(autojump_clock, where):
    """The cancellation comes as a group then; prompt() returns the Aborted reply all the same."""
    hooks = {} if where == "tool" else {where: waits_in_a_nursery}
    tool = Probe("a", waits_in_a_nursery if where == "tool" else None)
    async with opened(calls("a"), tools=[tool], **hooks) as (agent, _, _faux):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 1, agent.abort)
            reply = await agent.prompt("hi")
    assert reply.stop_reason is StopReason.Aborted


def test_a_listener_that_waits_in_a_nursery_is_cut_by_the_grace():
    """The block is left with the cancellation that came from outside, and nothing else."""

    async def listener(event):
        if event.type == "message_end":
            await waits_in_a_nursery()

    async def main():
        with register_faux_provider() as faux, trio.move_on_after(1) as scope:
            faux.set_responses([])
            async with open_agent(faux.get_model(), abort_grace=1) as agent:
                agent.subscribe(listener)
                await agent.prompt("hi")
        assert scope.cancelled_caught

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_a_tool_that_fails_in_a_nursery_tells_the_model_why():
    """Not that there was an exception group."""

    async def fails():
        raise ValueError("no such city: Osloo")

    async def work(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(trio.sleep_forever)

    async with opened(calls("a"), says("ok"), tools=[Probe("a", work)]) as (agent, _, _faux):
        await agent.prompt("hi")
    assert result_texts(agent) == ["no such city: Osloo"]


async def test_a_time_out_is_told_whatever_the_tool_raises_then(autojump_clock):
    """Cleanup that fails does not hide it."""

    async def work(call):
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cleanup")

    async with opened(calls("a"), says("ok"), tools=[Probe("a", work, timeout=2)]) as (agent, _, _faux):
        await agent.prompt("hi")
    assert result_texts(agent) == ["Tool timed out after 2 s"]


@pytest.mark.parametrize("how", ["raise", "cancel"])
async def test_a_feed_in_another_task_ends_however_the_block_is_left(autojump_clock, how):
    """Its reader gets the end, and does not wait for ever."""
    ended = trio.Event()

    async def read(agent, task_status):
        async with agent.events() as events:
            task_status.started()
            async for _ in events:
                pass
        ended.set()

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            try:
                async with opened(check=False) as (agent, _, _faux):
                    await nursery.start(read, agent)
                    if how == "raise":
                        raise KeyError
                    await trio.sleep_forever()
            except KeyError:
                pass
        with trio.fail_after(1):
            await ended.wait()


@pytest.mark.parametrize("where", ["tool", "hook"])
async def test_a_result_with_wrong_values_is_an_error_result(where):
    """A copy with changes is not validated by pydantic; we do it."""
    wrong = AgentToolResult.text("x").model_copy(update={"content": 5})

    async def work(call):
        return wrong if where == "tool" else None

    async def hook(info, result):
        return "text" if where == "hook" else None

    async with opened(calls("a"), says("ok"), tools=[Probe("a", work)], after_tool_call=hook) as (
        agent,
        _,
        _faux,
    ):
        assert (await agent.prompt("hi")).text == "ok"
    assert (
        "wrong values" if where == "tool" else "must return ResultPatch or None, not str"
    ) in result_texts(agent)[0]


async def test_a_stream_of_ones_own_that_ends_in_nonsense_fails_the_run():
    """Its result must be a message; the run says so with its whole lifecycle."""
    from contextlib import asynccontextmanager

    class Nonsense:
        def abort(self):
            """Nothing to abort."""

        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

        async def result(self):
            return None

    @asynccontextmanager
    async def stream_fn(model, context, options):
        yield Nonsense()

    async with opened(stream_fn=stream_fn) as (agent, _, _faux):
        with pytest.raises(InvalidOptionError, match="must be AssistantMessage, not NoneType"):
            await agent.prompt("hi")
    assert agent.state.messages[-1].stop_reason is StopReason.Error


@pytest.mark.parametrize(
    "hook", ["transform_context", "get_api_key", "prepare_next_turn", "before_tool_call"]
)
async def test_a_hook_that_is_no_async_function_is_told_so(hook):
    """By its name."""
    async with opened(calls("a"), says("ok"), tools=[Probe("a")], **{hook: lambda *_: None}) as (
        agent,
        _,
        faux,
    ):
        if hook == "before_tool_call":
            await agent.prompt("hi")
            assert result_texts(agent) == [
                "before_tool_call must be an async function; calling it gave NoneType"
            ]
        else:
            with pytest.raises(InvalidOptionError, match=f"{hook} must be an async function"):
                await agent.prompt("hi")
        faux.set_responses([])


# Exceptions that nobody hears


def breaks_at(event_type):
    async def listener(event):
        if event.type == event_type:
            raise KeyError("listener is broken")

    return listener


async def test_a_failure_while_the_caller_was_cancelled_is_logged(autojump_clock, caplog):
    """The caller's cancellation goes on, and the exception is not lost."""
    with caplog.at_level(logging.ERROR, logger="agentrio"):
        async with opened(calls("a"), tools=[Probe("a", waits_in_a_nursery)]) as (agent, _, _faux):
            agent.subscribe(breaks_at("agent_end"))
            with trio.move_on_after(1):
                await agent.prompt("hi")
            assert agent.state.error_message is not None
    assert "listener is broken" in caplog.text
    (failure,) = caplog.records
    assert (failure.agent, failure.run, failure.turn) == ("agent", 1, 2)


async def test_a_failure_behind_an_exception_of_the_block_is_logged(caplog):
    """agent.stream: the block's own wins."""
    with caplog.at_level(logging.ERROR, logger="agentrio"):
        async with opened(says("x")) as (agent, _, _faux):
            agent.subscribe(breaks_at("message_end"))
            with pytest.raises(LookupError, match="mine"):
                async with agent.stream("hi") as run:
                    async for _ in run:
                        pass
                    raise LookupError("mine")
    assert "listener is broken" in caplog.text


def test_a_failure_of_a_cancelled_low_level_loop_is_logged(caplog):
    """Nobody gets its exception."""

    async def main():
        with register_faux_provider() as faux, trio.move_on_after(1):
            faux.set_responses([calls("a")])
            context = AgentContext(tools=(Probe("a", waits_in_a_nursery),))
            config = AgentLoopConfig(model=faux.get_model())
            await run_agent_loop([user("hi")], context, config, breaks_at("turn_end"))

    with caplog.at_level(logging.ERROR, logger="agentrio"):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert "listener is broken" in caplog.text


async def test_a_block_that_raises_wins_over_a_cancellation_that_comes_later(autojump_clock):
    """While the run of agent.stream settles."""

    async def resists(call):
        with trio.CancelScope(shield=True):
            await trio.sleep(3)

    with trio.move_on_after(2):
        with pytest.raises(KeyError, match="mine"):
            async with opened(calls("a"), tools=[Probe("a", resists)]) as (agent, _, _faux):
                async with agent.stream("hi") as run:
                    async for event in run:
                        if event.type == "tool_execution_start":
                            await trio.sleep(1)
                            raise KeyError("mine")


async def test_an_error_of_the_last_listener_is_in_the_state():
    """Also when no reply could carry it any more."""
    async with opened(says("x")) as (agent, _, _faux):
        agent.subscribe(breaks_at("agent_end"))
        with pytest.raises(KeyError):
            await agent.prompt("hi")
        assert "listener is broken" in agent.state.error_message


# Around a run


async def test_queue_modes_changed_in_a_run_hold_from_the_next():
    """The run that is active takes one at a time to its end."""

    async def change(call):
        agent.update(steering_mode="all")
        for text in "abc":
            agent.steer(text)

    async with opened(calls("t"), says("1"), says("2"), says("3"), says("4"), tools=[Probe("t", change)]) as (
        agent,
        _,
        _faux,
    ):
        await agent.prompt("hi")
        assert roles(agent.state.messages)[3:] == ["user", "assistant"] * 3
        agent.steer("d")
        agent.steer("e")
        await agent.prompt("next")
    assert roles(agent.state.messages)[-4:] == ["user", "user", "user", "assistant"]


async def test_the_next_prompt_works_after_a_reader_was_given_up(autojump_clock):
    """A feed that nobody reads holds the run for as long as its cancelled caller waits, and no longer."""
    async with opened(says("x"), says("y"), abort_grace=2) as (agent, _, faux):
        async with agent.events(max_buffer=0):
            with trio.move_on_after(1):
                await agent.prompt("hi")
            faux.set_responses([says("y")])
            assert (await agent.prompt("again")).text == "y"


async def test_result_after_an_early_exit_is_the_aborted_reply(autojump_clock):
    """As it is for a stream of one call."""
    async with opened(calls("a"), tools=[Probe("a", waits_in_a_nursery)]) as (agent, _, _faux):
        async with agent.stream("hi") as run:
            await anext(run)
        assert (await run.result()).stop_reason is StopReason.Aborted
    provider = register_faux_provider()
    provider.set_responses([says("x")])
    async with agent_loop(
        [user("hi")], AgentContext(), AgentLoopConfig(model=provider.get_model())
    ) as stream:
        await anext(stream)
    assert (await stream.result())[-1].stop_reason is StopReason.Aborted


async def test_a_low_level_loop_loses_no_message_that_it_took(autojump_clock):
    """What was polled joins the transcript, even if the run ends there."""
    pending = [[], [user("late")]]

    async def steer():
        return pending.pop(0) if pending else []

    for limit, abort in ((1, None), (None, trio.Event())):
        pending[:] = [[], [user("late")]]

        async def cut(event, abort=abort):
            if abort is not None and event.type == "turn_end":
                abort.set()

        provider, recorder = register_faux_provider(), EventRecorder()
        provider.set_responses([calls("a")])
        options = SimpleStreamOptions(abort=abort)
        config = AgentLoopConfig(
            model=provider.get_model(), max_turns=limit, get_steering_messages=steer, options=options
        )
        async with agent_loop([user("hi")], AgentContext(tools=(Probe("a"),)), config) as stream:
            async for event in stream:
                await recorder(event)
                await cut(event)
            added = await stream.result()
        assert_event_grammar(recorder.events)
        assert len(pending) + [m.content for m in added].count("late") == 1


async def test_a_task_of_the_application_may_wait_for_the_run():
    """Even if a listener of the run started it: it is in a nursery that the run does not wait for."""
    waited = trio.Event()

    async def background():
        await agent.wait_for_idle()
        waited.set()

    async with trio.open_nursery() as nursery:
        async with opened(says("x")) as (agent, _, _faux):

            async def listener(event):
                if event.type == "turn_end":
                    nursery.start_soon(background)

            agent.subscribe(listener)
            await agent.prompt("hi")
            with trio.fail_after(1):
                await waited.wait()


async def test_what_belongs_to_a_run_may_not_wait_for_it():
    """A tool, a child of the tool, and a listener are told so, instead of waiting for ever."""
    refused = []

    async def wait():
        try:
            await agent.wait_for_idle()
        except AgentBusyError:
            refused.append(True)

    async def work(call):
        await wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
        with pytest.raises(AgentBusyError):
            await run.result()

    async with opened(calls("a"), says("ok"), tools=[Probe("a", work)]) as (agent, _, _faux):
        async with agent.stream("hi") as run:
            await run.result()
    assert refused == [True, True]


async def test_no_hook_runs_after_an_abort():
    """Neither for the calls that are left, nor before a model call that will not be."""
    asked = []

    async def ask(info):
        asked.append(info.call.id)
        agent.abort()

    async with opened(calls("a", "a", "a"), tools=[Probe("a")], before_tool_call=ask) as (agent, _, _faux):
        await agent.prompt("hi")
    assert asked == ["c0"]
    abort = trio.Event()
    abort.set()

    async def transform(messages):
        asked.append("transform")
        return messages

    async with opened(transform_context=transform, options=SimpleStreamOptions(abort=abort)) as (
        agent,
        _,
        _faux,
    ):
        agent.steer("stays")
        assert (await agent.prompt("hi")).stop_reason is StopReason.Aborted
        assert agent.has_queued_messages
    assert asked == ["c0"]


async def test_listeners_cannot_change_what_the_tool_gets():
    """Events carry a copy of the arguments."""

    async def meddle(event):
        if event.type == "tool_execution_start":
            event.args["city"] = "Atlantis"

    probe = Probe("a")
    async with opened(calls("a", arguments={"city": "Oslo"}), says("ok"), tools=[probe]) as (agent, _, _faux):
        agent.subscribe(meddle)
        await agent.prompt("hi")
    assert probe.seen == [{"city": "Oslo"}]
    assert agent.state.messages[1].tool_calls[0].arguments == {"city": "Oslo"}


async def test_wait_for_idle_waits_for_the_listeners_of_the_end(autojump_clock):
    """Settled means that they have returned."""
    done = trio.Event()

    async def slow(event):
        if event.type == "agent_end":
            await trio.sleep(5)
            done.set()

    async with opened(says("x")) as (agent, _, _faux):
        agent.subscribe(slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.prompt, "hi")
            await trio.sleep(1)
            await agent.wait_for_idle()
            assert done.is_set()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: run_agent_loop([], "context", None, print),
        lambda: run_agent_loop([], AgentContext(), None, print),
        lambda: run_agent_loop([], AgentContext(messages=[1]), None, print),
        lambda: run_agent_loop([], AgentContext(messages=5), None, print),
        lambda: run_agent_loop([], AgentContext(system_prompt=5), None, print),
        lambda: run_agent_loop([], AgentContext(), None, None),
    ],
)
async def test_wrong_arguments_of_the_low_level_loop_are_refused(wrong):
    """At the call."""
    with pytest.raises(InvalidOptionError):
        await wrong()


@pytest.mark.parametrize("size", [-1, "x", float("inf"), True])
async def test_a_feed_has_a_bounded_buffer(size):
    """Anything else is refused at the call."""
    async with opened() as (agent, _, _faux):
        with pytest.raises(InvalidOptionError, match="max_buffer"):
            async with agent.events(max_buffer=size):
                pass


def calling(turns):
    """A model that calls a tool so many times, and costs the same however long the context is."""

    def stream_fn(model, context, options):
        nonlocal turns
        turns -= 1

        async def produce(writer):
            writer.assembler.start()
            if turns >= 0:
                writer.assembler.tool_call_end(writer.assembler.tool_call_start(f"c{turns}", "a"))
            writer.assembler.done(StopReason.ToolUse if turns >= 0 else StopReason.Stop)

        return open_message_stream(model, produce)

    return stream_fn


async def cost_of(turns):
    begin = time.process_time()
    async with open_agent(Model("m"), tools=[Probe("a")], stream_fn=calling(turns)) as agent:
        await agent.prompt("hi")
    assert len(agent.state.messages) == 2 * turns + 2
    return time.process_time() - begin


async def test_turns_cost_the_same_late_in_a_run():
    """Ten times the turns take about ten times the time."""
    await cost_of(50)
    small = min([await cost_of(150), await cost_of(150), await cost_of(150)])
    assert min([await cost_of(1500), await cost_of(1500)]) < 16 * small
