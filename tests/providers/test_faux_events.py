"""Scripted replies: what their streams say, whole or with a fault to order."""

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.faux import (
    faux_assistant_message,
    faux_delayed,
    faux_failure,
    faux_fault,
    faux_text,
    faux_thinking,
    faux_tool_call,
    register_faux_provider,
)
from runtime.errors import InvalidOptionError
from runtime.streams.call import complete, stream
from runtime.streams.events import StreamDone, StreamError, TextDelta, ToolCallDelta, ToolCallEnd
from runtime.testing.invariants import assert_stream_grammar
from runtime.testing.strategies import assistant_messages
from runtime.testing.sweep import cancel_everywhere
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, user
from runtime.values.options import StreamOptions

HELLO = Context(messages=[user("hello")])
TWO_BLOCKS = faux_assistant_message(
    [faux_text("one two three"), faux_tool_call("look", {"at": "the sea"}, id="1")]
)
"""Four deltas of text and four of arguments, in chunks of one token."""


async def events_of(faux, options=None):
    async with stream(faux.get_model(), HELLO, options) as reply:
        events = [event async for event in reply]
    assert_stream_grammar(events)
    return events


def types_of(events):
    return " ".join(event.type for event in events)


def canonical(message):
    return json.dumps(json.loads(message.model_dump_json()), sort_keys=True)


async def test_blocks_are_streamed_one_after_the_other():
    """Each block has its start, its deltas and its end, in the order of the content."""
    faux = register_faux_provider(token_size=(1, 1))
    content = [faux_thinking("go"), faux_text("ok"), faux_tool_call("run", {})]
    faux.set_responses([faux_assistant_message(content, stop_reason=StopReason.ToolUse)])
    events = await events_of(faux)
    assert [event.type for event in events] == [
        "start",
        "thinking_start", "thinking_delta", "thinking_end",
        "text_start", "text_delta", "text_end",
        "toolcall_start", "toolcall_delta", "toolcall_end",
        "done",
    ]  # fmt: skip
    assert events[0].partial.content == ()
    assert events[-1].reason is StopReason.ToolUse
    assert events[-1].message.content == tuple(content)


async def test_the_deltas_of_a_tool_call_are_the_json_of_its_arguments():
    """Arguments arrive as compact JSON in several deltas, keys in their own order."""
    arguments = {"path": "/tmp/some/where.txt", "content": "grüße 😀"}
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message([faux_text("writing"), faux_tool_call("write", arguments)])])
    deltas = [event.delta for event in await events_of(faux) if isinstance(event, ToolCallDelta)]
    assert len(deltas) > 1
    assert "".join(deltas) == json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)


async def test_several_tool_calls_end_in_order():
    """Two calls of one reply keep their ids apart and their order."""
    calls = [faux_tool_call("a", {"n": 1}), faux_tool_call("b", {"n": 2})]
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message(calls, stop_reason=StopReason.ToolUse)])
    events = await events_of(faux)
    assert [event.tool_call for event in events if isinstance(event, ToolCallEnd)] == calls
    assert calls[0].id != calls[1].id
    assert isinstance(events[-1], StreamDone)


@pytest.mark.parametrize(
    ("reason", "text", "expected"),
    [
        (StopReason.Error, "upstream broke", "upstream broke"),
        (StopReason.Aborted, "user stopped", "user stopped"),
        (StopReason.Error, None, "An unknown error occurred"),
        (StopReason.Aborted, None, "Request was aborted"),
    ],
)
async def test_a_scripted_failure_comes_after_its_blocks(reason, text, expected):
    """A reply that is scripted to fail streams all of its blocks, and then the error."""
    faux = register_faux_provider(token_size=(2, 2))
    faux.set_responses([faux_assistant_message("partial", stop_reason=reason, error_message=text)])
    events = await events_of(faux)
    assert [event.type for event in events] == ["start", "text_start", "text_delta", "text_end", "error"]
    assert (events[-1].reason, events[-1].error.error_message) == (reason, expected)
    assert events[-1].error.text == "partial"


async def test_an_empty_reply_is_a_start_and_an_end():
    """Without content nothing comes between; an empty text still has its one delta."""
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message([]), faux_assistant_message("")])
    assert [event.type for event in await events_of(faux)] == ["start", "done"]
    assert [event.type for event in await events_of(faux)] == [
        "start", "text_start", "text_delta", "text_end", "done"
    ]  # fmt: skip


