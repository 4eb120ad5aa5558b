"""What must hold of any stream of events, and of any transcript that is sent."""

import json
import re
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from providers.anthropic import AnthropicOptions
from runtime.streams.events import StreamDone, TextDelta, ThinkingDelta, ToolCallDelta
from runtime.testing.strategies import (
    assistant_messages,
    contexts,
    json_values,
    texts_with_lone_surrogates,
    transcripts,
)
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, Message, StopReason
from runtime.values.model import Model
from tests.providers.anthropic_lab import (
    LAST,
    Decoded,
    decode,
    ending,
    model_of,
    more,
    opened,
    payload_of,
    replay,
    sse_of,
    start_of,
    stopped,
)

FIELDS = (
    "type", "index", "delta", "content_block", "message", "usage", "text", "thinking", "signature", "partial_json", "id", "name", "input",
    "stop_reason", "stop_details", "explanation", "error", "input_tokens", "cache_creation", "ephemeral_1h_input_tokens", "citation",
    "citations", "content", "data", "caller", "model",
)  # fmt: skip
WORDS = (
    "", "a", "{", "message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "content_block_stop",
    "text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "text_delta", "input_json_delta", "citations_delta",
    "signature_delta", "compaction_delta", "end_turn", "refusal", "ping",
)  # fmt: skip


def wire_like() -> st.SearchStrategy[Any]:
    """JSON with the keys and words of the wire in the wrong places and the wrong types."""
    leaves = st.none() | st.booleans() | st.integers(-1, 2) | st.just(1e300) | st.sampled_from(WORDS)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
        ),
        max_leaves=12,
    )


def nearly() -> st.SearchStrategy[Any]:
    """Events of the right type with anything in them."""
    kinds = st.sampled_from([word for word in WORDS if word.startswith(("message_", "content_"))])
    fields = st.dictionaries(st.sampled_from(FIELDS), wire_like(), max_size=4)
    return st.builds(lambda kind, values: {**values, "type": kind}, kinds, fields)


def events() -> st.SearchStrategy[Any]:
    """What real servers send, in any order."""
    text = texts_with_lone_surrogates(6)
    index = st.integers(0, 3)
    kinds = st.sampled_from(("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"))
    pieces = st.sampled_from(("", "{", "}", '"a":1', "{}", '{"b":"\ud83d', '\ude00"}'))
    return st.one_of(
        st.builds(lambda place, kind: opened(place, kind, id="a", name="f", input={}), index, kinds),
        st.builds(lambda place, value: opened(place, text=value), index, text),
        st.builds(lambda place, value: more(place, text=value), index, text),
        st.builds(lambda place, value: more(place, "thinking_delta", thinking=value), index, text),
        st.builds(lambda place, value: more(place, "signature_delta", signature=value), index, text),
        st.builds(lambda place, value: more(place, "input_json_delta", partial_json=value), index, pieces),
        st.builds(stopped, index),
    )


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def said(decoded: Decoded, index: int) -> str:
    """What was streamed of a block: what its start shows, and its deltas."""
    kinds = TextDelta | ThinkingDelta | ToolCallDelta
    mine = [event for event in decoded.events if getattr(event, "content_index", None) == index]
    first = mine[0].partial.content[index]
    initial = getattr(first, "text", None) or getattr(first, "thinking", None) or ""
    return initial + "".join(event.delta for event in mine if isinstance(event, kinds))


@given(
    st.lists(events(), max_size=12),
    st.sampled_from(("end_turn", "tool_use", "refusal", "odd", None)),
    st.booleans(),
    st.lists(st.integers(0, 10**6), max_size=20),
)
def test_any_way_to_cut_a_stream_gives_the_same_events(sent, reason, done, places):
    """One byte at a time, at random places, or whole."""
    last = (LAST,) if done else ()
    body = b": hello\r\n\r\n" + sse_of(start_of(), *sent, ending(reason), *last).replace(b"\n", b"\r\n")
    whole = replay([body])
    for pieces in (cut(body, places), [body[place : place + 1] for place in range(len(body))]):
        again = replay(pieces)
        assert again.events == whole.events
        assert again.message == whole.message


@given(st.lists(events(), max_size=12))
def test_what_was_streamed_is_what_is_there(sent):
    """The start and the deltas of a block, joined, are the block, and every block of a finished reply has its end."""
    decoded = decode(start_of(), *sent, ending(), LAST)
    assert isinstance(decoded.events[-1], StreamDone)
    for index, block in enumerate(decoded.message.content):
        match block:
            case TextContent(text=text) | ThinkingContent(thinking=text):
                assert said(decoded, index) == text
            case ToolCall():
                assert decoded.of(index)[-1] == "toolcall_end"
    to_json(decoded.message.model_dump(mode="json"))


@given(st.lists(nearly() | wire_like() | json_values(), max_size=6), st.booleans(), st.booleans())
@settings(max_examples=300)
def test_any_json_ends_in_a_done_or_an_error(sent, named, done):
    """It never raises, and the message can be written."""
    frames = []
    for event in sent:
        kind = event.get("type") if named and isinstance(event, dict) else None
        name = b"event: %b\n" % kind.encode() if isinstance(kind, str) and kind.isidentifier() else b""
        frames.append(name + b"data: %b\n\n" % json.dumps(event).encode())
    message = decode(*frames, *((ending(), LAST) if done else ())).message
    assert message.stop_reason is not StopReason.Aborted
    assert (message.error_message is None) == (message.stop_reason is not StopReason.Error)
    message.model_dump_json()


