"""Transcripts on the Chat Completions wire."""

import json

import pytest

from providers.openai.completions_messages import BRIDGE
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import (
    AssistantMessage,
    CustomMessage,
    StopReason,
    ToolResultMessage,
    UserMessage,
    user,
)
from runtime.values.options import StreamOptions
from runtime.values.tool import GrammarSampling, GrammarVariants, Tool
from tests.providers.completions_lab import IMAGE, WEATHER, call_of, messages_of, model_of, own, result_of

MODEL = model_of()
AS_TEXT = model_of(compat={"requires_thinking_as_text": True})
BRIDGED = model_of(compat={"requires_assistant_after_tool_result": True})
REASONING = model_of(
    reasoning=True,
    compat={"requires_reasoning_content_on_assistant_messages": True, "thinking_format": "deepseek"},
)
CUT = "(tool image omitted: model does not support images)"


def roles(messages):
    return [message["role"] for message in messages]


# Users


@pytest.mark.parametrize("text", ["", "   \n\t  ", "hi"])
def test_a_string_is_sent_verbatim(text):
    """Blank or empty, a string stays what it is."""
    assert messages_of(MODEL, user(text)) == [{"role": "user", "content": text}]


def test_a_user_message_without_parts_is_left_out():
    """An empty list says nothing."""
    assert messages_of(MODEL, UserMessage([])) == []


def test_parts_become_text_and_data_urls():
    """Images are inline, without detail."""
    (message,) = messages_of(MODEL, user("look", [IMAGE]))
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]


def test_images_become_a_line_of_text_for_models_that_cannot_see():
    """A run of them is one line."""
    blind = model_of(input=["text"])
    (message,) = messages_of(blind, UserMessage([TextContent("a"), IMAGE, IMAGE, TextContent("b")]))
    assert [part["text"] for part in message["content"]] == [
        "a",
        "(image omitted: model does not support images)",
        "b",
    ]


@pytest.mark.parametrize(("prompt", "sent"), [("be brief", True), ("", False), (None, False)])
def test_the_system_prompt_comes_first_unless_it_is_empty(prompt, sent):
    """An empty one is none."""
    messages = messages_of(MODEL, user("hi"), system_prompt=prompt)
    assert roles(messages) == (["system", "user"] if sent else ["user"])


@pytest.mark.parametrize(
    ("reasoning", "compat", "role"),
    [
        (True, {}, "developer"),
        (True, {"supports_developer_role": False}, "system"),
        (False, {}, "system"),
        (None, {}, "system"),
    ],
)
def test_the_system_prompt_of_a_reasoning_model_is_a_developers(reasoning, compat, role):
    """Where the endpoint knows that role, and the model is known to reason."""
    model = model_of(reasoning=reasoning, compat=compat)
    assert messages_of(model, user("hi"), system_prompt="s")[0] == {"role": role, "content": "s"}


def test_custom_messages_are_not_sent():
    """They are the application's own."""
    assert roles(messages_of(MODEL, CustomMessage("note", text="x"), user("hi"))) == ["user"]


# Replies


def test_an_empty_reply_is_left_out():
    """Two user messages then stand side by side."""
    assert roles(messages_of(MODEL, user("a"), own(), user("b"))) == ["user", "user"]


def test_text_is_one_plain_string():
    """Blocks are joined without a separator, blank ones left out."""
    reply = own(TextContent("a "), TextContent("  \n"), TextContent("b"))
    assert messages_of(MODEL, reply) == [{"role": "assistant", "content": "a b"}]


def test_a_reply_with_calls_only_has_null_content():
    """The key is there, because servers insist on it."""
    message = messages_of(MODEL, own(call_of()), result_of(1, TextContent("ok")))[0]
    assert message == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
            }
        ],
    }


def test_arguments_keep_what_is_not_ascii():
    """The JSON text is compact, and its characters are themselves."""
    message = messages_of(MODEL, own(call_of(city="Tromsø 😀")))[0]
    assert message["tool_calls"][0]["function"]["arguments"] == '{"city":"Tromsø 😀"}'


