"""Tool calls of a Responses stream: functions with JSON arguments, and grammar tools with one text."""

import json

import pytest

from runtime.streams.events import ToolCallEnd, ToolCallStart
from runtime.values.message import StopReason
from tests.providers.responses_lab import added, arguments_delta, completed, decode, deltas, done, event_of

CALL = {"call_id": "call_1", "name": "f"}


def begin(arguments="", **fields):
    return added(0, "function_call", "fc_1", **{**CALL, "arguments": arguments, **fields})


def arguments_done(arguments):
    return event_of("function_call_arguments.done", 0, arguments=arguments)


def end(arguments='{"a":1}', **fields):
    return done(0, "function_call", "fc_1", **{**CALL, "arguments": arguments, **fields})


def the_call(*events, **more):
    (call,) = decode(*events, completed(), **more).message.tool_calls
    return call


# Functions


def test_a_call_arrives_in_pieces():
    """Deltas, all of the arguments, and the item: one call, whose end is the block."""
    decoded = decode(
        begin(),
        arguments_delta(0, '{"a"'),
        arguments_delta(0, ":1}"),
        arguments_done('{"a":1}'),
        end(),
        completed(),
    )
    assert decoded.types == [
        "start",
        "toolcall_start",
        "toolcall_delta",
        "toolcall_delta",
        "toolcall_end",
        "done",
    ]
    assert deltas(decoded) == ['{"a"', ":1}"]
    (call,) = decoded.message.tool_calls
    assert (call.id, call.name, call.arguments) == ("call_1|fc_1", "f", {"a": 1})
    assert next(event for event in decoded.events if isinstance(event, ToolCallEnd)).tool_call == call
    assert decoded.message.stop_reason is StopReason.ToolUse
    assert "partial" not in decoded.message.model_dump_json()


def test_what_the_deltas_lack_follows_when_the_arguments_are_complete():
    """Some servers send no deltas at all."""
    decoded = decode(begin(), arguments_done('{"a":1}'), arguments_done('{"a":1}'), end(), completed())
    assert deltas(decoded) == ['{"a":1}']
    decoded = decode(begin(), arguments_delta(0, '{"a"'), arguments_done('{"a":1}'), completed())
    assert deltas(decoded) == ['{"a"', ":1}"]
    assert decoded.message.tool_calls[0].arguments == {"a": 1}


def test_the_last_word_on_the_arguments_counts():
    """The item's, else that of the event before, else the deltas, else what it began with, else nothing."""
    deltas_ = arguments_delta(0, '{"a":2}')
    assert the_call(begin('{"a":4}'), deltas_, arguments_done('{"a":3}'), end('{"a":1}')).arguments == {
        "a": 1
    }
    assert the_call(begin('{"a":4}'), deltas_, arguments_done('{"a":3}'), end("")).arguments == {"a": 3}
    assert the_call(begin('{"a":4}'), deltas_, end(None)).arguments == {"a": 2}
    assert the_call(begin('{"a":4}'), end(" ")).arguments == {"a": 4}
    assert the_call(begin(), end("")).arguments == {}


def test_the_arguments_that_a_call_begins_with_are_not_shown_at_once():
    """They may be a placeholder."""
    decoded = decode(begin('{"a":1}'), end(""), completed())
    start = next(event for event in decoded.events if isinstance(event, ToolCallStart))
    assert start.partial.tool_calls[0].arguments == {}
    assert decoded.message.tool_calls[0].arguments == {"a": 1}


def test_a_placeholder_does_not_spoil_the_deltas():
    """They are the whole text."""
    decoded = decode(begin("{}"), arguments_delta(0, '{"a":'), arguments_delta(0, "1}"), end(), completed())
    assert deltas(decoded) == ['{"a":', "1}"]
    assert decoded.message.tool_calls[0].arguments == {"a": 1}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"path":"README.md","content":"hel', {"path": "README.md", "content": "hel"}),
        ('{"path":"README.md","content"', {"path": "README.md"}),
        ("not json", {}),
        ({"a": 1}, {"a": 1}),
        ([1], {}),
        (7, {}),
        ("null", {}),
    ],
)
def test_arguments_that_are_cut_or_odd_never_fail_the_stream(arguments, expected):
    """What can be read of them is; some servers send an object."""
    assert the_call(begin(), end(arguments)).arguments == expected


