"""What must always hold of events and transcripts, as assertions for the tests of applications.

Each failure says what is wrong, and shows the events or messages around the place.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Self, TypeVar

from runtime.agents.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    SubagentEvent,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
)
from runtime.streams.events import AssistantMessageEvent, StreamDone, StreamError, StreamStart
from runtime.values.message import AssistantMessage, Message, ToolResultMessage

from .listing import list_events, list_messages
from .recorder import EventRecorder

__all__ = ["EventRecorder", "assert_event_grammar", "assert_stream_grammar", "assert_transcript_valid"]

T = TypeVar("T")


class _Walk(Generic[T]):
    """An iterator that knows where it is."""

    def __init__(self, items: Iterable[T]) -> None:
        self.items = list(items)
        self.place = -1

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self.place + 1 >= len(self.items):
            raise StopIteration
        self.place += 1
        return self.items[self.place]


@contextmanager
def _walking(items: Iterable[T], show: Callable[[Sequence[T], int], str]) -> Generator[_Walk[T], None, None]:
    """Walk over items; a failed assertion shows those around the place where it failed."""
    walk = _Walk(items)
    try:
        yield walk
    except AssertionError as broken:
        raise AssertionError(f"{broken}\n{show(walk.items, walk.place)}") from None


def _require(holds: object, complaint: str) -> None:
    """Not an ``assert``: those vanish with ``python -O``, and pytest adds to what they say."""
    if not holds:
        raise AssertionError(complaint)


def assert_stream_grammar(events: Iterable[AssistantMessageEvent]) -> None:
    """Start first or a lone error, one terminal event, last; per block start, deltas, end; dense indexes."""
    with _walking(events, list_events) as walk:
        first = next(walk, None)
        _require(first, "a stream has at least one event")
        if isinstance(first, StreamError):
            _require(len(walk.items) == 1, "nothing follows a lone error")
            return
        _require(isinstance(first, StreamStart), "a stream starts with its start")
        phases: dict[int, str] = {}
        for event in walk:
            if isinstance(event, StreamDone | StreamError):
                break
            _check_block(event, phases)
        else:
            raise AssertionError("a stream without its terminal event")
        still_open = [index for index, phase in phases.items() if phase != "end"]
        is_failed = isinstance(event, StreamError)
        _require(is_failed or not still_open, f"a finished reply has open blocks: {still_open}")
        _require(next(walk, None) is None, "an event after the terminal one")


def _check_block(event: AssistantMessageEvent, phases: dict[int, str]) -> None:
    index: Any = getattr(event, "content_index", None)
    phase = event.type.rsplit("_", 1)[-1]
    _require(index is not None, "a stream starts once")
    if phase == "start":
        _require(index == len(phases), f"block {index} starts, where block {len(phases)} would be next")
    else:
        is_open = phases.get(index) in ("start", "delta")
        _require(is_open, f"{event.type} of block {index}, which is not open")
    phases[index] = phase


def assert_event_grammar(events: Iterable[AgentEvent], *, runs: int | None = None) -> None:
    """The events are whole runs, each from AgentStart to AgentEnd, every start with its end; a recorder will do, too.

    No events are no runs, which is right where everything may be cut: elsewhere say how many ``runs`` there must be, so that
    a recorder that heard nothing fails.
    """
    with _walking(events, list_events) as walk:
        found = 0
        for event in walk:
            _require(isinstance(event, AgentStart), f"{event.type} outside a run")
            _check_run(walk)
            found += 1
        _require(runs in (None, found), f"{found} runs, where there must be {runs}")


def _check_run(events: Iterator[AgentEvent]) -> None:
    added: list[Message] = []
    for turns, event in enumerate(events):
        if isinstance(event, AgentEnd):
            _require(turns, "a run without a turn")
            told = list(event.messages)
            count = f"agent_end lists {len(told)} messages, not the {len(added)} that the run added"
            _require(told == added, count)
            return
        _require(isinstance(event, TurnStart), f"{event.type} between turns")
        _check_turn(events, added)
    raise AssertionError("a run without its end")


def _check_turn(events: Iterator[AgentEvent], added: list[Message]) -> None:
    turn = _Turn(added)
    for event in events:
        if isinstance(event, TurnEnd):
            turn.end(event)
            return
        turn.take(event)
    raise AssertionError("a turn without its end")


class _Turn:
    def __init__(self, added: list[Message]) -> None:
        self._added = added
        self._open: Message | None = None
        self._reply: AssistantMessage | None = None
        self._running: list[str] = []
        self._ended: list[str] = []
        self._results: list[ToolResultMessage] = []

    def take(self, event: AgentEvent) -> None:
        match event:
            case MessageStart(message):
                _require(self._open is None, "a message inside a message")
                self._open = message
            case MessageUpdate():
                _require(isinstance(self._open, AssistantMessage), "an update outside a reply")
            case MessageEnd(message):
                self._end_message(message)
            case ToolExecutionStart():
                _require(self._reply is not None, "a tool before the reply")
                self._running.append(event.tool_call_id)
            case ToolExecutionUpdate():
                self._check_runs(event.tool_call_id, "an update")
            case SubagentEvent(path):
                self._check_runs(path[0].tool_call_id, "an event from below")
            case ToolExecutionEnd():
                self._check_runs(event.tool_call_id, "the end")
                self._running.remove(event.tool_call_id)
                self._ended.append(event.tool_call_id)
            case _:
                raise AssertionError(f"{event.type} inside a turn")

    def _check_runs(self, call_id: str, what: str) -> None:
        _require(call_id in self._running, f"{what} of call {call_id!r}, which does not run")

    def _end_message(self, message: Message) -> None:
        if self._open is None:
            raise AssertionError("a message ends that did not start")
        roles = self._open.role, message.role
        _require(roles[0] == roles[1], f"a message of {roles[0]} ends as one of {roles[1]}")
        self._open = None
        self._added.append(message)
        if isinstance(message, AssistantMessage) and self._reply is None:
            self._reply = message
        elif isinstance(message, ToolResultMessage) and self._reply is not None:
            _require(message.tool_call_id in self._ended, "a result before its call has ended")
            self._results.append(message)
        else:
            _require(self._reply is None, "an injected message after the reply")

    def end(self, event: TurnEnd) -> None:
        _require(self._open is None, "a message without its end")
        _require(not self._running, f"calls without an end: {self._running}")
        _require(event.message == self._reply, "turn_end carries another reply than the turn's")
        _require(list(event.tool_results) == self._results, "turn_end carries other results than the turn's")
        expected = [] if event.message.failed else [call.id for call in event.message.tool_calls]
        told = [result.tool_call_id for result in self._results]
        _require(told == expected, f"results of {told}, where the reply calls {expected} in this order")


def assert_transcript_valid(messages: Iterable[Message]) -> None:
    """Every call of a reply that did not fail has exactly one result, right after it, in source order; nothing else has."""
    with _walking(messages, list_messages) as walk:
        expected: list[str] = []
        for message in walk:
            number = walk.place
            if isinstance(message, ToolResultMessage):
                _require(expected, f"message {number} is a result that no call waits for")
                is_next = message.tool_call_id == expected.pop(0)
                _require(is_next, f"message {number} is a result out of order")
                continue
            _require(not expected, f"message {number} comes before the results of {expected}")
            if isinstance(message, AssistantMessage) and not message.failed:
                expected = [call.id for call in message.tool_calls]
        _require(not expected, f"calls without a result: {expected}")
