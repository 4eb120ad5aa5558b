"""A Responses stream becomes a reply: its items, in any order and with any of them missing, and its end."""

import json

import pytest

from runtime.streams.events import TextEnd, ThinkingEnd, ThinkingStart, ToolCallStart
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import StopReason
from tests.providers.responses_lab import (
    added,
    arguments_delta,
    completed,
    decode,
    deltas,
    done,
    event_of,
    item_of,
    message_of,
    replay,
    sse_of,
    summary_delta,
    text_delta,
)

OPEN = added(0, "message", "msg_1", content=[], role="assistant")
HELLO = text_delta(0, "Hello")
DONE = event_of("output_item.done", 0, item=message_of("msg_1", "Hello"))
ADD_CALL = added(1, "function_call", "fc_1", call_id="call_1", name="f", arguments="")
DONE_CALL = done(1, "function_call", "fc_1", call_id="call_1", name="f", arguments='{"a":1}')
THINK = added(0, "reasoning", "rs_1", summary=[])


def thought(item_id="rs_1", **fields):
    return done(0, "reasoning", item_id, **{"summary": [], **fields})


def summary(*texts):
    return [{"type": "summary_text", "text": text} for text in texts]


def signature_of(block):
    return json.loads(block.text_signature if isinstance(block, TextContent) else block.thinking_signature)


# Text


def test_text_arrives_in_deltas():
    """The block is signed with its id when it is complete."""
    decoded = decode(
        event_of("created", response={"id": "resp_0"}),
        OPEN,
        HELLO,
        text_delta(0, "!"),
        completed(message_of("msg_1", "Hello!")),
    )
    assert decoded.types == ["start", "text_start", "text_delta", "text_delta", "text_end", "done"]
    assert deltas(decoded) == ["Hello", "!"]
    (block,) = decoded.message.content
    assert (block.text, signature_of(block)) == ("Hello!", {"v": 1, "id": "msg_1"})
    assert (decoded.message.stop_reason, decoded.message.response_id) == (StopReason.Stop, "resp_1")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"phase": "commentary"}, '{"v":1,"id":"msg_1","phase":"commentary"}'),
        ({"phase": None}, '{"v":1,"id":"msg_1"}'),
        ({"id": None}, None),
        ({"id": 7}, None),
    ],
)
def test_the_signature_of_a_text_is_its_id_and_its_phase(fields, expected):
    """Compact, in this order; without an id there is none."""
    item = {**message_of("msg_1", "Hello"), **fields}
    (block,) = decode(OPEN, event_of("output_item.done", 0, item=item), completed()).message.content
    assert block.text_signature == expected


def test_a_refusal_is_text():
    """Its deltas and its final value."""
    refusal = [{"type": "refusal", "refusal": "I cannot"}]
    decoded = decode(
        OPEN,
        event_of("refusal.delta", 0, delta="I can"),
        done(0, "message", "msg_1", content=refusal),
        completed(),
    )
    assert decoded.message.text == "I cannot"
    assert deltas(decoded) == ["I can", "not"]


def test_the_parts_of_a_message_are_one_text():
    """Texts and refusals joined; what has neither says nothing."""
    parts = [
        {"type": "output_text", "text": "a"},
        {"type": "refusal", "refusal": "b"},
        {"text": None},
        7,
        {"type": "output_audio"},
    ]
    assert decode(done(0, "message", "msg_1", content=parts), completed()).message.text == "ab"


@pytest.mark.parametrize("content", [None, "absent", []])
def test_a_message_whose_end_says_nothing_says_nothing(content):
    """Whatever was streamed; it is signed all the same."""
    fields = {} if content == "absent" else {"content": content}
    decoded = decode(OPEN, HELLO, done(0, "message", "msg_1", **fields), completed())
    (block,) = decoded.message.content
    assert (block.text, signature_of(block)["id"]) == ("", "msg_1")
    assert next(event for event in decoded.events if isinstance(event, TextEnd)).content == ""


@pytest.mark.parametrize("delta", [None, 7, {"text": "x"}])
def test_a_delta_that_is_no_text_is_an_empty_one(delta):
    """It is an event nevertheless."""
    assert deltas(
        decode(OPEN, text_delta(0, delta), event_of("output_text.delta", 0), DONE, completed())
    ) == ["", "", "Hello"]


