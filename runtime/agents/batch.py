"""The tool calls of one reply: preflight in order, run at the same time, results released in source order.

Only the run's task emits events. Tools are child tasks, each in a scope of its own; what they have to say comes over one
memory channel, so that every update arrives before the end of its call, and none after.
"""

import copy
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, TypeVar

import trio

from runtime import log
from runtime.errors import InvalidOptionError
from runtime.nurseries import SingleVoiceNursery, leaves
from runtime.values.content import ToolCall
from runtime.values.message import AssistantMessage, ToolResultMessage
from runtime.values.text import printable

from .events import (
    AgentEvent,
    MessageEnd,
    MessageStart,
    SubagentEvent,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from .hooks import Block, NewArguments, ResultPatch, ToolCallInfo, ask
from .interruption import Attempt, Interruption
from .invocation import ToolInvocation
from .mailbox import Inbox
from .outcome import ABORTED_OUTCOME, SKIPPED, SUPERSEDED, Outcome
from .settings import AgentLoopConfig, SteeringPolicy
from .slot import Report, Slot
from .tool import AgentContext, AgentToolResult, ToolExecutionMode
from .toolbox import Toolbox

UPDATES = 16
"""The room for what is on its way to readers, beside one place for each call of a batch. Who finds none waits: updates, which
may take all of it, and then ends, too."""

T = TypeVar("T")
Emit = Callable[[AgentEvent], Awaitable[None]]


class OrderedCollector(Generic[T]):
    """Takes items in any order and releases them in source order, each as soon as all before it are there."""

    def __init__(self) -> None:
        self._waiting: dict[int, T] = {}
        self._next = 0

    def add(self, index: int, item: T) -> list[T]:
        """Take one; the items that it releases."""
        self._waiting[index] = item
        released = []
        while self._next in self._waiting:
            released.append(self._waiting.pop(self._next))
            self._next += 1
        return released


@dataclass
class Batch:
    """All tool calls of one reply. ``run`` answers every one of them, whatever happens."""

    reply: AssistantMessage
    toolbox: Toolbox
    context: AgentContext
    config: AgentLoopConfig
    emit: Emit
    cut: Interruption
    steering: Inbox
    policy: SteeringPolicy = SteeringPolicy.FinishBatch

    def __post_init__(self) -> None:
        self._slots = [Slot.of(index, call) for index, call in enumerate(self.reply.tool_calls)]
        self._collector: OrderedCollector[tuple[Slot, Outcome]] = OrderedCollector()
        self._results: list[ToolResultMessage] = []
        self._outcomes: list[Outcome] = []

    @property
    def terminate(self) -> bool:
        """Whether every result says that the run may stop here."""
        return bool(self._outcomes) and all(outcome.result.terminate for outcome in self._outcomes)

    @property
    def running(self) -> list[Slot]:
        """The calls whose tools run now."""
        return [slot for slot in self._slots if slot.is_running]

    def cut_call(self, call_id: str, reason: str) -> bool:
        """Cut one call alone; False if there is none of that id that could be."""
        if self.cut.is_set():  # the abort came first
            return False
        cut = [slot.cut(reason) for slot in self._slots if slot.call.id == call_id]
        return any(cut)

    async def run(self) -> list[ToolResultMessage]:
        """Execute the calls; the results in source order."""
        with self._watching_steering():
            if self._is_sequential():
                for slot in self._slots:
                    await self._run_together([slot])
            else:
                await self._run_together(self._slots)
        return self._results

    async def refuse(self, text: str) -> list[ToolResultMessage]:
        """Answer every call with the same error, without running any."""
        for slot in self._slots:
            await self._start(slot)
            await self._end(slot, Outcome.error(text.format(name=slot.call.name)))
        return self._results

    def _is_sequential(self) -> bool:
        return self.config.tool_execution is ToolExecutionMode.Sequential or any(
            self.toolbox.is_sequential(slot.call.name) for slot in self._slots
        )

    async def _run_together(self, slots: Sequence[Slot]) -> None:
        allowed = [slot for slot in slots if await self._preflight(slot)]
        if not allowed:
            return
        waiting = iter(allowed)
        send, receive = trio.open_memory_channel[Report](UPDATES + len(allowed))
        async with SingleVoiceNursery() as nursery:
            with send:
                for _ in range(self.config.max_concurrent_tools or len(allowed)):
                    self._start_next(waiting, nursery, send)
            async for report in receive:
                await self._take(report)

    def _start_next(
        self, waiting: Iterator[Slot], nursery: trio.Nursery, channel: "trio.MemorySendChannel[Report]"
    ) -> None:
        """In source order, also where a limit makes them wait for each other."""
        for slot in islice(waiting, 1):
            name = f"tool {printable(slot.call.name)} ({printable(slot.call.id)})"
            nursery.start_soon(self._execute, slot, channel.clone(), waiting, nursery, name=name)

    # Steering that arrives meanwhile

    @contextmanager
    def _watching_steering(self) -> Iterator[None]:
        if self.policy is SteeringPolicy.FinishBatch:
            yield
            return
        with self.steering.watched(self._make_way):
            yield

    def _make_way(self) -> None:
        if self.cut.is_set():
            return
        for slot in self._slots:
            if not slot.begun:
                slot.cut(SKIPPED)
            elif self.policy is SteeringPolicy.CancelBatch:
                slot.cut(SUPERSEDED)

    # Events, in the run's task

    async def _start(self, slot: Slot) -> None:
        await self.emit(ToolExecutionStart(slot.call.id, slot.call.name, slot.shown))

    async def _take(self, report: Report) -> None:
        slot, call = report.slot, report.slot.call
        match report.what:
            case Outcome() as outcome:
                await self._end(slot, outcome)
            case _ if slot.ended:
                pass
            case AgentToolResult() as update:
                await self.emit(ToolExecutionUpdate(call.id, call.name, slot.shown, update))
            case SubagentEvent() as event:
                await self.emit(event)

    async def _end(self, slot: Slot, outcome: Outcome) -> None:
        slot.ended = True
        log.debug("tool ended", call=slot.call.id, tool=slot.call.name, is_error=outcome.is_error)
        await self.emit(ToolExecutionEnd(slot.call.id, slot.call.name, outcome.result, outcome.is_error))
        for released, its_outcome in self._collector.add(slot.index, (slot, outcome)):
            message = its_outcome.message(released.call)
            self._results.append(message)
            self._outcomes.append(its_outcome)
            await self.emit(MessageStart(message))
            await self.emit(MessageEnd(message))

    # Before the tool

    async def _preflight(self, slot: Slot) -> bool:
        """Start, find, prepare, validate, ask; False when that ended the call already."""
        await self._start(slot)
        outcome: Outcome | None = self._cut_before(slot)
        if outcome is None:
            attempt = await self.cut.attempt(self._refusal, slot, opened=slot.hold)
            settled = attempt.failure is not None or attempt.was_cut
            outcome = self._settled(slot, attempt) if settled else attempt.value
        if outcome is not None:
            await self._end(slot, outcome)
        return outcome is None

    def _cut_before(self, slot: Slot) -> Outcome | None:
        """What a call ends with that is cut before anything of it ran."""
        if slot.reason is not None:
            return Outcome.error(slot.reason)
        return ABORTED_OUTCOME if self.cut.is_set() else None

    async def _refusal(self, slot: Slot) -> Outcome | None:
        slot.tool = self.toolbox.find(slot.call.name)
        prepared = slot.tool.prepare_arguments(copy.deepcopy(slot.call.arguments))
        call = ToolCall(slot.call.id, slot.call.name, prepared)
        slot.arguments = self.toolbox.validator(slot.call.name).validate(call)
        if self.config.before_tool_call is None:
            return None
        return self._answered(
            slot, await ask("before_tool_call", self.config.before_tool_call, self._info(slot))
        )

    def _answered(self, slot: Slot, answer: object) -> Outcome | None:
        match answer:
            case None:
                return None
            case Block(reason):
                return Outcome.error(reason or "Tool execution was blocked")
            case NewArguments(arguments):
                slot.arguments = arguments
                return None
        raise InvalidOptionError(
            f"before_tool_call must return Block, NewArguments or None, not {type(answer).__name__}"
        )

    def _info(self, slot: Slot) -> ToolCallInfo:
        return ToolCallInfo(slot.call, copy.deepcopy(slot.arguments), self.reply, self.context)

    def _settled(self, slot: Slot, attempt: Attempt[Any]) -> Outcome:
        """How a call ended: whatever it did, it was aborted if it was cut before that."""
        for leaf in leaves(attempt.failure) if attempt.failure else ():
            if not isinstance(
                leaf, Exception
            ):  # KeyboardInterrupt and the like end the run, not only the call
                self.cut.fail(leaf)
        if attempt.was_cut:
            return ABORTED_OUTCOME if slot.reason is None else Outcome.error(slot.reason)
        if attempt.failure is not None:
            return Outcome.of(attempt.failure)
        assert isinstance(attempt.value, Outcome)  # noqa: S101 - it returned
        return attempt.value

    # The tool, in its own task

    async def _execute(
        self,
        slot: Slot,
        channel: "trio.MemorySendChannel[Report]",
        waiting: Iterator[Slot],
        nursery: trio.Nursery,
    ) -> None:
        log.bind(call=slot.call.id, tool=slot.call.name)
        with channel:
            outcome = self._cut_before(slot) or await self._run_tool(slot, channel)
            slot.returned = True
            self._start_next(waiting, nursery, channel)
            report = Report(slot, outcome)
            try:  # mostly there is room: a checkpoint more would be a tenth of what an abort costs
                channel.send_nowait(report)
            except trio.WouldBlock:
                await channel.send(report)

    async def _run_tool(self, slot: Slot, channel: "trio.MemorySendChannel[Report]") -> Outcome:
        slot.task = trio.lowlevel.current_task()
        log.debug("tool started")
        return self._settled(slot, await self.cut.attempt(self._outcome, slot, channel, opened=slot.hold))

    async def _outcome(self, slot: Slot, channel: "trio.MemorySendChannel[Report]") -> Outcome:
        if self.config.after_tool_call is not None:  # it is told of the arguments as they are before the tool
            slot.asked = self._info(slot)
        outcome = await self._call_tool(slot, channel)
        if slot.was_cut:  # what the tool says does not count, and no hook is asked about it
            return outcome
        slot.delivered = True
        return await self._after(slot, outcome)

    async def _call_tool(self, slot: Slot, channel: "trio.MemorySendChannel[Report]") -> Outcome:
        assert slot.tool is not None  # noqa: S101 - preflight found it
        invocation = ToolInvocation(
            slot.call.id, slot.call.name, slot.arguments, self.context, _reporting(slot, channel)
        )
        own = getattr(slot.tool, "timeout", None)
        seconds = self.config.tool_timeout if own is None else own
        result: object = None
        failure: BaseException | None = None
        patience = trio.CancelScope(deadline=_deadline(seconds))
        try:
            with patience if seconds is not None else nullcontext():
                result = await slot.tool.execute(invocation)
        except BaseException as error:  # noqa: ASYNC103 - what holds a cancellation is raised
            if not all(isinstance(leaf, Exception) for leaf in leaves(error)):
                raise  # a cancellation, or what ends the run
            failure = error
        if patience.cancel_called:  # whatever it did then
            return Outcome.error(f"Tool timed out after {seconds} s")
        return Outcome.returned(slot.call.name, result) if failure is None else Outcome.of(failure)

    async def _after(self, slot: Slot, outcome: Outcome) -> Outcome:
        hook = self.config.after_tool_call
        if hook is None:
            return outcome
        assert slot.asked is not None  # noqa: S101 - set before the tool ran
        patch = await ask(
            "after_tool_call", hook, replace(slot.asked, is_error=outcome.is_error), outcome.result
        )
        if patch is None:
            return outcome
        if not isinstance(patch, ResultPatch):
            raise InvalidOptionError(
                f"after_tool_call must return ResultPatch or None, not {type(patch).__name__}"
            )
        return outcome.patched(patch.given())


def _deadline(seconds: float | None) -> float:
    return trio.current_time() + seconds if seconds is not None else float("inf")


def _reporting(
    slot: Slot, channel: "trio.MemorySendChannel[Report]"
) -> Callable[[AgentToolResult | SubagentEvent], Awaitable[None]]:
    async def send(what: AgentToolResult | SubagentEvent) -> None:
        try:
            await channel.send(Report(slot, what))
        except (trio.ClosedResourceError, trio.BrokenResourceError):  # the tool has returned: too late
            await trio.lowlevel.checkpoint()

    return send
