"""The recorder finds events, waits for them, and can be read."""

import pytest
import trio

from providers.faux import faux_assistant_message, faux_text, faux_tool_call
from runtime import (
    AgentEnd,
    MessageEnd,
    StopReason,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolInvocation,
    TurnStart,
    open_agent,
)
from runtime.testing import EventRecorder, FakeTool, assert_event_grammar
from tools import tool


@pytest.fixture
def script(faux):
    """Two calls at a time, then a text, for each of two prompts."""
    calls = [faux_tool_call(name, {}, id=name) for name in ("quick", "slow")]
    turn = faux_assistant_message(
        [faux_text("Let me see what there is to see. " * 3), *calls], stop_reason=StopReason.ToolUse
    )
    faux.set_responses([turn, faux_assistant_message("Fine."), faux_assistant_message("Still fine.")])


@pytest.fixture
async def recorded(faux_model, script):
    recorder = EventRecorder()
    async with open_agent(
        faux_model, tools=[FakeTool("quick"), FakeTool("slow", error=OSError("gone"), seconds=0.01)]
    ) as agent:
        agent.subscribe(recorder)
        await agent.prompt("Well?")
        await agent.prompt("And now?")
    return recorder


async def test_events_are_found_by_type_and_by_fields(recorded):
    """In order."""
    assert [event.tool_name for event in recorded.of(ToolExecutionEnd)] == ["quick", "slow"]
    (failed,) = recorded.of(ToolExecutionEnd, is_error=True)
    assert failed.tool_call_id == "slow"
    assert recorded.of(ToolExecutionEnd, tool_name="quick", is_error=True) == []
    assert recorded.of(ToolExecutionEnd, no_such_field=1) == []


async def test_runs_and_messages_are_found(recorded):
    """Each run is one of its own."""
    first, second = recorded.runs
    assert [event.type for event in second if event.type != "message_update"][-2:] == [
        "turn_end",
        "agent_end",
    ]
    assert [*first, *second] == list(recorded) == recorded.events
    assert [message.role for message in recorded.messages] == [
        "user", "assistant", "toolResult", "toolResult", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert "message_update" not in recorded.types
    assert_event_grammar(recorded)


async def test_it_can_be_read(recorded):
    """As a line, and as a list with one line for deltas in a row."""
    assert (
        repr(recorded)
        == f"<EventRecorder {len(recorded.events)} events, 2 runs, last agent_end (2 messages)>"
    )
    lines = str(recorded).splitlines()
    assert lines[0].split() == ["0", "agent_start"]
    assert any("message_update text_delta x " in line for line in lines)
    assert any("tool_execution_end slow slow failed 'gone'" in line for line in lines)
    recorded.clear()
    assert (str(recorded), repr(recorded)) == ("no events", "<EventRecorder 0 events, 0 runs>")


async def test_a_test_can_wait_for_an_event(faux_model, script, autojump_clock):
    """For one that is still to come, one that has come, and one of several."""
    recorder = EventRecorder()
    slow = FakeTool("slow", seconds=9)
    async with (
        open_agent(faux_model, tools=[FakeTool("quick"), slow]) as agent,
        trio.open_nursery() as nursery,
    ):
        agent.subscribe(recorder)
        nursery.start_soon(agent.prompt, "Well?")
        started = await recorder.wait_for(ToolExecutionStart, tool_name="slow")
        assert recorder.of(ToolExecutionEnd, tool_name="slow") == []
        assert repr(recorder).startswith(
            f"<EventRecorder {len(recorder.events)} events, 1 runs, 1 running, last "
        )
        assert await recorder.wait_for(ToolExecutionStart, tool_name="slow") is started
        assert await recorder.wait_for(TurnStart, count=2) is recorder.of(TurnStart)[1]
        await recorder.wait_for(AgentEnd)
        await agent.wait_for_idle()
        await agent.prompt("And now?")


async def test_waiting_can_be_cancelled():
    """Nothing is left of it."""
    recorder = EventRecorder()
    with trio.move_on_after(0):
        await recorder.wait_for(AgentEnd)
    await recorder(AgentEnd([]))
    assert await recorder.wait_for(AgentEnd)


async def test_what_agents_below_said_is_found_by_their_names(faux, faux_model):
    """As events of their own, so that they can be checked like any other."""

    @tool
    async def ask(call: ToolInvocation) -> str:
        """Asks another agent."""
        async with open_agent(faux_model, name="helper") as helper:
            with call.follow(helper):
                return (await helper.prompt("help")).text

    recorder = EventRecorder()
    faux.set_responses(
        [
            faux_assistant_message(faux_tool_call("ask", {}), stop_reason=StopReason.ToolUse),
            faux_assistant_message("here"),
            faux_assistant_message("thanks"),
        ]
    )
    async with open_agent(faux_model, tools=[ask]) as agent:
        agent.subscribe(recorder)
        await agent.prompt("ask")
    below = recorder.below("helper")
    assert_event_grammar(below)
    assert [
        event.message.text
        for event in below
        if isinstance(event, MessageEnd) and event.message.role == "assistant"
    ] == ["here"]
    assert recorder.below("helper", "helper") == []
