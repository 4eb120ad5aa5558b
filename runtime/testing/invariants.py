"""What must always hold of events and transcripts, as assertions for the tests of applications."""

from collections.abc import Iterator, Sequence
from typing import Any

from runtime.agents.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
)
from runtime.streams.events import AssistantMessageEvent, StreamDone, StreamError, StreamStart
from runtime.values.message import AssistantMessage, Message, ToolResultMessage


class EventRecorder:
    """A listener that keeps every event: ``agent.subscribe(recorder)``."""

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []

    async def __call__(self, event: AgentEvent) -> None:
        self.events.append(event)

    @property
    def types(self) -> list[str]:
        """The types of the events, in order, without message updates."""
        return [event.type for event in self.events if not isinstance(event, MessageUpdate)]

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def __repr__(self) -> str:
        return f"<EventRecorder {len(self.events)} events>"


def assert_stream_grammar(events: Sequence[AssistantMessageEvent]) -> None:
    """Start first or a lone error, one terminal event, last; per block start, deltas, end; dense indexes."""
    assert events, "a stream has at least one event"
    terminals = [event for event in events if isinstance(event, StreamDone | StreamError)]
    assert terminals == [events[-1]], "exactly one terminal event, last"
    if len(events) == 1:
        assert isinstance(events[0], StreamError), "only an error stands alone"
        return
    assert isinstance(events[0], StreamStart), "a stream starts with its start"
    phases: dict[int, str] = {}
    for event in events[1:-1]:
        index, phase = getattr(event, "content_index", -1), event.type.rsplit("_", 1)[-1]
        if phase == "start":
            assert index == len(phases), f"block {index} starts out of order"
        else:
            assert phases.get(index) in ("start", "delta"), (
                f"{event.type} of block {index}, which is not open"
            )
        phases[index] = phase
    if isinstance(events[-1], StreamDone):
        assert set(phases.values()) <= {"end"}, "a finished reply has no open block"


def assert_event_grammar(events: Sequence[AgentEvent]) -> None:
    """The events are whole runs, each from AgentStart to AgentEnd, every start with its end."""
    rest = iter(events)
    for event in rest:
        assert isinstance(event, AgentStart), f"{event.type} outside a run"
        _check_run(rest)


def _check_run(events: Iterator[AgentEvent]) -> None:
    added: list[Message] = []
    for turns, event in enumerate(events):
        if isinstance(event, AgentEnd):
            assert turns, "a run without a turn"
            assert list(event.messages) == added, "agent_end lists what the run added"
            return
        assert isinstance(event, TurnStart), f"{event.type} between turns"
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
                assert self._open is None, "a message inside a message"
                self._open = message
            case MessageUpdate():
                assert isinstance(self._open, AssistantMessage), "an update outside a reply"
            case MessageEnd(message):
                self._end_message(message)
            case ToolExecutionStart():
                assert self._reply is not None, "a tool before the reply"
                self._running.append(event.tool_call_id)
            case ToolExecutionUpdate():
                assert event.tool_call_id in self._running, "an update of a call that does not run"
            case ToolExecutionEnd():
                self._running.remove(event.tool_call_id)
                self._ended.append(event.tool_call_id)
            case _:
                raise AssertionError(f"{event.type} inside a turn")

    def _end_message(self, message: Message) -> None:
        assert self._open is not None, "a message ends that did not start"
        assert self._open.role == message.role, "a message ends as another role"
        self._open = None
        self._added.append(message)
        if isinstance(message, AssistantMessage) and self._reply is None:
            self._reply = message
        elif isinstance(message, ToolResultMessage) and self._reply is not None:
            assert message.tool_call_id in self._ended, "a result before its call has ended"
            self._results.append(message)
        else:
            assert self._reply is None, "an injected message after the reply"

    def end(self, event: TurnEnd) -> None:
        assert self._open is None, "a message without its end"
        assert not self._running, f"calls without an end: {self._running}"
        assert event.message == self._reply, "turn_end carries the reply"
        assert list(event.tool_results) == self._results, "turn_end carries the results"
        expected = [] if event.message.failed else [call.id for call in event.message.tool_calls]
        assert [result.tool_call_id for result in self._results] == expected, (
            "one result a call, in source order"
        )


def assert_transcript_valid(messages: Sequence[Message]) -> None:
    """Every call of a reply that did not fail has exactly one result, right after it, in source order; nothing else has."""
    expected: list[str] = []
    for position, message in enumerate(messages):
        if isinstance(message, ToolResultMessage):
            assert expected, f"message {position} is a result that no call waits for"
            assert message.tool_call_id == expected.pop(0), f"message {position} is a result out of order"
            continue
        assert not expected, f"message {position} comes before the results of {expected}"
        if isinstance(message, AssistantMessage) and not message.failed:
            expected = [call.id for call in message.tool_calls]
    assert not expected, f"calls without a result: {expected}"
