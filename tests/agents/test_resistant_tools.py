"""Tools that resist: whatever they do, an abort is answered, nothing is left, and the agent works afterwards."""

import threading
import time
from pathlib import Path

import pytest
import trio
from agent_doubles import Probe, calls, opened, result_texts, says

from providers.faux import register_faux_provider
from runtime import AgentToolResult, StopReason, ToolExecutionUpdate, open_agent
from tools import run_command, tool

ABORTED = "Operation aborted"


class Resistance:
    """A tool that resists in one way, and what has to be true once the run has settled."""

    def __init__(self):
        self.reached = trio.Event()
        self.alive = set()

    def __enter__(self):
        self.alive.add("tool")
        self.reached.set()
        return self

    def __exit__(self, *_):
        self.alive.discard("tool")

    def gone(self):
        return not self.alive


class CatchesCancelled(Resistance):
    """It swallows the cancellation and goes on for a while."""

    async def work(self, call):
        with self:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:  # noqa: ASYNC103
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.05)
            return AgentToolResult.text("as if nothing had happened")


class WaitsInAThread(Resistance):
    """It blocks a thread, which is waited for."""

    async def work(self, call):
        await trio.to_thread.run_sync(self.block)

    def block(self):
        self.alive.add("thread")
        trio.from_thread.run_sync(self.reached.set)
        time.sleep(0.1)
        self.alive.discard("thread")


class Floods(Resistance):
    """It sends updates as fast as it can."""

    async def work(self, call):
        with self:
            while True:
                await call.update("again")


class RaisesAGroup(Resistance):
    """What it raises when it is cut holds failures beside the cancellation."""

    async def work(self, call):
        async def fail():
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("no way to tidy up")

        with self:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(fail)
                await trio.sleep_forever()


class OpensANursery(Resistance):
    """It has children of its own, and they have, too."""

    async def work(self, call):
        with self:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.child, "child")
                await nursery.start(self.nested)

    async def nested(self, task_status):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.child, "grandchild")
            task_status.started()

    async def child(self, name):
        self.alive.add(name)
        try:
            await trio.sleep_forever()
        finally:
            self.alive.discard(name)


class CallsAnAgent(Resistance):
    """Another agent works for it, with a tool of its own."""

    async def work(self, call):
        inner = OpensANursery()
        self.reached = inner.reached
        self.gone = lambda: not inner.alive and not self.alive
        with register_faux_provider() as faux:
            faux.set_responses([calls("inner")])
            async with open_agent(faux.get_model(), tools=[Probe("inner", inner.work)]) as agent:
                self.alive.add("agent")
                try:
                    await agent.prompt("go")
                finally:
                    self.alive.discard("agent")


class HasChildProcesses(Resistance):
    """It runs a program that has a child that ignores SIGTERM."""

    async def work(self, call):
        script = "trap '' TERM; (trap '' TERM; echo $$; sleep 60; sleep 60) & wait; sleep 60"
        await run_command(["sh", "-c", script], grace=0.1, on_output=self.started)

    async def started(self, text):
        self.group = int(text)
        self.reached.set()

    def gone(self):
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = place.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self.group and fields[0] not in "ZX":
                return False
        return True


KINDS = [
    CatchesCancelled, WaitsInAThread, Floods, RaisesAGroup, OpensANursery, CallsAnAgent, HasChildProcesses
]  # fmt: skip


