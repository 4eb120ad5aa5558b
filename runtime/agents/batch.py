"""The tool calls of one reply: preflight in order, run at the same time, results released in source order.

Only the run's task emits events. Tools are child tasks, each in a scope of its own; what they have to say comes over one
memory channel, so that every update arrives before the end of its call, and none after.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import trio

from runtime.nurseries import SingleVoiceNursery
from runtime.values.content import ToolCall
from runtime.values.message import AssistantMessage, ToolResultMessage

from .events import (
    AgentEvent,
    MessageEnd,
    MessageStart,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from .hooks import Block, NewArguments, ToolCallInfo
from .interruption import Interruption
from .settings import AgentLoopConfig
from .tool import AgentContext, AgentTool, AgentToolResult, ToolExecutionMode, ToolInvocation
from .toolbox import Toolbox

ABORTED = "Operation aborted"
TRUNCATED = (
    'Tool call "{name}" was not executed: the reply hit the output limit, so its arguments may be cut short. '
    "Issue the call again, complete."
)
UPDATES = 16

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


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    result: AgentToolResult
    is_error: bool

    @classmethod
    def error(cls, text: str) -> "Outcome":
        return cls(AgentToolResult.text(text), True)

    @classmethod
    def of(cls, failure: BaseException) -> "Outcome":
        return cls.error(str(failure) or type(failure).__name__)


@dataclass(eq=False)
class _Slot:
    """One call on its way. ``arguments`` are what the tool gets; ``ended`` closes it for updates."""

    index: int
    call: ToolCall
    tool: AgentTool | None = None
    arguments: Any = None
    ended: bool = False


@dataclass(frozen=True)
class _Report:
    """What a tool's task has to say: an update, or the outcome."""

    slot: _Slot
    update: AgentToolResult | None = None
    outcome: Outcome | None = None