def test_halves_of_an_emoji_are_joined():
    """A server may cut it between two deltas."""
    body = sse_of(OPEN) + b"".join(
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"%b"}\n\n' % half
        for half in (rb"\ud83d", rb"\ude00")
    )
    assert replay([body + sse_of(completed())]).message.text == "😀"


# Thinking


def test_a_summary_is_thinking():
    """Signed with the whole item, keys in their order."""
    item = {"id": "rs_1", "type": "reasoning", "encrypted_content": "é", "summary": summary("a", "b")}
    decoded = decode(THINK, summary_delta(0, "a"), event_of("output_item.done", 0, item=item), completed())
    (block,) = decoded.message.content
    assert block.thinking == "a\n\nb"
    assert (
        block.thinking_signature
        == '{"id":"rs_1","type":"reasoning","encrypted_content":"é","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}]}'
    )
    assert next(event for event in decoded.events if isinstance(event, ThinkingEnd)).content == "a\n\nb"


def test_a_part_of_a_summary_ends_with_an_empty_line():
    """What is streamed counts where the item says nothing of its own."""
    part = event_of("reasoning_summary_part.done", 0, part={"text": "ignored"})
    raw = event_of("reasoning_text.delta", 0, delta="raw reasoning")
    decoded = decode(THINK, summary_delta(0, "ignored"), part, raw, thought(), completed())
    assert deltas(decoded) == ["ignored", "\n\n", "raw reasoning"]
    assert decoded.message.thinking == "ignored\n\nraw reasoning"


def test_a_summary_that_is_null_is_none():
    """What was streamed stays, and the signature keeps the null."""
    start = event_of("reasoning_summary_part.added", 0, part={"text": "ignored"})
    part = event_of("reasoning_summary_part.done", 0)
    decoded = decode(THINK, start, summary_delta(0, "kept"), part, thought(summary=None), completed())
    assert deltas(decoded) == ["kept", "\n\n"]
    (block,) = decoded.message.content
    assert block.thinking == "kept\n\n"
    assert signature_of(block) == {"type": "reasoning", "id": "rs_1", "summary": None}


def test_a_summary_of_nothing_is_no_thinking():
    """A part that is empty says so: the end of the part, which was streamed as an empty line, is not left as thinking."""
    part = event_of("reasoning_summary_part.done", 0, part={"text": ""})
    decoded = decode(THINK, part, thought(summary=summary("")), completed())
    assert decoded.message.thinking == ""
    assert next(event for event in decoded.events if isinstance(event, ThinkingEnd)).content == ""
    assert (
        decode(
            THINK, part, thought(summary=summary(""), content=summary("raw")), completed()
        ).message.thinking
        == "raw"
    )


def test_reasoning_text_counts_where_there_is_no_summary():
    """As open models send it."""
    content = [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}]
    assert decode(THINK, thought(content=content), completed()).message.thinking == "a\n\nb"
    assert decode(THINK, thought(content=content, summary=summary("s")), completed()).message.thinking == "s"


@pytest.mark.parametrize(
    ("at_done", "at_end", "kept"),
    [
        ({"encrypted_content": "one"}, {"encrypted_content": "two"}, "one"),
        ({}, {"encrypted_content": "two"}, "two"),
        ({"encrypted_content": None}, {"encrypted_content": "two"}, "two"),
        ({"encrypted_content": ""}, {"encrypted_content": "two"}, ""),
        ({}, {"encrypted_content": None}, None),
        ({}, {"encrypted_content": "two", "id": "rs_2"}, None),
    ],
)
def test_encrypted_content_may_come_with_the_end_of_the_response(at_done, at_end, kept):
    """It is added to the item of that id where it is missing, and never replaced."""
    last = {"type": "reasoning", "id": "rs_1", "summary": [], **at_end}
    (block, *_) = decode(THINK, thought(**at_done), completed(last)).message.content
    assert signature_of(block).get("encrypted_content") == kept


# Order


def test_items_may_interleave():
    """They stand in the order in which they began."""
    decoded = decode(
        THINK,
        ADD_CALL,
        arguments_delta(1, '{"a":1}'),
        summary_delta(0, "hm"),
        DONE_CALL,
        thought(summary=summary("hm")),
        completed(),
    )
    assert [type(block) for block in decoded.message.content] == [ThinkingContent, ToolCall]
    assert decoded.types == [
        "start", "thinking_start", "toolcall_start", "toolcall_delta", "thinking_delta", "toolcall_end", "thinking_end", "done",
    ]  # fmt: skip
    assert decoded.message.stop_reason is StopReason.ToolUse


