"""Transcripts on the Messages wire."""

import pytest

from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, CustomMessage, StopReason, UserMessage, user
from runtime.values.options import StreamOptions
from tests.providers.anthropic_lab import (
    IMAGE,
    WIRE_IMAGE,
    call_of,
    messages_of,
    model_of,
    own,
    result_of,
)

HI = user("hi")
WIRE_HI = {"role": "user", "content": "hi"}
BARE = StreamOptions(cache_retention="none")


def text(value):
    return {"type": "text", "text": value}


def result(number=1, content="", is_error=False):
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content, "is_error": is_error}


def blocks_of(*blocks, **settings):
    """What becomes of a reply's blocks; None if nothing does."""
    model = model_of(**settings)
    sent = messages_of(model, HI, own(*blocks, model=model), HI)
    return sent[1]["content"] if len(sent) > 2 else None


def results_of(*results):
    """What becomes of results."""
    calls = own(*(call_of(number) for number in range(1, 4)))
    return messages_of(model_of(), HI, calls, *results, result_of(2, "b"), result_of(3, "c"))[2]["content"]


# Users


@pytest.mark.parametrize(
    "content", [(), "", " \n\t", (TextContent(""),), (TextContent(" "), TextContent("\n"))]
)
def test_a_user_who_says_nothing_is_left_out(content):
    """The provider refuses empty text."""
    assert messages_of(model_of(), UserMessage(content)) == []


def test_what_a_user_says_is_not_trimmed():
    """A string stays a string; blank texts in a list go."""
    assert messages_of(model_of(), user(" hi \n")) == [{"role": "user", "content": " hi \n"}]
    said = UserMessage((TextContent(" a "), TextContent(" "), IMAGE, TextContent("b")))
    assert messages_of(model_of(), said) == [
        {"role": "user", "content": [text(" a "), WIRE_IMAGE, text("b")]}
    ]


def test_an_empty_message_beside_an_image():
    """Only the image is left of both."""
    assert messages_of(model_of(), user(""), user("", [IMAGE])) == [{"role": "user", "content": [WIRE_IMAGE]}]


def test_images_are_not_judged():
    """Types and sizes are the provider's business."""
    odd = UserMessage((ImageContent("", "application/x-odd"),))
    assert messages_of(model_of(), odd)[0]["content"][0]["source"]["media_type"] == "application/x-odd"


def test_a_model_that_cannot_see_is_told_so():
    """Each run of images becomes one line, for users and in results; a model that sees gets them."""
    blind = model_of(input=("text",))
    call = own(call_of(), model=blind)
    transcript = (user("look", [IMAGE, IMAGE]), call, result_of(1, IMAGE, IMAGE, "x"))
    said, _, seen = messages_of(blind, *transcript)
    assert said["content"] == [text("look"), text("(image omitted: model does not support images)")]
    assert seen["content"] == [
        result(1, "(tool image omitted: model does not support images)\nx"),
    ]
    assert messages_of(model_of(), transcript[0])[0]["content"] == [text("look"), WIRE_IMAGE, WIRE_IMAGE]


def test_messages_of_the_application_are_not_sent():
    """They do not break up a run of results either."""
    calls = own(call_of(1), call_of(2))
    sent = messages_of(
        model_of(),
        HI,
        calls,
        result_of(1, "a"),
        CustomMessage("note", x=1),
        result_of(2, "b"),
        CustomMessage(),
    )
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[2]["content"] == [result(1, "a"), result(2, "b")]


# Replies


def test_a_reply_with_nothing_in_it_is_left_out():
    """The messages around it stay what they are."""
    sent = messages_of(model_of(), HI, own(), user("again"))
    assert sent == [WIRE_HI, {"role": "user", "content": "again"}]
    assert blocks_of(TextContent(" ")) is None


def test_the_blocks_of_a_reply_keep_their_order():
    """Text, thinking and calls, each in its form."""
    assert messages_of(
        model_of(),
        HI,
        own(ThinkingContent("hm", "s"), TextContent(" a "), call_of(1, city="Oslo")),
        result_of(1, "rain"),
    ) == [
        WIRE_HI,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                text(" a "),
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
            ],
        },
        {"role": "user", "content": [result(1, "rain")]},
    ]


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        (ThinkingContent("hm", "s"), {"type": "thinking", "thinking": "hm", "signature": "s"}),
        (ThinkingContent("", "s"), {"type": "thinking", "thinking": "", "signature": "s"}),
        (ThinkingContent("hm", ""), text("hm")),
        (ThinkingContent("hm", " "), text("hm")),
        (ThinkingContent("hm"), text("hm")),
        (ThinkingContent(" ", ""), None),
        (ThinkingContent(""), None),
        (ThinkingContent("[x]", "data", redacted=True), {"type": "redacted_thinking", "data": "data"}),
        (ThinkingContent("[x]", "", redacted=True), None),
        (ThinkingContent("[x]", redacted=True), None),
    ],
)
def test_thinking_of_the_model_itself(block, sent):
    """Signed, it goes back as it is, also when nothing of it was told; unsigned, it is text."""
    assert blocks_of(block) == (None if sent is None else [sent])


