"""Ready-made cuts: an agent's block, its caller, an abort, and one of its tools, at every step."""

import pytest
import trio

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import SimpleStreamOptions, StopReason, open_agent
from runtime.testing import (
    EventRecorder,
    assert_event_grammar,
    assert_nothing_left,
    assert_transcript_valid,
    cancel_everywhere,
    open_fake_server,
)
from tools import tool

QUICK = SimpleStreamOptions(max_retries=0)


@tool
async def look(where: str) -> str:
    """Look somewhere."""
    await trio.sleep(1)
    return f"nothing at {where}"


def scripted(*replies):
    """A provider that does not mind what is left of its script: who is cut does not use all of it."""
    faux = register_faux_provider(tokens_per_second=100)
    faux.set_responses(replies)
    return faux.get_model()


def calls(*places):
    blocks = [faux_tool_call("look", {"where": place}, id=place) for place in places]
    return faux_assistant_message(blocks, stop_reason=StopReason.ToolUse)


async def conversation(cutter):
    """A prompt, two tools at a time, a reply; whatever is cut, nothing is left."""
    recorder = EventRecorder()
    model = scripted(calls("home", "work"), faux_assistant_message("Nowhere."))
    async with assert_nothing_left():
        with cutter.scope("block"):
            async with open_agent(model, tools=[look]) as agent:
                agent.subscribe(recorder)
                cutter.arm_agent(agent)
                with cutter.scope("caller"):
                    await agent.prompt("Where is it?")
        cutter.disarm()
    return recorder, agent


def holds(left):
    """What the documentation promises."""
    recorder, agent = left
    assert_event_grammar(recorder)
    assert_transcript_valid(agent.state.messages)


def test_an_agent_can_be_cut_in_every_ready_made_way():
    """Each has its steps; a cut tool is answered, and its neighbour is not touched."""
    alone = []

    def check(left):
        holds(left)
        texts = [message.text for message in left[1].state.messages if message.role == "toolResult"]
        alone.append(sorted(texts) == ["Tool call cancelled", "nothing at work"])

    report = cancel_everywhere(conversation, check)
    assert set(report.cuts) == {"block", "abort", "tool", "caller"}
    assert min(report.cuts.values()) > 5
    assert report.cuts["tool"] < report.cuts["abort"] <= report.cuts["block"]
    assert any(alone)


def test_a_connection_can_be_cut_too():
    """On the real clock: an agent at a fake server, whose connections break off at every step."""

    async def scenario(cutter):
        recorder = EventRecorder()
        async with assert_nothing_left(), open_fake_server(reply) as server:
            async with open_agent(server.chat_completions.model("m"), options=QUICK) as agent:
                agent.subscribe(recorder)
                cutter.arm_server(server)
                await agent.prompt("hi")
                cutter.disarm()
            server.set_responses([])
        return recorder, agent

    def check(left):
        holds(left)
        assert left[1].state.messages[-1].stop_reason in (StopReason.Stop, StopReason.Error)
        ends.add(left[1].state.messages[-1].stop_reason)

    reply, ends = faux_assistant_message("one two three four five six seven eight"), set()
    report = cancel_everywhere(scenario, check, clock=None)
    assert set(report.cuts) == {"connection"}
    assert report.total > 3
    assert ends == {StopReason.Stop, StopReason.Error}


@tool(name="look")
async def sly(where: str) -> str:
    """Starts a task that nobody owns when it is cancelled."""
    try:
        await trio.sleep(1)
    except trio.Cancelled:
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="loose end")
        raise
    return where


def test_a_broken_promise_is_found():
    """Something that only a cancellation brings about: the note says which one."""

    async def scenario(cutter):
        async with assert_nothing_left():
            with cutter.scope("block"):
                async with open_agent(scripted(calls("home")), tools=[sly]) as agent:
                    await agent.prompt("go")

    with pytest.raises(AssertionError, match="task loose end") as caught:
        cancel_everywhere(scenario, lambda _: None)
    assert caught.value.__notes__[0].startswith("cut by 'block' at step ")
