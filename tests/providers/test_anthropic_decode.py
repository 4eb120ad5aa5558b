"""Messages streams: what becomes of their events."""

import json
import time
import tracemalloc

import pytest

from providers.anthropic.blocks import ThinkingBlock
from providers.anthropic.decode import NO_REASON, NOT_STOPPED, REFUSED
from runtime.streams.assembler import MessageAssembler
from runtime.streams.events import TextDelta, ToolCallDelta, ToolCallEnd
from runtime.streams.overflow import is_context_overflow
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import StopReason
from runtime.values.model import ModelCost
from tests.providers.anthropic_lab import (
    LAST,
    PING,
    TEXT,
    decode,
    ending,
    model_of,
    more,
    opened,
    replay,
    reply_of,
    said,
    sse_of,
    start_of,
    stopped,
    typed,
)


def content_of(*events, **settings):
    """The blocks of a reply with these events."""
    return reply_of(*events, **settings).message.content


# Blocks


def test_a_text_block_streams_in():
    """Start, a delta for each piece, end; deltas are shown as they come."""
    decoded = reply_of(opened(text=""), said("Hel"), said("lo"), stopped())
    assert decoded.types == ["start", "text_start", "text_delta", "text_delta", "text_end", "done"]
    assert [event.delta for event in decoded.events if isinstance(event, TextDelta)] == ["Hel", "lo"]
    assert decoded.message.content == (TextContent("Hello"),)
    assert decoded.events[2].partial.text == "Hel"


def test_a_start_may_hold_the_beginning():
    """Text, thinking and signature of a block's start are kept."""
    assert content_of(
        opened(0, "thinking", thinking="so ", signature="s1"),
        more(0, "thinking_delta", thinking="be it"),
        more(0, "signature_delta", signature="s2"),
        stopped(0),
        opened(1, text="Hel"),
        said("lo", 1),
        stopped(1),
    ) == (ThinkingContent("so be it", "s1s2"), TextContent("Hello"))


def test_thinking_is_signed():
    """Its signature may come in pieces and makes no event; without one it is empty."""
    decoded = reply_of(
        opened(0, "thinking", thinking="", signature=""),
        more(0, "thinking_delta", thinking="hm"),
        more(0, "signature_delta", signature="ab"),
        more(0, "signature_delta", signature="cd"),
        stopped(0),
        opened(1, "thinking"),
        stopped(1),
    )
    assert decoded.message.content == (ThinkingContent("hm", "abcd"), ThinkingContent("", ""))
    assert decoded.of(0) == ["thinking_start", "thinking_delta", "thinking_end"]


def test_a_signature_without_an_end_is_kept():
    """The reply's end is the block's."""
    pieces = (more(0, "signature_delta", signature=piece) for piece in ("b", "c"))
    assert content_of(opened(0, "thinking", thinking="hm", signature="a"), *pieces) == (
        ThinkingContent("hm", "abc"),
    )


def _cost_of_signing(pieces: int) -> tuple[float, int]:
    """The seconds and the bytes that a signature in so many pieces takes."""
    assembler = MessageAssembler(model_of(), timestamp=0)
    assembler.start()
    block = ThinkingBlock(assembler, {"type": "thinking"})
    deltas = [{"type": "signature_delta", "signature": "x" * 99 + str(n)} for n in range(pieces)]
    tracemalloc.start()
    started = time.process_time()
    for delta in deltas:
        block.delta(delta)
    block.end()
    took, held = time.process_time() - started, tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    (signed,) = assembler.done(StopReason.Stop).content
    assert isinstance(signed, ThinkingContent)
    assert signed.thinking_signature == "".join(delta["signature"] for delta in deltas)
    return took, held


def test_a_signature_in_many_pieces_costs_what_it_is_long():
    """Ten times the pieces take about ten times the time and the memory."""
    few = [_cost_of_signing(500) for _ in range(3)]
    many = [_cost_of_signing(5000) for _ in range(3)]
    assert min(held for _, held in many) < 20 * min(held for _, held in few)
    assert min(took for took, _ in many) < 30 * min(took for took, _ in few) + 0.005


