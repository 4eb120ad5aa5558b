"""Cut at every checkpoint, in every way: the grammar, the transcript, the mailboxes and the tasks hold each time."""

from dataclasses import dataclass, field

import trio
from agent_doubles import Probe, calls, says

from providers.faux import register_faux_provider
from runtime.agents.agent import Agent
from runtime.agents.mailbox import Delivery
from runtime.agents.opening import open_agent
from runtime.agents.tool import AgentToolResult
from runtime.streams.channel import open_message_stream
from runtime.testing.invariants import EventRecorder, assert_event_grammar, assert_transcript_valid
from runtime.testing.sweep import cancel_everywhere
from runtime.values.message import StopReason
from runtime.values.model import Model


@dataclass
class Left:
    """What a scenario leaves behind."""

    recorder: EventRecorder = field(default_factory=EventRecorder)
    agent: Agent | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    messages: tuple = ()
    """Those of the part that is cut."""
    usable: bool | None = None


def holds(left: Left) -> None:
    """The invariants, whatever was cut."""
    assert_event_grammar(left.recorder.events)
    transcript = left.agent.state.messages
    assert_transcript_valid(transcript)
    assert left.alive == set()
    assert left.usable in (True, None)
    said = [message.content for message in transcript if message.role == "user"]
    for delivery in left.deliveries:
        assert said.count(delivery.message.content) == (1 if delivery.status == "delivered" else 0)
        assert delivery.status != "queued"


def tools_of(left: Left) -> list[Probe]:
    async def work(call):
        left.alive.add(call.id)
        try:
            await call.update("half")
            if call.id == "c1":
                left.deliveries.append(left.agent.steer("look here"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
            return AgentToolResult.text("done")
        finally:
            left.alive.discard(call.id)

    return [Probe("work", work)]


async def conversation(cutter):
    """Prompt, two parallel tools, steering, follow-up, reply; then the agent is used once more, unless its block was cut."""
    left = Left()
    with trio.CancelScope() as outside, register_faux_provider(tokens_per_second=100) as faux:
        faux.set_responses([calls("work", "work", text="let me see"), says("thanks"), says("and that")])
        async with open_agent(faux.get_model(), tools=tools_of(left)) as agent:
            left.agent = agent
            agent.subscribe(left.recorder)
            with trio.CancelScope() as prompting:
                cutter.arm(caller=prompting.cancel, block=outside.cancel)
                cutter.arm_agent(agent)
                left.deliveries.append(agent.follow_up("one more thing"))
                await agent.prompt("hi")
            cutter.disarm()
            left.messages = agent.state.messages
            if not outside.cancel_called:
                faux.set_responses([says("still here")] * 2)  # also for what was queued and has not joined
                left.usable = (await agent.prompt("still there?")).text == "still here"
        faux.set_responses([])
    return left


def test_an_agent_on_the_faux_provider_can_be_cut_anywhere():
    """Abort, cancelling the caller, the agent's block, one tool: at every step of its tasks."""
    report = cancel_everywhere(conversation, holds)
    assert [m.role for m in report.uncut.messages] == [
        "user", "assistant", "toolResult", "toolResult", "user", "assistant", "user", "assistant"
    ]  # fmt: skip
    assert set(report.cuts) == {"abort", "caller", "block", "tool"}
    assert report.cuts.pop("tool") > 10  # as long as a tool runs
    assert min(report.cuts.values()) > 40
    assert report.uncut.usable


def test_an_aborted_run_ends_with_an_aborted_reply_wherever_it_was_cut():
    """Or the run had ended before the abort came."""

    def check(left):
        holds(left)
        replies = [m for m in left.messages if m.role == "assistant"]
        finished = replies[-1].stop_reason is StopReason.Stop and left.deliveries[0].status == "delivered"
        assert finished or replies[-1].stop_reason is StopReason.Aborted

    async def scenario(cutter):
        return await conversation(OnlyAbort(cutter))

    cancel_everywhere(scenario, check)


class OnlyAbort:
    def __init__(self, cutter):
        self._cutter = cutter

        self.disarm = cutter.disarm

    def arm(self, **_others):
        pass

    def arm_agent(self, agent):
        self._cutter.arm(abort=agent.abort)


def test_a_stream_can_be_cut_anywhere():
    """The producer is gone, and the message says what had arrived."""

    async def scenario(cutter):
        alive = []

        async def produce(writer):
            alive.append(True)
            try:
                writer.assembler.start()
                index = writer.assembler.text_start()
                for _ in range(5):
                    writer.assembler.text_delta(index, "x")
                    await writer.flush()
                    await trio.sleep(1)
                writer.assembler.text_end(index)
                writer.assembler.done()
            finally:
                alive.pop()

        deltas = 0
        with trio.CancelScope() as outside:
            async with open_message_stream(Model("m"), produce) as stream:
                cutter.arm(abort=stream.abort, outside=outside.cancel)
                async for event in stream:
                    deltas += event.type == "text_delta"
        return alive, deltas, await stream.result()

    def check(result):
        alive, deltas, message = result
        assert alive == []
        assert deltas <= len(message.text)
        assert message.stop_reason in (StopReason.Stop, StopReason.Aborted)

    report = cancel_everywhere(scenario, check)
    assert report.total > 20