@pytest.mark.parametrize(
    ("start", "finish", "expected"),
    [
        ({}, {"call_id": "other", "name": "g"}, ("call_1|fc_1", "f")),
        ({"call_id": "", "name": None}, {}, ("call_1|fc_1", "f")),
        ({"id": None}, {}, ("call_1|fc_1", "f")),
        ({"call_id": None}, {"call_id": None}, ("|fc_1", "f")),
        ({"id": 7, "call_id": [], "name": {}}, {"id": None, "call_id": None, "name": None}, ("|", "")),
    ],
)
def test_a_call_is_named_when_it_begins(start, finish, expected):
    """What is missing then may come with its end; what never comes is empty."""
    first, last = begin(), end()
    call = the_call(first | {"item": first["item"] | start}, last | {"item": last["item"] | finish})
    assert (call.id, call.name) == expected


def test_a_call_keeps_its_caller():
    """And the namespace of its tool: signed with the call, ready for its end."""
    caller = {"type": "program", "caller_id": "call_p"}
    decoded = decode(begin(caller=caller), end(caller=caller, namespace="crm", created_by="x"), completed())
    last = next(event for event in decoded.events if isinstance(event, ToolCallEnd))
    assert json.loads(last.tool_call.thought_signature) == {"v": 1, "caller": caller, "namespace": "crm"}
    assert the_call(begin(), end(caller=None, **{"async": False})).thought_signature is None


# Grammar tools

GRAMMAR = {"sample_tool": "payload"}


def custom(text=None, name="sample_tool"):
    return added(0, "custom_tool_call", "ctc_1", call_id="call_1", name=name, input=text)


def piece(text):
    return event_of("custom_tool_call_input.delta", 0, delta=text)


def whole(text):
    return event_of("custom_tool_call_input.done", 0, input=text)


def custom_end(text=None, name="sample_tool"):
    return done(0, "custom_tool_call", "ctc_1", call_id="call_1", name=name, input=text)


def custom_of(*events):
    return decode(*events, completed(), grammar=GRAMMAR)


def test_custom_input_is_streamed_as_json():
    """The deltas join to the text of the arguments; empty pieces say nothing."""
    decoded = custom_of(custom(), piece('a"'), piece(""), piece("\nb"), whole('a"\nb!'), custom_end('a"\nb!'))
    (call,) = decoded.message.tool_calls
    assert (call.id, call.arguments) == ("call_1|ctc_1", {"payload": 'a"\nb!'})
    assert deltas(decoded) == [r'{"payload":"a\"', r"\nb", '!"}']
    assert decoded.message.stop_reason is StopReason.ToolUse


def test_custom_input_that_a_call_begins_with_is_shown_at_once():
    """It is part of the first delta."""
    decoded = custom_of(custom("a"), piece("b"), custom_end("ab"))
    start = next(event for event in decoded.events if isinstance(event, ToolCallStart))
    assert start.partial.tool_calls[0].arguments == {"payload": "a"}
    assert deltas(decoded) == ['{"payload":"ab', '"}']


@pytest.mark.parametrize(
    "events",
    [
        (custom("a"), custom_end()),
        (custom(), piece("a"), custom_end()),
        (custom(), whole("a"), custom_end("a")),
        (custom(), whole("a"), whole("a"), custom_end()),
        (custom(), custom_end("a")),
        (custom_end("a"),),
        (custom(), piece("a")),
    ],
)
def test_custom_input_may_come_at_any_time(events):
    """Said twice, it is said once; a call without an end ends with the response."""
    decoded = custom_of(*events)
    assert decoded.message.tool_calls[0].arguments == {"payload": "a"}
    assert json.loads("".join(deltas(decoded))) == {"payload": "a"}


