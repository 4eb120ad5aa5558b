"""The proxy's wire: what is told of a reply is enough to have it again, and nothing else does harm."""

import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.proxy.decode import NOT_ENDED
from runtime.streams.assembler import MessageAssembler
from runtime.streams.events import StreamError, TextDelta, TextStart, ThinkingStart
from runtime.testing.strategies import json_values, texts, texts_with_lone_surrogates, usages
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import StopReason
from runtime.values.usage import Usage, UsageCost
from tests.providers.proxy_lab import MODEL, body_of, heard, read, said, told

USAGE = Usage(3, 2, 1, 0, total_tokens=6, cost=UsageCost(0.5, 0.25, total=0.75))
PI_USAGE = {
    "input": 3, "output": 2, "cacheRead": 1, "cacheWrite": 0, "totalTokens": 6,
    "cost": {"input": 0.5, "output": 0.25, "cacheRead": 0, "cacheWrite": 0, "total": 0.75},
}  # fmt: skip
START = {"type": "start"}
DONE = {"type": "done", "reason": "stop", "usage": PI_USAGE}


def text(kind, index=0, **fields):
    return {"type": f"text_{kind}", "contentIndex": index, **fields}


# What a client of pi reads, and a server of pi writes


def test_a_reply_is_told_in_the_words_of_pi():
    """Names, order and the signatures at the ends of blocks; a client that knows only these has the reply."""
    assembler = MessageAssembler(MODEL, timestamp=7)
    assembler.start()
    index = assembler.thinking_start()
    assembler.thinking_delta(index, "hm")
    assembler.thinking_end(index, signature="s1")
    index = assembler.text_start()
    assembler.text_delta(index, "hi")
    assembler.text_end(index, signature="s2")
    index = assembler.tool_call_start("c1", "look")
    assembler.tool_call_delta(index, '{"at":"sea"}')
    assembler.tool_call_end(index)
    assembler.update(usage=USAGE)
    assembler.done(StopReason.ToolUse)
    lines = told(assembler.take()).decode().split("\n\n")
    assert lines.pop() == ""
    assert [json.loads(line.removeprefix("data: ")) for line in lines] == [
        {"type": "start", "timestamp": 7},
        {"type": "thinking_start", "contentIndex": 0},
        {"type": "thinking_delta", "contentIndex": 0, "delta": "hm"},
        {"type": "thinking_end", "contentIndex": 0, "contentSignature": "s1"},
        {"type": "text_start", "contentIndex": 1},
        {"type": "text_delta", "contentIndex": 1, "delta": "hi"},
        {"type": "text_end", "contentIndex": 1, "contentSignature": "s2"},
        {"type": "toolcall_start", "contentIndex": 2, "id": "c1", "toolName": "look"},
        {"type": "toolcall_delta", "contentIndex": 2, "delta": '{"at":"sea"}'},
        {"type": "toolcall_end", "contentIndex": 2},
        {"type": "done", "reason": "toolUse", "usage": PI_USAGE},
    ]


def test_the_reply_of_a_server_of_pi_is_read():
    """Without the optional fields, the message has what there is."""
    message, events = heard(
        START,
        {"type": "thinking_start", "contentIndex": 0},
        {"type": "thinking_delta", "contentIndex": 0, "delta": "hm"},
        {"type": "thinking_end", "contentIndex": 0, "contentSignature": "s1"},
        text("start", 1), text("delta", 1, delta="hi"), text("end", 1),
        {"type": "toolcall_start", "contentIndex": 2, "id": "c1", "toolName": "look"},
        {"type": "toolcall_delta", "contentIndex": 2, "delta": '{"at":"sea"}'},
        {"type": "toolcall_end", "contentIndex": 2},
        {"type": "done", "reason": "toolUse", "usage": PI_USAGE},
    )  # fmt: skip
    assert message.content == (
        ThinkingContent("hm", "s1"),
        TextContent("hi"),
        ToolCall("c1", "look", {"at": "sea"}),
    )
    assert (message.stop_reason, message.usage) == (StopReason.ToolUse, USAGE)
    assert (message.api, message.provider, message.model, message.timestamp) == ("a", "p", "m", 0)
    assert len(events) == 11


