"""Drawn events are well-formed, and there is everything among them that can be."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import SubagentEvent
from runtime.testing import assert_event_grammar, assert_stream_grammar, assert_transcript_valid
from runtime.testing.strategies import agent_events, stream_events


@given(stream_events())
def test_the_events_of_a_reply_follow_the_grammar(events):
    """And say no more than their last message."""
    assert_stream_grammar(events)
    final = events[-1].message if events[-1].type == "done" else events[-1].error
    assert all(len(event.partial.content) <= len(final.content) for event in events[:-1])
    streamed = "".join(event.delta for event in events if event.type == "text_delta")
    assert len(streamed) <= len(final.text)


@given(stream_events(faults=False))
def test_replies_without_faults_are_finished(events):
    """Tool calls are asked for, unless the reply was too long."""
    message = events[-1].message
    assert not message.failed
    assert message.stop_reason == "length" or (message.stop_reason == "toolUse") == bool(message.tool_calls)


@given(agent_events())
def test_the_events_of_a_run_follow_the_grammar(events):
    """Those of agents below tools, too."""
    assert_event_grammar(events, runs=1)
    assert_transcript_valid(events[-1].messages)
    below, turn = {}, 0
    for event in events:
        turn += event.type == "turn_start"
        if isinstance(event, SubagentEvent):
            below.setdefault((turn, event.path), []).append(event.event)
    for run in below.values():
        assert_event_grammar(run, runs=1)


@given(
    st.lists(agent_events(max_turns=1), max_size=2).map(lambda runs: [event for run in runs for event in run])
)
def test_runs_follow_each_other(events):
    """Several of them are the events of an agent."""
    assert_event_grammar(events)


@given(agent_events(faults=False, nested=False))
def test_runs_can_do_without_faults_and_without_agents_below(events):
    """Whoever does not care says so."""
    assert not any(isinstance(event, SubagentEvent) for event in events)
    assert not any(message.role == "assistant" and message.failed for message in events[-1].messages)


def drawn(strategy, kinds):
    """Which of some kinds are among what is drawn."""
    seen = set()

    @settings(max_examples=300, derandomize=True, database=None)
    @given(strategy)
    def look(events):
        seen.update(name for name, holds in kinds.items() if name not in seen and holds(events))

    look()
    return seen


def types(events):
    return [event.type for event in events]


def has_open_blocks(events):
    starts, ends = (sum(kind.endswith(end) for kind in types(events)) for end in ("_start", "_end"))
    return events[-1].type == "error" and starts > ends


REPLIES = {
    "open blocks": has_open_blocks,
    "several at once": lambda events: ("text_start", "toolcall_start") in pairwise(types(events)),
    "a lone error": lambda events: types(events) == ["error"],
    "aborted": lambda events: events[-1].type == "error" and events[-1].reason == "aborted",
    "a call in pieces": lambda events: types(events).count("toolcall_delta") > 1,
    "too long": lambda events: events[-1].type == "done" and events[-1].reason == "length",
}
RUNS = {
    "several turns": lambda events: types(events).count("turn_start") == 3,
    "tools at once": lambda events: (START, START) in pairwise(types(events)),
    "out of order": lambda events: (END, END) in pairwise(types(events)),
    "agents below": lambda events: "subagent_event" in types(events),
    "a failed reply": lambda events: any(m.role == "assistant" and m.failed for m in events[-1].messages),
    "a failed tool": lambda events: any(m.role == "toolResult" and m.is_error for m in events[-1].messages),
}
START, END = "tool_execution_start", "tool_execution_end"


@pytest.mark.parametrize(("strategy", "kinds"), [(stream_events(), REPLIES), (agent_events(), RUNS)])
def test_everything_is_drawn(strategy, kinds):
    """Also what a reader of events may not have thought of."""
    assert drawn(strategy, kinds) == set(kinds)