def test_redacted_thinking_keeps_its_data():
    """As a signature, beside a text that says what it is; it has no deltas."""
    decoded = reply_of(
        opened(0, "redacted_thinking", data="secret"), more(0, "thinking_delta", thinking="x"), stopped()
    )
    assert decoded.message.content == (ThinkingContent("[Reasoning redacted]", "secret", redacted=True),)
    assert decoded.of(0) == ["thinking_start", "thinking_end"]


def test_a_tool_call_streams_in():
    """The deltas are the pieces of JSON as they come, arguments are an object all the way, the index is one."""
    decoded = reply_of(
        opened(0, "tool_use", id="toolu_1", name="get_weather", input={}),
        *(typed(piece) for piece in ("", '{"ci', 'ty":"Os', 'lo"}')),
        stopped(),
        reason="tool_use",
    )
    assert decoded.message.stop_reason is StopReason.ToolUse
    assert decoded.message.content == (ToolCall("toolu_1", "get_weather", {"city": "Oslo"}),)
    deltas = [event for event in decoded.events if isinstance(event, ToolCallDelta)]
    assert json.loads("".join(event.delta for event in deltas)) == {"city": "Oslo"}
    assert [event.partial.tool_calls[0].arguments for event in deltas] == [
        {},
        {},
        {"city": "Os"},
        {"city": "Oslo"},
    ]
    assert decoded.of(0)[0] == "toolcall_start"
    assert decoded.of(0)[-1] == "toolcall_end"


@pytest.mark.parametrize(
    ("block", "pieces", "arguments"),
    [
        ({"input": {"a": 1}}, (), {"a": 1}),
        ({"input": {"a": 1}}, ("", " "), {"a": 1}),
        ({"input": {"a": 1}}, ('{"b":2}',), {"b": 2}),
        ({}, ('{"b":2}',), {"b": 2}),
        ({}, (), {}),
        ({"input": None}, (), {}),
        ({"input": ""}, (), {}),
        ({"input": {}}, ('{"b":',), {}),
    ],
)
def test_the_arguments_of_a_call(block, pieces, arguments):
    """Those of the start hold unless deltas say something; llama.cpp's start has none; cut ones are read as far as they go."""
    (call,) = content_of(
        opened(0, "tool_use", id="a", name="f", **block), *map(typed, pieces), stopped(), reason="tool_use"
    )
    assert call.arguments == arguments


def test_badly_written_json_is_repaired():
    """In the event, and again in the arguments that it carries."""
    data = (
        rb'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta",'
        rb'"partial_json":"{\"path\":\"A\H\",\"text\":\"a' + b"\t" + rb'b\"}"}}'
    )
    decoded = reply_of(
        opened(0, "tool_use", id="a", name="f", input={}),
        b"event: content_block_delta\ndata: " + data + b"\n\n",
        stopped(),
        reason="tool_use",
    )
    assert decoded.message.tool_calls[0].arguments == {"path": "A\\H", "text": "a\tb"}
    assert decoded.message.stop_reason is StopReason.ToolUse


def test_halves_of_surrogate_pairs_are_joined():
    """JavaScript cuts where it likes; a half that stays alone goes."""
    raw = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
    assert content_of(opened(), raw % rb"a\ud83d", raw % rb"\ude00b\ud83d", stopped()) == (
        TextContent("a😀b"),
    )


def test_blocks_may_interleave():
    """The server's indexes tell them apart, whatever their numbers are."""
    decoded = reply_of(
        opened(7),
        opened(3, "tool_use", id="a", name="f"),
        said("x", 7),
        typed("{}", 3),
        said("y", 7),
        stopped(3),
        stopped(7),
    )
    assert decoded.message.content == (TextContent("xy"), ToolCall("a", "f", {}))


def test_a_server_that_numbers_all_blocks_alike():
    """Or not at all: a new start ends the block before it."""
    first, second = opened(text="a"), opened(text="b")
    for event in (first, second):
        del event["index"]
    assert content_of(first, second, said("c"), stopped()) == (TextContent("a"), TextContent("bc"))