@pytest.mark.parametrize("reason", ["error", "aborted"])
@pytest.mark.parametrize("before", [[], [START, text("start"), text("delta", delta="hal")]])
def test_a_failure_is_the_servers(before, reason):
    """Its reason, its text and its usage; before the start it stands alone, in the middle the block stays open."""
    message, events = heard(
        *before, {"type": "error", "reason": reason, "errorMessage": "no", "usage": PI_USAGE}
    )
    assert (message.stop_reason, message.error_message) == (reason, "no")
    assert message.text == ("hal" if before else "")
    assert isinstance(events[-1], StreamError)
    assert len(events) == len(before) + 1


def test_a_failure_without_a_text_has_one():
    """pi leaves it out where it has none."""
    assert (
        heard({"type": "error", "reason": "error", "usage": PI_USAGE})[0].error_message
        == "An unknown error occurred"
    )


def test_halves_of_an_emoji_are_joined():
    """JavaScript cuts deltas between the halves of surrogate pairs, and writes each as an escape."""
    halves = [b'{"type":"text_delta","contentIndex":0,"delta":"\\ud83d"}', b'{"type":"text_delta","contentIndex":0,"delta":"\\ude00"}']  # fmt: skip
    assert heard(START, text("start"), *halves, text("end"), DONE)[0].text == "😀"


# Whatever a reply is, it comes through


@st.composite
def replies(draw):
    """An assembler to which anything was said that a decoder can say."""
    assembler = MessageAssembler(MODEL, timestamp=draw(st.integers(0, 2**45)))
    if draw(st.booleans()) or draw(st.booleans()):
        assembler.start()
        for _ in range(draw(st.integers(0, 20))):
            _say(draw, assembler)
    if not assembler.started or draw(st.booleans()):
        assembler.fail(draw(texts()), draw(st.sampled_from((StopReason.Error, StopReason.Aborted))))
    else:
        assembler.close_open_blocks()
        assembler.done(draw(st.sampled_from((StopReason.Stop, StopReason.Length, StopReason.ToolUse))))
    return assembler


JSON_TEXTS = st.sampled_from(("", "{", '{"a":', '{"a":1}', "1}", '{"a":true}', ' {"a":1,"b":2}', " ", "null", '"\ud83d'))  # fmt: skip
OPTIONAL = st.none() | texts(6)


def _say(draw, assembler):  # noqa: C901 - one case for each thing that can be said
    content = assembler.message.content
    some = st.integers(0, max(0, len(content) - 1))
    match draw(st.sampled_from(("open", "write", "write", "write", "end", "sign", "update", "item", "note"))):
        case "open":
            _open(draw, assembler)
        case "write" if assembler.open_blocks:
            _write(draw, assembler, draw(st.sampled_from(assembler.open_blocks)))
        case "end" if assembler.open_blocks:
            _end(draw, assembler, draw(st.sampled_from(assembler.open_blocks)))
        case "sign" if content:
            assembler.sign(draw(some), draw(texts(6)))
        case "update":
            assembler.update(response_id=draw(OPTIONAL), response_model=draw(OPTIONAL), usage=draw(usages()))
        case "item":
            assembler.add_provider_item(draw(json_values(3)), draw(st.integers(0, 9)))
        case "note":
            assembler.add_diagnostic(draw(json_values(3)))


def _open(draw, assembler):
    match draw(st.sampled_from(("text", "thinking", "call"))):
        case "text":
            assembler.text_start(draw(texts(4)), draw(OPTIONAL))
        case "thinking":
            assembler.thinking_start(draw(texts(4)), draw(OPTIONAL), draw(st.none() | st.booleans()))
        case _:
            assembler.tool_call_start(draw(texts(4)), draw(texts(4)), draw(st.none() | json_values(3)))


def _write(draw, assembler, index):
    match assembler.message.content[index]:
        case TextContent():
            assembler.text_delta(index, draw(texts_with_lone_surrogates(6)))
        case ThinkingContent():
            assembler.thinking_delta(index, draw(texts_with_lone_surrogates(6)))
        case ToolCall() if draw(st.booleans()):
            assembler.tool_call_update(index, draw(OPTIONAL), draw(OPTIONAL))
        case ToolCall():
            assembler.tool_call_delta(index, draw(JSON_TEXTS))


def _end(draw, assembler, index):
    streamed = assembler.text_of(index)
    final = st.none() | st.just(streamed) | st.just(f"{streamed}!") | texts(6)
    match assembler.message.content[index]:
        case TextContent():
            assembler.text_end(index, draw(final), draw(OPTIONAL))
        case ThinkingContent():
            assembler.thinking_end(index, draw(final), draw(OPTIONAL))
        case ToolCall():
            assembler.tool_call_end(index, draw(st.none() | st.just(streamed) | JSON_TEXTS))