async def test_a_reply_has_the_time_of_its_call_unless_it_was_given_one():
    """A script is older than what it answers; only a timestamp that somebody chose is kept."""
    faux = register_faux_provider()
    made = faux_assistant_message("soon")
    old = AssistantMessage.model_construct(**{**made.__dict__, "timestamp": 0}, _fields_set={"content"})
    faux.set_responses([old, faux_assistant_message("then", timestamp=1234)])
    context = Context(messages=[user("now")])
    assert (await complete(faux.get_model(), context)).timestamp >= context.messages[0].timestamp
    assert (await complete(faux.get_model(), context)).timestamp == 1234


@given(assistant_messages())
@settings(max_examples=60)
def test_what_is_streamed_is_what_was_scripted(message):
    """Any message arrives as it was scripted, by a well-formed stream; only names, usage and missing texts are set."""

    async def main():
        faux = register_faux_provider(token_size=(1, 3), tokens_per_second=1000)
        faux.set_responses([message])
        events = await events_of(faux)
        given = {"api": faux.api, "provider": "faux", "model": "faux-1", "usage": events[-1].message.usage}
        if not message.failed:
            given["error_message"] = None
        elif not message.error_message:
            given["error_message"] = events[-1].message.error_message or "missing"
        assert canonical(events[-1].message) == canonical(message.model_copy(update=given))

    trio.run(main, clock=MockClock(autojump_threshold=0))


# Faults


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("fail", "The faux provider failed"),
        ("cut", "Stream ended without finish_reason"),
        ("malformed", "invalid provider response: the faux reply is malformed"),
    ],
)
async def test_a_fault_strikes_in_the_middle_of_a_block(kind, text):
    """After one delta, unless told otherwise, the stream ends as an error that tells the kind; the block stays open."""
    faux = register_faux_provider(token_size=1)
    faux.set_responses([faux_fault(TWO_BLOCKS, kind)])
    events = await events_of(faux)
    assert types_of(events) == "start text_start text_delta error"
    assert (events[-1].reason, events[-1].error.error_message) == (StopReason.Error, text)
    assert events[-1].error.text == "one "
    assert events[-1].error.usage.output > 0


@pytest.mark.parametrize(
    ("after", "block", "last"),
    [
        (None, None, None),
        (0, None, "start"),
        (0, 0, "text_start"),
        (2, None, "text_delta"),
        (4, None, "text_delta"),
        (4, 0, "text_delta"),
        (0, 1, "toolcall_start"),
        (5, None, "toolcall_delta"),
        (1, 1, "toolcall_delta"),
        (8, None, "toolcall_delta"),
        (9, None, "toolcall_end"),
        (5, 0, "toolcall_end"),
        (0, 2, "toolcall_end"),
    ],
)
async def test_a_fault_strikes_where_it_was_told_to(after, block, last):
    """after counts the deltas of the reply or of a block; a place that is not there is the end of the reply."""
    faux = register_faux_provider(token_size=1)
    faux.set_responses([faux_fault(TWO_BLOCKS, after=after, block=block)])
    events = await events_of(faux)
    deltas = [event for event in events if event.type.endswith("_delta")]
    counted = [event for event in deltas if block in (None, event.content_index)]
    assert (events[-2].type if events[1:] else None) == last
    assert last == "toolcall_end" or len(counted) == (after or 0)


async def test_a_call_can_fail_before_its_reply_starts():
    """faux_failure is a lone error with its text, and uses up its step."""
    faux = register_faux_provider()
    faux.set_responses([faux_failure("overloaded"), faux_assistant_message("better")])
    (event,) = await events_of(faux)
    assert (event.reason, event.error.error_message) == (StopReason.Error, "overloaded")
    assert event.error.content == ()
    assert (await complete(faux.get_model(), HELLO)).text == "better"


async def test_a_fault_can_have_a_text_of_its_own():
    """error replaces the text of the kind."""
    faux = register_faux_provider()
    faux.set_responses(
        [faux_fault(TWO_BLOCKS, kind, error="no luck") for kind in ("fail", "cut", "malformed")]
    )
    texts = [(await complete(faux.get_model(), HELLO)).error_message for _ in range(3)]
    assert texts == ["no luck", "no luck", "invalid provider response: no luck"]