@pytest.mark.parametrize(
    "event",
    [
        said("x", 5),
        typed("{}", 5),
        stopped(5),
        more(0, "thinking_delta", thinking="x"),
        more(0, "input_json_delta", partial_json="{}"),
        more(0, "signature_delta", signature="x"),
        more(0, "later_delta", text="x"),
        more(0, "text_delta", text=None),
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_start", "index": 9, "content_block": None},
        {"type": "content_block_start", "index": 9, "content_block": {"type": 7}},
    ],
)
def test_what_fits_no_block_is_ignored(event):
    """Other indexes, other kinds, other types."""
    assert content_of(opened(), event, said("Hello"), stopped()) == (TextContent("Hello"),)


def test_what_comes_after_a_blocks_end_is_ignored():
    """Also a second end."""
    decoded = reply_of(*TEXT, said("x"), stopped())
    assert decoded.of(0) == ["text_start", "text_delta", "text_end"]


def test_blocks_without_an_end_are_ended():
    """A limit may cut a reply in the middle of a call."""
    decoded = reply_of(opened(0, "tool_use", id="a", name="f"), typed('{"x":"12'), reason="max_tokens")
    assert decoded.message.stop_reason is StopReason.Length
    assert next(event for event in decoded.events if isinstance(event, ToolCallEnd)).tool_call.arguments == {
        "x": "12"
    }


# Ends


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", StopReason.Stop),
        ("stop_sequence", StopReason.Stop),
        ("pause_turn", StopReason.Stop),
        ("compaction", StopReason.Stop),
        ("max_tokens", StopReason.Length),
        ("tool_use", StopReason.ToolUse),
    ],
)
def test_the_stop_reason(reason, expected):
    """Of those that are no failure."""
    message = reply_of(*TEXT, reason=reason).message
    assert (message.stop_reason, message.error_message) == (expected, None)


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        (ending("refusal", stop_details={"type": "refusal", "explanation": "Not that."}), "Not that."),
        (ending("refusal", stop_details={"explanation": " "}), REFUSED),
        (ending("refusal", stop_details={"explanation": 7}), REFUSED),
        (ending("refusal", stop_details=None), REFUSED),
        (ending("refusal"), REFUSED),
        (ending("sensitive"), "Provider stopped with: sensitive"),
    ],
)
def test_a_refusal_is_an_error_with_the_providers_explanation(delta, text):
    """Its blocks have their ends, and its usage counts."""
    delta["usage"] = {"output_tokens": 9}
    decoded = decode(start_of(), opened(), said("Hello"), delta, LAST)
    assert decoded.error == text
    assert decoded.of(0)[-1] == "text_end"
    assert (decoded.message.text, decoded.message.usage.output) == ("Hello", 9)


def test_an_unknown_stop_reason_fails_at_once():
    """Before the usage of its event, and without waiting for the end."""
    decoded = decode(start_of(), *TEXT, ending("model_overheated", usage={"output_tokens": 99}))
    assert decoded.error == "Unhandled stop reason: model_overheated"
    assert decoded.message.usage.output == 1


def test_a_full_context_window_is_an_overflow():
    """What had been said is kept."""
    message = reply_of(*TEXT, reason="model_context_window_exceeded").message
    assert message.stop_reason is StopReason.Error
    assert message.text == "Hello"
    assert is_context_overflow(message, 1000)


def test_the_stop_reason_of_a_later_event_counts():
    """And one that says nothing changes nothing."""
    message = decode(start_of(), *TEXT, ending("max_tokens"), ending(None), ending(7), LAST).message
    assert message.stop_reason is StopReason.Length


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((), NO_REASON),
        ((PING,), NO_REASON),
        ((LAST,), NO_REASON),
        ((start_of(), LAST), NO_REASON),
        ((start_of(), *TEXT, LAST), NO_REASON),
        ((start_of(),), NOT_STOPPED),
        ((start_of(), *TEXT), NOT_STOPPED),
        ((start_of(), *TEXT, ending()), NOT_STOPPED),
        ((*TEXT, ending()), NOT_STOPPED),
        ((start_of(), ending("refusal")), f"{NOT_STOPPED} ({REFUSED})"),
    ],
)
def test_an_end_without_a_sign_of_completion_is_an_error(events, text):
    """Nothing of the kind passes for an answer."""
    assert decode(*events).error == text