def test_a_custom_call_and_an_empty_message_may_interleave():
    """The call's deltas join to its arguments."""
    decoded = decode(
        added(0, "custom_tool_call", "ctc_1", call_id="call_1", name="g", input=""),
        added(1, "message", "msg_1"),
        event_of("custom_tool_call_input.delta", 0, delta="a\n"),
        done(1, "message", "msg_1", content=[]),
        event_of("custom_tool_call_input.delta", 0, delta='"b'),
        done(0, "custom_tool_call", "ctc_1", call_id="call_1", name="g", input='a\n"b'),
        completed(),
        grammar={"g": "payload"},
    )
    call, text = decoded.message.content
    assert json.loads("".join(deltas(decoded))) == call.arguments == {"payload": 'a\n"b'}
    assert (text.text, signature_of(text)["id"]) == ("", "msg_1")


@pytest.mark.parametrize("item_id", ["msg_1", None, "other"])
def test_an_event_belongs_to_the_item_of_its_index(item_id):
    """Whatever its id says: some servers give every event another one."""
    delta = text_delta(0, "Hello", item_id=item_id)
    end = done(0, "message", item_id, content=[{"text": "Hello"}])
    decoded = decode(OPEN, delta, end, completed(message_of("yet-another", "Hello")))
    assert decoded.types == ["start", "text_start", "text_delta", "text_end", "done"]


def test_without_indexes_the_ids_tell():
    """As llama.cpp sends it."""
    decoded = decode(
        added(None, "message", "msg_1"),
        added(None, "function_call", "fc_1", call_id="call_1", name="f", arguments=""),
        text_delta(None, "Hel", item_id="msg_1"),
        arguments_delta(None, '{"a":', item_id="fc_1"),
        text_delta(None, "lo", item_id="msg_1"),
        arguments_delta(None, "1}", item_id="fc_1"),
        done(None, "function_call", "fc_1", call_id="call_1", name="f", arguments='{"a":1}'),
        event_of("output_item.done", item=message_of("msg_1", "Hello")),
        completed(),
    )
    text, call = decoded.message.content
    assert (text.text, call.id, call.arguments) == ("Hello", "call_1|fc_1", {"a": 1})
    assert (deltas(decoded, 0), deltas(decoded, 1)) == (["Hel", "lo"], ['{"a":', "1}"])


def test_without_indexes_and_ids_it_is_the_latest():
    """The one of the kind that is open."""
    decoded = decode(
        added(None, "reasoning"),
        summary_delta(None, "hm"),
        done(None, "reasoning", summary=summary("hm")),
        added(None, "message"),
        text_delta(None, "Hello"),
        done(None, "message", content=[{"text": "Hello"}]),
        added(None, "function_call", call_id="a", name="f"),
        arguments_delta(None, "{}"),
        done(None, "function_call", call_id="a", name="f", arguments="{}"),
        added(None, "function_call", call_id="b", name="f"),
        done(None, "function_call", call_id="b", name="f", arguments='{"x":1}'),
        completed(),
    )
    assert [call.id for call in decoded.message.tool_calls] == ["a|", "b|"]
    assert decoded.message.tool_calls[1].arguments == {"x": 1}
    assert (decoded.message.thinking, decoded.message.text) == ("hm", "Hello")


def test_calls_of_other_ids_are_other_calls():
    """Also when nothing else tells them apart."""
    decoded = decode(
        added(None, "function_call", call_id="a", name="f"),
        done(None, "function_call", call_id="b", name="g", arguments="{}"),
        done(None, "function_call", call_id="a", name="f", arguments="{}"),
        completed(),
    )
    assert [(call.id, call.name) for call in decoded.message.tool_calls] == [("a|", "f"), ("b|", "g")]


