"""The fake tool does as it is told, and remembers what was done with it."""

import math

import pytest
import trio

from providers.faux import faux_assistant_message, faux_tool_call
from runtime import AgentTool, AgentToolResult, StopReason, ToolExecutionMode, ToolExecutionUpdate, open_agent
from runtime.testing import EventRecorder, FakeTool


@pytest.fixture
def ask(faux, faux_model):
    """A prompt to which the model answers with one call for each tool, and then with a text."""

    async def prompt(*tools, abort_after=math.inf):
        calls = [faux_tool_call(tool.label, {"n": place}, id=f"c{place}") for place, tool in enumerate(tools)]
        faux.set_responses(
            [faux_assistant_message(calls, stop_reason=StopReason.ToolUse), faux_assistant_message("done")]
        )
        recorder = EventRecorder()
        async with open_agent(faux_model, tools=tools) as agent:
            agent.subscribe(recorder)
            with trio.move_on_after(abort_after):
                await agent.prompt("go")
        if abort_after < math.inf:
            faux.set_responses([])
        return recorder, [message.text for message in agent.state.messages if message.role == "toolResult"]

    return prompt


async def test_it_returns_what_it_was_told(ask):
    """A text, or a result; and keeps the arguments."""
    one, two = FakeTool("one", "first"), FakeTool("two", AgentToolResult.text("second", details=[2]))
    assert isinstance(one, AgentTool)
    _, results = await ask(one, two)
    assert results == ["first", "second"]
    assert (one.arguments, two.arguments) == ([{"n": 0}], [{"n": 1}])
    assert [call.id for call in two.calls] == ["c1"]


async def test_it_fails_as_it_was_told(ask):
    """With an exception, or with wrong arguments for its schema."""
    strict = FakeTool("strict", parameters={"type": "object", "required": ["m"]})
    _, (failed, refused) = await ask(FakeTool("broken", error=OSError("no disk")), strict)
    assert failed == "no disk"
    assert "m: missing required property" in refused
    assert strict.calls == []


async def test_it_takes_its_time_and_tells_how_far_it_is(ask, autojump_clock):
    """On trio's clock."""
    began = trio.current_time()
    recorder, _ = await ask(FakeTool("slow", seconds=60, updates=["a third", "two thirds"]))
    assert trio.current_time() - began == pytest.approx(60)
    updates = [event.partial_result.plain_text for event in recorder.of(ToolExecutionUpdate)]
    assert updates == ["a third", "two thirds"]


async def test_it_knows_that_it_was_cancelled(ask, autojump_clock):
    """And how long it resists that."""
    began = trio.current_time()
    endless = FakeTool("endless", seconds=math.inf, resists=3)
    _, results = await ask(endless, abort_after=10)
    assert trio.current_time() - began == pytest.approx(13)
    assert results == ["Operation aborted"]
    assert (endless.cancelled, endless.running) == (["c0"], set())


async def test_it_runs_alone_or_out_of_time_if_it_was_told_so(ask, autojump_clock):
    """Its mode and its time-out are those of any tool."""
    began = trio.current_time()
    first = FakeTool("first", seconds=5, execution_mode=ToolExecutionMode.Sequential)
    _, results = await ask(first, FakeTool("second", seconds=math.inf, timeout=5))
    assert trio.current_time() - began == pytest.approx(10)
    assert results == ["done", "Tool timed out after 5 s"]


def test_it_says_what_it_does():
    """In a line."""
    assert repr(FakeTool("plain")) == "<FakeTool 'plain' ends: 0 calls>"
    told = FakeTool(
        "t", seconds=2, updates=["a"], error=KeyError(), execution_mode=ToolExecutionMode.Sequential
    )
    assert repr(told) == "<FakeTool 't' raises KeyError seconds=2 updates=1 sequential: 0 calls>"
