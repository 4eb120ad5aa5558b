"""Cut at every step, in every way, with a socket, a thread and a child process in the scenario, on the real clock."""

import time
from dataclasses import dataclass, field

import pytest
import trio
from agent_doubles import Probe

from providers.faux import faux_assistant_message, faux_text, faux_tool_call
from runtime import (
    Delivery,
    MessageEnd,
    SimpleStreamOptions,
    StopReason,
    ToolInvocation,
    UserMessage,
    open_agent,
)
from runtime.testing import (
    EventRecorder,
    assert_event_grammar,
    assert_nothing_left,
    assert_transcript_valid,
    cancel_everywhere,
    open_fake_server,
)
from tools import run_command, tool

EVERYTHING = {"abort", "tool", "block", "caller", "connection"}
NO_RETRY = SimpleStreamOptions(max_retries=0)


@dataclass
class Left:
    """What a scenario leaves behind."""

    recorder: EventRecorder = field(default_factory=EventRecorder)
    deliveries: list[Delivery] = field(default_factory=list)
    messages: tuple = ()
    settled: bool = False
    usable: bool | None = None


def asks_for(*names):
    calls = [faux_tool_call(name, {}, id=f"c{index}") for index, name in enumerate(names)]
    return faux_assistant_message([faux_text("let me see"), *calls], stop_reason=StopReason.ToolUse)


@tool
def in_a_thread() -> str:
    """Block a thread."""
    time.sleep(0.001)
    return "blocked"


@tool
async def in_a_process() -> str:
    """Run a program."""
    return (await run_command(["sh", "-c", "echo $((1 + 1))"], grace=0.5)).stdout


async def asynchronous(call: ToolInvocation) -> None:
    """Say how far it is, and wait."""
    await call.update("half")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.001)


async def conversation(cutter, *tools, api="chat_completions"):
    """Prompt, three tools at once, a steering message, the reply, a follow-up; then the agent says whether it still works."""
    left = Left()
    names = [each.definition.name for each in tools]
    async with assert_nothing_left(), open_fake_server() as server:
        server.set_responses([asks_for(*names)] + [faux_assistant_message("done")] * 8)
        async with trio.open_nursery() as nursery:  # the server's own steps are not those of the scenario
            nursery.start_soon(talk, cutter, server, getattr(server, api), tools, left)
        server.set_responses([])
    return left


async def talk(cutter, server, handle, tools, left):
    model = handle.model("fake")
    with cutter.scope("block"):
        async with open_agent(model, tools=tools, options=NO_RETRY) as agent:
            agent.subscribe(left.recorder)
            cutter.arm_agent(agent)
            cutter.arm_server(server)
            left.deliveries += [agent.steer("quickly"), agent.follow_up("and then")]
            with cutter.scope("caller"):
                await agent.prompt("go")
            left.settled = not agent.is_running
            cutter.disarm("abort", "tool", "connection")
            left.usable = (await agent.prompt("still there?")).stop_reason is StopReason.Stop
        left.messages = agent.state.messages
    left.messages = agent.state.messages


def holds(left: Left) -> None:
    """The invariants, whatever was cut; that nothing is left was asserted in the run."""
    assert_event_grammar(left.recorder.events)
    assert_transcript_valid(left.messages)
    said = [
        event.message.content
        for event in left.recorder.of(MessageEnd)
        if isinstance(event.message, UserMessage)
    ]
    for delivery in left.deliveries:
        assert delivery.status in ("delivered", "returned")
        assert said.count(delivery.message.content) == (delivery.status == "delivered")
    if left.usable is not None:
        assert left.settled
        assert left.usable


def test_threads_processes_and_sockets_can_be_cut_anywhere(capsys):
    """Three tools at once, one in a thread, one a child process: every step, every way to cut."""

    async def scenario(cutter):
        return await conversation(cutter, Probe("asynchronous", asynchronous), in_a_thread, in_a_process)

    began = time.monotonic()
    report = cancel_everywhere(scenario, holds, clock=None)
    with capsys.disabled():
        print(f"\n{report}, in {time.monotonic() - began:.0f} s")
    assert set(report.cuts) == EVERYTHING
    assert [message.role for message in report.uncut.messages][:6] == [
        "user", "user", "assistant", "toolResult", "toolResult", "toolResult"
    ]  # fmt: skip
    assert report.uncut.messages[5].text == "2\n"
    assert min(report.cuts.values()) > 5


@pytest.mark.parametrize("api", ["chat_completions", "responses", "messages"])
def test_every_api_can_be_cut_anywhere(api):
    """Three asynchronous tools over a socket, on each of the three chat APIs."""

    async def scenario(cutter):
        return await conversation(cutter, *(Probe(f"tool-{n}", asynchronous) for n in range(3)), api=api)

    report = cancel_everywhere(scenario, holds, clock=None)
    assert set(report.cuts) == EVERYTHING