def test_a_custom_tool_that_is_not_known_has_an_input():
    """That is the name of its argument."""
    decoded = custom_of(custom(name="other"), piece("a"), custom_end("a", name="other"))
    assert decoded.message.tool_calls[0].arguments == {"input": "a"}


@pytest.mark.parametrize(
    ("events", "how"),
    [
        ((custom(), whole("a"), whole("b")), "after it was closed"),
        ((custom(), whole("a"), custom_end("b")), "after it was closed"),
        ((custom(), whole("a"), piece("b")), "after it was closed"),
        ((custom(), piece("a"), custom_end("b")), "non-monotonically"),
        ((custom("a"), custom_end("b")), "non-monotonically"),
    ],
)
def test_custom_input_that_changes_is_an_error(events, how):
    """What had been streamed cannot be taken back."""
    message = custom_of(*events).message
    assert message.stop_reason is StopReason.Error
    assert f'grammar tool input for property "payload" changed {how}' in message.error_message


def test_pieces_of_the_wrong_kind_are_dropped():
    """A function has no input, a custom tool no arguments."""
    decoded = custom_of(custom(), arguments_delta(0, "{"), arguments_done("{}"), piece("a"), custom_end("a"))
    assert decoded.message.tool_calls[0].arguments == {"payload": "a"}
    decoded = decode(begin(), piece("a"), whole("a"), end(), completed())
    assert deltas(decoded) == ['{"a":1}']


def test_custom_input_may_be_cut_inside_a_character():
    """The halves of an emoji are joined, and what repeats the input has it whole."""
    halves = [
        b'{"type":"response.custom_tool_call_input.delta","output_index":0,"delta":"%b"}' % half
        for half in (rb"\ud83d", rb"\ude00")
    ]
    for pieces in (halves, halves[:1]):
        decoded = custom_of(custom(), *pieces, whole("😀"), custom_end("😀"))
        assert decoded.message.tool_calls[0].arguments == {"payload": "😀"}
        assert json.loads("".join(deltas(decoded))) == {"payload": "😀"}


# Calls that nobody announced


@pytest.mark.parametrize(
    "events",
    [
        (arguments_delta(0, '{"a"', item_id="fc_1"), arguments_delta(0, ":1}", item_id="fc_1")),
        (arguments_done('{"a":1}'),),
        (arguments_delta(0, '{"a"'), arguments_done('{"a":1}')),
        (arguments_delta(0, '{"b"'), arguments_done('{"a":1}')),
    ],
)
def test_a_call_that_nobody_announced_is_a_call(events):
    """With what its events say of it."""
    named = [{**event, "item_id": "fc_1", "call_id": "call_1", "name": "f"} for event in events]
    for last in (named, [*events[:-1], named[-1]]):
        decoded = decode(*last, completed())
        (call,) = decoded.message.tool_calls
        assert (call.id, call.name, call.arguments) == ("call_1|fc_1", "f", {"a": 1})
        assert decoded.message.stop_reason is StopReason.ToolUse


def test_calls_that_nobody_announced_are_told_apart_by_their_places():
    """Or by their ids."""
    pieces = [("fc_1", '{"a"'), ("fc_2", '{"b"'), ("fc_1", ":1}"), ("fc_2", ":2}")]
    for place in ({"fc_1": 0, "fc_2": 1}, {}):
        events = [arguments_delta(place.get(name), text, item_id=name) for name, text in pieces]
        calls = decode(*events, completed()).message.tool_calls
        assert [call.arguments for call in calls] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("late", [end(""), begin(), completed(end("")["item"])])
def test_a_call_that_is_announced_late_keeps_its_arguments(late):
    """It has its names from the item, which is the only call."""
    decoded = decode(arguments_delta(0, '{"a":1}', item_id="fc_1"), late, completed())
    (call,) = decoded.message.tool_calls
    assert (call.id, call.name, call.arguments) == ("call_1|fc_1", "f", {"a": 1})


def test_arguments_after_the_end_of_their_call_are_no_other_call():
    """Whatever they are named."""
    decoded = decode(begin(), end(), arguments_delta(None, "{}"), arguments_delta(7, "{}"), completed())
    assert len(decoded.message.tool_calls) == 1
