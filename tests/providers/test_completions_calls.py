"""Which piece of a stream belongs to which tool call."""

import json
import time

import pytest

from runtime.streams.assembler import MAX_BLOCKS
from runtime.streams.events import ToolCallDelta
from runtime.values.message import StopReason
from tests.providers.completions_lab import chunk_of, decode, piece_of, tools_of

CALLS = chunk_of(finish="tool_calls")


def calls(*entries, **more):
    """Id, name and arguments of the calls that these entries make, each in a chunk of its own."""
    message = decode(*map(tools_of, entries), CALLS, **more).message
    assert message.stop_reason is StopReason.ToolUse
    return [(call.id, call.name, call.arguments) for call in message.tool_calls]


def deltas(decoded, index=0):
    return [
        event.delta
        for event in decoded.events
        if isinstance(event, ToolCallDelta) and event.content_index == index
    ]


# One call


def test_a_call_arrives_in_pieces():
    """Each piece is one delta, also when it is empty."""
    decoded = decode(
        tools_of(piece_of("", "get_weather", index=0, id="a", type="function")),
        tools_of(piece_of('{"city":', index=0)),
        tools_of(piece_of('"Oslo"}', index=0)),
        CALLS,
    )
    assert decoded.of(0) == ["toolcall_start", *["toolcall_delta"] * 3, "toolcall_end"]
    assert deltas(decoded) == ["", '{"city":', '"Oslo"}']
    (call,) = decoded.message.tool_calls
    assert (call.id, call.name, call.arguments) == ("a", "get_weather", {"city": "Oslo"})


def test_the_call_of_an_old_server_is_read():
    """What ``function_call`` says piece by piece is one call without an id."""
    pieces = [
        {"name": "read", "arguments": ""},
        {"arguments": '{"path":'},
        {"name": "read", "arguments": '"x"}'},
    ]
    decoded = decode(
        *(chunk_of({"function_call": piece}) for piece in pieces), chunk_of(finish="function_call")
    )
    assert decoded.of(0) == ["toolcall_start", *["toolcall_delta"] * 3, "toolcall_end"]
    assert decoded.message.stop_reason is StopReason.ToolUse
    (call,) = decoded.message.tool_calls
    assert (call.id, call.name, call.arguments) == ("", "read", {"path": "x"})


def test_a_call_that_is_told_in_both_forms_is_one_call():
    """``function_call`` adds nothing to ``tool_calls``, and nothing when it is empty or odd."""
    both = {"function_call": {"name": "f", "arguments": "{}"}}
    entry = piece_of("{}", "f", index=0, id="a")
    decoded = decode(chunk_of({"tool_calls": [entry], **both}), chunk_of(both), CALLS)
    assert [(call.id, call.arguments) for call in decoded.message.tool_calls] == [("a", {})]
    odd = ({}, "f", ["f"], 3, {"name": None, "arguments": ""})
    assert decode(*(chunk_of({"function_call": piece}) for piece in odd), CALLS).message.tool_calls == ()


def test_ids_that_change_do_not_matter():
    """The index says which call it is; the first id and the first name count."""
    entries = [
        piece_of('{"pa', "read", index=0, id="a"),
        piece_of('th":', None, index=0, id="b"),
        piece_of('"x"}', None, index=0, id="c"),
    ]
    assert calls(*entries) == [("a", "read", {"path": "x"})]


@pytest.mark.parametrize("name", ["read", "", None])
def test_names_that_repeat_do_not_matter(name):
    """Neither do empty ones."""
    entries = [
        piece_of('{"pa', "read", index=0, id="a"),
        *(piece_of(text, name, index=0, id="a") for text in ('th":"}', '{"}')),
    ]
    assert calls(*entries) == [("a", "read", {"path": "}{"})]


def test_an_index_may_come_later_than_the_id():
    """From then on it says which call it is."""
    entries = [piece_of('{"a', "f", id="a"), piece_of('":', index=0, id="a"), piece_of("1}", index=0)]
    assert calls(*entries) == [("a", "f", {"a": 1})]


