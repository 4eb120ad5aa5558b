"""What is kept of a conversation for its next turn: the same bytes as without it, and nothing of it outlives the conversation."""

import gc
import weakref
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.openai import completions_messages
from runtime.testing.strategies import transcripts
from runtime.values.compat import ModelCompat
from runtime.values.content import TextContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, ToolResultMessage, UserMessage, user
from tests.providers.completions_lab import WEATHER, call_of, model_of, own, payload_of, result_of

MODEL = model_of()
MARKED = model_of(compat=ModelCompat(cache_control_format="anthropic"))
IDS = st.sampled_from(["a", "b", "c", "", "a|fc_1", "a|fc_2"])


def afresh(model, messages, **context):
    """As if nobody had seen the messages before: other objects of the same content."""
    return payload_of(model, *(message.model_copy() for message in messages), **context)


def said_by_anyone() -> st.SearchStrategy[list]:
    """Transcripts with everything that ids can do: return, be answered late, twice, by nobody, in failed replies."""
    replies = st.builds(
        lambda ids, failed, mine: AssistantMessage(
            [TextContent("so"), *(ToolCall(call_id, "get_weather", {}) for call_id in ids)],
            **({"api": MODEL.api, "provider": MODEL.provider, "model": MODEL.id} if mine else {}),
            stop_reason=StopReason.Error if failed else StopReason.ToolUse,
        ),
        st.lists(IDS, max_size=3),
        st.integers(0, 4).map(lambda number: number == 0),
        st.booleans(),
    )
    results = st.builds(lambda call_id, text: ToolResultMessage(call_id, "get_weather", [TextContent(text)]), IDS, st.text(max_size=3))  # fmt: skip
    return st.lists(
        st.one_of(replies, results, results, st.builds(UserMessage, st.text(max_size=3))), max_size=16
    )


@pytest.mark.parametrize("model", [MODEL, MARKED])
@given(said_by_anyone(), st.lists(st.integers(0, 20), max_size=8))
def test_turn_by_turn_the_bytes_are_the_same(model, messages, ends):
    """However a transcript grows, and whatever its ids, each request is the one that a fresh look at it makes."""
    for end in sorted(ends):
        assert payload_of(model, *messages[:end]) == afresh(model, messages[:end])


@given(transcripts(), transcripts(), st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=8))
def test_conversations_that_part(stem, branch, ends):
    """Two conversations with the same beginning, in any order, and cut back: neither sees anything of the other."""
    start = list(stem)
    for turned, end in ends:
        messages = [*start, *branch][:end] if turned else start[:end]
        assert payload_of(MODEL, *messages) == afresh(MODEL, messages)


def turns(count: int) -> list:
    messages = [user("go")]
    for number in range(count):
        messages += [own(call_of(number)), result_of(number, TextContent("sunny"))]
    return messages


def handed_over(model, messages, **context) -> int:
    """How many messages the handoff looks at for a request."""
    seen = []
    original = completions_messages.transform_messages

    def counting(given, *args, **options):
        seen.append(len(given))
        return original(given, *args, **options)

    with patch.object(completions_messages, "transform_messages", counting):
        payload_of(model, *messages, **context)
    return sum(seen)


def test_a_turn_costs_its_own_messages():
    """Only what is new goes through the handoff, however long the conversation is."""
    messages = turns(100)
    assert handed_over(MODEL, messages) == 201
    messages += [own(call_of(100)), result_of(100, TextContent("rain"))]
    assert handed_over(MODEL, messages) == 2


@pytest.mark.parametrize(
    "changed",
    [
        lambda messages: {"model": model_of(), "messages": messages},
        lambda messages: {"tools": [WEATHER], "messages": messages},
        lambda messages: {"messages": [user("go"), *messages[1:]]},
        lambda messages: {"messages": messages[1:]},
    ],
)
def test_what_has_changed_is_encoded_anew(changed):
    """Another model, other tools, or another beginning."""
    messages = turns(5)
    payload_of(MODEL, *messages)
    given = {"model": MODEL, **changed([*messages, user("and now")])}
    model, messages = given.pop("model"), given.pop("messages")
    assert handed_over(model, messages, **given) == len(messages)
    assert payload_of(model, *messages, **given) == afresh(model, messages, **given)


def test_marks_are_on_copies():
    """A cache mark moves on with the conversation: it does not stay where it was."""
    messages = [user("one")]
    first = payload_of(MARKED, *messages, system_prompt="be kind")
    assert "cache_control" in str(first["messages"][-1])
    messages += [own(TextContent("yes")), user("two")]
    second = payload_of(MARKED, *messages, system_prompt="be kind")
    assert second["messages"][1] == {"role": "user", "content": "one"}
    assert "cache_control" in str(second["messages"][-1])


def test_nothing_is_kept_longer_than_the_conversation():
    """With its last message goes what was made of it, without the help of a garbage collection."""
    kept = completions_messages._CONTINUATIONS._kept
    before = len(kept)
    gc.disable()
    try:
        messages = turns(3)
        context = weakref.ref(messages[0])
        payload_of(MODEL, *messages)
        assert len(kept) == before + 1
        del messages
        assert len(kept) == before
        assert context() is None
    finally:
        gc.enable()


def test_an_empty_context_is_no_conversation():
    """Without a message there is nothing to keep."""
    assert payload_of(MODEL)["messages"] == []
    assert Context().messages == []
