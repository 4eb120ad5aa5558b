"""What must hold of any stream of events, and of any transcript that is sent."""

import json
import re
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from runtime.errors import InvalidOptionError, ToolDefinitionError
from runtime.streams.events import StreamDone
from runtime.testing.strategies import contexts, json_values, texts_with_lone_surrogates, transcripts
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from tests.providers.responses_lab import (
    completed,
    decode,
    deltas,
    event_of,
    model_of,
    payload_of,
    replay,
    sse_of,
)

KINDS = ("message", "reasoning", "function_call", "custom_tool_call", "web_search_call")
EVENTS = (
    "created", "in_progress", "output_item.added", "output_item.done", "output_text.delta", "refusal.delta", "reasoning_text.delta",
    "reasoning_summary_text.delta", "reasoning_summary_part.done", "function_call_arguments.delta", "function_call_arguments.done",
    "custom_tool_call_input.delta", "custom_tool_call_input.done", "failed", "completed", "incomplete", "cancelled", "unknown",
)  # fmt: skip
FIELDS = (
    "type", "item", "item_id", "output_index", "delta", "arguments", "input", "response", "id", "call_id", "name", "content", "summary",
    "text", "refusal", "status", "usage", "output", "input_tokens", "input_tokens_details", "error", "message", "code", "phase",
    "encrypted_content", "caller", "incomplete_details", "reason", "service_tier",
)  # fmt: skip
ITEM_IDS = st.sampled_from((None, "", "a", "b"))
INDEXES = st.none() | st.integers(0, 2)


def wire_like() -> st.SearchStrategy[Any]:
    """JSON with the keys of the wire in the wrong places and the wrong types."""
    words = (
        *KINDS,
        *(f"response.{name}" for name in EVENTS),
        "error",
        "",
        "a",
        "{",
        "}",
        "completed",
        "failed",
    )
    leaves = st.none() | st.booleans() | st.integers(-1, 2) | st.just(1e300) | st.sampled_from(words)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
        ),
        max_leaves=14,
    )