def test_id_and_name_may_come_later_than_the_call():
    """The first ones that are not empty count."""
    entries = [
        piece_of("{", index=0),
        piece_of("}", index=0, id="a"),
        piece_of("", "f", index=0, id="b"),
        piece_of("", "", index=0),
    ]
    assert calls(*entries) == [("a", "f", {})]


def test_a_piece_without_index_and_id_belongs_to_the_latest_call():
    """The one that was written to last."""
    entries = [
        piece_of("{", "f", index=0, id="a"),
        piece_of("{", "g", index=1, id="b"),
        piece_of('"x":1'),
        piece_of("}"),
    ]
    assert calls(*entries, piece_of('"y":2', index=0), piece_of("}")) == [
        ("a", "f", {"y": 2}),
        ("b", "g", {"x": 1}),
    ]


def test_the_first_piece_may_have_nothing_but_arguments():
    """It is a call all the same."""
    assert calls(piece_of('{"a":1}')) == [("", "", {"a": 1})]


def test_an_entry_may_stand_outside_a_list():
    """Some servers send one object."""
    assert decode(chunk_of({"tool_calls": piece_of("{}", "f", index=0, id="a")}), CALLS).message.tool_calls


@pytest.mark.parametrize("index", [0.0, 1, -1, 10**12])
def test_any_whole_number_is_an_index(index):
    """Also one that is written as a float."""
    assert calls(piece_of("{", "f", index=index, id="a"), piece_of("}", index=index)) == [("a", "f", {})]


@pytest.mark.parametrize("junk", ["0", True, [0], {}, 1.5])
def test_another_index_is_none(junk):
    """The id says then which call it is."""
    assert calls(piece_of("{", "f", index=junk, id="a"), piece_of("}", index=junk)) == [("a", "f", {})]


@pytest.mark.parametrize(
    "odd",
    [
        {"index": 0},
        {"index": 0, "function": None},
        {"index": 0, "function": [1]},
        piece_of(5, 7, index=0, id=3),
        piece_of([1], {}, index=0, custom=None),
    ],
)
def test_odd_pieces_are_survived(odd):
    """They add nothing."""
    assert calls(piece_of('{"a":', "f", index=0, id="a"), odd, piece_of("1}", index=0)) == [
        ("a", "f", {"a": 1})
    ]


# Arguments


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ("", {}),
        ("  ", {}),
        (None, {}),
        ("null", {}),
        ({"a": [1]}, {"a": [1]}),
        ({}, {}),
        ('{"a":1', {"a": 1}),
        ('{"path":"C:\\dir"}', {"path": "C:\\dir"}),
        ('{"a":"x\ny"}', {"a": "x\ny"}),
        ("[1]", [1]),
        ("{", {}),
        ("nonsense", {}),
    ],
)
def test_arguments_are_what_can_be_read(arguments, value):
    """As text or as an object; broken JSON as far as it goes."""
    assert calls(piece_of(arguments, "f", index=0, id="a")) == [("a", "f", value)]


def test_an_object_is_streamed_as_its_text():
    """The deltas are the arguments, as always; an object after text is not believed."""
    decoded = decode(
        tools_of(piece_of({"a": "é"}, "f", index=0, id="a")), tools_of(piece_of({"b": 1}, index=0)), CALLS
    )
    assert deltas(decoded) == ['{"a":"é"}', ""]


def test_arguments_that_are_cut_have_no_end():
    """The call shows what had arrived."""
    decoded = decode(tools_of(piece_of('{"a":"hel', "f", index=0, id="a")), done=False)
    assert decoded.of(0) == ["toolcall_start", "toolcall_delta"]
    assert decoded.message.tool_calls[0].arguments == {"a": "hel"}


