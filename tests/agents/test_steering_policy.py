"""What becomes of tool calls when a steering message arrives, and of one that is cancelled alone."""

import math
from contextlib import suppress
from functools import partial

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, result_texts, roles, says, sleeper, tool_ends

from runtime import DeliveryStatus, InvalidOptionError, ResultPatch, SteeringPolicy, StopReason, open_agent

SKIPPED = "Tool call skipped: a new message arrived before it started"
SUPERSEDED = "Tool call cancelled: a new message arrived"


def three(first=None, **options):
    """The first tool steers after a second of its three; the others take as long, in their turn."""
    return [first or sleeper("first", 3), sleeper("second", 3), sleeper("third", 3)], {
        "tool_execution": "sequential",
        **options,
    }


async def steered(policy, *, concurrent=None, at=1, script=("first", "second", "third"), **options):
    """A batch during which a message arrives; the result texts, when it ended, and where the message went."""
    tools, settings = three(**options)
    if concurrent is not None:
        settings = {"max_concurrent_tools": concurrent}
    if policy is not None:
        settings["steering_policy"] = policy
    async with (
        opened(calls(*script), says("I see"), tools=tools, **settings) as (agent, _recorder, _faux),
        trio.open_nursery() as nursery,
    ):
        deliveries = []
        nursery.start_soon(after, at, lambda: deliveries.append(agent.steer("change of plan")))
        reply = await agent.prompt("go")
        assert reply.text == "I see"
        assert roles(agent.state.messages)[-2:] == ["user", "assistant"]
        assert (deliveries[0].status, deliveries[0].turn) == (DeliveryStatus.Delivered, 2)
        return result_texts(agent), trio.current_time()


@pytest.mark.parametrize("policy", [None, "finish_batch", SteeringPolicy.FinishBatch])
async def test_a_batch_is_finished_by_default(autojump_clock, policy):
    """All calls run; the message joins after them."""
    texts, time = await steered(policy)
    assert (texts, time) == (["first done", "second done", "third done"], 9)


async def test_calls_that_have_not_started_are_skipped(autojump_clock):
    """The running one ends by itself, the others say that they were skipped."""
    texts, time = await steered("skip_unstarted")
    assert (texts, time) == (["first done", SKIPPED, SKIPPED], 3)


async def test_calls_that_wait_for_their_turn_are_skipped(autojump_clock):
    """A parallel batch with a limit has calls that have not started, too."""
    texts, time = await steered("skip_unstarted", concurrent=2)
    assert (texts, time) == (["first done", "second done", SKIPPED], 3)


async def test_a_whole_batch_can_be_cancelled(autojump_clock):
    """The running one is cut, the others are skipped, and the run goes on at once."""
    texts, time = await steered("cancel_batch")
    assert (texts, time) == ([SUPERSEDED, SKIPPED, SKIPPED], 1)


async def test_a_call_that_has_returned_keeps_its_result_when_the_batch_is_cancelled(autojump_clock):
    """Only what still runs is cut."""
    texts, time = await steered("cancel_batch", concurrent=3, at=2, first=sleeper("first", 1))
    assert (texts, time) == (["first done", SUPERSEDED, SUPERSEDED], 2)


async def test_a_message_that_waits_already_skips_the_whole_batch(autojump_clock):
    """It arrived while the reply was still arriving: nothing has started."""
    tools, settings = three()
    async with opened(
        calls("first", "second"), says("I see"), tools=tools, steering_policy="skip_unstarted", **settings
    ) as (agent, recorder, _faux):

        async def steer_at_the_reply(event):
            if event.type == "message_end" and event.message.role == "assistant" and event.message.tool_calls:
                agent.steer("wait")

        agent.subscribe(steer_at_the_reply)
        await agent.prompt("go")
        assert result_texts(agent) == [SKIPPED, SKIPPED]
        assert tool_ends(recorder) == [("first", True), ("second", True)]
    assert tools[0].seen == tools[1].seen == []