def test_an_index_may_come_later_than_its_item():
    """One call, with the final arguments."""
    decoded = decode(
        added(None, "function_call", "fc_1", call_id="call_1", name="f", arguments=""),
        arguments_delta(3, '{"a"', item_id="fc_1"),
        arguments_delta(3, ":1}"),
        done(3, "function_call", "fc_1", call_id="call_1", name="f", arguments='{"a":1}'),
        completed(),
    )
    (call,) = decoded.message.tool_calls
    assert call.arguments == {"a": 1}
    assert deltas(decoded) == ['{"a"', ":1}"]
    assert decoded.message.stop_reason is StopReason.ToolUse


def test_servers_may_number_all_items_0():
    """An item that begins after another has ended is a new one; so is one of another id or kind."""
    decoded = decode(
        added(0, "function_call", "fc_1", call_id="a", name="f"),
        arguments_delta(0, "{}", item_id="fc_1"),
        done(0, "function_call", "fc_1", call_id="a", name="f", arguments="{}"),
        added(0, "function_call", "fc_2", call_id="b", name="f"),
        added(0, "function_call", "fc_3", call_id="c", name="f"),
        arguments_delta(0, '{"b":1}', item_id="fc_2"),
        arguments_delta(0, '{"c":1}', item_id="fc_3"),
        added(0, "message", "msg_1"),
        text_delta(0, "Hello", item_id="msg_1"),
        completed(),
    )
    assert [call.arguments for call in decoded.message.tool_calls] == [{}, {"b": 1}, {"c": 1}]
    assert decoded.message.text == "Hello"


# Events that repeat, come too early or too late, or not at all


def test_an_item_that_is_announced_twice_is_one():
    """There is no second block."""
    assert decode(OPEN, OPEN, HELLO, OPEN, DONE, OPEN, completed()).types == [
        "start",
        "text_start",
        "text_delta",
        "text_end",
        "done",
    ]


def test_an_item_that_ends_twice_is_one():
    """The second end says nothing."""
    decoded = decode(OPEN, HELLO, DONE, DONE, ADD_CALL, DONE_CALL, DONE_CALL, completed())
    assert decoded.types.count("text_end") == decoded.types.count("toolcall_end") == 1


def test_an_item_that_was_never_announced_begins_at_its_end():
    """With everything in one delta."""
    decoded = decode(thought(summary=summary("hm")), DONE_CALL, completed())
    assert decoded.types == [
        "start", "thinking_start", "thinking_delta", "thinking_end", "toolcall_start", "toolcall_delta", "toolcall_end", "done",
    ]  # fmt: skip


def test_deltas_before_the_beginning_and_after_the_end_are_dropped():
    """The final value has them."""
    decoded = decode(text_delta(0, "H"), OPEN, text_delta(0, "H"), DONE, text_delta(0, "!"), completed())
    assert deltas(decoded) == ["H", "ello"]
    assert decoded.message.text == "Hello"


def test_deltas_of_another_kind_are_dropped():
    """So are those of an item that is not there."""
    decoded = decode(
        OPEN, summary_delta(0, "hm"), arguments_delta(0, "{"), text_delta(5, "?"), HELLO, DONE, completed()
    )
    assert deltas(decoded) == ["Hello"]
    assert len(decoded.message.content) == 1


def test_an_end_of_another_kind_is_dropped():
    """The item that is there stays as it is."""
    decoded = decode(
        OPEN, HELLO, done(0, "reasoning", "rs_1"), done(0, "function_call", "fc_1"), DONE, completed()
    )
    assert decoded.types == ["start", "text_start", "text_delta", "text_end", "done"]


def test_what_never_ended_ends_with_the_response():
    """As it was streamed, without a signature; the call still counts."""
    decoded = decode(
        OPEN,
        HELLO,
        THINK | {"output_index": 2},
        summary_delta(2, "hm"),
        ADD_CALL,
        arguments_delta(1, '{"a":'),
        completed(),
    )
    text, thinking, call = decoded.message.content
    assert (text, thinking) == (TextContent("Hello"), ThinkingContent("hm"))
    assert call.arguments == {}
    assert decoded.message.stop_reason is StopReason.ToolUse