def test_many_small_pieces_take_little_time():
    """A megabyte of arguments, in pieces of one character with all the repetitions that servers think of."""
    text = json.dumps({"latex": r"\frac{a}{b}" * 3000})
    began = time.process_time()
    pieces = [tools_of(piece_of(character, "f", index=0, id="a")) for character in text]
    assert decode(*pieces, CALLS).message.tool_calls[0].arguments == json.loads(text)
    assert time.process_time() - began < 10


# Several calls


def test_calls_interleave_by_index():
    """Each goes on where it was."""
    entries = [
        piece_of("{", "f", index=0, id="a"),
        piece_of("{", "g", index=1, id="b"),
        piece_of('"x":1}', index=0),
        piece_of("}", index=1),
    ]
    assert calls(*entries) == [("a", "f", {"x": 1}), ("b", "g", {})]


def test_calls_interleave_by_id():
    """Without any index."""
    entries = [
        piece_of("{", "f", id="a"),
        piece_of("{", "g", id="b"),
        piece_of('"x":1}', id="a"),
        piece_of("}", id="b"),
    ]
    assert calls(*entries) == [("a", "f", {"x": 1}), ("b", "g", {})]


def test_everything_at_once_and_mixed():
    """Text, thinking, calls by index with ids that change, and calls by id, in six blocks that never split."""
    decoded = decode(
        chunk_of({"content": "a"}),
        chunk_of({"reasoning_content": "x"}),
        tools_of(piece_of('{"n":', "one", index=0, id="i0"), piece_of('{"n":', "two", index=1, id="i1")),
        chunk_of({"content": "b", "reasoning_content": "y"}),
        tools_of(piece_of('{"n":', "three", id="only2"), piece_of('{"n":', "four", id="only3")),
        tools_of(piece_of("0", None, index=0, id="changed"), piece_of("1", index=1)),
        tools_of(piece_of("2}", id="only2"), piece_of("3}", id="only3")),
        chunk_of({"content": "c"}),
        tools_of(piece_of("}", None, index=0), piece_of("}", index=1, id="also")),
        CALLS,
    )
    assert [block.type for block in decoded.message.content] == ["text", "thinking", *["toolCall"] * 4]
    assert [(call.id, call.name, call.arguments["n"]) for call in decoded.message.tool_calls] == [
        ("i0", "one", 0),
        ("i1", "two", 1),
        ("only2", "three", 2),
        ("only3", "four", 3),
    ]
    assert decoded.of(0) == ["text_start", *["text_delta"] * 3, "text_end"]
    assert decoded.types[-7:] == ["text_end", "thinking_end", *["toolcall_end"] * 4, "done"]


ONE, TWO = '{"city":"Oslo"}', '{"city":"Rome"}'


@pytest.mark.parametrize(
    "first", [{"index": 0, "id": "a"}, {"index": 0, "id": ""}, {"index": 0}, {}, {"id": ""}]
)
@pytest.mark.parametrize(
    "arguments", [(ONE, TWO), (json.loads(ONE), json.loads(TWO))], ids=["text", "object"]
)
@pytest.mark.parametrize("names", [("f", "g"), ("f", "f")])
def test_whole_calls_are_told_apart_even_with_one_index(first, arguments, names):
    """Servers that number all of their calls 0, or not at all, send each in one piece."""
    second = {**first, **({"id": "b"} if first.get("id") else {})}
    entries = [piece_of(arguments[0], names[0], **first), piece_of(arguments[1], names[1], **second)]
    made = [(name, json.loads(text)) for name, text in zip(names, (ONE, TWO), strict=True)]
    assert [call[1:] for call in calls(*entries)] == made


def test_calls_with_one_id_are_told_apart_by_their_index():
    """An index beats an id when a name says that something begins."""
    entries = [
        piece_of("", "f", index=0, id="x"),
        piece_of(ONE, index=0),
        piece_of("", "f", index=1, id="x"),
        piece_of(TWO, index=1),
    ]
    assert [call[2]["city"] for call in calls(*entries)] == ["Oslo", "Rome"]