@given(st.binary(max_size=200), st.sampled_from((None, b"message_start", b"error", b"content_block_delta")))
def test_any_bytes_end_in_an_error(body, name):
    """As a body, or as the data of an event."""
    framed = body if name is None else b"event: " + name + b"\ndata: " + body + b"\n\n"
    assert replay([framed]).message.stop_reason is StopReason.Error


# What is sent

ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
COMPATS = st.sampled_from(({}, {"allow_empty_signature": True}, {"supports_tool_references": True}))


@st.composite
def targets(draw) -> Model:
    """Models that see and that do not."""
    inputs = draw(st.sampled_from((("text",), ("text", "image"))))
    return model_of(draw(st.sampled_from(("m", "claude-opus-4-8"))), compat=draw(COMPATS), input=inputs)


@st.composite
def adopted(draw, model: Model, messages: list[Message]) -> list[Message]:
    """The same messages, some of the replies written by the model itself, with ids as its provider makes them."""
    return [
        _own(message, model, draw(st.booleans())) if isinstance(message, AssistantMessage) else message
        for message in messages
    ]


def _own(message: AssistantMessage, model: Model, mine: bool) -> AssistantMessage:
    if not mine or not all(ID.fullmatch(call.id) for call in message.tool_calls):
        return message
    names = {"api": model.api, "provider": model.provider, "model": model.id}
    return message.model_copy(update={**names, "provider_items": ()})


def blocks(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


@given(st.data(), targets(), contexts())
def test_a_payload_is_json_that_the_provider_takes(data, model, context):
    """Every call has its result in the message behind it, ids and texts are as they must be, signatures are its own."""
    messages = data.draw(adopted(model, context.messages))
    tools = [tool.model_copy(update={"constrained_sampling": None}) for tool in context.tools]
    payload = payload_of(
        model,
        *messages,
        options=AnthropicOptions(thinking_enabled=True),
        system_prompt=context.system_prompt,
        tools=tools,
    )
    json.loads(to_json(payload))
    unanswered: list[str] = []
    for message in payload["messages"]:
        content = blocks(message["content"])
        assert content
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        assert results == unanswered
        unanswered = [block["id"] for block in content if block["type"] == "tool_use"]
        assert all(ID.fullmatch(call_id) for call_id in unanswered)
        assert not unanswered or message["role"] == "assistant"
        assert all(block["text"].strip() for block in content if block["type"] == "text")
        assert all(isinstance(block["input"], dict) for block in content if block["type"] == "tool_use")
        for result in content[: len(results)]:
            inner = blocks(result["content"]) if result["content"] else []
            assert all(block["text"].strip() for block in inner if block["type"] == "text" and len(inner) > 1)
    assert not unanswered
    assert str(payload).count("'cache_control'") <= 4


@given(targets(), st.lists(assistant_messages(), max_size=4))
def test_no_signature_of_another_model_is_sent(model, replies):
    """They wrote it, and only they can read it."""
    payload = payload_of(model, *(reply for reply in replies))
    for message in payload["messages"]:
        for block in blocks(message["content"]):
            assert block["type"] in ("text", "tool_use", "tool_result")
            assert not {"signature", "citations", "caller"} & set(block)


@given(targets(), transcripts())
def test_roles_follow_the_transcript(model, transcript):
    """A run of results is one message of the user's; what is empty is left out, and nothing is merged or moved."""
    sent = payload_of(model, *transcript)["messages"]
    for earlier, later in pairwise(sent):
        kinds = [
            {block["type"] == "tool_result" for block in blocks(message["content"])}
            for message in (earlier, later)
        ]
        assert not (True in kinds[0] and True in kinds[1])
        if any(block["type"] == "tool_use" for block in blocks(earlier["content"])):
            assert later["role"] == "user"


def unmarked(message: dict[str, Any]) -> dict[str, Any]:
    """A message without marks, in the form that it has without them."""
    kept = [
        {key: value for key, value in block.items() if key != "cache_control"}
        for block in blocks(message["content"])
    ]
    return {"role": message["role"], "content": kept}


@given(st.data(), targets(), contexts())
def test_a_turn_more_leaves_the_turns_before_it_as_they_are(data, model, context):
    """Message by message, apart from marks, as long as no result comes late for a call that was left behind."""
    transcript = data.draw(adopted(model, context.messages))
    tools = [tool.model_copy(update={"constrained_sampling": None}) for tool in context.tools]
    sent = [
        [unmarked(message) for message in payload_of(model, *transcript[:end], tools=tools)["messages"]]
        for end in range(len(transcript) + 1)
    ]
    for end, (shorter, longer) in enumerate(pairwise(sent)):
        if transcript[end].role in ("user", "assistant"):
            assert to_json(longer[: len(shorter)]) == to_json(shorter)


@given(targets(), contexts())
def test_the_same_context_gives_the_same_bytes(model, context):
    """A provider's cache can find them again."""
    once, twice = (to_json(payload_of(model, *context.messages)) for _ in range(2))
    assert once == twice