@given(replies(), st.lists(st.integers(0, 10_000), max_size=5))
def test_every_reply_comes_through(assembler, places):
    """The message is the same, to the byte; the events say the same; and how the bytes are cut does not matter."""
    events, final = assembler.take(), assembler.final
    message, again = read(_cut(told(events), places))
    assert [said(event) for event in again] == [said(event) for event in events]
    if len(events) == 1:  # of a reply that never started, the time is that of the call
        message = message.model_copy(update={"timestamp": final.timestamp})
    assert message.model_dump_json() == final.model_dump_json()


def _cut(body, places):
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(
    ("initial", "streamed", "final"),
    [
        (None, '{"a":1}', '{ "a":2}'),
        (None, '{"a":1', '{ "a":1,"b":2}'),  # whose compact text continues what was streamed
        (None, '{"a":1}', '{ "a":true}'),  # which Python takes for the same
        ({"a": 1}, '{"a"', ""),
        ({"a": 1}, " ", None),
        ({"a": 1}, "", '{"a":2}'),
        (None, '{"a":1}', None),
        ("", "", None),
        (None, "null", None),
    ],
)
def test_arguments_come_through_whatever_their_deltas_said(initial, streamed, final):
    """The wire's initial value, its deltas, and a final value that contradicts them; and no delta comes twice."""
    assembler = MessageAssembler(MODEL, timestamp=0)
    assembler.start()
    index = assembler.tool_call_start("c", "f", initial)
    assembler.tool_call_delta(index, streamed)
    assembler.tool_call_end(index, final)
    assembler.done(StopReason.ToolUse)
    events = assembler.take()
    message, again = read([told(events)])
    assert message.model_dump_json() == assembler.final.model_dump_json()
    assert [said(event) for event in again] == [said(event) for event in events]


@pytest.mark.parametrize("kind", ["text", "thinking"])
@pytest.mark.parametrize(
    ("initial", "streamed", "final"),
    [("a", "b", "b"), ("a", "b", None), ("", "ab", "cd"), ("", "ab", "abc"), ("", "ab", "")],
)
def test_texts_come_through_whatever_their_deltas_said(kind, initial, streamed, final):
    """Likewise."""
    assembler = MessageAssembler(MODEL, timestamp=0)
    assembler.start()
    index = getattr(assembler, f"{kind}_start")(initial)
    getattr(assembler, f"{kind}_delta")(index, streamed)
    getattr(assembler, f"{kind}_end")(index, final)
    assembler.done()
    events = assembler.take()
    message, again = read([told(events)])
    assert message.model_dump_json() == assembler.final.model_dump_json()
    assert [said(event) for event in again] == [said(event) for event in events]


@given(replies())
def test_what_a_block_begins_with_is_in_its_start(assembler):
    """The partials of the starts show it."""
    events = assembler.take()
    for event, again in zip(events, read([told(events)])[1], strict=True):
        match event:
            case TextStart(content_index=index):
                assert again.partial.content[index].text == event.partial.content[index].text
            case ThinkingStart(content_index=index):
                was = event.partial.content[index]
                assert again.partial.content[index].thinking == was.thinking
                assert again.partial.content[index].redacted == was.redacted


@pytest.mark.parametrize("depth", [1, 150, 199])
def test_deep_json_comes_through(depth):
    """As deep as values may be, in arguments, notes and items."""
    value = 1
    for _ in range(depth):
        value = [value]
    assembler = MessageAssembler(MODEL, timestamp=0)
    assembler.start()
    assembler.add_diagnostic(value)
    assembler.add_provider_item(value)
    index = assembler.tool_call_start("c", "f", value)
    assembler.tool_call_end(index)
    assembler.done()
    assert read([told(assembler.take())])[0] == assembler.final


# Whatever a server sends, it ends as a message