def test_failed_replies_are_left_out_with_their_results():
    """Nothing is left of them to pair up wrongly."""
    failed = own(call_of(), stop_reason=StopReason.Error, error_message="x")
    sent = messages_of(MODEL, user("a"), failed, result_of(1, TextContent("late")), user("b"))
    assert roles(sent) == ["user", "user"]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_text"])
def test_thinking_goes_back_into_the_field_that_it_came_in(name):
    """The signature names it."""
    thinking = [ThinkingContent("one", name), ThinkingContent("two", name)]
    message = messages_of(MODEL, own(*thinking, TextContent("done"), call_of()))[0]
    assert message[name] == "one\ntwo"
    assert set(message) == {"role", "content", "tool_calls", name}


@pytest.mark.parametrize("signature", [None, "", "model", "content"])
def test_thinking_of_another_signature_is_not_sent(signature):
    """No other name is used as a key."""
    message = messages_of(MODEL, own(ThinkingContent("hm", signature), TextContent("done")))[0]
    assert message == {"role": "assistant", "content": "done"}


def test_a_reply_of_thinking_only_is_left_out():
    """There would be nothing to answer to."""
    assert messages_of(MODEL, own(ThinkingContent("hm", "reasoning_content"))) == []


def test_thinking_may_be_sent_as_text_before_the_text():
    """One part for all of it, then one for each text, without tags."""
    reply = own(TextContent("a"), ThinkingContent("x"), ThinkingContent("y"), TextContent("b"))
    (message,) = messages_of(AS_TEXT, reply)
    assert message["content"] == [
        {"type": "text", "text": "x\n\ny"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert messages_of(AS_TEXT, own(ThinkingContent("x")))[0]["content"] == [{"type": "text", "text": "x"}]


def test_reasoning_content_is_added_where_the_endpoint_insists():
    """Also to a reply of calls only; what is there stays."""
    plain, signed = messages_of(
        REASONING,
        own(call_of()),
        result_of(1, TextContent("ok")),
        own(ThinkingContent("hm", "reasoning_content"), TextContent("a")),
    )[::2]
    assert plain["reasoning_content"] == ""
    assert signed["reasoning_content"] == "hm"


def test_encrypted_reasoning_goes_back_with_its_calls():
    """Signatures that are no JSON object are skipped."""
    detail = {"type": "reasoning.encrypted", "id": "call_1", "data": "abc"}
    signed = [
        ToolCall(f"call_{number}", "t", {}, signature)
        for number, signature in enumerate([json.dumps(detail), "not json", "12", None], 1)
    ]
    assert messages_of(MODEL, own(*signed))[0]["reasoning_details"] == [detail]
    assert "reasoning_details" not in messages_of(MODEL, own(*signed[1:]))[0]


def test_encrypted_reasoning_follows_a_call_whose_id_was_used_before():
    """It names the id that the call has on the wire."""
    detail = {"type": "reasoning.encrypted", "id": "call_1", "data": "abc"}
    reply = own(ToolCall("call_1", "t", {}, json.dumps(detail)))
    first, _, second, _ = messages_of(MODEL, reply, reply)
    assert first["reasoning_details"] == [detail]
    call_id = second["tool_calls"][0]["id"]
    assert call_id != "call_1"
    assert second["reasoning_details"] == [{**detail, "id": call_id}]


# Replies of others


def foreign(*blocks, **names):
    return AssistantMessage(
        blocks, **{"api": "openai-responses", "provider": "github-copilot", "model": "x", **names}
    )


def test_long_ids_of_the_responses_api_are_made_to_fit():
    """Call and result get the same id of at most 40 characters, and foreign signatures are dropped."""
    long = (
        "call_pAYbIr76hXIjncD9UE4eGfnS|"
        + "t5nnb2qYMFWGSsr13fhCd1CaCu3t3qONEPuOudu4HSVEtA8YJSL6FAZUxvoOoD792V" * 7
        + "+/="
    )
    reply = foreign(ToolCall(long, "get_weather", {}, '{"type":"reasoning.encrypted"}'))
    sent = messages_of(
        model_of(provider="mine"), reply, ToolResultMessage(long, "get_weather", [TextContent("ok")])
    )
    call_id = sent[0]["tool_calls"][0]["id"]
    assert call_id.startswith("call_pAYbIr76hXIjncD9UE4eGfnS_")
    assert len(call_id) <= 40
    assert "|" not in call_id
    assert sent[1]["tool_call_id"] == call_id
    assert "reasoning_details" not in sent[0]


def test_ids_that_share_their_first_half_stay_distinct():
    """Both halves count."""
    reply = foreign(*(ToolCall(f"call_shared|{item}", "t", {}) for item in ("item_first", "item_second")))
    calls = messages_of(model_of(provider="mine"), reply)[0]["tool_calls"]
    assert [call["id"] for call in calls] == ["call_shared_item_first", "call_shared_item_second"]


@pytest.mark.parametrize(
    ("how", "content"),
    [("tagged", "<thinking>\nhm\n</thinking>done"), ("plain", "hm\n\ndone"), ("drop", "done")],
)
def test_foreign_thinking_becomes_text_as_asked(how, content):
    """In tags, plain, or not at all."""
    reply = foreign(ThinkingContent("hm", "sig"), TextContent("done", "sig"))
    sent = messages_of(MODEL, reply, options=StreamOptions(foreign_thinking=how))
    assert sent == [{"role": "assistant", "content": content}]


# Results


def test_results_are_text():
    """One line a block; that it was an error is for the text to say."""
    results = [result_of(1, TextContent("a"), TextContent("b"), is_error=True), result_of(2)]
    sent = messages_of(MODEL, own(call_of(1), call_of(2)), *results)[1:]
    assert sent == [
        {"role": "tool", "content": "a\nb", "tool_call_id": "call_1"},
        {"role": "tool", "content": "(no tool output)", "tool_call_id": "call_2"},
    ]


def test_the_images_of_a_run_of_results_follow_it():
    """In one user message, because nothing may stand between results."""
    results = [result_of(1, TextContent("a"), IMAGE), result_of(2, IMAGE)]
    sent = messages_of(MODEL, user("go"), own(call_of(1), call_of(2)), *results)
    assert roles(sent) == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in sent[2:4]] == ["a", "(see attached image)"]
    assert [part["type"] for part in sent[4]["content"]] == ["text", "image_url", "image_url"]
    assert sent[4]["content"][0]["text"] == "Attached image(s) from tool result:"


def test_a_blind_model_gets_a_line_in_place_of_a_results_image():
    """And no message with images."""
    sent = messages_of(model_of(input=["text"]), own(call_of()), result_of(1, IMAGE))
    assert [message["content"] for message in sent[1:]] == [CUT]


def test_results_carry_the_tools_name_where_the_endpoint_insists():
    """An empty one is no name."""
    named = model_of(compat={"requires_tool_result_name": True})
    nameless = ToolResultMessage("call_2", "", [])
    sent = messages_of(named, own(call_of(1), call_of(2, name="")), result_of(1), nameless)
    assert [message.get("name") for message in sent[1:]] == ["get_weather", None]


@pytest.mark.parametrize("between", [(), (own(model=BRIDGED),)], ids=["at once", "after an empty reply"])
def test_a_bridge_stands_between_results_and_a_user_where_the_endpoint_insists(between):
    """Also before the images of results; replies without text have an empty string there."""
    sent = messages_of(BRIDGED, own(call_of()), result_of(1, TextContent("ok")), *between, user("go on"))
    assert sent[0]["content"] == ""
    assert roles(sent[1:]) == ["tool", "assistant", "user"]
    assert sent[2] == BRIDGE
    assert roles(messages_of(BRIDGED, own(call_of()), result_of(1, IMAGE))[1:]) == [
        "tool",
        "assistant",
        "user",
    ]


def test_one_bridge_is_enough():
    """The next user message follows a user."""
    sent = messages_of(BRIDGED, own(call_of()), result_of(1), user("go on"), user("please"))
    assert roles(sent) == ["assistant", "tool", "assistant", "user", "user"]


def test_no_bridge_is_needed_after_a_reply():
    """It stands between the results and the user already."""
    sent = messages_of(
        BRIDGED, own(call_of()), result_of(1), own(TextContent("done"), model=BRIDGED), user("go on")
    )
    assert roles(sent) == ["assistant", "tool", "assistant", "user"]
    assert BRIDGE not in sent


def test_no_bridge_leads_to_a_user_message_that_is_not_sent():
    """An empty one is left out first."""
    assert roles(messages_of(BRIDGED, own(call_of()), result_of(1), UserMessage([]))) == ["assistant", "tool"]


@pytest.mark.parametrize("later", [(), (user("and?"),)], ids=["at the end", "before a user"])
def test_a_call_that_nobody_answered_gets_a_result(later):
    """Right behind its reply."""
    sent = messages_of(MODEL, own(call_of(1), call_of(2)), result_of(2, TextContent("ok")), *later)
    assert [(message["tool_call_id"], message["content"]) for message in sent[1:3]] == [
        ("call_1", "No result provided"),
        ("call_2", "ok"),
    ]


# Grammar tools and deferred tools

GRAMMAR = Tool(
    "apply_patch",
    "Patch files",
    {"type": "object", "properties": {"patch": {"type": "string"}}, "required": ["patch"]},
    GrammarSampling(GrammarVariants(openai_lark="start: /.+/")),
)


def test_calls_of_a_grammar_tool_are_custom_calls():
    """Their input is one string; without the endpoint's support they are functions."""
    reply = own(ToolCall("call_1", "apply_patch", {"patch": "*** x"}))
    custom = model_of(compat={"supports_openai_grammar_tools": True})
    assert messages_of(custom, reply, tools=[GRAMMAR])[0]["tool_calls"] == [
        {"id": "call_1", "type": "custom", "custom": {"name": "apply_patch", "input": "*** x"}}
    ]
    assert messages_of(MODEL, reply, tools=[GRAMMAR])[0]["tool_calls"][0]["type"] == "function"


@pytest.mark.parametrize("arguments", [{}, {"patch": 1}, ["patch"]])
def test_a_grammar_call_without_its_string_cannot_be_sent(arguments):
    """The error names the tool and the argument."""
    custom = model_of(compat={"supports_openai_grammar_tools": True})
    with pytest.raises(ValueError, match='"apply_patch" requires argument "patch" to be a string'):
        messages_of(custom, own(ToolCall("call_1", "apply_patch", arguments)), tools=[GRAMMAR])


def late(name):
    return Tool(name, "Late", {"type": "object"})


def test_added_tools_follow_the_run_of_results_that_added_them():
    """In a system message without content, in the order of the marks, each once, unknown ones skipped."""
    kimi = model_of(compat={"deferred_tools_mode": "kimi"})
    run = [
        result_of(1, IMAGE, added_tool_names=["late_b", "nobody"]),
        result_of(2, added_tool_names=["late_a", "late_b"]),
    ]
    tools = [WEATHER, late("late_a"), late("late_b")]
    sent = messages_of(kimi, user("go"), own(call_of(1), call_of(2)), *run, tools=tools)
    assert roles(sent) == ["user", "assistant", "tool", "tool", "user", "system"]
    assert set(sent[-1]) == {"role", "tools"}
    assert [tool["function"]["name"] for tool in sent[-1]["tools"]] == ["late_b", "late_a"]


def test_added_tools_are_nothing_special_elsewhere():
    """Without that mode no message carries tools."""
    sent = messages_of(
        MODEL, own(call_of()), result_of(1, added_tool_names=["late"]), tools=[WEATHER, late("late")]
    )
    assert not any("tools" in message for message in sent)