async def test_a_message_that_arrives_during_preflight_skips_what_follows(autojump_clock):
    """The call that the hook is asked about has not started either."""

    async def steer(info):
        if info.call.name == "first":
            agent.steer("wait")
            await trio.sleep(1)

    tools, settings = three()
    async with opened(
        calls("first", "second"),
        says("I see"),
        tools=tools,
        steering_policy="skip_unstarted",
        before_tool_call=steer,
        **settings,
    ) as (agent, _recorder, _faux):
        await agent.prompt("go")
        assert result_texts(agent) == [SKIPPED, SKIPPED]


async def test_a_follow_up_never_skips_a_call(autojump_clock):
    """Only steering does."""
    tools, settings = three()
    async with opened(
        calls("first"), says("done"), says("more"), tools=tools, steering_policy="cancel_batch", **settings
    ) as (agent, _recorder, _faux):
        agent.follow_up("and then")
        await agent.prompt("go")
        assert result_texts(agent) == ["first done"]


async def test_an_abort_wins_over_a_message_that_comes_later(autojump_clock):
    """What was cut by the abort says so."""
    async with (
        opened(calls("first", "second"), tools=three()[0], steering_policy="cancel_batch") as (agent, _, _),
        trio.open_nursery() as nursery,
    ):

        def both():
            agent.abort()
            agent.steer("too late")

        nursery.start_soon(after, 1, both)
        reply = await agent.prompt("go")
        assert reply.stop_reason is StopReason.Aborted
        assert agent.has_queued_messages
        assert result_texts(agent) == ["Operation aborted", "Operation aborted"]


def test_a_policy_that_is_none_is_refused():
    """With the words that exist."""

    async def main():
        from providers.faux import register_faux_provider

        with register_faux_provider() as faux:
            async with open_agent(faux.get_model(), steering_policy="drop_everything"):
                pass

    with pytest.raises(InvalidOptionError, match="steering_policy must be one of 'finish_batch', 'skip_unst"):
        trio.run(main)


async def test_one_call_can_be_cancelled_alone(autojump_clock):
    """It says so, its siblings and the run go on."""
    async with (
        opened(calls("first", "second"), says("well"), tools=three()[0]) as (agent, recorder, _),
        trio.open_nursery() as nursery,
    ):
        answers = []
        nursery.start_soon(after, 1, lambda: answers.append(agent.cancel_tool_call("c0")))
        nursery.start_soon(after, 2, lambda: answers.append(agent.cancel_tool_call("c0")))
        reply = await agent.prompt("go")
        assert reply.text == "well"
        assert answers == [True, False]
        assert result_texts(agent) == ["Tool call cancelled", "second done"]
        assert tool_ends(recorder) == [("first", True), ("second", False)]


