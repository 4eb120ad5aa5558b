"""What must hold of any stream of chunks, and of any transcript that is sent."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from runtime.streams.events import StreamDone, TextDelta, ThinkingDelta, ToolCallDelta
from runtime.testing.strategies import contexts, json_values, texts_with_lone_surrogates, transcripts
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import StopReason
from tests.providers.completions_lab import (
    Decoded,
    chunk_of,
    decode,
    model_of,
    payload_of,
    piece_of,
    replay,
    sse_of,
)

FIELDS = (
    "choices", "delta", "content", "tool_calls", "function", "arguments", "name", "id", "index", "finish_reason", "usage", "error",
    "reasoning", "reasoning_details", "custom", "input", "prompt_tokens", "type", "text", "message", "code", "refusal", "x_groq",
)  # fmt: skip


def wire_like() -> st.SearchStrategy[Any]:
    """JSON with the keys of the wire in the wrong places and the wrong types."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-1, 2)
        | st.just(1e300)
        | st.sampled_from(("", "a", "{", "}", "stop", "text"))
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
        ),
        max_leaves=12,
    )


def deltas() -> st.SearchStrategy[Any]:
    """What real servers send, in any order."""
    text = texts_with_lone_surrogates(6)
    pieces = st.builds(
        lambda arguments, name, where: piece_of(arguments, name, **where),
        st.none() | st.sampled_from(("", "{", "}", '"a":1', "{}", '{"b":"\ud83d', '\ude00"}')),
        st.none() | st.sampled_from(("", "f", "g")),
        st.fixed_dictionaries(
            {}, optional={"index": st.integers(0, 2), "id": st.sampled_from(("", "a", "b"))}
        ),
    )
    return st.one_of(
        st.builds(lambda value: {"content": value}, text),
        st.builds(lambda value: {"reasoning": value}, text),
        st.builds(lambda value: {"tool_calls": value}, st.lists(pieces, min_size=1, max_size=2)),
    )


def chunks() -> st.SearchStrategy[list[Any]]:
    return st.lists(st.builds(chunk_of, deltas()), max_size=12)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def said(decoded: Decoded, index: int) -> str:
    kinds = TextDelta | ThinkingDelta | ToolCallDelta
    return "".join(
        event.delta for event in decoded.events if isinstance(event, kinds) and event.content_index == index
    )


@given(
    chunks(),
    st.sampled_from(("stop", "tool_calls", "error", None)),
    st.booleans(),
    st.lists(st.integers(0, 10**6), max_size=20),
)
def test_any_way_to_cut_a_stream_gives_the_same_events(sent, finish, done, places):
    """One byte at a time, at random places, or whole."""
    body = b": hello\r\n\r\n" + sse_of(*sent, chunk_of(finish=finish), done=done).replace(b"\n", b"\r\n")
    whole = replay([body])
    for pieces in (cut(body, places), [body[place : place + 1] for place in range(len(body))]):
        again = replay(pieces)
        assert again.events == whole.events
        assert again.message == whole.message


@given(chunks())
def test_what_was_streamed_is_what_is_there(sent):
    """The deltas of a block, joined, are the block, and every block of a finished reply has its end."""
    decoded = decode(*sent, chunk_of(finish="stop"))
    assert isinstance(decoded.events[-1], StreamDone)
    for index, block in enumerate(decoded.message.content):
        match block:
            case TextContent(text=text) | ThinkingContent(thinking=text):
                assert said(decoded, index) == text
            case ToolCall():
                assert decoded.of(index)[-1] == "toolcall_end"
    to_json(decoded.message.model_dump(mode="json"))


@given(st.lists(wire_like() | json_values(), max_size=6), st.booleans())
@settings(max_examples=300)
def test_any_json_ends_in_a_done_or_an_error(sent, done):
    """It never raises, and the message can be written."""
    message = decode(*sent, done=done).message
    assert message.stop_reason is not StopReason.Aborted
    assert (message.error_message is None) == (message.stop_reason is not StopReason.Error)
    message.model_dump_json()


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_a_done_or_an_error(body, framed):
    """As a body, or as the data of an event."""
    message = replay([b"data: " + body + b"\n\n" if framed else body]).message
    assert message.stop_reason in (StopReason.Error, StopReason.Stop)


# What is sent

KIMI = {"deferred_tools_mode": "kimi"}
COMPATS = st.sampled_from(
    (
        {},
        {"requires_assistant_after_tool_result": True},
        {"requires_thinking_as_text": True},
        {"cache_control_format": "anthropic"},
        KIMI,
    )
)


@st.composite
def targets(draw):
    """Models that wrote some of the transcript, and others."""
    provider, name = draw(st.sampled_from((("openai", "one"), ("openai", "two"), ("mine", "one"))))
    model = model_of(
        provider=provider, compat=draw(COMPATS), input=draw(st.sampled_from((("text",), ("text", "image"))))
    )
    return model.model_copy(update={"id": name})


@given(targets(), contexts())
def test_a_payload_is_json_in_which_every_call_has_its_result(model, context):
    """Exactly one each, right behind the reply, and no result is without a call."""
    payload = payload_of(model, *context.messages, system_prompt=context.system_prompt, tools=context.tools)
    json.loads(to_json(payload))
    messages = payload["messages"]
    unanswered: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert unanswered.pop(0) == message["tool_call_id"]
        else:
            assert not unanswered
            unanswered = [call["id"] for call in message.get("tool_calls", ())]
            assert message["role"] != "assistant" or message.get("content") or unanswered
    assert not unanswered


@given(targets(), transcripts())
def test_a_turn_more_leaves_the_turns_before_it_as_they_are(model, transcript):
    """Message by message, as long as no result comes late for a call that was left behind."""
    bare = model.model_copy(update={"compat": model.compat.model_copy(update={"cache_control_format": None})})
    sent = [payload_of(bare, *transcript[:end])["messages"] for end in range(len(transcript) + 1)]
    for end, (shorter, longer) in enumerate(pairwise(sent)):
        if transcript[end].role in ("user", "assistant"):
            assert longer[: len(shorter)] == shorter


@given(targets(), contexts())
def test_the_same_context_gives_the_same_bytes(model, context):
    """A provider's cache can find them again."""
    once, twice = (to_json(payload_of(model, *context.messages)) for _ in range(2))
    assert once == twice
