"""Strategies for events, for what reads them: those of one reply, and those of a run, which nobody had to run."""

from collections import deque
from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from runtime.agents.events import (
    AgentCall,
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
from runtime.agents.outcome import Outcome
from runtime.agents.tool import AgentToolResult
from runtime.streams.assembler import MessageAssembler
from runtime.streams.events import AssistantMessageEvent, StreamDone, StreamError, StreamStart
from runtime.values.content import ToolCall
from runtime.values.message import AssistantMessage, Message, StopReason, ToolResultMessage
from runtime.values.model import Model

from .values import texts, usages, user_messages

_KINDS = ("text", "thinking", "tool_call")
_WHOLE = (StopReason.Stop, StopReason.Length)
_FAILED = (StopReason.Error, StopReason.Aborted)
_JSON = ('{"n": ', "1", "}", "[", '"')


@st.composite
def stream_events(draw: st.DrawFn, *, faults: bool = True) -> list[AssistantMessageEvent]:
    """The events of one reply: blocks of every kind, several open at once, with deltas of any text.

    It ends in every way that a reply can; with ``faults`` also as one that failed or was aborted, before it began or
    between any two events.
    """
    reply = MessageAssembler(Model(api="faux", provider="faux", id="one"))
    reason = draw(st.sampled_from((*_WHOLE, *_FAILED) if faults else _WHOLE))
    if reason in _WHOLE or draw(st.booleans()):
        reply.start()
        reply.update(usage=draw(usages()))
        _write(reply, draw(st.lists(_STEPS, max_size=12)))
    if reason in _FAILED:
        reply.fail(draw(texts()), reason)
    else:
        reply.close_open_blocks()
        is_whole = reason is StopReason.Stop and reply.message.tool_calls
        reply.done(StopReason.ToolUse if is_whole else reason)
    return reply.take()


_STEPS = st.tuples(
    st.sampled_from((*_KINDS, "delta", "delta", "end")), st.integers(0, 3), texts(8) | st.sampled_from(_JSON)
)


def _write(reply: MessageAssembler, steps: Sequence[tuple[str, int, str]]) -> None:
    """Begin blocks, and let those that are open grow and end."""
    kinds: list[str] = []
    for step, which, text in steps:
        if step in _KINDS:
            begin = (f"call_{len(kinds)}", "look") if step == "tool_call" else (text,)
            getattr(reply, f"{step}_start")(*begin)
            kinds.append(step)
        elif opened := reply.open_blocks:
            index = opened[which % len(opened)]
            getattr(reply, f"{kinds[index]}_{step}")(index, *([text] if step == "delta" else []))


@st.composite
def agent_events(
    draw: st.DrawFn, *, max_turns: int = 3, faults: bool = True, nested: bool = True
) -> list[AgentEvent]:
    """The events of one run: prompts, replies, tools that work at the same time, their results, further turns.

    With ``faults`` the last reply may have failed or been aborted; with ``nested`` some tools call agents, whose events are
    among those of the tool. Lists of such lists, one after another, are the events of an agent.
    """
    events: list[AgentEvent] = [AgentStart()]
    asked = False
    turns = draw(st.integers(1, max_turns))
    for turn in range(turns):
        prompts = draw(st.lists(user_messages(), min_size=0 if asked else 1, max_size=2))
        stream = draw(stream_events(faults=faults and turn == turns - 1))
        reply = _final(stream)
        batch = [] if reply.failed else draw(_batches(reply.tool_calls, nested=nested))
        results = [event.message for event in batch if isinstance(event, MessageEnd)]
        events += [TurnStart(), *_said(prompts), *_told(stream), *batch]
        events.append(TurnEnd(reply, tuple(one for one in results if isinstance(one, ToolResultMessage))))
        asked = bool(results)
    events.append(AgentEnd(tuple(event.message for event in events if isinstance(event, MessageEnd))))
    return events


def _said(messages: Sequence[Message]) -> Iterator[AgentEvent]:
    for message in messages:
        yield MessageStart(message)
        yield MessageEnd(message)


def _final(stream: Sequence[AssistantMessageEvent]) -> AssistantMessage:
    match stream[-1]:
        case StreamDone(message=message) | StreamError(error=message):
            return message
    raise AssertionError("a stream ends with its terminal event")


def _told(stream: Sequence[AssistantMessageEvent]) -> Iterator[AgentEvent]:
    """A reply as an agent passes it on."""
    first, final = stream[0], _final(stream)
    yield MessageStart(first.partial if isinstance(first, StreamStart) else final)
    for event in stream[1:-1]:
        yield MessageUpdate(event)
    yield MessageEnd(final)


@st.composite
def _batches(draw: st.DrawFn, calls: Sequence[ToolCall], *, nested: bool) -> list[AgentEvent]:
    """The events of all calls, interleaved; the calls start in their order, and their results come in it."""
    outcomes = draw(st.tuples(*(_OUTCOMES for _ in calls)))
    work = [
        [
            *draw(_progress(call, nested=nested)),
            ToolExecutionEnd(call.id, call.name, end.result, end.is_error),
        ]
        for call, end in zip(calls, outcomes, strict=True)
    ]
    events: list[AgentEvent] = []
    waiting = deque(calls)
    unanswered = deque(zip(calls, outcomes, work, strict=True))
    for place in draw(st.permutations([place for place, steps in enumerate(work) for _ in steps])):
        while len(calls) - len(waiting) <= place:
            call = waiting.popleft()
            events.append(ToolExecutionStart(call.id, call.name, call.arguments))
        events.append(work[place].pop(0))
        while unanswered and not unanswered[0][2]:
            call, outcome, _ = unanswered.popleft()
            events += _said([outcome.message(call)])
    return events


_OUTCOMES = st.builds(Outcome, texts().map(AgentToolResult.text), st.booleans())


@st.composite
def _progress(draw: st.DrawFn, call: ToolCall, *, nested: bool) -> list[AgentEvent]:
    """What a tool tells while it works."""
    told: list[AgentEvent] = [
        ToolExecutionUpdate(call.id, call.name, call.arguments, AgentToolResult.text(text))
        for text in draw(st.lists(texts(), max_size=2))
    ]
    if nested and draw(st.booleans()):
        step = AgentCall(tool_call_id=call.id, tool_name=call.name, agent="below")
        told += [SubagentEvent.below(step, event) for event in draw(agent_events(max_turns=1, nested=False))]
    return told