def test_an_end_is_enough_without_a_beginning():
    """Some servers leave out what they have nothing to say in."""
    message = decode(*TEXT, ending(), LAST).message
    assert (message.stop_reason, message.text, message.response_id) == (StopReason.Stop, "Hello", None)


def test_nothing_after_the_end_counts():
    """Proxies add events of other APIs."""
    decoded = decode(
        start_of(), *TEXT, ending(), LAST, b"event: done\ndata: [DONE]\n\n", b"event: error\ndata: x\n\n"
    )
    assert decoded.message.stop_reason is StopReason.Stop


@pytest.mark.parametrize(
    "event",
    [
        b"event: done\ndata: [DONE]\n\n",
        b"data: [DONE]\n\n",
        b"data:\n\n",
        b"event: proxy.stats\ndata: not json\n\n",
        b"event: ping\ndata: not json\n\n",
        b'data: {"type": "ping"}\n\n',
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b'data: {"type": "later"}\n\n',
        b'data: "text"\n\n',
        b"data: [1]\n\n",
        b"event: message_delta\ndata: [1]\n\n",
        b": keep-alive\n\n",
    ],
)
def test_events_of_other_kinds_are_ignored(event):
    """Wherever they come."""
    decoded = decode(start_of(), event, opened(), event, said("Hello"), event, ending(), event, LAST)
    assert decoded.message.text == "Hello"
    assert decoded.message.stop_reason is StopReason.Stop


def test_events_without_names_are_known_by_their_type():
    """And events without a type by their name."""
    events = (start_of(), *TEXT, ending(), LAST)
    nameless = [b"data: %b\n\n" % json.dumps(event).encode() for event in events]
    typeless = [
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps({**event, "type": None}).encode())
        for event in events
    ]
    for stream in (nameless, typeless, [*nameless[:-1], b"event: message_stop\n\n"]):
        assert replay(stream).message.text == "Hello"


# Failures


OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (f"event: error\ndata: {OVERLOADED}", OVERLOADED),
        (f"data: {OVERLOADED}", OVERLOADED),
        (f"event: message_delta\ndata: {OVERLOADED}", OVERLOADED),
        (
            'event: error\ndata: {"code":400,"message":"too long","type":"x"}',
            '{"code":400,"message":"too long","type":"x"}',
        ),
        ('data: {"error": {"message": "no"}}', '{"error": {"message": "no"}}'),
        ('data: {"error": "no"}', '{"error": "no"}'),
        (r"event: error" + "\n" + r'data: {"message":"caf\u00e9"}', r'{"message":"caf\u00e9"} [café]'),
        ("event: error\ndata: not json", "not json"),
        ("event: error\ndata:", "An unknown error occurred"),
        ("event: error", "An unknown error occurred"),
    ],
)
def test_an_error_in_the_stream(event, text):
    """In any shape; what had arrived is kept, and open blocks stay open."""
    decoded = decode(start_of(), opened(), said("Hel"), event.encode() + b"\n\n", LAST)
    assert decoded.error == text
    assert decoded.of(0) == ["text_start", "text_delta"]
    assert (decoded.message.text, decoded.message.usage.input) == ("Hel", 10)


def test_an_error_name_in_the_middle_makes_the_whole_event_an_error():
    """The data is told as it is."""
    data = json.dumps(said("x")).encode()
    decoded = decode(
        start_of(), opened(), b"event: content_block_delta\nevent: error\ndata: " + data + b"\n\n"
    )
    assert decoded.error == data.decode()


def test_what_cannot_be_read_is_told():
    """With the event's name and its data."""
    decoded = decode(start_of(), b"event: message_delta\ndata: {nope\n\n")
    assert decoded.error.startswith("Could not parse Anthropic SSE event message_delta: ")
    assert decoded.error.endswith("; data={nope")
    assert "NaN" in decode(b'data: {"type":"message_start","message":NaN}\n\n').error
    assert "[[[" in decode(b"data: " + b"[" * 100_000 + b"\n\n").error
    assert len(decode(b"data: " + b"x" * 100_000 + b"\n\n").error) < 3000