GARBAGE = [
    (b"nonsense", "expected"),
    (b"[]", "without a type"),
    (b'{"type":1}', "without a type"),
    (START, "a second start"),
    (text("start", 1), "text_start of block 1, where 0 is the next"),
    (text("start", -1), "at least 0, not -1"),
    (text("start", True), "at least 0, not True"),
    (text("start", "0"), "not '0'"),
    (text("delta", delta="x"), "text_delta of block 0, which is no open one"),
    (text("end", 7), "text_end of block 7"),
    ({"type": "done", "reason": "error", "usage": PI_USAGE}, "done, with the reason error"),
    ({"type": "error", "reason": "stop", "usage": PI_USAGE}, "error, with the reason stop"),
    ({"type": "done", "reason": "enough", "usage": PI_USAGE}, "enough"),
    ({"type": "done", "reason": "stop", "usage": {"input": -1}}, "usage"),
    ({**DONE, "blocks": [{"contentIndex": 0, "contentSignature": "s"}]}, "there is no block 0"),
    ({**DONE, "providerItems": [{"item": 1}]}, "index must be"),
]


@pytest.mark.parametrize(("event", "why"), GARBAGE, ids=lambda value: str(value)[:50])
def test_what_makes_no_sense_is_an_error(event, why):
    """With what was wrong, and what had arrived before."""
    message, _ = heard(START, event)
    assert message.stop_reason is StopReason.Error
    assert why.lower() in message.error_message.lower()


@pytest.mark.parametrize("event", [text("start"), DONE])
def test_nothing_comes_before_the_start(event):
    """But a failure."""
    assert "before the start" in heard(event)[0].error_message


def test_a_delta_of_another_kind_is_an_error():
    """A thinking delta does not belong to a text."""
    wrong = {"type": "thinking_delta", "contentIndex": 0, "delta": "x"}
    assert "no open one" in heard(START, text("start"), wrong)[0].error_message


@pytest.mark.parametrize("delta", [None, 1, ["x"]])
def test_a_delta_is_a_text(delta):
    """Anything else is an error."""
    assert "without a text" in heard(START, text("start"), text("delta", delta=delta))[0].error_message


def test_unknown_events_are_passed_over():
    """A server may know more than this client: names, fields, comments, and events without data."""
    strange = [{"type": "text_highlight", "contentIndex": 9}, {"type": "usage"}, {"type": "image_start"}]
    body = body_of(START, *strange, text("start", mood="good")) + b": beat\n\nevent: ping\n\ndata:\n\n"
    message, events = read([body + body_of(*strange, text("delta", delta="hi"), *strange, text("end"), DONE)])
    assert (message.text, message.stop_reason) == ("hi", StopReason.Stop)
    assert len(events) == 5


@pytest.mark.parametrize("count", range(4))
def test_a_body_without_its_end_is_an_error(count):
    """Wherever it was cut: never a silent success."""
    message, _ = heard(*[START, text("start"), text("delta", delta="hal")][:count])
    assert message.stop_reason is StopReason.Error
    assert NOT_ENDED in message.error_message
    assert message.text == ("hal" if count == 3 else "")


def test_done_ends_the_blocks_that_the_server_forgot():
    """It has said that the reply is complete."""
    message, events = heard(START, text("start"), text("delta", delta="hi"), DONE)
    assert (message.text, message.stop_reason) == ("hi", StopReason.Stop)
    assert events[-2].type == "text_end"


def test_what_comes_after_the_end_does_not_count():
    """The first end holds."""
    assert heard(START, DONE, DONE, b"nonsense")[0].stop_reason is StopReason.Stop


FIELDS = (
    "contentIndex", "delta", "content", "contentSignature", "id", "toolName", "arguments", "redacted", "reason", "usage",
    "errorMessage", "responseId", "responseModel", "diagnostics", "providerItems", "blocks", "timestamp", "index", "item",
)  # fmt: skip
TYPES = st.sampled_from(
    [f"{block}_{phase}" for block in ("text", "thinking", "toolcall", "odd") for phase in ("start", "delta", "end")]
    + ["start", "start", "done", "error", "_start", "text_", "text__start", ""]
)  # fmt: skip
VALUES = st.integers(-1, 2) | st.sampled_from(("stop", "error", "x", "")) | json_values(4)
EVENTS = st.builds(lambda kind, fields: {**fields, "type": kind}, TYPES, st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))  # fmt: skip


@given(st.lists(EVENTS | json_values(3), max_size=12))
@example([{"type": "__init___start"}])
def test_arbitrary_events_end_as_a_message(events):
    """The grammar holds, and nothing but what the engine translates is raised."""
    message, seen = heard(START, *events)
    assert message.stop_reason in StopReason
    assert not isinstance(seen[-1], TextDelta)


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_arbitrary_bytes_end_as_a_message(pieces):
    """Of an error, because none of them is an end."""
    assert read(pieces)[0].stop_reason is StopReason.Error
