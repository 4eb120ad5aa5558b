"""What becomes of Chat Completions chunks."""

import pytest

from runtime.streams.events import TextDelta, ThinkingStart
from runtime.values.content import TextContent, ThinkingContent
from runtime.values.message import StopReason
from runtime.values.model import ModelCost
from tests.providers.completions_lab import chunk_of, decode, model_of, piece_of, replay, sse_of, tools_of

OK = chunk_of({"content": "ok"})
STOP = chunk_of(finish="stop")


def usage_of(**counts):
    """The usage that a stream reports at its top."""
    return decode(OK, STOP, {"choices": [], "usage": counts}).message.usage


# Text and thinking


def test_text_is_one_block():
    """It starts with its first piece and ends with the stream."""
    decoded = decode(
        chunk_of({"role": "assistant", "content": ""}),
        chunk_of({"content": "a"}),
        chunk_of({"content": "b"}),
        STOP,
    )
    assert decoded.types == ["start", "text_start", "text_delta", "text_delta", "text_end", "done"]
    assert decoded.message.content == (TextContent("ab"),)
    assert decoded.message.stop_reason is StopReason.Stop


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_thinking_is_signed_with_the_field_that_it_came_in(field):
    """So that it can go back there."""
    decoded = decode(chunk_of({field: "hm"}, "stop"))
    assert decoded.types == ["start", "thinking_start", "thinking_delta", "thinking_end", "done"]
    assert decoded.message.content == (ThinkingContent("hm", field),)
    assert decoded.events[1].partial.content == (ThinkingContent("", field),)


def test_a_thought_in_several_fields_counts_once():
    """The first that is not empty."""
    both = chunk_of({"reasoning_content": "", "reasoning": "a", "reasoning_text": "a"})
    details = chunk_of({"reasoning": "b", "reasoning_details": [{"type": "reasoning.text", "text": "b"}]})
    again = chunk_of({"reasoning_details": [{"type": "reasoning.text", "text": "ab"}]})
    assert decode(both, details, again, STOP).message.content == (ThinkingContent("ab", "reasoning"),)


def test_a_thought_may_come_in_details_alone():
    """Nothing tells then where it would go back to."""
    pieces = [
        chunk_of({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": text}]})
        for text in "ab"
    ]
    assert decode(*pieces, STOP).message.content == (ThinkingContent("ab"),)


def test_blocks_stay_open_however_they_interleave():
    """Two blocks, in the order of their starts, text before thinking in one chunk."""
    chunks = [
        chunk_of({"reasoning": "x", "content": "a"}),
        chunk_of({"reasoning": "y"}),
        chunk_of({"content": "b"}),
    ]
    decoded = decode(*chunks, STOP)
    assert decoded.message.content == (TextContent("ab"), ThinkingContent("xy", "reasoning"))
    assert decoded.types[-3:] == ["text_end", "thinking_end", "done"]


@pytest.mark.parametrize(
    ("content", "text", "thinking"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", ""),
        (["a", 1, None, {"type": "image"}], "a", ""),
        ({"type": "text", "text": "a"}, "a", ""),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ],
            "a",
            "hm",
        ),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}], "", "hm"),
        (7, "", ""),
    ],
)
def test_content_may_be_a_list_of_parts(content, text, thinking):
    """Text and thinking count, other parts do not."""
    message = decode(chunk_of({"content": content}), STOP).message
    assert (message.text, message.thinking) == (text, thinking)
    assert message.stop_reason is StopReason.Stop


def test_a_refusal_is_text():
    """It is what the model says."""
    chunks = [chunk_of({"content": None, "refusal": "I "}), chunk_of({"refusal": "cannot"})]
    assert decode(*chunks, STOP).message.content == (TextContent("I cannot"),)


def test_a_server_that_does_not_stream_is_understood():
    """The whole message stands where the pieces would; after pieces it is a repetition."""
    whole = {
        "choices": [{"index": 0, "message": {"content": "all", "tool_calls": [piece_of("{}", "f", id="a")]}}]
    }
    message = decode(whole, STOP).message
    assert message.text == "all"
    assert [call.name for call in message.tool_calls] == ["f"]
    assert decode(OK, whole, STOP).message.text == "ok"


def test_an_emoji_may_be_cut_between_two_chunks():
    """Each chunk holds one half of the surrogate pair; a half that stays alone is dropped."""
    halves = [
        b'{"choices":[{"delta":{"content":"%b"}}]}' % half for half in (rb"a\ud83d", rb"\ude00b", rb"\ud83d")
    ]
    decoded = decode(*halves, STOP)
    assert decoded.message.text == "a😀b"
    assert "".join(event.delta for event in decoded.events if isinstance(event, TextDelta)) == "a😀b"