def test_the_list_of_a_response_completes_what_never_ended():
    """By id, by place, or in order."""
    listed = [
        {"type": "reasoning", "id": "rs_9", "summary": summary("hm"), "encrypted_content": "x"},
        message_of("msg_9", "Hello"),
        item_of("function_call", "fc_1", call_id="call_1", name="f", arguments='{"a":1}'),
    ]
    for place in ((0, 1, 2), (None, None, None)):
        decoded = decode(
            added(place[0], "reasoning"),
            added(place[1], "message"),
            added(place[2], "function_call", "fc_1", call_id="call_1", name="f"),
            text_delta(place[1], "Hel"),
            completed(*listed),
        )
        thinking, text, call = decoded.message.content
        assert (thinking.thinking, text.text, call.arguments) == ("hm", "Hello", {"a": 1})
        assert (signature_of(thinking)["encrypted_content"], signature_of(text)["id"]) == ("x", "msg_9")


def test_the_list_of_a_response_makes_up_for_what_never_came():
    """A stream that begins in the middle, or has only its last event, is complete nevertheless."""
    listed = [
        message_of("msg_0", "a"),
        message_of("msg_1", "Hello"),
        item_of("function_call", "fc_1", call_id="c", name="f", arguments="{}"),
    ]
    only_end = decode(completed(*listed))
    assert [block.text for block in only_end.message.content[:2]] == ["a", "Hello"]
    assert only_end.message.stop_reason is StopReason.ToolUse
    partly = decode(
        added(1, "message"),
        text_delta(1, "Hel"),
        done(1, "message", content=[{"text": "Hello"}]),
        completed(*listed),
    )
    assert [block.text for block in partly.message.content[:2]] == ["Hello", "a"]


def test_the_list_of_a_response_does_not_repeat_what_came():
    """Whether it has the same ids, others, or none."""
    for item_id in ("msg_1", "other", None):
        decoded = decode(
            OPEN, HELLO, DONE, ADD_CALL, DONE_CALL, completed(message_of(item_id, "Hello"), DONE_CALL["item"])
        )
        assert len(decoded.message.content) == 2


def test_text_of_an_item_that_never_came_is_not_lost():
    """Only where there is no item of its kind at all."""
    decoded = decode(summary_delta(0, "hm"), text_delta(1, "Hel"), text_delta(1, "lo"), completed())
    assert decoded.message.content == (ThinkingContent("hm"), TextContent("Hello"))


def test_what_an_item_begins_with_counts_if_nothing_else_comes():
    """Text and arguments alike."""
    begun = (
        added(0, "message", "m", content=[{"text": "Hello"}]),
        added(1, "function_call", "fc_1", name="f", arguments='{"a":1}'),
    )
    message = decode(*begun, completed()).message
    assert (message.text, message.tool_calls[0].arguments) == ("Hello", {"a": 1})


def test_events_of_unknown_types_say_nothing():
    """Nor do those that bring nothing new."""
    odd = [
        event_of("in_progress", response={"id": "r"}),
        event_of("queued"),
        event_of("content_part.added", 0, part={"text": "x"}),
        event_of("output_text.done", 0, text="Hello"),
        event_of("output_text.annotation.added", 0),
        event_of("web_search_call.searching", 1),
        event_of("something.new", 0, delta="x"),
        {"type": "keepalive"},
        {"type": "ping"},
        {},
        [],
        7,
        None,
        "text",
    ]
    decoded = decode(*odd, OPEN, HELLO, *odd, DONE, *odd, completed())
    assert decoded.types == ["start", "text_start", "text_delta", "text_end", "done"]


def test_partials_show_what_was_known():
    """Ids of the response from the event after they came; a call without arguments at first."""
    decoded = decode(event_of("created", response={"id": "resp_0"}), THINK, ADD_CALL, completed())
    start = next(event for event in decoded.events if isinstance(event, ThinkingStart))
    assert start.partial.response_id == "resp_0"
    call = next(event for event in decoded.events if isinstance(event, ToolCallStart))
    assert call.partial.tool_calls[0] == ToolCall("call_1|fc_1", "f", {})


# The end


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("completed", StopReason.Stop),
        (None, StopReason.Stop),
        ("in_progress", StopReason.Stop),
        ("queued", StopReason.Stop),
        ("incomplete", StopReason.Length),
    ],
)
def test_the_status_says_how_it_ended(status, reason):
    """Not the name of the event."""
    assert decode(OPEN, HELLO, DONE, completed(status=status)).message.stop_reason is reason


def test_an_incomplete_response_says_so_by_its_event_alone():
    """A status that is missing does not make a finished answer of it; calls neither."""
    decoded = decode(ADD_CALL, event_of("incomplete", response={"id": "r"}))
    assert decoded.message.stop_reason is StopReason.Length
    assert decode(ADD_CALL, completed(status="incomplete")).message.stop_reason is StopReason.Length