@pytest.mark.parametrize("signature", [None, "", " "])
def test_unsigned_thinking_where_the_endpoint_takes_it(signature):
    """With an empty signature."""
    compat = {"allow_empty_signature": True}
    assert blocks_of(ThinkingContent("hm", signature), compat=compat) == [
        {"type": "thinking", "thinking": "hm", "signature": ""}
    ]
    assert blocks_of(ThinkingContent(" ", signature), compat=compat) is None


@pytest.mark.parametrize(
    ("how", "sent"),
    [
        ("tagged", [text("<thinking>\nhm\n</thinking>"), text("a")]),
        ("plain", [text("hm\n\n"), text("a")]),
        ("drop", [text("a")]),
    ],
)
def test_thinking_of_another_model(how, sent):
    """Is text, as the options say; what only the other provider can read goes."""
    reply = AssistantMessage(
        (ThinkingContent("hm", "s"), ThinkingContent("[x]", "d", redacted=True), TextContent("a", "sig")),
        api="openai-responses",
        provider="openai",
        model="gpt",
    )
    options = StreamOptions(cache_retention="none", foreign_thinking=how)
    assert messages_of(model_of(), HI, reply, options=options)[1]["content"] == sent


def test_ids_of_other_providers_are_rewritten():
    """On the call and on its result; those of the model itself are never touched."""
    foreign = AssistantMessage(
        (ToolCall("call_123|fc_123", "f", {}, "sig"), ToolCall("x" * 70, "g", {}), ToolCall("ä😀", "h", {})),
        api="openai-responses",
        provider="openai",
        model="gpt",
    )
    results = [result_of(1).model_copy(update={"tool_call_id": call.id}) for call in foreign.tool_calls]
    _, reply, answers = messages_of(model_of(), HI, foreign, *results)
    ids = ["call_123_fc_123", "x" * 64, "__"]
    assert [block["id"] for block in reply["content"]] == ids
    assert [block["tool_use_id"] for block in answers["content"]] == ids
    assert "signature" not in str(reply)
    long = ToolCall("y" * 70, "f", {})
    assert messages_of(model_of(), HI, own(long))[1]["content"][0]["id"] == "y" * 70


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [({"a": None}, {"a": None}), (None, {}), ([1], {"arguments": [1]}), ("x", {"arguments": "x"})],
)
def test_the_input_of_a_call_is_an_object(arguments, sent):
    """The provider takes nothing else."""
    assert messages_of(model_of(), HI, own(ToolCall("a", "f", arguments)))[1]["content"][0]["input"] == sent


def test_calls_without_results_get_one():
    """An error, in the order of the calls, before whatever comes next; only the missing ones."""
    calls = own(call_of(1), call_of(2))
    answers = [result(1, "No result provided", True), result(2, "b")]
    for rest in ((), (user("stop"),), (own(TextContent("x")),)):
        sent = messages_of(model_of(), HI, calls, result_of(2, "b"), *rest)
        assert sent[2] == {"role": "user", "content": answers}
        assert len(sent) == 3 + len(rest)


@pytest.mark.parametrize("reason", [StopReason.Error, StopReason.Aborted])
def test_a_reply_that_failed_is_left_out_with_its_results(reason):
    """Nothing is made up for its calls."""
    failed = own(TextContent("x"), call_of(), stop_reason=reason)
    assert messages_of(model_of(), HI, failed, user("hi")) == [WIRE_HI, WIRE_HI]
    assert messages_of(model_of(), HI, failed, result_of(), user("hi")) == [WIRE_HI, WIRE_HI]


# Results


def test_the_texts_of_a_result_are_joined():
    """One a line; nothing is an empty string."""
    assert results_of(result_of(1, "first", "second"))[0] == result(1, "first\nsecond")
    assert results_of(result_of(1))[0] == result(1, "")
    assert results_of(result_of(1, "no", is_error=True))[0] == result(1, "no", True)


def test_a_result_with_images_is_a_list():
    """In its own order, without blank texts; images alone get a line."""
    assert results_of(result_of(1, IMAGE, "", "b"))[0] == result(1, [WIRE_IMAGE, text("b")])
    alone = result(1, [text("(see attached image)"), WIRE_IMAGE])
    assert results_of(result_of(1, IMAGE))[0] == alone
    assert results_of(result_of(1, " ", IMAGE))[0] == alone


def test_a_run_of_results_is_one_message():
    """What the user says after it is another."""
    calls = own(call_of(1), call_of(2))
    sent = messages_of(model_of(), HI, calls, result_of(2, "b"), result_of(1, "a"), HI)
    assert sent[2:] == [{"role": "user", "content": [result(1, "a"), result(2, "b")]}, WIRE_HI]


def test_two_replies_in_a_row_stay_two():
    """After a paused turn; the provider joins them."""
    sent = messages_of(model_of(), HI, own(TextContent("a")), own(TextContent("b")))
    assert [message["role"] for message in sent] == ["user", "assistant", "assistant"]