@pytest.mark.parametrize("after", [None, 0, 2, 99])
async def test_a_stalled_reply_waits_for_an_abort(after):
    """A stall sends what came before it and then nothing, until the call is aborted."""
    faux = register_faux_provider(token_size=1)
    faux.set_responses([faux_fault(TWO_BLOCKS, "stall", after=after)])
    abort = trio.Event()
    async with (
        stream(faux.get_model(), HELLO, StreamOptions(abort=abort)) as reply,
        trio.open_nursery() as nursery,
    ):
        events = []

        async def read():
            events.extend([event async for event in reply])

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        waiting = repr(reply)
        abort.set()
    assert "streaming" in waiting
    assert events[-1].reason is StopReason.Aborted
    deltas = [event for event in events if event.type.endswith("_delta")]
    assert len(deltas) == min(after or 0, 8)


async def test_a_stalled_reply_can_be_timed_out(autojump_clock):
    """A surrounding time-out ends a stall as a cancellation."""
    faux = register_faux_provider()
    faux.set_responses([faux_fault(TWO_BLOCKS, "stall")])
    with trio.move_on_after(3600) as scope:
        await complete(faux.get_model(), HELLO)
    assert scope.cancelled_caught


async def test_faults_delays_and_factories_combine(autojump_clock):
    """A factory may return a reply that is late and broken."""

    def late_and_broken(context, options, state, model):
        return faux_delayed(faux_fault(TWO_BLOCKS, "cut"), 2)

    faux = register_faux_provider()
    faux.set_responses([late_and_broken, faux_fault(faux_delayed(TWO_BLOCKS, 2), "cut")])
    replies = [await complete(faux.get_model(), HELLO) for _ in range(2)]
    assert trio.current_time() == pytest.approx(4)
    assert {reply.error_message for reply in replies} == {"Stream ended without finish_reason"}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: faux_fault(TWO_BLOCKS, "explode"), "kind must be one of fail, stall, cut, malformed"),
        (lambda: faux_fault(TWO_BLOCKS, after=-1), "after must be"),
        (lambda: faux_fault(TWO_BLOCKS, block=1.5), "block must be"),
        (lambda: faux_fault(TWO_BLOCKS, after=None, block=1), "needs a number in after"),
        (lambda: faux_fault(TWO_BLOCKS, error=ValueError("x")), "error must be a string, not ValueError"),
        (lambda: faux_fault("text"), "AssistantMessage .*, not str"),
        (lambda: faux_delayed(TWO_BLOCKS, -1), "seconds must be"),
        (lambda: faux_delayed(TWO_BLOCKS, float("nan")), "seconds must be"),
        (lambda: faux_delayed(None, 1), "AssistantMessage .*, not NoneType"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_where_it_is_made(make, text):
    """Wrong kinds, places and times are errors in the line that writes them."""
    with pytest.raises(InvalidOptionError, match=text):
        make()


@given(assistant_messages(), st.sampled_from(["fail", "cut", "malformed"]), st.integers(0, 12))
@settings(max_examples=40)
def test_a_fault_leaves_a_beginning_of_the_reply(message, kind, after):
    """Wherever a fault strikes, the stream is well-formed, and says no more deltas than were ordered."""

    async def main():
        faux = register_faux_provider(token_size=1)
        faux.set_responses([faux_fault(message, kind, after=after), message])
        events, whole = await events_of(faux), await events_of(faux)
        assert events[:-1] == whole[: len(events) - 1]
        assert isinstance(events[-1], StreamError)
        deltas, all_deltas = (
            sum(event.type.endswith("_delta") for event in side) for side in (events, whole)
        )
        assert deltas == min(after, all_deltas)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_call_can_be_cut_at_every_step():
    """Cut at any of its steps, by an abort or from outside, a call says a beginning of its reply, and no task is left."""

    async def scenario(cutter):
        faux = register_faux_provider(token_size=1, tokens_per_second=100)
        faux.set_responses([faux_delayed(TWO_BLOCKS, 1)])
        abort, events = trio.Event(), []
        with trio.CancelScope() as scope:
            cutter.arm(cancel=scope.cancel, abort=abort.set)
            async with stream(faux.get_model(), HELLO, StreamOptions(abort=abort)) as reply:
                async for event in reply:
                    events.append(event)
        return scope.cancelled_caught, events

    def check(outcome):
        cancelled, events = outcome
        text = "".join(event.delta for event in events if isinstance(event, TextDelta))
        assert "one two three".startswith(text)
        if not cancelled:
            assert_stream_grammar(events)
            assert events[-1].message.text == text
            assert events[-1].reason in (StopReason.Stop, StopReason.Aborted)

    report = cancel_everywhere(scenario, check)
    assert report.cuts["abort"] > 9
    assert report.cuts["cancel"] > 9
