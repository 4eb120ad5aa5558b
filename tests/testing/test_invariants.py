"""The assertions find what is wrong, say what it is, and show where."""

import pytest

from runtime import (
    AgentEnd,
    AgentStart,
    AgentToolResult,
    AssistantMessage,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    StopReason,
    StreamDone,
    StreamError,
    StreamStart,
    SubagentEvent,
    TextContent,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    TurnEnd,
    TurnStart,
    user,
)
from runtime.agents.events import AgentCall
from runtime.streams.assembler import MessageAssembler
from runtime.testing import assert_event_grammar, assert_stream_grammar, assert_transcript_valid
from runtime.values.model import Model


def reply(*calls, text="", stop=None, **fields):
    blocks = [TextContent(text)] if text else []
    blocks += [ToolCall(call, "look", {}) for call in calls]
    reason = stop or (StopReason.ToolUse if calls else StopReason.Stop)
    return AssistantMessage(
        blocks, api="a", provider="p", model="m", stop_reason=reason, timestamp=0, **fields
    )


def result(call, text="fine"):
    return ToolResultMessage(call, "look", [TextContent(text)], timestamp=0)


HI, ASKS, SAYS, FINE = user("hi"), reply("c1"), reply(text="bye"), result("c1")
DONE = AgentToolResult.text("fine")


def run():
    """A run of two turns, with one call."""
    return [
        AgentStart(),
        TurnStart(),
        MessageStart(HI),
        MessageEnd(HI),
        MessageStart(ASKS),
        MessageEnd(ASKS),
        ToolExecutionStart("c1", "look", {}),
        ToolExecutionUpdate("c1", "look", {}, DONE),
        SubagentEvent((AgentCall(tool_call_id="c1", tool_name="look", agent="below"),), AgentStart()),
        ToolExecutionEnd("c1", "look", DONE, False),
        MessageStart(FINE),
        MessageEnd(FINE),
        TurnEnd(ASKS, [FINE]),
        TurnStart(),
        MessageStart(SAYS),
        MessageEnd(SAYS),
        TurnEnd(SAYS),
        AgentEnd([HI, ASKS, FINE, SAYS]),
    ]


def without(*places):
    return [event for place, event in enumerate(run()) if place not in places]


def replaced(place, *events):
    return [*run()[:place], *events, *run()[place + 1 :]]


def test_whole_runs_pass():
    """One, several, or none."""
    assert_event_grammar([])
    assert_event_grammar(run())
    assert_event_grammar(iter(run() + run()))


@pytest.mark.parametrize(
    ("events", "complaint", "place"),
    [
        (run()[1:], "turn_start outside a run", 0),
        (run()[:-1], "a run without its end", 16),
        (run()[:8], "a turn without its end", 7),
        ([AgentStart(), AgentEnd([])], "a run without a turn", 1),
        ([AgentStart(), AgentStart()], "agent_start between turns", 1),
        (without(1), "message_start between turns", 1),
        (without(3), "a message inside a message", 3),
        (without(2), "a message ends that did not start", 2),
        (replaced(3, MessageEnd(SAYS)), "a message of user ends as one of assistant", 3),
        (replaced(3, MessageUpdate(TextStart(None, 0, 0))), "an update outside a reply", 3),
        (replaced(3, MessageEnd(HI), TurnStart()), "turn_start inside a turn", 4),
        (without(4, 5), "a tool before the reply", 4),
        (without(6), "an update of call 'c1', which does not run", 6),
        (without(6, 7), "an event from below of call 'c1', which does not run", 6),
        (without(6, 7, 8), "the end of call 'c1', which does not run", 6),
        (without(9), "a result before its call has ended", 10),
        (without(9, 10, 11), "calls without an end: ['c1']", 9),
        (without(10, 11), "turn_end carries other results than the turn's", 10),
        (replaced(12, TurnEnd(SAYS, [FINE])), "turn_end carries another reply than the turn's", 12),
        (replaced(11, MessageEnd(FINE), MessageStart(HI), MessageEnd(HI)), "an injected message after the reply", 13),
        (replaced(11, MessageEnd(FINE), MessageStart(FINE)), "a message without its end", 13),
        (replaced(17, AgentEnd([HI])), "agent_end lists 1 messages, not the 4 that the run added", 17),
        (
            [AgentStart(), TurnStart(), MessageStart(ASKS), MessageEnd(ASKS), TurnEnd(ASKS)],
            "results of [], where the reply calls ['c1'] in this order",
            4,
        ),
    ],
)  # fmt: skip
def test_a_break_of_the_grammar_is_shown(events, complaint, place):
    """With its place among the events."""
    with pytest.raises(AssertionError) as caught:
        assert_event_grammar(events)
    first, *listing = str(caught.value).splitlines()
    assert first == complaint
    (marked,) = [line for line in listing if line.startswith(">")]
    assert marked.split()[1:3] == [str(place), events[place].type]


