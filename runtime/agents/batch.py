"""The tool calls of one reply: preflight in order, run at the same time, results released in source order.

Only the run's task emits events. Tools are child tasks, each in a scope of its own; what they have to say comes over one
memory channel, so that every update arrives before the end of its call, and none after.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import trio
from pydantic import ValidationError

from runtime.errors import InvalidOptionError
from runtime.nurseries import SingleVoiceNursery, explain, leaves
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
from .hooks import Block, NewArguments, ResultPatch, ToolCallInfo, ask
from .interruption import Attempt, Interruption
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
        return cls.error(explain(failure))


@dataclass(eq=False)
class _Slot:
    """One call on its way. ``arguments`` are what the tool gets; ``ended`` closes it for updates."""

    index: int
    call: ToolCall
    shown: Any
    tool: AgentTool | None = None
    arguments: Any = None
    asked: ToolCallInfo | None = None
    ended: bool = False

    @classmethod
    def of(cls, index: int, call: ToolCall) -> "_Slot":
        """``shown`` is a copy of the arguments for readers, who may do with it what they like."""
        return cls(index, call, copy.deepcopy(call.arguments))


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
        slots = [_Slot.of(index, call) for index, call in enumerate(self.reply.tool_calls)]
        if self._is_sequential(slots):
            for slot in slots:
                await self._run_together([slot])
        else:
            await self._run_together(slots)
        return self._results

    async def refuse(self, text: str) -> list[ToolResultMessage]:
        """Answer every call with the same error, without running any."""
        for index, call in enumerate(self.reply.tool_calls):
            slot = _Slot.of(index, call)
            await self._start(slot)
            await self._end(slot, Outcome.error(text.format(name=call.name)))
        return self._results

    def _is_sequential(self, slots: Sequence[_Slot]) -> bool:
        return self.config.tool_execution is ToolExecutionMode.Sequential or any(
            self.toolbox.is_sequential(slot.call.name) for slot in slots
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
        await self.emit(ToolExecutionStart(slot.call.id, slot.call.name, slot.shown))

    async def _take(self, report: _Report) -> None:
        call = report.slot.call
        if report.outcome is not None:
            await self._end(report.slot, report.outcome)
        elif report.update is not None and not report.slot.ended:
            await self.emit(ToolExecutionUpdate(call.id, call.name, report.slot.shown, report.update))

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
        outcome: Outcome | None = ABORTED_OUTCOME
        if not self.cut.is_set():
            attempt = await self.cut.attempt(self._refusal, slot)
            outcome = self._settled(attempt) if attempt.failure or attempt.was_cut else attempt.value
        if outcome is not None:
            await self._end(slot, outcome)
        return outcome is None

    async def _refusal(self, slot: _Slot) -> Outcome | None:
        slot.tool = self.toolbox.find(slot.call.name)
        prepared = slot.tool.prepare_arguments(copy.deepcopy(slot.call.arguments))
        call = ToolCall(slot.call.id, slot.call.name, prepared)
        slot.arguments = self.toolbox.validator(slot.call.name).validate(call)
        if self.config.before_tool_call is None:
            return None
        return self._answered(
            slot, await ask("before_tool_call", self.config.before_tool_call, self._info(slot))
        )

    def _answered(self, slot: _Slot, answer: object) -> Outcome | None:
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

    def _info(self, slot: _Slot) -> ToolCallInfo:
        return ToolCallInfo(slot.call, copy.deepcopy(slot.arguments), self.reply, self.context)

    def _settled(self, attempt: Attempt[Any]) -> Outcome:
        """How a call ended: whatever it did, it was aborted if it was cut before that."""
        for leaf in leaves(attempt.failure) if attempt.failure else ():
            if not isinstance(
                leaf, Exception
            ):  # KeyboardInterrupt and the like end the run, not only the call
                self.cut.fail(leaf)
        if attempt.was_cut:
            return ABORTED_OUTCOME
        if attempt.failure is not None:
            return Outcome.of(attempt.failure)
        assert isinstance(attempt.value, Outcome)  # noqa: S101 - it returned
        return attempt.value

    # The tool, in its own task

    async def _execute(
        self, slot: _Slot, limit: trio.CapacityLimiter, channel: "trio.MemorySendChannel[_Report]"
    ) -> None:
        with channel:
            outcome = self._settled(await self.cut.attempt(self._outcome, slot, limit, channel))
            self.running.pop(slot.call.id, None)
            await channel.send(_Report(slot, outcome=outcome))

    async def _outcome(
        self, slot: _Slot, limit: trio.CapacityLimiter, channel: "trio.MemorySendChannel[_Report]"
    ) -> Outcome:
        async with limit:
            if self.cut.is_set():
                return ABORTED_OUTCOME
            self.running[slot.call.id] = slot.call.name
            slot.asked = self._info(slot)
            return await self._after(slot, await self._call_tool(slot, channel))

    async def _call_tool(self, slot: _Slot, channel: "trio.MemorySendChannel[_Report]") -> Outcome:
        assert slot.tool is not None  # noqa: S101 - preflight found it
        invocation = ToolInvocation(
            slot.call.id, slot.call.name, slot.arguments, self.context, _updates_of(slot, channel)
        )
        own = getattr(slot.tool, "timeout", None)
        seconds = self.config.tool_timeout if own is None else own
        result: object = None
        failure: BaseException | None = None
        try:
            with trio.CancelScope(deadline=_deadline(seconds)) as patience:
                result = await slot.tool.execute(invocation)
        except BaseException as error:  # noqa: ASYNC103 - what holds a cancellation is raised
            if not all(isinstance(leaf, Exception) for leaf in leaves(error)):
                raise  # a cancellation, or what ends the run
            failure = error
        if patience.cancel_called:  # whatever it did then
            return Outcome.error(f"Tool timed out after {seconds} s")
        return _returned(slot.call.name, result) if failure is None else Outcome.of(failure)

    async def _after(self, slot: _Slot, outcome: Outcome) -> Outcome:
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
        fields = patch.given()
        is_error = bool(fields.pop("is_error", outcome.is_error))
        return Outcome(_with_fields(outcome.result, fields), is_error)


ABORTED_OUTCOME = Outcome.error(ABORTED)


def _returned(name: str, result: object) -> Outcome:
    """What a tool returned, validated: it may be anything, or have been copied with wrong values."""
    if not isinstance(result, AgentToolResult):
        return Outcome.error(f"Tool {name} returned {type(result).__name__}, not an AgentToolResult")
    try:
        return Outcome(_with_fields(result, {}), False)
    except ValidationError as error:
        return Outcome.error(f"Tool {name} returned a result with wrong values: {error}")


def _with_fields(result: AgentToolResult, changes: dict[str, Any]) -> AgentToolResult:
    kept = {field: getattr(result, field) for field in AgentToolResult.model_fields}
    return AgentToolResult(**{**kept, **changes})


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