def test_a_response_that_was_filtered_says_why():
    """In a note, because the stop reason is the same as for a limit."""
    filtered = completed(status="incomplete", incomplete_details={"reason": "content_filter"})
    message = decode(OPEN, HELLO, filtered).message
    assert (message.stop_reason, message.text) == (StopReason.Length, "Hello")
    assert message.diagnostics == ({"type": "incomplete", "details": {"reason": "content_filter"}},)
    talkative = completed(status="incomplete", incomplete_details={"reason": "x" * 1000})
    assert decode(talkative).message.diagnostics[0]["details"] == {"reason": "x" * 200}
    limited = completed(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert decode(OPEN, HELLO, limited).message.diagnostics == ()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("stalled", "Unhandled stop reason: stalled"),
        (7, "Unhandled stop reason: 7"),
        ("failed", "An unknown error occurred (failed: "),
        ("cancelled", "An unknown error occurred (cancelled: "),
    ],
)
def test_other_statuses_are_errors(status, text):
    """What had arrived is kept."""
    message = decode(OPEN, HELLO, DONE, completed(status=status)).message
    assert (message.stop_reason, message.text) == (StopReason.Error, "Hello")
    assert message.error_message.startswith(text)


def test_a_response_that_was_cancelled_is_over():
    """It is not waited for."""
    assert (
        decode(OPEN, HELLO, event_of("cancelled", response={"id": "r"})).message.stop_reason
        is StopReason.Error
    )


@pytest.mark.parametrize("last", [b"", sse_of(b"[DONE]")])
def test_an_early_end_is_an_error(last):
    """With what had arrived, its block open."""
    decoded = replay([sse_of(THINK, summary_delta(0, "hm")) + last])
    assert decoded.message.error_message == "OpenAI Responses stream ended before a terminal response event"
    assert (decoded.message.stop_reason, decoded.message.thinking) == (StopReason.Error, "hm")
    assert decoded.types[-2:] == ["thinking_delta", "error"]


def test_a_response_may_be_its_event():
    """Without an object of its own."""
    message = decode(
        OPEN,
        HELLO,
        {"type": "response.completed", "id": "r", "status": "completed", "usage": {"output_tokens": 3}},
    ).message
    assert (message.response_id, message.usage.output) == ("r", 3)


def test_the_last_id_of_the_response_counts():
    """Some servers change it."""
    first = event_of("created", response={"id": "resp_0"})
    assert decode(first, completed()).message.response_id == "resp_1"
    assert decode(first, completed(id=None)).message.response_id == "resp_0"


def test_events_may_have_their_names_outside():
    """Or only inside, without ``event:`` lines, with comments and other line ends between."""
    inside = b"".join(
        b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in (OPEN, HELLO, DONE, completed())
    )
    outside = b"".join(
        b"data: %b\nevent: %b\n\n"
        % (json.dumps({key: event[key] for key in event if key != "type"}).encode(), event["type"].encode())
        for event in (OPEN, HELLO, DONE, completed())
    )
    for body in (inside, b": keep-alive\n\n" + outside):
        assert replay([body]).types == ["start", "text_start", "text_delta", "text_end", "done"]


# Provider items

SEARCH = item_of("web_search_call", "ws_1", status="completed", action={"query": "q"})


def test_items_of_the_providers_own_tools_are_kept():
    """With their final values, at the place where they began."""
    decoded = decode(
        OPEN,
        added(1, "web_search_call", "ws_1", status="in_progress"),
        event_of("web_search_call.searching", 1, item_id="ws_1"),
        ADD_CALL | {"output_index": 2},
        event_of("output_item.done", 1, item=SEARCH),
        DONE_CALL | {"output_index": 2},
        done(3, "compaction", "cmp_1", encrypted_content="x"),
        completed(),
    )
    assert decoded.message.provider_items == (
        {"index": 1, "item": SEARCH},
        {"index": 2, "item": {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}},
    )
    assert [type(block) for block in decoded.message.content] == [TextContent, ToolCall]