# Who answered


def test_the_first_id_that_is_not_empty_counts():
    """Some servers begin with an empty one."""
    ids = [chunk_of({"content": "a"}) | {"id": name} for name in ("", None, 5, "real", "later")]
    assert decode(*ids, STOP).message.response_id == "real"


@pytest.mark.parametrize(
    ("named", "answered"), [("other", "other"), ("m", None), ("", None), (None, None), (["x"], None)]
)
def test_another_model_than_the_asked_one_is_named(named, answered):
    """The message keeps the id that was asked for."""
    message = decode(OK | {"model": named}, STOP).message
    assert (message.model, message.response_model) == ("m", answered)


# Usage


def test_cached_tokens_are_no_input():
    """Neither those that were read nor those that were written."""
    details = {"cached_tokens": 50, "cache_write_tokens": 30}
    usage = usage_of(prompt_tokens=100, completion_tokens=5, prompt_tokens_details=details)
    assert (usage.input, usage.output, usage.cache_read, usage.cache_write) == (20, 5, 50, 30)
    assert (usage.total_tokens, usage.reasoning) == (105, 0)


@pytest.mark.parametrize(
    ("where", "read"),
    [
        ({"prompt_cache_hit_tokens": 40}, 40),
        ({"cached_tokens": 40}, 40),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 40}, 0),
        ({"prompt_tokens_details": {"cached_tokens": None}, "cached_tokens": 40}, 40),
        ({"prompt_tokens_details": {"cached_tokens": 400}}, 400),
        ({"prompt_tokens_details": 7}, 0),
    ],
)
def test_cached_tokens_are_found_wherever_they_stand(where, read):
    """Input never goes below nothing."""
    usage = usage_of(prompt_tokens=100, completion_tokens=5, **where)
    assert (usage.cache_read, usage.input) == (read, max(0, 100 - read))


def test_reasoning_is_part_of_the_output():
    """It is not added to it."""
    details = {"reasoning_tokens": 21}
    usage = usage_of(
        prompt_tokens=10, completion_tokens=33, total_tokens=999, completion_tokens_details=details
    )
    assert (usage.output, usage.reasoning, usage.total_tokens) == (33, 21, 43)


@pytest.mark.parametrize("junk", [-5, "7", None, True, 1.5, 10**30, 1e300, [], {}])
def test_what_is_no_count_counts_as_nothing(junk):
    """And never breaks the stream."""
    usage = usage_of(prompt_tokens=junk, completion_tokens=3.0, total_tokens=1)
    assert (usage.input, usage.output, usage.total_tokens) == (0, 3, 3)


@pytest.mark.parametrize("junk", [{}, {"prompt_tokens": None}, [], "x", 5, {"cost": 1}])
def test_what_is_no_usage_leaves_the_last_one(junk):
    """An empty object does not wipe out what was said before."""
    counts = {"prompt_tokens": 10, "completion_tokens": 5}
    assert decode(OK | {"usage": counts}, STOP | {"usage": junk}).message.usage.total_tokens == 15


def test_usage_may_stand_in_the_choice():
    """The last one counts; the chunk's own goes first."""

    def with_usage(output, **more):
        return {
            "choices": [{"delta": {}, "usage": {"prompt_tokens": 10, "completion_tokens": output}}],
            **more,
        }

    assert decode(OK, with_usage(2), with_usage(5), STOP).message.usage.total_tokens == 15
    both = with_usage(2, usage={"prompt_tokens": 1, "completion_tokens": 1})
    assert decode(OK, both, STOP).message.usage.total_tokens == 2


def test_usage_may_stand_in_groqs_extension():
    """Where it stands unless it is asked for."""
    counts = {"prompt_tokens": 10, "completion_tokens": 5}
    assert decode(OK, STOP | {"x_groq": {"id": "r", "usage": counts}}).message.usage.total_tokens == 15
    assert decode(OK, STOP | {"x_groq": []}).message.usage.total_tokens == 0


def test_usage_has_its_cost():
    """At the model's rates."""
    model = model_of(cost=ModelCost(input=2, output=10))
    usage = {"choices": [], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 100_000}}
    assert decode(OK, STOP, usage, model=model).message.usage.cost.total == pytest.approx(3.0)


# The end


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", StopReason.Stop),
        ("end", StopReason.Stop),
        ("eos", StopReason.Stop),
        ("length", StopReason.Length),
        ("tool_calls", StopReason.ToolUse),
        ("function_call", StopReason.ToolUse),
    ],
)
def test_the_finish_reason_is_the_stop_reason(word, reason):
    """Also without the mark of the end."""
    for done in (True, False):
        assert decode(OK, chunk_of(finish=word), done=done).message.stop_reason is reason