def odd_events() -> st.SearchStrategy[Any]:
    """Events of the API with anything in them."""
    fields = st.dictionaries(st.sampled_from(FIELDS[1:]), wire_like(), max_size=5)
    return st.builds(lambda kind, more: event_of(kind, **more), st.sampled_from(EVENTS), fields)


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    """What real servers send, with parts of it missing."""
    kind, item_id = draw(st.sampled_from(KINDS)), draw(ITEM_IDS)
    text = draw(st.none() | texts_with_lone_surrogates(4))
    told = None if text is None else [{"text": text}]
    return {
        "type": kind,
        "id": item_id,
        "call_id": draw(st.sampled_from((None, "", "c", "d"))),
        "name": draw(st.sampled_from(("", "f", "g"))),
        "arguments": draw(st.sampled_from(("", "{}", '{"a":1}', '{"a', None))),
        "summary": told,
        "content": told,
    }


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of a stream, with or without index and id."""
    place = {"output_index": draw(INDEXES), "item_id": draw(ITEM_IDS)}
    kind = draw(st.sampled_from(EVENTS[2:11]))
    if kind.startswith("output_item"):
        return event_of(kind, item=draw(items()), output_index=place["output_index"])
    if "arguments" in kind:
        piece = draw(st.sampled_from(("", "{", "}", '"a":1', "{}")))
        return event_of(kind, delta=piece, arguments=piece, **place)
    return event_of(kind, delta=draw(texts_with_lone_surrogates(4)), **place)


def streams() -> st.SearchStrategy[list[Any]]:
    return st.lists(events(), max_size=12)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@given(streams(), st.lists(items(), max_size=3), st.booleans(), st.lists(st.integers(0, 10**6), max_size=20))
def test_any_way_to_cut_a_stream_gives_the_same_events(sent, listed, end, places):
    """One byte at a time, at random places, or whole."""
    last = [completed(*listed)] if end else []
    body = b": hello\r\n\r\n" + sse_of(*sent, *last).replace(b"\n", b"\r\n")
    whole = replay([body])
    for pieces in (cut(body, places), [body[place : place + 1] for place in range(len(body))]):
        again = replay(pieces)
        assert again.events == whole.events
        assert again.message == whole.message


@given(streams(), st.lists(items(), max_size=3))
def test_what_was_streamed_is_what_is_there(sent, listed):
    """The deltas of a block, joined, are the block, unless its final value is another."""
    decoded = decode(*sent, completed(*listed))
    assert isinstance(decoded.events[-1], StreamDone)
    for index, block in enumerate(decoded.message.content):
        said = "".join(deltas(decoded, index))
        ends = [
            event
            for event in decoded.events
            if getattr(event, "content_index", None) == index and event.type.endswith("_end")
        ]
        assert len(ends) == 1
        match block:
            case TextContent(text=text) | ThinkingContent(thinking=text):
                assert ends[0].content == text
                assert said == text or not text.startswith(said)
            case ToolCall():
                assert ends[0].tool_call == block
    to_json(decoded.message.model_dump(mode="json"))


@given(st.lists(odd_events() | wire_like() | json_values(), max_size=8))
@settings(max_examples=300)
def test_any_json_ends_in_a_done_or_an_error(sent):
    """It never raises, and the message can be written and sent again."""
    message = decode(*sent, grammar={"f": "x"}).message
    assert message.stop_reason is not StopReason.Aborted
    assert (message.error_message is None) == (message.stop_reason is not StopReason.Error)
    assert AssistantMessage.model_validate_json(message.model_dump_json()) == message
    to_json(payload_of(model_of(), message))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_an_error(body, framed):
    """As a body, or as the data of an event."""
    message = replay([b"data: " + body + b"\n\n" if framed else body]).message
    assert message.stop_reason is StopReason.Error


# What is sent

COMPATS = st.sampled_from(
    (
        {},
        {"supports_openai_grammar_tools": True},
        {"supports_tool_search": True},
        {"supports_strict_mode": True},
    )
)
OUTPUTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


@st.composite
def targets(draw: st.DrawFn) -> Any:
    """Models that wrote none of the transcript: only what others wrote is rewritten."""
    inputs = draw(st.sampled_from((("text",), ("text", "image"))))
    provider = draw(st.sampled_from(("openai", "mine")))
    return model_of(
        draw(st.sampled_from(("one", "three"))), provider=provider, compat=draw(COMPATS), input=inputs
    )


def built(model: Any, messages: Any, **context: Any) -> dict[str, Any]:
    """The payload; a transcript that the provider would refuse is of no interest here."""
    with suppress(InvalidOptionError, ToolDefinitionError):
        return payload_of(model, *messages, **context)
    assume(False)
    raise AssertionError


def ids(items_: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items_ if "id" in item]


def check_calls(sent: list[dict[str, Any]]) -> None:
    """Each group of calls is followed by its results, one each and in order."""
    waiting: list[tuple[str, str]] = []
    answering = False
    for item in sent:
        kind = item.get("type", "")
        if kind in OUTPUTS:
            assert not answering
            waiting.append((OUTPUTS[kind], item["call_id"]))
        elif kind in OUTPUTS.values():
            assert waiting.pop(0) == (kind, item["call_id"])
            answering = bool(waiting)
        elif not kind.startswith("tool_search"):
            assert not answering
            assert not waiting or kind in ("message", "reasoning")
    assert not waiting


def check_ids(sent: list[dict[str, Any]]) -> None:
    for item in sent:
        if item.get("type") in OUTPUTS:
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", item["call_id"])
        if item.get("type") == "function_call":
            assert re.fullmatch(r"fc_[A-Za-z0-9_-]{1,61}", item.get("id", "fc_x"))
        assert len(item.get("id", "")) <= 64


@given(targets(), contexts())
def test_a_payload_is_json_in_which_every_call_has_its_result(model, context):
    """Exactly one each, right behind its group, of its kind; every id is one that the API takes, and names one item."""
    payload = built(model, context.messages, system_prompt=context.system_prompt, tools=context.tools)
    assert json.loads(to_json(payload)) == json.loads(json.dumps(payload))
    check_calls(payload["input"])
    check_ids(payload["input"])
    named = [item["call_id"] for item in payload["input"] if item.get("type") in OUTPUTS]
    assert len(named) == len(set(named))


@given(targets(), transcripts())
def test_nothing_encrypted_goes_to_another_model(model, transcript):
    """No reasoning item, no provider item, no signature."""
    sent = built(model, transcript)["input"]
    assert {item.get("type", "message") for item in sent} <= {"message", *OUTPUTS, *OUTPUTS.values()}
    assert all(item["id"].startswith("msg_pi_") for item in sent if item.get("type") == "message")


@st.composite
def authors(draw: st.DrawFn) -> Any:
    """A model, and a transcript of which it has written some."""
    model = draw(targets())
    mine = {"api": model.api, "provider": model.provider, "model": model.id}
    signed = '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}'
    transcript = []
    for message in draw(transcripts()):
        if isinstance(message, AssistantMessage) and draw(st.booleans()):
            content = [
                block.model_copy(update={"thinking_signature": block.thinking_signature and signed})
                if isinstance(block, ThinkingContent)
                else block
                for block in message.content
            ]
            transcript.append(message.model_copy(update={**mine, "content": tuple(content)}))
        else:
            transcript.append(message)
    return model, transcript


@given(authors())
def test_a_turn_more_leaves_the_turns_before_it_as_they_are(author):
    """Item by item, as long as no result comes late for a call that was left behind."""
    model, transcript = author
    sent = [built(model, transcript[:end])["input"] for end in range(len(transcript) + 1)]
    for end, (shorter, longer) in enumerate(pairwise(sent)):
        if transcript[end].role in ("user", "assistant"):
            assert longer[: len(shorter)] == shorter


@given(authors())
def test_ids_that_are_made_up_are_distinct(author):
    """A message never takes another's."""
    model, transcript = author
    made_up = [name for name in ids(built(model, transcript)["input"]) if name.startswith("msg_pi_")]
    assert len(made_up) == len(set(made_up))


@given(authors())
def test_the_same_context_gives_the_same_bytes(author):
    """A provider's cache can find them again."""
    model, transcript = author
    once, twice = (to_json(built(model, transcript)) for _ in range(2))
    assert once == twice
