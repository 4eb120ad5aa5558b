"""Corners of agents: who came first, what is kept alive, and cancellations that belong to nobody."""

import gc
import logging
import weakref

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, result_texts, says, sleeper
from trio.testing import MockClock

from providers.faux import register_faux_provider
from runtime import (
    AgentContext,
    AgentLoopConfig,
    DeliveryStatus,
    EventsLostError,
    StopReason,
    add_agent_context,
    open_agent,
    run_agent_loop,
    user,
)
from runtime.testing import assert_event_grammar, open_fake_server


async def test_an_agent_whose_block_was_left_is_not_kept_alive():
    """Looking at the tree of agents holds none of them."""
    with register_faux_provider() as faux:
        async with open_agent(faux.get_model()) as agent:
            gone = weakref.ref(agent)
        del agent
    gc.collect()
    assert gone() is None


async def test_a_run_over_http_leaves_no_cycles_behind():
    """Nothing of it waits for the garbage collector, which has enough to do where there are many agents."""

    async def run() -> None:
        async with open_fake_server(calls("look"), says("fine")) as server:
            async with open_agent(server.chat_completions.model("any"), tools=[Probe("look")]) as agent:
                assert (await agent.prompt("Look around.")).text == "fine"

    await run()  # what is made only once is made now
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await run()
        gc.collect()
        rooms = {type(garbage).__module__ for garbage in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    ours = ("runtime.agents", "runtime.streams", "runtime.values", "providers", "tools")
    assert [room for room in rooms if room.startswith(ours) and "faux" not in room] == []


async def test_what_an_abort_cut_cannot_be_cut_for_another_reason(autojump_clock):
    """Neither alone nor by steering: every call says that the abort did it."""
    tools = [sleeper("first", 3), sleeper("second", 3)]
    async with (
        opened(
            calls("first", "second"), tools=tools, steering_policy="cancel_batch", max_concurrent_tools=1
        ) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):

        def cut():
            agent.abort()
            assert agent.cancel_tool_call("c1") is False
            agent.steer("too late")

        nursery.start_soon(after, 1, cut)
        await agent.prompt("go")
        assert result_texts(agent) == ["Operation aborted", "Operation aborted"]


def said_by_the_user(agent):
    return [message.content for message in agent.state.messages if message.role == "user"]


async def test_a_message_that_was_polled_goes_back_when_the_run_is_aborted_before_it_joins():
    """It is queued as before, and comes first in the next run."""
    deliveries = []
    waiting = []

    async def listener(event):
        if event.type == "tool_execution_end":
            deliveries.extend([agent.steer("first"), agent.steer("second")])
        if event.type == "turn_start" and deliveries and not waiting:
            waiting.append(agent.statistics().queued_steering)
            agent.abort()

    async with opened(calls("work"), says("yes"), says("and yes"), tools=[Probe("work")]) as (agent, _, _):
        agent.subscribe(listener)
        assert (await agent.prompt("go")).stop_reason is StopReason.Aborted
        assert waiting == [1]  # the first one was on its way
        assert [delivery.status for delivery in deliveries] == [DeliveryStatus.Queued] * 2
        assert agent.statistics().queued_steering == 2
        await agent.prompt("again")
        assert [(one.run, one.turn) for one in deliveries] == [(2, 1), (2, 2)]
        assert said_by_the_user(agent) == ["go", "again", "first", "second"]


async def test_a_message_that_was_cleared_does_not_come_back():
    """What the turn had taken by then is returned when it is cut before it joins; what was queued later is not touched."""
    taken, later = [], []

    async def listener(event):
        if event.type == "turn_start" and not later:
            taken.append(agent.statistics().queued_steering)
            agent.clear_queues()
            assert not agent.has_queued_messages
            later.append(agent.steer("instead"))
            agent.abort()

    async with opened(says("one"), says("two"), max_queued=1) as (agent, _, faux):
        delivery = agent.steer("delete everything")
        agent.subscribe(listener)
        await agent.prompt("hi")
        assert taken == [0]
        assert (delivery.status, later[0].status) == (DeliveryStatus.Returned, DeliveryStatus.Queued)
        assert agent.statistics().queued_steering == 1
        await agent.prompt("hello")
        assert said_by_the_user(agent) == ["hi", "hello", "instead"]
        faux.set_responses([])


async def test_what_was_taken_joins_though_its_queue_was_cleared_if_the_turn_goes_on():
    """It can no longer be called back."""

    async def listener(event):
        if event.type == "turn_start":
            agent.clear_steering()

    async with opened(says("one")) as (agent, _, _):
        delivery = agent.steer("too late to call back")
        agent.subscribe(listener)
        await agent.prompt("hi")
        assert (said_by_the_user(agent), delivery.turn) == (["hi", "too late to call back"], 1)


async def test_clearing_reaches_what_joins_one_after_another(autojump_clock):
    """Of several taken together, those that had joined are delivered and the others returned."""

    async def slow(event):
        if event.type.startswith("message") and event.message.role == "user":
            await trio.sleep(1)

    def cut():
        agent.clear_follow_up()
        agent.abort()

    async with opened(says("one"), says("two"), follow_up_mode="all") as (agent, _, faux):
        deliveries = [agent.follow_up(text) for text in ("a", "b", "c")]
        agent.subscribe(slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(after, 2.5, cut)
            await agent.prompt("hi")
        faux.set_responses([])
        assert [delivery.status for delivery in deliveries] == ["delivered", "returned", "returned"]
        assert not agent.has_queued_messages


class MoodyTool(Probe):
    """A tool whose definition cannot always be read."""

    broken = False

    @property
    def definition(self):
        if self.broken:
            raise OSError("the schema's server is down")
        return self._definition

    @definition.setter
    def definition(self, definition):
        self._definition = definition


@pytest.mark.parametrize("queue", ["steer", "follow_up"])
async def test_a_run_that_cannot_start_keeps_what_it_would_have_taken(queue):
    """The message is queued as before, and the run does not count."""
    tool = MoodyTool("moody")
    async with opened(says("a"), says("b"), says("c"), tools=[tool]) as (agent, _, _):
        await agent.prompt("x")
        first, second = (getattr(agent, queue)(text) for text in ("important", "too"))
        tool.broken = True
        with pytest.raises(OSError, match="server is down"):
            await agent.continue_run()
        assert (first.status, agent.has_queued_messages) == (DeliveryStatus.Queued, True)
        assert (agent.statistics().runs, agent.is_running) == (1, False)
        tool.broken = False
        await agent.continue_run()
        assert [(one.run, one.turn) for one in (first, second)] == [(2, 1), (2, 2)]


async def test_the_reply_is_there_for_a_reader_that_was_given_up(autojump_clock):
    """result() gives it; only who reads on is told that events are lost."""
    async with opened(says("word " * 2000), pace=1000, abort_grace=2) as (agent, _, _):
        async with agent.stream("hi") as run:
            await trio.sleep(5)
            run.abort()
            await trio.sleep(5)
            assert (await run.result()).stop_reason is StopReason.Aborted
    async with opened(says("word " * 2000), pace=1000, abort_grace=2) as (agent, _, _):
        async with agent.stream("hi") as run:
            await trio.sleep(5)
            run.abort()
            await trio.sleep(5)
            with pytest.raises(EventsLostError):
                async for _ in run:
                    pass
            assert (await run.result()).stop_reason is StopReason.Aborted


async def test_a_time_out_counts_the_slowness_of_readers(autojump_clock):
    """A tool that waits to be heard is a tool that runs."""

    async def slow(event):
        if event.type == "tool_execution_update":
            await trio.sleep(0.1)

    async def tell(call):
        for _ in range(60):
            await call.update("more")

    async with opened(calls("a"), says("b"), tools=[Probe("a", tell, timeout=1)]) as (agent, _, _):
        agent.subscribe(slow)
        await agent.prompt("go")
        assert result_texts(agent) == ["Tool timed out after 1 s"]


async def never_returns(event):
    await trio.sleep_forever()


def test_leaving_the_block_gives_listeners_the_grace_and_no_more(caplog):
    """Its exit takes as long, the run has its end, and a warning says that listeners were cut."""

    async def main():
        begin = trio.current_time()
        with trio.fail_after(1000):
            await leave_while_a_listener_is_stuck()
        assert trio.current_time() - begin == 3 + 2

    async def leave_while_a_listener_is_stuck():
        async with trio.open_nursery() as outside:
            async with opened(abort_grace=2) as (agent, recorder, _):
                agent.subscribe(never_returns)
                outside.start_soon(agent.prompt, "hi")
                await trio.sleep(3)
        assert_event_grammar(recorder.events, runs=1)

    with caplog.at_level(logging.WARNING, logger="agentrio"):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert "listeners were cut" in caplog.text


async def test_the_grace_of_listeners_counts_from_the_abort(autojump_clock):
    """An abort alone does not cut them; a block that is left long after it cuts them at once."""
    begin = trio.current_time()
    with trio.fail_after(1000):
        async with opened(abort_grace=2) as (agent, recorder, _):
            agent.subscribe(never_returns)
            with trio.move_on_after(1):
                await agent.prompt("hi")
            await trio.sleep(100)
            assert agent.is_running
    assert trio.current_time() - begin == 1 + 2 + 100
    assert_event_grammar(recorder.events, runs=1)


def aborts_at_the_start(agent):
    """A listener on the agent that aborts each run at its first event."""

    async def listener(event):
        if event.type == "agent_start":
            agent.abort()

    return agent.subscribe(listener)


async def test_a_prompt_of_a_run_that_is_aborted_at_its_start_is_kept():
    """It is in the transcript, for continue_run() to go on from."""
    async with opened(says("ok")) as (agent, _, _):
        with aborts_at_the_start(agent):
            assert (await agent.prompt("go")).stop_reason is StopReason.Aborted
        assert said_by_the_user(agent) == ["go"]
        assert (await agent.continue_run()).text == "ok"


async def test_what_a_run_took_from_a_queue_goes_back_when_it_is_aborted_at_its_start():
    """continue_run() takes queued messages as prompts; they have not joined."""
    async with opened(says("hi"), says("ok"), says("gone")) as (agent, _, _):
        await agent.prompt("hello")
        delivery = agent.follow_up("go")
        with aborts_at_the_start(agent):
            assert (await agent.continue_run()).stop_reason is StopReason.Aborted
        assert (said_by_the_user(agent), delivery.status) == (["hello"], DeliveryStatus.Queued)
        assert (await agent.prompt("more")).text == "gone"
        assert (said_by_the_user(agent), delivery.turn) == (["hello", "more", "go"], 2)


async def test_a_tool_cannot_follow_the_agent_that_called_it():
    """Its events would follow themselves for ever."""

    async def work(call):
        with call.follow(agent):
            pass

    async with opened(calls("work"), says("oh"), tools=[Probe("work", work)]) as (agent, _, _):
        await agent.prompt("go")
        assert "cannot follow an agent that called it" in result_texts(agent)[0]


async def test_a_loop_in_a_task_of_the_application_leaves_its_log_fields_alone():
    """What was bound before holds again."""

    async def emit(event):
        pass

    with register_faux_provider() as faux:
        faux.set_responses([says("hi")])
        await run_agent_loop([user("hi")], AgentContext(), AgentLoopConfig(model=faux.get_model()), emit)
    assert add_agent_context(None, "info", {}) == {}


@pytest.mark.parametrize("where", ["listener", "hook", "tool"])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure(where):
    """Kept from elsewhere and raised again, it belongs to no scope around: it is told, and hangs nothing."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:  # noqa: ASYNC103
            kept = error

    async def stray(*args):
        raise kept

    settings = {"transform_context": stray} if where == "hook" else {}
    with trio.fail_after(5):
        async with opened(
            calls("work"), says("well"), tools=[Probe("work", stray)], check=False, **settings
        ) as (agent, _, faux):
            if where == "listener":
                agent.subscribe(stray)
            if where == "tool":
                await agent.prompt("go")
                assert "outside of the scope that it belongs to" in result_texts(agent)[0]
            else:
                with pytest.raises(RuntimeError, match="outside of the scope that it belongs to"):
                    await agent.prompt("go")
            assert not agent.is_running
            faux.set_responses([])