@pytest.mark.parametrize("word", ["content_filter", "network_error", "error", "whatever"])
def test_any_other_finish_reason_is_an_error(word):
    """It is quoted; the blocks have ended, because the provider ended them."""
    decoded = decode(OK, chunk_of(finish=word))
    assert decoded.types == ["start", "text_start", "text_delta", "text_end", "error"]
    assert decoded.message.error_message == f"Provider finish_reason: {word}"
    assert decoded.message.text == "ok"


def test_the_last_finish_reason_counts():
    """Empty ones are none."""
    assert (
        decode(OK, chunk_of(finish="error"), STOP, chunk_of(finish="")).message.stop_reason is StopReason.Stop
    )


def test_stop_stays_stop_beside_calls():
    """Whoever runs tools looks at the calls."""
    message = decode(tools_of(piece_of("{}", "f", index=0, id="a")), STOP).message
    assert (message.stop_reason, len(message.tool_calls)) == (StopReason.Stop, 1)


def test_the_mark_of_the_end_is_an_end():
    """Without a finish reason it is tool use when there are calls."""
    assert decode(OK).message.stop_reason is StopReason.Stop
    assert decode(tools_of(piece_of("{}", "f", index=0, id="a"))).message.stop_reason is StopReason.ToolUse


def test_a_stream_that_just_ends_is_an_error():
    """Its blocks have no end, because nobody knows whether they are complete."""
    decoded = decode(OK, done=False)
    assert decoded.types == ["start", "text_start", "text_delta", "error"]
    assert decoded.message.error_message == "Stream ended without finish_reason"
    assert decoded.message.text == "ok"


def test_nothing_counts_after_the_mark_of_the_end():
    """Not even an error."""
    body = sse_of(OK, STOP) + sse_of(chunk_of({"content": "more"}), {"error": "late"})
    assert replay([body]).message.text == "ok"


def test_usage_after_the_finish_reason_counts():
    """It comes in a chunk without choices."""
    decoded = decode(OK, STOP, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    assert decoded.message.usage.total_tokens == 3


# What does not belong there


@pytest.mark.parametrize(
    "odd",
    [
        None, 5, "text", [], {}, {"choices": None}, {"choices": {}}, {"choices": [None, 1]}, {"choices": [[]]},
        {"choices": [{}]}, {"choices": [{"delta": None}]}, {"choices": [{"delta": [1], "finish_reason": 5}]},
        {"object": "ping"}, {"choices": [{"delta": {"content": None, "tool_calls": None, "reasoning": 5}}]},
        {"choices": [{"delta": {"tool_calls": [None, 3, "x"], "reasoning_details": {"a": 1}}}], "usage": [1]},
        {"choices": [], "error": None}, {"choices": [], "error": {}},
        b"", b" ",
    ],
)  # fmt: skip
def test_odd_chunks_are_survived(odd):
    """They say nothing, and the reply goes on."""
    message = decode(odd, OK, odd, STOP).message
    assert (message.text, message.stop_reason, message.error_message) == ("ok", StopReason.Stop, None)


def test_only_the_first_choice_counts():
    """By its index, or by its place where it has none."""

    def with_choices(*choices):
        return {"choices": [{"delta": {"content": text}, **more} for text, more in choices]}

    chunks = [
        with_choices(("b", {"index": 1})),
        with_choices(("a", {"index": 0}), ("b", {"index": 1})),
        with_choices(("a", {}), ("b", {})),
        with_choices(("a", {"index": None}), ("b", {"index": "x"})),
    ]
    assert decode(*chunks, STOP).message.text == "aaa"


@pytest.mark.parametrize(
    "broken", [b"{", b"no", b"NaN", b'{"choices":[{"delta":{"content":NaN}}]}', b"[" * 100_000]
)
def test_what_is_no_json_ends_the_reply(broken):
    """What had arrived stays, without ends."""
    decoded = decode(OK, broken, STOP)
    assert decoded.types == ["start", "text_start", "text_delta", "error"]
    assert decoded.message.error_message


def test_partials_show_what_was_known():
    """Fields of the message from the event after they came."""
    decoded = decode(chunk_of({"reasoning": "a"}), chunk_of({"content": "b"}), STOP)
    start = next(event for event in decoded.events if isinstance(event, ThinkingStart))
    assert start.partial.response_id == "c1"
    assert start.partial.text == ""