@pytest.mark.parametrize(("events", "told"), [([], 0), (run(), 1), (run() * 2, 2)])
def test_runs_can_be_counted(events, told):
    """No events are well-formed, too: a recorder that nobody subscribed would pass, unless it is said how many there are."""
    assert_event_grammar(events)
    assert_event_grammar(events, runs=told)
    with pytest.raises(AssertionError, match=f"{told} runs, where there must be {told + 1}"):
        assert_event_grammar(events, runs=told + 1)


def test_the_events_around_the_place_are_shown():
    """Some on each side, with what they say, indented as they nest."""
    with pytest.raises(AssertionError) as caught:
        assert_event_grammar(without(9))
    assert str(caught.value).splitlines()[1:] == [
        "      ... 4 lines before",
        "    4     message_start assistant calls look (c1)",
        "    5     message_end assistant calls look (c1)",
        "    6     tool_execution_start look c1 {}",
        "    7     tool_execution_update look c1 'fine'",
        "    8       subagent_event below (c1): agent_start",
        "    9     message_start toolResult look c1 'fine'",
        ">  10     message_end toolResult look c1 'fine'",
        "   11   turn_end toolUse (1 tool results)",
        "   12   turn_start",
        "   13     message_start assistant 'bye'",
        "   14     message_end assistant 'bye'",
        "   15   turn_end stop (0 tool results)",
        "   16 agent_end (4 messages)",
    ]


def stream():
    """The events of a reply with one text."""
    assembler = MessageAssembler(Model("m"), timestamp=0)
    assembler.start()
    index = assembler.text_start()
    assembler.text_delta(index, "Hel")
    assembler.text_delta(index, "lo")
    assembler.text_end(index)
    assembler.done()
    return assembler.take()


STREAM = stream()
START, BEGIN, DELTA, _, END, OVER = STREAM
FAILED = StreamError(StopReason.Error, reply(stop=StopReason.Error, error_message="no"))


def test_whole_streams_pass():
    """Also a lone error, and one that leaves a block open."""
    assert_stream_grammar(STREAM)
    assert_stream_grammar([FAILED])
    assert_stream_grammar([START, BEGIN, DELTA, FAILED])


@pytest.mark.parametrize(
    ("events", "complaint", "place"),
    [
        ([], "a stream has at least one event", None),
        ([FAILED, FAILED], "nothing follows a lone error", 0),
        (STREAM[1:], "a stream starts with its start", 0),
        ([START, START, OVER], "a stream starts once", 1),
        ([START, DELTA], "text_delta of block 0, which is not open", 1),
        ([START, BEGIN, END, DELTA, OVER], "text_delta of block 0, which is not open", 3),
        ([START, BEGIN, BEGIN, OVER], "block 0 starts, where block 1 would be next", 2),
        ([START, BEGIN, END], "a stream without its terminal event", 2),
        ([START, BEGIN, OVER], "a finished reply has open blocks: [0]", 2),
        ([START, OVER, OVER], "an event after the terminal one", 2),
    ],
)
def test_a_break_of_a_streams_grammar_is_shown(events, complaint, place):
    """With its place among the events; deltas in a row share a line."""
    with pytest.raises(AssertionError) as caught:
        assert_stream_grammar(events)
    first, *listing = str(caught.value).splitlines()
    assert first == complaint
    marked = [int(line.split()[1]) for line in listing if line.startswith(">")]
    assert marked == ([] if place is None else [place])


@pytest.mark.parametrize(
    ("messages", "complaint", "place"),
    [
        ([HI, FINE], "message 1 is a result that no call waits for", 1),
        ([ASKS, FINE, FINE], "message 2 is a result that no call waits for", 2),
        ([reply("c1", "c2"), result("c2"), result("c1")], "message 1 is a result out of order", 1),
        ([ASKS, HI, FINE], "message 1 comes before the results of ['c1']", 1),
        ([HI, reply("c1", "c2"), FINE], "calls without a result: ['c2']", 2),
        ([reply("c1", stop=StopReason.Error), FINE], "message 1 is a result that no call waits for", 1),
    ],
)
def test_a_transcript_that_no_provider_would_take_is_shown(messages, complaint, place):
    """With the messages around the place."""
    with pytest.raises(AssertionError) as caught:
        assert_transcript_valid(messages)
    first, *listing = str(caught.value).splitlines()
    assert first == complaint
    assert [int(line.split()[1]) for line in listing if line.startswith(">")] == [place]


def test_a_valid_transcript_passes():
    """A failed reply's calls have no results."""
    assert_transcript_valid([HI, ASKS, FINE, reply("c9", stop=StopReason.Aborted), HI, SAYS])


def test_the_types_of_the_streams_events_are_told():
    """All of them can stand in a listing."""
    assert [type(event) for event in STREAM] == [
        StreamStart,
        TextStart,
        TextDelta,
        TextDelta,
        TextEnd,
        StreamDone,
    ]