async def test_a_call_can_be_cancelled_before_it_starts(autojump_clock):
    """It never runs."""
    tools, settings = three()
    async with (
        opened(calls("first", "second"), says("well"), tools=tools, **settings) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(after, 1, lambda: agent.cancel_tool_call("c1"))
        await agent.prompt("go")
        assert result_texts(agent) == ["first done", "Tool call cancelled"]
    assert tools[1].seen == []


async def test_a_cancelled_call_is_waited_for(autojump_clock):
    """A tool that tidies up has the time for it, and what it returns then does not count."""

    async def stubborn(call):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            raise

    async with (
        opened(calls("slow"), says("well"), tools=[Probe("slow", stubborn)]) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(after, 1, lambda: agent.cancel_tool_call("c0"))
        await agent.prompt("go")
        assert trio.current_time() == 3
        assert result_texts(agent) == ["Tool call cancelled"]


async def test_a_call_that_does_not_exist_cannot_be_cancelled():
    """Neither in a run nor without one."""
    async with opened(says("hi")) as (agent, _, _):
        assert agent.cancel_tool_call("c0") is False
        await agent.prompt("go")
        assert agent.cancel_tool_call("c0") is False


async def looks_for(seconds, info, result):
    """What a hook after a tool does that takes its time."""
    await trio.sleep(seconds)
    return ResultPatch(content=f"{result.plain_text}, and looked at")


async def test_what_a_tool_has_delivered_is_not_lost_while_a_hook_looks_at_it(autojump_clock):
    """Neither to a cancellation of the call nor to a message that cancels the batch: the hook is waited for."""
    async with (
        opened(
            calls("first", "second"),
            says("well"),
            tools=[sleeper("first", 1), sleeper("second", 9)],
            after_tool_call=partial(looks_for, 5),
            steering_policy="cancel_batch",
        ) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):
        answers = []
        nursery.start_soon(after, 2, lambda: answers.append(agent.cancel_tool_call("c0")))
        nursery.start_soon(after, 3, lambda: agent.steer("hurry up"))
        await agent.prompt("go")
        assert answers == [False]
        assert result_texts(agent) == ["first done, and looked at", SUPERSEDED]
        assert trio.current_time() == 6


async def test_a_hook_that_hangs_after_a_tool_is_cut_by_an_abort(autojump_clock):
    """Also after a cancellation of the call has left it alone."""
    async with (
        opened(calls("first"), tools=[Probe("first")], after_tool_call=partial(looks_for, math.inf)) as (
            agent,
            _,
            _,
        ),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(after, 1, lambda: agent.cancel_tool_call("c0"))
        nursery.start_soon(after, 2, agent.abort)
        assert (await agent.prompt("go")).stop_reason is StopReason.Aborted
        assert result_texts(agent) == ["Operation aborted"]
        assert trio.current_time() == 2


async def test_no_hook_is_asked_about_a_call_that_was_cancelled(autojump_clock):
    """Not even when the tool returns something all the same."""
    asked = []

    async def stubborn(call):
        with suppress(trio.Cancelled):
            await trio.sleep_forever()

    async def hook(info, result):
        asked.append(info.call.id)

    async with (
        opened(calls("slow"), says("well"), tools=[Probe("slow", stubborn)], after_tool_call=hook) as (
            agent,
            _,
            _,
        ),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(after, 1, lambda: agent.cancel_tool_call("c0"))
        await agent.prompt("go")
        assert result_texts(agent) == ["Tool call cancelled"]
    assert asked == []


async def test_a_call_whose_end_waits_to_be_told_keeps_its_result(autojump_clock):
    """A listener is slow, so that the tool has returned long before its end is told."""

    async def slow(event):
        if event.type == "tool_execution_end" and event.tool_name == "first":
            await trio.sleep(5)

    async with (
        opened(calls("first", "second"), says("well"), tools=[sleeper("first", 1), sleeper("second", 2)]) as (
            agent,
            _,
            _,
        ),
        trio.open_nursery() as nursery,
    ):
        agent.subscribe(slow)
        answers = []
        nursery.start_soon(after, 3, lambda: answers.append(agent.cancel_tool_call("c1")))
        await agent.prompt("go")
        assert answers == [False]
        assert result_texts(agent) == ["first done", "second done"]


async def test_a_call_that_ended_before_its_tool_began_cannot_be_cancelled_again(autojump_clock):
    """It was cancelled while it waited for its turn, and its end waits to be told."""

    async def slow(event):
        if event.type == "tool_execution_end" and event.tool_name == "first":
            await trio.sleep(5)

    tools = [sleeper("first", 2), sleeper("second", 3)]
    async with (
        opened(calls("first", "second"), says("well"), tools=tools, max_concurrent_tools=1) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):
        agent.subscribe(slow)
        answers = []
        for at in (1, 3):
            nursery.start_soon(after, at, lambda: answers.append(agent.cancel_tool_call("c1")))
        await agent.prompt("go")
        assert answers == [True, False]
        assert result_texts(agent) == ["first done", "Tool call cancelled"]


async def test_the_first_reason_is_the_one_that_is_told(autojump_clock):
    """A call that was cancelled says so, also when a message arrives while it still tidies up."""

    async def tidies_up(call):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)

    async with (
        opened(
            calls("slow"), says("well"), tools=[Probe("slow", tidies_up)], steering_policy="cancel_batch"
        ) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(after, 1, lambda: agent.cancel_tool_call("c0"))
        nursery.start_soon(after, 2, lambda: agent.steer("hurry up"))
        await agent.prompt("go")
        assert result_texts(agent) == ["Tool call cancelled"]