def test_an_index_that_came_late_counts_as_well():
    """The same id with another index and a name is another call."""
    entries = [
        piece_of("", "f", id="x"),
        piece_of(ONE, index=0, id="x"),
        piece_of("", "f", index=1, id="x"),
        piece_of(TWO, index=1),
    ]
    assert [call[2]["city"] for call in calls(*entries)] == ["Oslo", "Rome"]


def test_blanks_behind_the_arguments_do_not_matter():
    """They are complete all the same."""
    entries = [
        piece_of(ONE, "f", index=0),
        piece_of(" \n", index=0),
        piece_of("", index=0),
        piece_of(TWO, "f", index=0),
    ]
    assert [call[2]["city"] for call in calls(*entries)] == ["Oslo", "Rome"]


def test_a_complete_call_may_change_its_id_once_more():
    """Nothing begins without arguments."""
    assert len(calls(piece_of(ONE, "f", index=0, id="a"), piece_of("", "f", index=0, id="b"))) == 1


def test_a_new_id_and_a_new_name_begin_another_call():
    """Even when the first has no arguments."""
    entries = [piece_of("", "f", index=0, id="a"), piece_of("{}", "g", index=0, id="b")]
    assert [call[:2] for call in calls(*entries)] == [("a", "f"), ("b", "g")]


def test_a_call_that_is_repeated_in_the_end_stays_one():
    """With its id, name and all of its arguments."""
    entry = piece_of(ONE, "f", index=0, id="a")
    assert [call[2] for call in calls(entry, entry)] == [json.loads(ONE)]


def test_a_name_in_pieces_makes_one_call():
    """Its first piece counts; nothing begins while there are no arguments."""
    entries = [
        piece_of(None, "get_", index=0, id="a"),
        piece_of(None, "weather", index=0),
        piece_of("{}", index=0),
    ]
    assert calls(*entries) == [("a", "get_", {})]


def test_looking_for_the_end_of_arguments_has_an_end():
    """A server that makes us wonder again and again does not cost more each time."""
    entries = [piece_of('{"a":"}', "f", index=0)] + [piece_of("{" + "x" * 3000 + "}", "f", index=0)] * 4000
    began = time.process_time()
    assert len(calls(*entries)) == 1
    assert time.process_time() - began < 5


def test_too_many_calls_are_an_error():
    """With the ones that were there."""
    chunks = [
        tools_of(*(piece_of("", "f", index=index) for index in range(start, start + 1000)))
        for start in range(0, 11_000, 1000)
    ]
    message = decode(*chunks, CALLS).message
    assert f"more than {MAX_BLOCKS} blocks" in (message.error_message or "")
    assert len(message.tool_calls) == MAX_BLOCKS


# Encrypted reasoning

SECRET = {"type": "reasoning.encrypted", "id": "a", "data": "xyz", "format": "v1"}
SIGNED = '{"type":"reasoning.encrypted","id":"a","data":"xyz","format":"v1"}'


@pytest.mark.parametrize("early", [True, False])
def test_encrypted_reasoning_signs_its_call(early):
    """Whether it comes before the call or after it."""
    chunks = [chunk_of({"reasoning_details": [SECRET]}), tools_of(piece_of("{}", "f", index=0, id="a"))]
    (call,) = decode(*(chunks if early else reversed(chunks)), CALLS).message.tool_calls
    assert call.thought_signature == SIGNED


@pytest.mark.parametrize(
    "detail",
    [
        SECRET | {"type": "reasoning.text"},
        SECRET | {"data": ""},
        SECRET | {"id": 5},
        SECRET | {"id": "b"},
        None,
        "x",
    ],
)
def test_other_details_sign_nothing(detail):
    """Of another kind, empty, or of another call."""
    chunks = [tools_of(piece_of("{}", "f", index=0, id="a")), chunk_of({"reasoning_details": [detail]})]
    assert decode(*chunks, CALLS).message.tool_calls[0].thought_signature is None