@dataclass
class Batch:
    """All tool calls of one reply. ``run`` answers every one of them, whatever happens."""

    reply: AssistantMessage
    toolbox: Toolbox
    context: AgentContext
    config: AgentLoopConfig
    emit: Emit
    cut: Interruption
    running: dict[str, str]
    """Calls whose tools run now: id to name."""

    def __post_init__(self) -> None:
        self._collector: OrderedCollector[tuple[_Slot, Outcome]] = OrderedCollector()
        self._results: list[ToolResultMessage] = []
        self._outcomes: list[Outcome] = []

    @property
    def terminate(self) -> bool:
        """Whether every result says that the run may stop here."""
        return bool(self._outcomes) and all(outcome.result.terminate for outcome in self._outcomes)

    async def run(self) -> list[ToolResultMessage]:
        """Execute the calls; the results in source order."""
        slots = [_Slot(index, call) for index, call in enumerate(self.reply.tool_calls)]
        if self._is_sequential(slots):
            for slot in slots:
                await self._run_together([slot])
        else:
            await self._run_together(slots)
        return self._results

    async def refuse(self, text: str) -> list[ToolResultMessage]:
        """Answer every call with the same error, without running any."""
        for index, call in enumerate(self.reply.tool_calls):
            slot = _Slot(index, call)
            await self._start(slot)
            await self._end(slot, Outcome.error(text.format(name=call.name)))
        return self._results

    def _is_sequential(self, slots: Sequence[_Slot]) -> bool:
        modes = {tool.definition.name: tool.execution_mode for tool in self.toolbox}
        return self.config.tool_execution is ToolExecutionMode.Sequential or any(
            modes.get(slot.call.name) == ToolExecutionMode.Sequential for slot in slots
        )

    async def _run_together(self, slots: Sequence[_Slot]) -> None:
        allowed = [slot for slot in slots if await self._preflight(slot)]
        if not allowed:
            return
        limit = trio.CapacityLimiter(self.config.max_concurrent_tools or len(allowed))
        send, receive = trio.open_memory_channel[_Report](UPDATES)
        async with SingleVoiceNursery() as nursery:
            with send:
                for slot in allowed:
                    nursery.start_soon(
                        self._execute, slot, limit, send.clone(), name=f"tool {slot.call.name}"
                    )
            async for report in receive:
                await self._take(report)

    # Events, in the run's task

    async def _start(self, slot: _Slot) -> None:
        await self.emit(ToolExecutionStart(slot.call.id, slot.call.name, slot.call.arguments))

    async def _take(self, report: _Report) -> None:
        call = report.slot.call
        if report.outcome is not None:
            await self._end(report.slot, report.outcome)
        elif report.update is not None and not report.slot.ended:
            await self.emit(ToolExecutionUpdate(call.id, call.name, call.arguments, report.update))

    async def _end(self, slot: _Slot, outcome: Outcome) -> None:
        slot.ended = True
        await self.emit(ToolExecutionEnd(slot.call.id, slot.call.name, outcome.result, outcome.is_error))
        for released, its_outcome in self._collector.add(slot.index, (slot, outcome)):
            message = _result_message(released.call, its_outcome)
            self._results.append(message)
            self._outcomes.append(its_outcome)
            await self.emit(MessageStart(message))
            await self.emit(MessageEnd(message))

    # Before the tool

    async def _preflight(self, slot: _Slot) -> bool:
        """Start, find, prepare, validate, ask; False when that ended the call already."""
        await self._start(slot)
        outcome: Outcome | None = None
        with self.cut.scope() as scope:
            outcome = await self._refusal(slot)
        if scope.was_cut:
            outcome = Outcome.error(ABORTED)
        if outcome is not None:
            await self._end(slot, outcome)
        return outcome is None

    async def _refusal(self, slot: _Slot) -> Outcome | None:
        try:
            slot.tool = self.toolbox.find(slot.call.name)
            prepared = slot.tool.prepare_arguments(copy.deepcopy(slot.call.arguments))
            call = ToolCall(slot.call.id, slot.call.name, prepared)
            slot.arguments = self.toolbox.validator(slot.call.name).validate(call)
            if self.config.before_tool_call is None:
                return None
            answer = await self.config.before_tool_call(self._info(slot))
        except trio.Cancelled:
            raise
        except BaseException as failure:  # noqa: BLE001 - the model reads it, or the run fails with it
            return self._failed(failure)
        return self._answered(slot, answer)

    def _answered(self, slot: _Slot, answer: object) -> Outcome | None:
        match answer:
            case None:
                return None
            case Block(reason):
                return Outcome.error(reason or "Tool execution was blocked")
            case NewArguments(arguments):
                slot.arguments = arguments
                return None
        return Outcome.error(
            f"before_tool_call must return Block, NewArguments or None, not {type(answer).__name__}"
        )

    def _info(self, slot: _Slot) -> ToolCallInfo:
        return ToolCallInfo(slot.call, copy.deepcopy(slot.arguments), self.reply, self.context)

    def _failed(self, failure: BaseException) -> Outcome:
        if not isinstance(
            failure, Exception
        ):  # KeyboardInterrupt and the like end the run, not only the call
            self.cut.fail(failure)
        return Outcome.of(failure)

    # The tool, in its own task

    async def _execute(
        self, slot: _Slot, limit: trio.CapacityLimiter, channel: "trio.MemorySendChannel[_Report]"
    ) -> None:
        with channel:
            with self.cut.scope() as scope:
                outcome = await self._outcome(slot, limit, channel)
            if scope.was_cut:  # whatever it returned
                outcome = Outcome.error(ABORTED)
            self.running.pop(slot.call.id, None)
            await channel.send(_Report(slot, outcome=outcome))

    async def _outcome(
        self, slot: _Slot, limit: trio.CapacityLimiter, channel: "trio.MemorySendChannel[_Report]"
    ) -> Outcome:
        async with limit:
            if self.cut.is_set():
                return Outcome.error(ABORTED)
            self.running[slot.call.id] = slot.call.name
            try:
                outcome = await self._call_tool(slot, channel)
                return await self._after(slot, outcome)
            except trio.Cancelled:
                raise
            except BaseException as failure:  # noqa: BLE001 - the model reads it, or the run fails with it
                return self._failed(failure)

    async def _call_tool(self, slot: _Slot, channel: "trio.MemorySendChannel[_Report]") -> Outcome:
        assert slot.tool is not None  # noqa: S101 - preflight found it
        invocation = ToolInvocation(
            slot.call.id, slot.call.name, slot.arguments, self.context, _updates_of(slot, channel)
        )
        own = getattr(slot.tool, "timeout", None)
        seconds = self.config.tool_timeout if own is None else own
        try:
            with trio.CancelScope(deadline=_deadline(seconds)) as patience:
                result = await slot.tool.execute(invocation)
        except trio.Cancelled:
            raise
        except BaseException as failure:  # noqa: BLE001 - the model reads it, or the run fails with it
            return self._failed(failure)
        if patience.cancel_called:
            return Outcome.error(f"Tool timed out after {seconds} s")
        if not isinstance(result, AgentToolResult):
            return Outcome.error(
                f"Tool {slot.call.name} returned {type(result).__name__}, not an AgentToolResult"
            )
        return Outcome(result, False)

    async def _after(self, slot: _Slot, outcome: Outcome) -> Outcome:
        hook = self.config.after_tool_call
        if hook is None:
            return outcome
        patch = await hook(replace(self._info(slot), is_error=outcome.is_error), outcome.result)
        if patch is None:
            return outcome
        fields = patch.given()
        is_error = bool(fields.pop("is_error", outcome.is_error))
        kept = {name: getattr(outcome.result, name) for name in AgentToolResult.model_fields}
        return Outcome(AgentToolResult(**{**kept, **fields}), is_error)


def _deadline(seconds: float | None) -> float:
    return trio.current_time() + seconds if seconds is not None else float("inf")


def _updates_of(
    slot: _Slot, channel: "trio.MemorySendChannel[_Report]"
) -> Callable[[AgentToolResult], Awaitable[None]]:
    async def send(update: AgentToolResult) -> None:
        try:
            await channel.send(_Report(slot, update=update))
        except (trio.ClosedResourceError, trio.BrokenResourceError):  # the tool has returned: too late
            await trio.lowlevel.checkpoint()

    return send


def _result_message(call: ToolCall, outcome: Outcome) -> ToolResultMessage:
    result = outcome.result
    return ToolResultMessage(
        tool_call_id=call.id,
        tool_name=call.name,
        content=result.content,
        details=result.details,
        usage=result.usage,
        added_tool_names=result.added_tool_names,
        is_error=outcome.is_error,
    )
