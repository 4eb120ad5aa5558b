"""Whatever a model asks for and whenever it is cut: the grammar, the transcript and the mailboxes hold."""

from dataclasses import dataclass

import trio
from agent_doubles import Probe
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from providers.faux import (
    faux_assistant_message,
    faux_fault,
    faux_text,
    faux_tool_call,
    register_faux_provider,
)
from runtime.agents.opening import open_agent
from runtime.agents.tool import AgentToolResult
from runtime.testing.invariants import EventRecorder, assert_event_grammar, assert_transcript_valid
from runtime.values.message import StopReason

TOOLS = ("quick", "slow", "broken", "stubborn", "chatty", "nested", "nothing")


@dataclass(frozen=True)
class Plan:
    """A conversation: replies, what is said meanwhile, and when it is cut."""

    replies: tuple[object, ...]
    steering: tuple[tuple[float, str, str], ...]
    cut_at: float | None
    how: str
    settings: dict[str, object]


@st.composite
def replies(draw):
    names = draw(st.lists(st.sampled_from(TOOLS), max_size=4))
    text = draw(st.sampled_from(["", "some words to say " * 3]))
    blocks = [
        *([faux_text(text)] if text else []),
        *(faux_tool_call(name, {"n": n}) for n, name in enumerate(names)),
    ]
    reason = draw(st.sampled_from([StopReason.ToolUse, StopReason.Stop, StopReason.Stop, StopReason.Length]))
    reply = faux_assistant_message(blocks, stop_reason=reason)
    fault = draw(st.sampled_from([None] * 6 + ["fail", "cut", "malformed"]))
    return faux_fault(reply, fault) if fault else reply


plans = st.builds(
    Plan,
    replies=st.lists(replies(), min_size=1, max_size=5).map(tuple),
    steering=st.lists(
        st.tuples(st.floats(0, 10), st.sampled_from(["steer", "follow_up"]), st.uuids().map(str)), max_size=4
    ).map(tuple),
    cut_at=st.none() | st.floats(0, 8),
    how=st.sampled_from(["abort", "caller", "agent"]),
    settings=st.fixed_dictionaries(
        {
            "steering_mode": st.sampled_from(["one_at_a_time", "all"]),
            "tool_execution": st.sampled_from(["parallel", "parallel", "sequential"]),
            "max_concurrent_tools": st.sampled_from([None, 1, 2]),
        }
    ),
)


def tools(alive):
    async def quick(call):
        await trio.lowlevel.checkpoint()

    async def slow(call):
        alive.add(call.id)
        try:
            await trio.sleep(1.5)
        finally:
            alive.discard(call.id)

    async def broken(call):
        await trio.sleep(0.5)
        raise ValueError("broken")

    async def stubborn(call):
        alive.add(call.id)
        try:
            await trio.sleep(3)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.5)
        finally:
            alive.discard(call.id)
        return AgentToolResult.text("anyway")

    async def chatty(call):
        for number in range(40):
            await call.update(str(number))

    async def nested(call):
        alive.add(call.id)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 2)
                nursery.start_soon(trio.sleep, 1)
        finally:
            alive.discard(call.id)

    return [Probe(work.__name__, work) for work in (quick, slow, broken, stubborn, chatty, nested)]


async def play(plan: Plan, recorder: EventRecorder, alive: set[str]):
    deliveries = []
    provider = register_faux_provider(tokens_per_second=20)
    provider.set_responses(plan.replies)
    with trio.CancelScope() as around:
        async with open_agent(
            provider.get_model(), tools=tools(alive), max_turns=10, **plan.settings
        ) as agent:
            agent.subscribe(recorder)
            async with trio.open_nursery() as nursery:
                for when, kind, text in plan.steering:
                    nursery.start_soon(say, agent, when, kind, text, deliveries)
                with trio.CancelScope() as caller:
                    if plan.cut_at is not None:
                        cut = {"abort": agent.abort, "caller": caller.cancel, "agent": around.cancel}[
                            plan.how
                        ]
                        nursery.start_soon(later, plan.cut_at, cut)
                    await agent.prompt("begin")
                settled = not agent.state.is_streaming
                nursery.cancel_scope.cancel()
            assert settled
            queued = [delivery for delivery in deliveries if delivery.status == "queued"]
            provider.set_responses([faux_assistant_message("ok")] * (len(queued) + 1))
            if not around.cancel_called:
                reply = await agent.prompt("still there?")
                assert reply.stop_reason is StopReason.Stop
    return agent, deliveries


async def later(seconds, act):
    await trio.sleep(seconds)
    act()


async def say(agent, when, kind, text, deliveries):
    await trio.sleep(when)
    deliveries.append(getattr(agent, kind)(text))


@settings(max_examples=150)
@given(plans)
def test_the_invariants_hold(plan):
    """Event grammar, one result a call, no message lost or doubled, nothing alive, and the agent works again."""
    recorder, alive = EventRecorder(), set()

    async def main():
        agent, deliveries = await play(plan, recorder, alive)
        assert alive == set()
        messages = agent.state.messages
        assert_transcript_valid(messages)
        said = [m.content for m in messages if m.role == "user"]
        for delivery in deliveries:
            assert delivery.status in ("delivered", "returned")
            assert said.count(delivery.message.content) == (1 if delivery.status == "delivered" else 0)
        for kind in ("steer", "follow_up"):
            kinds = {text: k for _, k, text in plan.steering}
            posted = [delivery.message.content for delivery in deliveries]
            order = [text for text in posted if kinds[text] == kind]
            delivered = [text for text in said if text in order]
            assert delivered == [text for text in order if text in delivered]

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert_event_grammar(recorder.events)