@pytest.mark.parametrize("how", ["abort", "caller", "tool"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_tool_that_resists_is_answered_and_gone(kind, how):
    """By an abort, by cancelling who waits, and alone: settled means that nothing of it runs."""
    resistance = kind()
    async with opened(
        calls("resist", "quick"),
        says("well"),
        says("again"),
        tools=[Probe("resist", resistance.work), Probe("quick")],
    ) as (agent, _, faux):
        with trio.fail_after(20), trio.CancelScope() as caller:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut_when, resistance, how, agent, caller)
                await agent.prompt("go")
        await agent.wait_for_idle()
        assert resistance.gone()
        assert result_texts(agent)[0] == ("Tool call cancelled" if how == "tool" else ABORTED)
        if how != "tool":
            assert agent.state.messages[-1].stop_reason is StopReason.Aborted
            assert (await agent.prompt("and now?")).text == "well"
        faux.set_responses([])


async def cut_when(resistance, how, agent, caller):
    while not resistance.reached.is_set():  # it is another event with a called agent  # noqa: ASYNC110
        await trio.sleep(0.001)
    {"abort": agent.abort, "caller": caller.cancel, "tool": lambda: agent.cancel_tool_call("c0")}[how]()


async def test_a_tool_that_never_yields_holds_up_the_abort_and_no_more():
    """Nothing else runs meanwhile: it keeps its result, and the run ends right after it."""
    token, blocking = trio.lowlevel.current_trio_token(), threading.Event()

    async def compute(call):
        blocking.set()
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            pass
        return AgentToolResult.text("computed")

    async with opened(calls("compute"), says("never"), tools=[Probe("compute", compute)]) as (agent, _, faux):

        def abort():
            blocking.wait(10)
            token.run_sync_soon(agent.abort)

        thread = threading.Thread(target=abort)
        thread.start()
        reply = await agent.prompt("go")
        thread.join()
        faux.set_responses([])
        assert reply.stop_reason is StopReason.Aborted
        assert result_texts(agent) == ["computed"]


async def test_an_abandoned_thread_is_left_behind_at_once():
    """As its tool declares: the run settles, and what the thread returns is lost."""
    release, reached, done = threading.Event(), trio.Event(), threading.Event()

    @tool(abandon_on_cancel=True)
    def block() -> str:
        """Block."""
        trio.from_thread.run_sync(reached.set)
        release.wait(10)
        done.set()
        return "late"

    async with opened(calls("block"), tools=[block]) as (agent, _, _), trio.open_nursery() as nursery:

        async def abort():
            await reached.wait()
            agent.abort()

        nursery.start_soon(abort)
        with trio.fail_after(5):
            reply = await agent.prompt("go")
        assert reply.stop_reason is StopReason.Aborted
        assert not done.is_set()
        assert result_texts(agent) == [ABORTED]
        release.set()
        await trio.to_thread.run_sync(done.wait)
    assert result_texts(agent) == [ABORTED]


async def test_updates_never_pile_up():
    """A tool that floods waits for the readers: no more is on the way than a few updates."""
    sent = 0

    async def flood(call):
        nonlocal sent
        while sent < 500:
            sent += 1
            await call.update(str(sent))

    most = 0

    async def slowly(event):
        nonlocal most
        if isinstance(event, ToolExecutionUpdate):
            await trio.lowlevel.checkpoint()
            most = max(most, sent - int(event.partial_result.plain_text))

    async with opened(calls("flood"), says("ok"), tools=[Probe("flood", flood)]) as (agent, recorder, _):
        agent.subscribe(slowly)
        await agent.prompt("go")
        updates = [event.partial_result.plain_text for event in recorder.of(ToolExecutionUpdate)]
    assert updates == [str(number) for number in range(1, 501)]
    assert most <= 18


@pytest.mark.parametrize("kind", [CatchesCancelled, Floods, OpensANursery, HasChildProcesses])
async def test_a_time_out_ends_a_tool_that_resists(kind):
    """With its own text, whatever the tool returns then; and the run goes on."""
    resistance = kind()
    async with opened(calls("resist"), says("well"), tools=[Probe("resist", resistance.work, timeout=2)]) as (
        agent,
        _,
        _,
    ):
        with trio.fail_after(20):
            reply = await agent.prompt("go")
        assert resistance.gone()
        assert result_texts(agent) == ["Tool timed out after 2 s"]
        assert reply.text == "well"