# The message


def test_the_reply_says_who_answered():
    """Its id, and the model where that is another one than was asked for."""
    message = decode(start_of(id="msg_9", model="claude-x-20260101"), ending(), LAST).message
    assert (message.response_id, message.response_model, message.model) == ("msg_9", "claude-x-20260101", "m")
    assert decode(start_of(model="m"), ending(), LAST).message.response_model is None
    odd = decode({"type": "message_start", "message": {"id": 7, "model": [], "usage": "x"}}, ending(), LAST)
    assert (odd.message.response_id, odd.message.response_model) == (None, None)


RATES = ModelCost(input=5, output=25, cache_read=0.5, cache_write=6.25)
WRITES = {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 1_000_000}


def usage_of(start, delta):
    return decode(start_of(start), ending(usage=delta), LAST, model=model_of(cost=RATES)).message.usage


@pytest.mark.parametrize("where", ["start", "end"])
def test_cache_writes_for_an_hour_cost_twice_the_input_rate(where):
    """Wherever the breakdown is reported."""
    hour = {**WRITES, "cache_creation": {"ephemeral_1h_input_tokens": 400_000}}
    details = {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}}
    usage = usage_of(hour, details) if where == "start" else usage_of({}, {**hour, **details})
    assert (usage.cache_write_1h, usage.reasoning, usage.output) == (400_000, 40, 50)
    assert usage.cost.cache_write == pytest.approx(7.75)


def test_without_a_breakdown_nothing_was_written_for_an_hour():
    """That is known once a reply has begun."""
    usage = usage_of(WRITES, None)
    assert (usage.cache_write_1h, usage.reasoning) == (0, None)
    assert usage.cost.cache_write == pytest.approx(6.25)
    assert decode(ending(usage=WRITES), LAST).message.usage.cache_write_1h is None


def test_the_usage_of_the_start_holds_where_the_end_says_nothing():
    """Null and absent counts leave what was there; others replace it."""
    start = {"input_tokens": 11, "output_tokens": 1, "cache_read_input_tokens": 5}
    assert usage_of(start, None).total_tokens == 17
    assert usage_of(start, {"input_tokens": None, "output_tokens": 7}).total_tokens == 23
    assert usage_of(start, {"input_tokens": 20, "output_tokens": 7, "cache_read_input_tokens": 0}).input == 20


def test_usage_may_come_at_the_end_alone():
    """LiteLLM's start has zeros."""
    usage = usage_of({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 30, "output_tokens": 4})
    assert (usage.input, usage.output, usage.total_tokens) == (30, 4, 34)
    assert usage.cost.total == pytest.approx((30 * 5 + 4 * 25) / 1e6)


@pytest.mark.parametrize("odd", [-1, 1.5, "7", True, [], 2**60, {}])
def test_what_is_no_count_is_ignored(odd):
    """The count before it holds."""
    usage = usage_of({"input_tokens": 3}, {"input_tokens": odd, "cache_creation": odd, "output_tokens": 2.0})
    assert (usage.input, usage.output, usage.cache_write_1h) == (3, 2, 0)


def test_usage_counts_in_a_reply_that_failed():
    """The provider bills it."""
    message = decode(start_of({"input_tokens": 1_000_000}), opened(), model=model_of(cost=RATES)).message
    assert message.stop_reason is StopReason.Error
    assert message.usage.cost.input == pytest.approx(5)


def test_pings_are_no_progress():
    """And what says something is."""
    from providers.anthropic.decode import MessagesDecoder
    from providers.sse import SseReader
    from runtime.streams.assembler import MessageAssembler

    assembler = MessageAssembler(model_of())
    decoder = MessagesDecoder(assembler, model_of())
    assembler.start()
    events = SseReader(1 << 20).feed(
        sse_of(PING, start_of(), b"event: x\ndata: y\n\n", opened(), b'data: {"type":"ping"}\n\n')
    )
    assert [decoder.feed(event) for event in events] == [False, True, False, True, False]
