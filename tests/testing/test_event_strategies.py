"""Drawn events are well-formed, and there is everything among them that can be."""

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from runtime import SubagentEvent
from runtime.testing import assert_event_grammar, assert_stream_grammar, assert_transcript_valid
from runtime.testing.strategies import agent_events, stream_events

ANY = settings(phases=[Phase.generate], max_examples=2_000, database=None)
"""One that will do; the smallest is not looked for."""


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


def has_open_blocks(events):
    kinds = [event.type for event in events]
    return events[-1].type == "error" and sum("_start" in k for k in kinds) > sum("_end" in k for k in kinds)


def at_once(events):
    kinds = [event.type.rsplit("_")[-1] for event in events]
    return ["start", "start"] in [kinds[n : n + 2] for n in range(1, len(kinds))]


@pytest.mark.parametrize(
    "holds",
    [
        has_open_blocks,
        at_once,
        lambda events: len(events) == 1,
        lambda events: [event.type for event in events] == ["start", "error"],
        lambda events: events[-1].type == "done" and events[-1].message.stop_reason == "length",
        lambda events: any(event.type == "toolcall_delta" and event.delta == '{"n": ' for event in events),
    ],
)
def test_replies_of_every_kind_are_drawn(holds):
    """Also those that a reader of events may not have thought of."""
    assert find(stream_events(), holds, settings=ANY)


def kinds_of(events):
    return [event.type.removeprefix("tool_execution_") for event in events]


@pytest.mark.parametrize(
    "holds",
    [
        lambda events: kinds_of(events).count("turn_start") == 3,
        lambda events: ["start", "start"] in [kinds_of(events)[n : n + 2] for n in range(len(events))],
        lambda events: ["end", "end"] in [kinds_of(events)[n : n + 2] for n in range(len(events))],
        lambda events: any(isinstance(event, SubagentEvent) for event in events),
        lambda events: any(message.role == "assistant" and message.failed for message in events[-1].messages),
        lambda events: any(
            message.role == "toolResult" and message.is_error for message in events[-1].messages
        ),
    ],
)
def test_runs_of_every_kind_are_drawn(holds):
    """Tools at the same time, that end out of order, agents below, failures."""
    assert find(agent_events(), holds, settings=ANY)
