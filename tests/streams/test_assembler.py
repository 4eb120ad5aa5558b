"""The maker of events: grammar, exact partials, final values, surrogates, and its price."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidResponseError
from runtime.streams import assembler as assembler_module
from runtime.streams.assembler import GrammarError, MessageAssembler
from runtime.streams.events import (
    StreamDone,
    StreamError,
    StreamStart,
    TextDelta,
    TextEnd,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from runtime.streams.partial_json import parse_partial_json
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import StopReason
from runtime.values.model import Model
from runtime.values.usage import Usage

MODEL = Model("m", api="a", provider="p")
KINDS = ("text", "thinking", "tool_call")


def started() -> MessageAssembler:
    assembler = MessageAssembler(MODEL, timestamp=1)
    assembler.start()
    return assembler


@st.composite
def scripts(draw):
    """Operations that a decoder might do, in an order that the grammar allows."""
    script, kinds, ended = [], [], set()
    for _ in range(draw(st.integers(0, 25))):
        running = [index for index in range(len(kinds)) if index not in ended]
        choice = draw(st.sampled_from(["open", "delta", "delta", "delta", "end", "sign", "usage"]))
        if choice == "open":
            kinds.append(draw(st.sampled_from(KINDS)))
            script.append(("open", kinds[-1], draw(st.sampled_from(["", "first "]))))
        elif choice == "usage":
            script.append(("usage", draw(st.integers(0, 9))))
        elif running:
            index = draw(st.sampled_from(running))
            script.append(
                (choice, kinds[index], index, draw(st.text(st.characters(codec="utf-8"), max_size=6)))
            )
            if choice == "end":
                ended.add(index)
    return script, draw(st.sampled_from(["done", "fail", "abort"]))


def play(script, ending):  # noqa: C901 - one case for each kind of step
    """Run a script and copy the whole message after every event, the expensive way."""
    assembler = started()
    snapshots = [assembler.message.model_dump_json()]
    for step in script:
        match step:
            case ("open", "tool_call", _):
                assembler.tool_call_start("id", "name")
            case ("open", kind, initial):
                getattr(assembler, f"{kind}_start")(initial)
            case ("delta", kind, index, text):
                getattr(assembler, f"{kind}_delta")(index, text)
            case ("end", kind, index, _):
                getattr(assembler, f"{kind}_end")(index)
            case ("sign", _, index, text):
                assembler.sign(index, text)
            case ("usage", count):
                assembler.update(usage=Usage(output=count))
        if step[0] not in ("sign", "usage"):
            snapshots.append(assembler.message.model_dump_json())
    if ending == "done":
        before = len(assembler.open_blocks)
        for _ in range(before):
            index = assembler.open_blocks[0]
            getattr(assembler, f"{kind_of(assembler, index)}_end")(index)
            snapshots.append(assembler.message.model_dump_json())
        assembler.done()
    else:
        getattr(assembler, ending)(*(["broken"] if ending == "fail" else []))
    return assembler, assembler.take(), snapshots


def kind_of(assembler, index):
    block = assembler.message.content[index]
    return {TextContent: "text", ThinkingContent: "thinking", ToolCall: "tool_call"}[type(block)]


@given(scripts())
def test_a_partial_is_the_message_at_that_event_for_ever(case):
    """Read late, twice, and in any order, each partial is what a copy made at the time would have been."""
    _, events, snapshots = play(*case)
    moments = list(zip(events[:-1], snapshots, strict=True))
    for event, snapshot in [*moments, *reversed(moments)]:
        assert event.partial.model_dump_json() == snapshot
        assert event.partial is event.partial


@given(scripts())
def test_the_grammar_holds(case):
    """Start first, one terminal event last, per block start, deltas, end; indexes dense."""
    _, events, _ = play(*case)
    assert isinstance(events[0], StreamStart)
    assert [isinstance(event, StreamDone | StreamError) for event in events].index(True) == len(events) - 1
    seen: dict[int, str] = {}
    for event in events[1:-1]:
        phase = event.type.rsplit("_")[-1]
        if phase == "start":
            assert event.content_index == len(seen)
        else:
            assert seen[event.content_index] != "end"
        seen[event.content_index] = phase
    if case[1] == "done":
        assert set(seen.values()) <= {"end"}


@given(scripts())
def test_initial_value_and_deltas_are_the_block(case):
    """Joined, they are the final value of every block."""
    assembler, events, _ = play(*case)
    texts: dict[int, str] = {}
    for event in events[1:-1]:
        match event:
            case TextDelta() | ThinkingDelta() | ToolCallDelta():
                texts[event.content_index] += event.delta
            case TextEnd() | ThinkingEnd():
                assert event.content == texts[event.content_index]
            case ToolCallEnd():
                parsed = parse_partial_json(texts[event.content_index])
                assert event.tool_call.arguments == ({} if parsed is None else parsed)
            case ToolCallStart():
                texts[event.content_index] = ""
            case start:
                block = start.partial.content[start.content_index]
                texts[start.content_index] = getattr(block, "text", None) or getattr(block, "thinking", "")
    for index, block in enumerate(assembler.final.content):
        if not isinstance(block, ToolCall):
            assert texts[index] == (block.text if isinstance(block, TextContent) else block.thinking)


def test_a_final_value_that_extends_what_came_is_streamed_up_to_there():
    """The missing rest comes as a delta before the end."""
    assembler = started()
    index = assembler.text_start("Hel")
    assembler.text_end(index, "Hello")
    assembler.done()
    assert [(e.type, getattr(e, "delta", None)) for e in assembler.take()[2:4]] == [
        ("text_delta", "lo"),
        ("text_end", None),
    ]


@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_a_final_value_that_contradicts_holds(kind):
    """What the wire says in the end is the block, and earlier partials keep what they showed."""
    assembler = started()
    index = getattr(assembler, f"{kind}_start")()
    getattr(assembler, f"{kind}_delta")(index, "wrong")
    getattr(assembler, f"{kind}_end")(index, "right", signature="s")
    assembler.done()
    events = assembler.take()
    assert getattr(events[2].partial, kind) == "wrong"
    assert events[3].content == "right"
    assert getattr(assembler.final, kind) == "right"
    assert len(events) == 5


def test_a_tool_call_takes_its_final_text_and_its_initial_value():
    """Final text wins over deltas, deltas over the initial value; blank and null are an empty object."""
    assembler = started()
    for deltas, initial, final in [("{}", None, '{"a":1}'), ("", {"b": 2}, None), ('{"c":3}', {"b": 2}, None), (" ", None, None),
                                   ("null", None, None)]:  # fmt: skip
        index = assembler.tool_call_start("id", "name", initial)
        assembler.tool_call_delta(index, deltas)
        assembler.tool_call_end(index, final)
    assert [call.arguments for call in assembler.done(StopReason.ToolUse).tool_calls] == [
        {"a": 1}, {"b": 2}, {"c": 3}, {}, {}
    ]  # fmt: skip


def test_id_and_name_may_come_late():
    """A start shows what is known, later partials show more, the end has all."""
    assembler = started()
    index = assembler.tool_call_start()
    assembler.tool_call_update(index, id="call_1")
    assembler.tool_call_delta(index, '{"a"')
    assembler.tool_call_update(index, name="find")
    call = assembler.tool_call_end(index)
    events = assembler.take()
    assert events[1].partial.tool_calls[0].id == ""
    assert events[2].partial.tool_calls[0].id == "call_1"
    assert (call.id, call.name) == ("call_1", "find")


def test_a_surrogate_pair_cut_between_deltas_is_joined():
    """The first half waits for the second; what stays alone is dropped."""
    assembler = started()
    index = assembler.text_start()
    for delta in ("a\ud83d", "\ude00b", "\ud83d", "c", "\ude00", "\ud83d"):
        assembler.text_delta(index, delta)
    assembler.text_end(index)
    assert [event.delta for event in assembler.take() if isinstance(event, TextDelta)] == [
        "a",
        "😀b",
        "",
        "c",
        "",
        "",
    ]
    assert assembler.done().text == "a😀bc"


def test_a_failure_before_the_start_stands_alone():
    """One event, no start, empty content."""
    assembler = MessageAssembler(MODEL)
    assembler.fail("no connection")
    (event,) = assembler.take()
    assert (event.reason, event.error.error_message, event.error.content) == (
        StopReason.Error,
        "no connection",
        (),
    )


def test_a_failure_keeps_open_blocks_without_an_end():
    """Text stays as far as it came, arguments as far as they can be read."""
    assembler = started()
    assembler.text_delta(assembler.text_start(), "so f")
    assembler.tool_call_delta(assembler.tool_call_start("1", "t"), '{"a": [1, 2')
    message = assembler.fail("cut")
    assert message.text == "so f"
    assert message.tool_calls[0].arguments == {"a": [1, 2]}
    assert assembler.take()[-2].type == "toolcall_delta"


def test_provider_items_keep_their_place():
    """Items of unknown kinds stand beside the content, with the index where they came."""
    assembler = started()
    assembler.text_end(assembler.text_start("a"))
    assembler.add_provider_item({"type": "web_search", "x": None})
    message = assembler.done()
    assert list(message.provider_items) == [{"index": 1, "item": {"type": "web_search", "x": None}}]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: MessageAssembler(MODEL).text_start(),
        lambda a: a.start(),
        lambda a: a.thinking_delta(a.text_start(), "x"),
        lambda a: (a.text_end(a.text_start()), a.text_delta(0, "x")),
        lambda a: (a.text_start(), a.done()),
        lambda a: a.done(StopReason.Error),
        lambda a: (a.done(), a.done()),
        lambda a: (a.done(), a.fail("x")),
        lambda a: (a.fail("x"), a.text_start()),
        lambda a: (a.done(), a.update(response_id="x")),
    ],
)
def test_what_the_grammar_forbids_raises(wrong):
    """An ill-formed sequence cannot be written."""
    with pytest.raises(GrammarError):
        wrong(started())


def test_the_number_of_blocks_is_bounded(monkeypatch):
    """A server that opens blocks for ever is stopped with an error that says so."""
    monkeypatch.setattr(assembler_module, "MAX_BLOCKS", 3)
    assembler = started()
    with pytest.raises(InvalidResponseError, match="more than 3 blocks"):
        for _ in range(4):
            assembler.text_start()


def test_events_are_written_as_pi_and_airs_do():
    """Tags, key order, and a tool call without its type inside toolcall_end."""
    assembler = started()
    index = assembler.tool_call_start("1", "t")
    assembler.tool_call_delta(index, "{}")
    assembler.tool_call_end(index)
    assembler.done(StopReason.ToolUse)
    start, call_start, delta, end, done = (json.loads(event.model_dump_json()) for event in assembler.take())
    assert list(start) == ["type", "partial"]
    assert start["partial"]["role"] == "assistant"
    assert list(call_start) == ["type", "contentIndex", "partial"]
    assert list(delta) == ["type", "contentIndex", "delta", "partial"]
    assert end["toolCall"] == {"id": "1", "name": "t", "arguments": {}}
    assert end["partial"]["content"][0]["type"] == "toolCall"
    assert (done["type"], done["reason"], done["message"]["role"]) == ("done", "toolUse", "assistant")


def cost_of(size: int) -> float:
    assembler = started()
    index = assembler.tool_call_start("1", "t")
    begin = time.process_time()
    assembler.tool_call_delta(index, '{"text":"')
    for _ in range(size):
        assembler.tool_call_delta(index, "sixteen letters ")
        assembler.take()
    assembler.tool_call_delta(index, '"}')
    assembler.tool_call_end(index)
    return time.process_time() - begin


def test_streaming_a_tool_call_is_linear():
    """Ten times the deltas cost about ten times the time."""
    cost_of(500)
    small = min(cost_of(2_000) for _ in range(3))
    large = min(cost_of(20_000) for _ in range(3))
    assert large < 20 * small


@settings(max_examples=20)
@given(st.integers(1, 400), st.randoms(use_true_random=False))
def test_any_earlier_length_can_be_read(count, random):
    """Partials of a long block are right in any order, across the joints of its pieces."""
    assembler = started()
    index = assembler.text_start()
    words = [f"{number}é" for number in range(count)]
    for word in words:
        assembler.text_delta(index, word)
    events = [event for event in assembler.take() if isinstance(event, TextDelta)]
    for position in random.sample(range(count), min(count, 20)):
        assert events[position].partial.text == "".join(words[: position + 1])


def test_a_provider_item_that_is_no_json_of_ours_leaves_a_note():
    """What cannot be kept does not end the reply."""
    assembler = started()
    assembler.add_provider_item({"type": "odd", "size": float("inf")})
    message = assembler.done()
    assert message.provider_items == ()
    assert message.diagnostics[0]["type"] == "provider_item_lost"