def test_items_that_the_model_wants_from_the_client_are_kept_too():
    """Such as a search for tools that nobody offered; they do not make it a call."""
    for kind in ("tool_search_call", "shell_call", "program", "mcp_approval_request"):
        message = decode(added(0, kind, "x_1"), done(0, kind, "x_1", call_id="call_1"), completed()).message
        assert message.provider_items[0]["item"] == {"type": kind, "id": "x_1", "call_id": "call_1"}
        assert message.stop_reason is StopReason.Stop


def test_provider_items_may_come_with_the_end_of_the_response():
    """Those that never ended, and those that never came."""
    message = decode(
        added(0, "web_search_call", "ws_1"),
        completed(SEARCH, item_of("compaction", "cmp_1"), message_of("m", "a")),
    ).message
    assert [entry["item"]["id"] for entry in message.provider_items] == ["ws_1", "cmp_1"]


def test_items_without_a_type_are_none():
    """There is nothing to be made of them."""
    odd = [event_of("output_item.added", 0, item=item) for item in ({}, None, [], {"type": 7}, "x")]
    ends = [event_of("output_item.done", 0, item=item) for item in ({}, None, [], {"type": 7}, "x")]
    assert decode(*odd, *ends, completed({}, None, {"type": None}, 7)).message.content == ()
    assert (
        decode(
            completed() | {"response": {"status": "completed", "output": {"0": SEARCH}}}
        ).message.provider_items
        == ()
    )


# Final values of parts


def text_done(index, text, **fields):
    return event_of("output_text.done", index, text=text, **fields)


def part_done(index, kind, **fields):
    return event_of("content_part.done", index, part={"type": kind, **fields})


def summary_done(index, text, part=0):
    return event_of("reasoning_summary_text.done", index, text=text, summary_index=part)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((text_done(0, "Hello"),), ["Hello"]),
        ((part_done(0, "output_text", text="Hello"),), ["Hello"]),
        ((part_done(0, "refusal", refusal="Hello"),), ["Hello"]),
        ((event_of("refusal.done", 0, refusal="Hello"),), ["Hello"]),
        ((text_done(0, "Hello"), part_done(0, "output_text", text="Hello")), ["Hello"]),
        ((text_delta(0, "Hel"), text_done(0, "Hello")), ["Hel", "lo"]),
        ((HELLO, text_done(0, ""), part_done(0, "output_text")), ["Hello"]),
        ((text_done(0, "Hel"), text_done(0, "lo", content_index=1)), ["Hel", "lo"]),
        ((text_delta(0, "Jello"), text_done(0, "Hello")), ["Jello"]),
    ],
)  # fmt: skip
def test_the_end_of_a_part_counts_where_the_item_never_ends(events, expected):
    """What was not streamed follows; what contradicts the deltas holds; also of an item that never began."""
    for beginning in ((OPEN,), ()):
        decoded = decode(*beginning, *events, completed())
        assert decoded.message.text == "Hello"
        assert "".join(deltas(decoded)) in ("".join(expected), "Hello")
        if beginning:
            assert deltas(decoded) == expected


def test_the_end_of_a_part_leaves_the_other_parts():
    """A correction is of one part alone."""
    pieces = (text_delta(0, "a", content_index=0), text_delta(0, "b", content_index=1))
    decoded = decode(OPEN, *pieces, text_done(0, "A", content_index=0), completed())
    assert decoded.message.text == "Ab"


def test_the_end_of_an_item_counts_more_than_that_of_its_parts():
    """And the deltas repeat nothing."""
    decoded = decode(OPEN, text_done(0, "Hel"), DONE, text_done(0, "Jello"), completed())
    assert (decoded.message.text, deltas(decoded)) == ("Hello", ["Hel", "lo"])


def test_the_end_of_a_summary_counts_where_the_item_never_ends():
    """Its parts are apart, whether or not the server says where they end."""
    for beginning in ((THINK | {"output_index": 0},), ()):
        decoded = decode(*beginning, summary_done(0, "a"), summary_done(0, "b", 1), completed())
        assert decoded.message.content == (ThinkingContent("a\n\nb"),)
    both = decode(
        summary_delta(0, "a"), event_of("reasoning_text.done", 0, text="b", content_index=0), completed()
    )
    assert both.message.content == (ThinkingContent("a\n\nb"),)
    reasoned = decode(part_done(0, "reasoning_text", text="hm"), completed())
    assert reasoned.message.content == (ThinkingContent("hm"),)
