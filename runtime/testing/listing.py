"""Events and messages as text for people: what a failure shows, and what a recorder prints."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from runtime.agents.events import (
    AgentEnd,
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
from runtime.streams.events import StreamDone, StreamError
from runtime.values.event import Event
from runtime.values.message import AssistantMessage, CustomMessage, Message, ToolResultMessage, UserMessage

AROUND = 6
"""So many lines are shown on each side of the place that a failure is about."""
_WIDTH = 60


def describe_event(event: Event) -> str:
    """An event of an agent or of a stream in one line: its type, and what it says."""
    said = _said(event)
    return f"{event.type} {said}" if said else event.type


def _said(event: Event) -> str:
    match event:
        case AgentEnd(messages):
            return f"({len(messages)} messages)"
        case TurnEnd(message, results):
            return f"{message.stop_reason} ({len(results)} tool results)"
        case MessageStart(message) | MessageEnd(message):
            return describe_message(message)
        case MessageUpdate(inner):
            return describe_event(inner)
        case ToolExecutionStart():
            return f"{event.tool_name} {event.tool_call_id} {_short(repr(event.args))}"
        case ToolExecutionUpdate():
            return f"{event.tool_name} {event.tool_call_id} {_quoted(event.partial_result.plain_text)}"
        case ToolExecutionEnd():
            outcome = "failed " if event.is_error else ""
            return f"{event.tool_name} {event.tool_call_id} {outcome}{_quoted(event.result.plain_text)}"
        case SubagentEvent(path, inner):
            below = " > ".join(f"{step.agent} ({step.tool_call_id})" for step in path)
            return f"{below}: {describe_event(inner)}"
        case StreamDone(_, message) | StreamError(_, message):
            return describe_message(message)
    index, text = getattr(event, "content_index", None), getattr(event, "delta", None)
    shown = [f"[{index}]"] if index is not None else []
    return " ".join([*shown, _quoted(text)] if isinstance(text, str) else shown)


def describe_message(message: Message) -> str:
    """A message in one line: its role, its calls or the call that it answers, how it ended, and how its text begins."""
    match message:
        case UserMessage(content=str() as text):
            return f"user {_quoted(text)}"
        case UserMessage():
            return f"user of {len(message.content)} blocks"
        case AssistantMessage():
            calls = [f"calls {call.name} ({call.id})" for call in message.tool_calls]
            error = _quoted(message.error_message or "")
            failed = [f"{message.stop_reason}: {error}"] if message.failed else []
            said = [_quoted(message.text)] if message.text else []
            return " ".join(["assistant", *failed, *said, *calls])
        case ToolResultMessage():
            failed = ["failed"] if message.is_error else []
            answered = [message.tool_name, message.tool_call_id]
            return " ".join(["toolResult", *answered, *failed, _quoted(message.text)])
        case CustomMessage():
            return message.role


def list_events(events: Sequence[Event], place: int | None = None) -> str:
    """The events a line each, numbered and indented; with ``place``, those around it, and a mark at it.

    Deltas in a row share a line.
    """
    return _listing(list(_event_lines(events, place)), place)


def list_messages(messages: Sequence[Message], place: int | None = None) -> str:
    """The messages a line each, numbered; with ``place``, those around it, and a mark at it."""
    return _listing([(number, describe_message(message)) for number, message in enumerate(messages)], place)


def _event_lines(events: Sequence[Event], place: int | None) -> Iterator[tuple[int, str]]:
    depth = 0
    for (_, kind), group in groupby(enumerate(events), lambda item: _line_key(item[0], item[1], place)):
        (number, event), *others = group
        depth -= isinstance(event, AgentEnd | TurnEnd)
        indent = max(0, depth + isinstance(event, SubagentEvent))
        yield number, "  " * indent + (f"{kind} x {len(others) + 1}" if others else describe_event(event))
        depth += isinstance(event, AgentStart | TurnStart)


def _line_key(number: int, event: Event, place: int | None) -> tuple[int, str]:
    """What the events of one line have in common: they are deltas of one kind, and none of them is the place."""
    inner = event.assistant_message_event if isinstance(event, MessageUpdate) else event
    if number == place or not inner.type.endswith("_delta"):
        return number, ""
    return -1, inner.type if inner is event else f"{event.type} {inner.type}"


def _listing(lines: list[tuple[int, str]], place: int | None) -> str:
    at = next((index for index, (number, _) in enumerate(lines) if number == place), None)
    first, last = (0, len(lines)) if at is None else (max(0, at - AROUND), at + AROUND + 1)
    shown = [f"{'>' if number == place else ' '} {number:3} {text}" for number, text in lines[first:last]]
    before = [f"      ... {first} lines before"] if first else []
    after = [f"      ... {len(lines) - last} lines after"] if last < len(lines) else []
    return "\n".join([*before, *shown, *after])


def _quoted(text: str) -> str:
    return repr(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
