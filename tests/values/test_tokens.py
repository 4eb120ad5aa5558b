import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.testing.strategies import contexts, messages, texts
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import (
    AssistantMessage,
    CustomMessage,
    StopReason,
    ToolResultMessage,
    UserMessage,
)
from runtime.values.tokens import (
    ContextEstimate,
    estimate_context_tokens,
    estimate_message_tokens,
    estimate_text_tokens,
    estimate_tokens,
)
from runtime.values.tool import Tool
from runtime.values.usage import Usage

IMAGE = ImageContent("aGk=", "image/png")
N = Tool("n", "d", {"a": 2, "b": 1})


def reply(timestamp=100, tokens=0, text="", **fields):
    return AssistantMessage(
        [TextContent(text)], usage=Usage(total_tokens=tokens), timestamp=timestamp, **fields
    )


def said(text, timestamp=300):
    return UserMessage(text, timestamp)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("😀😀", 1), ("😀😀é", 2)]
)
def test_four_units_are_a_token(text, tokens):
    """A text takes a quarter of its UTF-16 length, rounded up."""
    assert estimate_text_tokens(text) == estimate_tokens(text) == tokens


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        (said("abcde"), 2),
        (UserMessage([TextContent("abc"), TextContent("de")]), 2),
        (UserMessage([TextContent("hello"), IMAGE]), 1202),
        (ToolResultMessage("a long id", "a long name", [TextContent("hello"), IMAGE]), 1202),
        (AssistantMessage([TextContent("abc"), ThinkingContent("de", "signature")]), 2),
        (AssistantMessage([ToolCall("id", "go", {"a": "é"})]), 3),
        (AssistantMessage([TextContent("abcd")], usage=Usage(total_tokens=9000)), 1),
        (CustomMessage("note", text="x" * 100), 0),
    ],
)
def test_a_message_takes_what_is_in_it(message, tokens):
    """Texts, images, thinking, and the names and arguments of calls count; ids, signatures and usage do not."""
    assert estimate_message_tokens(message) == estimate_tokens(message) == tokens


def test_usage_of_a_tool_counts_for_nothing():
    """What a tool consumed is no part of the context."""
    result = ToolResultMessage("c", "n", [TextContent("hello")])
    assert estimate_tokens(result) == estimate_tokens(
        result.model_copy(update={"usage": Usage(total_tokens=9000)})
    )


def test_without_usage_everything_is_guessed():
    """System prompt, messages and the JSON of all tools add up."""
    context = Context("abcde", [UserMessage([TextContent("hello"), IMAGE])], [N])
    assert estimate_context_tokens(context) == ContextEstimate(1219, 0, 1219, None)
    assert estimate_tokens(context) == 1219
    assert estimate_tokens(Context()) == 0


SUMMARY, STALE, LONG = said("x" * 12, 200), reply(100, 9500, "yes"), said("y" * 3980)


def test_usage_older_than_what_stands_before_it_is_stale():
    """After a summary was put in front, the old reply's usage no longer holds."""
    context = Context("system", [SUMMARY, STALE, said("y" * 4000)])
    estimate = estimate_context_tokens(context)
    assert (estimate.last_usage_index, estimate.usage_tokens) == (None, 0)
    assert estimate.tokens == 2 + 3 + 1 + 1000


def test_a_newer_reply_holds():
    """A reply with usage after that is counted on, and only what follows it is guessed."""
    context = Context("system", [SUMMARY, STALE, LONG, reply(400, 2000), said("tail", 500)])
    assert estimate_context_tokens(context) == ContextEstimate(2001, 2000, 1, 3)


@pytest.mark.parametrize(
    "unusable",
    [
        reply(200, 5000, stop_reason=StopReason.Error),
        reply(200, 5000, stop_reason=StopReason.Aborted),
        reply(200, 0),
        reply(99, 5000),
    ],
)
def test_replies_that_say_nothing_reliable_are_passed_over(unusable):
    """Failed replies, replies without usage and stale ones leave the one before them as the base."""
    context = Context(messages=[reply(100, 2000), unusable])
    assert estimate_context_tokens(context).last_usage_index == 0


def test_usage_as_new_as_what_stands_before_it_holds():
    """Equal time stamps are in order; custom messages have none."""
    later = CustomMessage("note", timestamp=10**12)
    context = Context(messages=[said("hi", 100), later, reply(100, 2000)])
    assert estimate_context_tokens(context).last_usage_index == 2


def test_usage_older_than_anything_before_it_is_stale():
    """It is the newest of the earlier messages that counts, not the last."""
    context = Context(messages=[said("new", 300), said("old", 100), reply(200, 2000)])
    assert estimate_context_tokens(context).last_usage_index is None


def test_usage_without_a_total_is_the_sum_of_its_parts():
    """A provider that gives parts only is understood."""
    message = AssistantMessage(usage=Usage(input=1, output=2, cache_read=3, cache_write=4), timestamp=1)
    assert estimate_context_tokens(Context(messages=[message])).usage_tokens == 10


def test_tools_added_by_later_results_count():
    """Usage covers the tools of its time; those that a result adds afterwards are guessed."""
    big = Tool("big", "x" * 4000, {})
    before = Context(messages=[reply(100, 2000), ToolResultMessage("c", "n", timestamp=200)], tools=[N, big])
    adding = ToolResultMessage("c", "n", timestamp=200, added_tool_names=["big", "unknown"])
    after = Context(messages=[reply(100, 2000), adding], tools=[N, big])
    assert estimate_tokens(before) == 2000
    assert estimate_tokens(after) > 2500


@given(contexts())
def test_an_estimate_adds_up(context):
    """The parts are the whole, nothing is negative, and the reply that it rests on is one."""
    estimate = estimate_context_tokens(context)
    assert estimate.tokens == estimate.usage_tokens + estimate.trailing_tokens
    assert estimate.trailing_tokens >= 0
    if estimate.last_usage_index is None:
        assert estimate.usage_tokens == 0
    else:
        anchor = context.messages[estimate.last_usage_index]
        assert anchor.usage.context_tokens == estimate.usage_tokens > 0


@given(messages(), texts())
def test_more_is_never_less(message, text):
    """A message more, or a longer prompt, never lowers a guess without usage."""
    context = Context(text, [said("hi", 2**60), message])
    assert estimate_tokens(context) >= estimate_tokens(Context(None, [said("hi", 2**60)]))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 1)), max_size=12))
def test_the_last_reply_that_nothing_before_it_is_newer_than_is_counted_on(kinds):
    """Wherever clocks were set back."""
    transcript = [
        reply(moment, tokens) if replies else said("x", moment) for replies, moment, tokens in kinds
    ]
    holding = [
        index
        for index, (replies, moment, tokens) in enumerate(kinds)
        if replies and tokens and all(before <= moment for _, before, _ in kinds[:index])
    ]
    expected = holding[-1] if holding else None
    assert estimate_context_tokens(Context(messages=transcript)).last_usage_index == expected
