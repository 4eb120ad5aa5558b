"""What a transcript becomes on the Responses wire."""

import json

import pytest

from runtime.errors import InvalidOptionError
from runtime.streams.call_ids import short_hash
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, CustomMessage, StopReason, UserMessage, user
from runtime.values.options import StreamOptions
from runtime.values.tool import GrammarSampling, GrammarVariants, Tool
from tests.providers.responses_lab import (
    IMAGE,
    OPENAI,
    call_of,
    completed,
    decode,
    done,
    input_of,
    item_of,
    model_of,
    own,
    result_of,
)

MODEL = model_of()
BLIND = model_of(input=("text",))
HI = user("hi")
PNG = {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"}
GRAMMAR = Tool(
    "sample_tool",
    "Takes text",
    {"type": "object", "properties": {"payload": {"type": "string"}}, "required": ["payload"]},
    GrammarSampling(GrammarVariants(openai_lark="start: A")),
)
CUSTOM = model_of(compat={"supports_openai_grammar_tools": True})


def asked(text):
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def said(text, item_id, **more):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "type": "message",
        "role": "assistant",
        "content": content,
        "status": "completed",
        "id": item_id,
        **more,
    }


def signature(item_id, phase=None, version=1):
    return json.dumps({"v": version, "id": item_id, **({} if phase is None else {"phase": phase})})


def foreign(*blocks, provider="anthropic", api="anthropic-messages", model="claude", **fields):
    return AssistantMessage(blocks, api=api, provider=provider, model=model, **fields)


def ids_of(items):
    return [item.get("id") for item in items]


# System prompt and user


@pytest.mark.parametrize(
    ("settings", "role"),
    [
        ({"reasoning": True}, "developer"),
        ({"reasoning": True, "compat": {"supports_developer_role": False}}, "system"),
        ({"reasoning": False}, "system"),
        ({}, "system"),
    ],
)
def test_the_system_prompt_is_the_first_item(settings, role):
    """Of a developer, for models that reason; a plain string."""
    items = input_of(model_of(**settings), HI, system_prompt="Be brief.")
    assert items == [{"role": role, "content": "Be brief."}, asked("hi")]


@pytest.mark.parametrize("prompt", [None, ""])
def test_an_empty_system_prompt_is_left_out(prompt):
    """The user comes first then."""
    assert input_of(MODEL, HI, system_prompt=prompt) == [asked("hi")]


@pytest.mark.parametrize("text", ["", "   \n\t  ", "hi 😀"])
def test_text_of_the_user_goes_as_it_is(text):
    """Also when it says nothing."""
    assert input_of(MODEL, user(text)) == [asked(text)]


def test_parts_of_the_user_keep_their_order():
    """Images are data URLs."""
    message = UserMessage([TextContent("look"), IMAGE, TextContent("at that")])
    (item,) = input_of(MODEL, message)
    assert [part["type"] for part in item["content"]] == ["input_text", "input_image", "input_text"]
    assert item["content"][1] == PNG


def test_a_user_without_parts_says_nothing():
    """The item is left out."""
    assert input_of(MODEL, UserMessage([])) == []


def test_empty_turns_are_left_out():
    """Two users follow each other then; custom messages are not the model's business."""
    items = input_of(MODEL, HI, own(), CustomMessage("note"), user("again"))
    assert items == [asked("hi"), asked("again")]


def test_a_model_that_cannot_see_reads_a_line_instead():
    """One for each run of images."""
    (item,) = input_of(BLIND, user("look", [IMAGE, IMAGE]))
    assert [part["text"] for part in item["content"]] == [
        "look",
        "(image omitted: model does not support images)",
    ]


# Thinking


def test_a_reasoning_item_goes_back_as_it_came():
    """With what is encrypted in it, its keys in their order, also when there is nothing to read."""
    block = ThinkingContent("", json.dumps(REASONING))
    items = input_of(MODEL, HI, own(block, TextContent("ok", "msg_1")))
    assert items[1] == REASONING
    assert list(items[1]) == list(REASONING)
    assert ids_of(items[1:]) == ["rs_1", "msg_1"]


def test_redacted_thinking_goes_back_like_any_other():
    """It is its signature that counts."""
    block = ThinkingContent("", json.dumps(REASONING), redacted=True)
    assert input_of(MODEL, own(block)) == [REASONING]


@pytest.mark.parametrize(
    "text", ["{", "[1]", "not json", "{}", '{"type":"message","id":"msg_1"}', '{"type":7}']
)
def test_thinking_that_is_signed_with_no_reasoning_item_is_left_out(text):
    """Like thinking without a signature: it must not fail every later request."""
    items = input_of(AT_OPENAI, own(ThinkingContent("hm", text), TextContent("ok", "msg_2"), model=AT_OPENAI))
    assert items == [said("ok", "msg_2")]


def test_unsigned_thinking_of_the_model_itself_is_left_out():
    """A turn of nothing else does not count."""
    items = input_of(MODEL, own(ThinkingContent("hm")), own(TextContent("ok")))
    assert items == [said("ok", "msg_pi_0")]


@pytest.mark.parametrize(
    ("how", "texts"),
    [("tagged", ["<thinking>\nhm\n</thinking>", "ok"]), ("plain", ["hm\n\n", "ok"]), ("drop", ["ok"])],
)
def test_what_another_model_thought_is_text(how, texts):
    """As the option says; its signature stays behind, and each text has an id of its own."""
    reply = foreign(ThinkingContent("hm", "secret"), TextContent("ok", "their-id"))
    items = input_of(MODEL, HI, reply, options=StreamOptions(foreign_thinking=how))
    assert [item["content"][0]["text"] for item in items[1:]] == texts
    assert ids_of(items[1:]) == ["msg_pi_1", "msg_pi_1_1"][: len(texts)]
    assert "secret" not in json.dumps(items)


@pytest.mark.parametrize("reason", [StopReason.Aborted, StopReason.Error])
def test_a_reply_that_failed_is_left_out(reason):
    """A reasoning item without what follows it would be refused."""
    broken = own(ThinkingContent("hm", json.dumps(REASONING)), stop_reason=reason)
    assert input_of(MODEL, HI, broken, user("again")) == [asked("hi"), asked("again")]


AT_OPENAI = model_of(base_url=OPENAI)
EMPTY = {"type": "reasoning", "id": "rs_1", "summary": []}


def test_a_reasoning_item_that_only_refers_is_not_sent_to_openai():
    """Nothing is stored there, so it and the ids behind it would be refused."""
    signed = ThinkingContent("", json.dumps(EMPTY))
    reply = own(signed, TextContent("ok", signature("msg_1", "commentary")), call_of(), model=AT_OPENAI)
    items = input_of(AT_OPENAI, reply, result_of())
    assert items[0] == said("ok", "msg_pi_0", phase="commentary")
    assert [item["type"] for item in items[1:]] == ["function_call", "function_call_output"]
    assert "id" not in items[1]
    elsewhere = input_of(MODEL, own(signed, TextContent("ok", signature("msg_1")), call_of()), result_of())
    assert ids_of(elsewhere) == ["rs_1", "msg_1", "fc_1", None]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (OPENAI, False),
        ("https://eu.api.openai.com/v1", False),
        ("https://mine.openai.azure.com/openai/v1", False),
        ("https://mine.services.ai.azure.com/openai/v1", False),
        ("https://mine.cognitiveservices.azure.com/openai/v1", False),
        ("https://API.OPENAI.COM/v1", False),
        ("https://proxy.example.com/api.openai.com/v1", True),
        ("https://notapi.openai.com/v1", True),
        ("https://api.openai.com.example.com/v1", True),
        ("https://[broken/v1", True),
    ],
)
def test_what_the_providers_tools_did_needs_the_reasoning_before_it(url, kept):
    """Where a reasoning item is withheld, the provider items of its reply are withheld with it."""
    model = model_of(base_url=url)
    reply = own(
        ThinkingContent("", json.dumps(EMPTY)),
        TextContent("ok", signature("msg_1")),
        model=model,
        provider_items=({"index": 1, "item": SEARCH}, {"index": 9, "item": COMPACTION}),
    )
    expected = ["rs_1", "ws_1", "msg_1", "cmp_1"] if kept else ["msg_pi_0"]
    assert ids_of(input_of(model, reply)) == expected


@pytest.mark.parametrize(
    "more", [{"encrypted_content": "abc"}, {"content": [{"type": "reasoning_text", "text": "hm"}]}]
)
def test_a_reasoning_item_that_can_be_read_is_sent_to_openai(more):
    """Encrypted or plain, with all ids."""
    signed = ThinkingContent("", json.dumps({**EMPTY, **more}))
    items = input_of(AT_OPENAI, own(signed, call_of(), model=AT_OPENAI), result_of())
    assert ids_of(items) == ["rs_1", "fc_1", None]


# Text


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        (signature("msg_valid", "commentary"), said("a", "msg_valid", phase="commentary")),
        (signature("msg_valid", "final_answer"), said("a", "msg_valid", phase="final_answer")),
        (signature("msg_valid", "future_phase"), said("a", "msg_valid")),
        (signature("msg_valid"), said("a", "msg_valid")),
        ("msg_legacy", said("a", "msg_legacy")),
        (signature("x", version=2), said("a", signature("x", version=2))),
        (signature("x", version=True), said("a", signature("x", version=True))),
        ('{"v":1,"id":7}', said("a", '{"v":1,"id":7}')),
        ("m" * 64, said("a", "m" * 64)),
        ("m" * 65, said("a", f"msg_{short_hash('m' * 65)}")),
        (signature("m" * 65), said("a", f"msg_{short_hash('m' * 65)}")),
        ("", said("a", "msg_pi_0")),
        (None, said("a", "msg_pi_0")),
    ],
)
def test_a_text_has_the_id_that_it_was_signed_with(signed, sent):
    """And its phase, if that is known; ids that are too long are hashed, missing ones made up."""
    assert input_of(MODEL, own(TextContent("a", signed))) == [sent]


def test_an_id_that_is_made_up_counts_the_texts_of_its_turn():
    """Signed ones count too, and a phase needs no id."""
    reply = own(
        TextContent("a", ""),
        TextContent("b", signature("", "commentary")),
        TextContent("c", "msg_c"),
        TextContent("d"),
    )
    items = input_of(MODEL, reply)
    assert ids_of(items) == ["msg_pi_0", "msg_pi_0_1", "msg_c", "msg_pi_0_3"]
    assert [item.get("phase") for item in items] == [None, "commentary", None, None]


def test_an_id_that_is_made_up_counts_turns():
    """Results count, also those that were made up; the system prompt and empty turns do not."""
    reply = own(TextContent("a"))
    items = input_of(MODEL, HI, own(), UserMessage([]), own(call_of()), user("b"), reply, system_prompt="s")
    assert [item.get("type") for item in items] == [
        None,
        None,
        "function_call",
        "function_call_output",
        None,
        "message",
    ]
    assert items[-1]["id"] == "msg_pi_4"


def test_a_phase_survives_the_round_trip():
    """From the stream into the signature, and back."""
    message = decode(
        done(
            0, "message", "msg_1", phase="commentary", content=[{"type": "output_text", "text": "Let me see"}]
        ),
        completed(),
    ).message
    assert input_of(MODEL, message) == [said("Let me see", "msg_1", phase="commentary")]


# Calls


def test_a_call_and_its_result():
    """Arguments are compact JSON text with their keys in order, non-ASCII as it is."""
    call = ToolCall("call_1|fc_1", "get_weather", {"b": "é", "a": [1, {"c": None}]})
    assert input_of(
        MODEL, own(call), result_of("call_1|fc_1", TextContent("sunny"), TextContent("warm"))
    ) == [
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "get_weather",
            "arguments": '{"b":"é","a":[1,{"c":null}]}',
            "id": "fc_1",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny\nwarm"},
    ]


GPT_5_MINI = {"provider": "openai", "api": "openai-responses", "model": "gpt-5-mini"}


@pytest.mark.parametrize(
    ("target", "source", "given", "call_id", "item_id"),
    [
        ("openai", None, "call_abc|fc_existing", "call_abc", "fc_existing"),
        ("openai", None, "call_abc|other_1", "call_abc", None),
        ("openai", None, "call_abc|", "call_abc", None),
        ("openai", None, "call_abc", "call_abc", None),
        ("openai", None, "|fc_1", f"call_{short_hash('1||fc_1')}", None),
        ("openai", None, "a|fc_b|c", "a", "fc_b|c"),
        ("github-copilot", None, "call_abc|other_1", "call_abc", None),
        ("openai", GPT_5_MINI, "call_abc|fc_paired", "call_abc", None),
        ("openai", GPT_5_MINI, "call_abc|item", "call_abc", None),
        ("openai", {}, "toolu_1", "toolu_1", None),
        ("openai", {}, "call 1|x/y", "call_1", f"fc_{short_hash('x/y')}"),
        ("mine", {}, "call_1|fc_1", "call_1_fc_1", None),
        ("mine", {}, "c" * 70, "c" * 64, None),
    ],
)
def test_a_call_is_named_as_its_source_and_target_allow(target, source, given, call_id, item_id):
    """The result follows; no item id is sent that the target could take for another's."""
    model = model_of(provider=target)
    reply = own(call_of(given), model=model) if source is None else foreign(call_of(given), **source)
    call, result = input_of(model, reply, result_of(given))
    assert (call["call_id"], call.get("id")) == (call_id, item_id)
    assert result["call_id"] == call_id


def test_a_long_item_id_of_copilot_becomes_a_short_one():
    """A hash of what stands behind the pipe."""
    item = "I9b95oN1wD/cHXKTw3PpRkL6KkCtzTJhUxMouMWYwHeTo2j3htzfSk7YPx2vifiIM4g3A8XXyOj8q4Bt6SLUG7gqY1E3ELkrkVQNHglRfUmWj84lqxJY+Puieb3VKyX0FB+83TUzn91cDMF/4gzt990IzqVrc+nIb9RRscRD070Du16q1glydVjWR0SBJsE6TbY/esOjFpqplogQqrajm1eI++f3eLi73R6q7hVusY0QbeFySVxABCjhN0lXB04caBe1rzHjYzul6MAXj7uq+0r17VLq+yrtyYhN12wkmFqHeqTyEei6EFPbMy24Nc+IbJlkP0OCg02W+gOnyBFcbi2ctvJFSOhSjt1CqBdqCnnhwUqXjbWiT0wh3DmLScRgTHmGkaI+oAcQQjfic65nxj+TnEkReA=="
    reply = foreign(
        call_of(f"call_1|{item}"), provider="github-copilot", api="openai-responses", model="gpt-5.2-codex"
    )
    call, _ = input_of(MODEL, reply, result_of(f"call_1|{item}"))
    assert call["id"] == f"fc_{short_hash(item)}"
    assert len(call["id"]) <= 64


def test_a_call_that_nobody_answered_gets_a_result():
    """Before the next message, or at the end."""
    items = input_of(MODEL, own(call_of()), user("never mind"))
    assert items[1] == {"type": "function_call_output", "call_id": "call_1", "output": "No result provided"}
    assert items[2] == asked("never mind")


def test_results_follow_their_group_of_calls():
    """In the order of the calls, each exactly once."""
    calls = own(call_of("a|fc_a"), call_of("b|fc_b"))
    items = input_of(
        MODEL, calls, result_of("b|fc_b", TextContent("2")), result_of("a|fc_a", TextContent("1"))
    )
    assert [(item["type"], item["call_id"]) for item in items] == [
        ("function_call", "a"),
        ("function_call", "b"),
        ("function_call_output", "a"),
        ("function_call_output", "b"),
    ]


def test_a_call_keeps_what_its_program_needs():
    """Its caller goes back with the call and with the result, as long as the model stays the same."""
    caller = {"type": "program", "caller_id": "call_p"}
    program = item_of("program", "cm_1", call_id="call_p", code="x")
    raw = item_of(
        "function_call", "fc_1", call_id="call_1", name="f", arguments="{}", caller=caller, namespace="crm"
    )
    message = decode(done(0, **program_fields(program)), done(1, **program_fields(raw)), completed()).message
    items = input_of(MODEL, message, result_of("call_1|fc_1", TextContent("3"), name="f"))
    assert items[0] == program
    assert (items[1]["caller"], items[1]["namespace"]) == (caller, "crm")
    assert items[2] == {"type": "function_call_output", "call_id": "call_1", "output": "3", "caller": caller}
    other = model_of("other")
    assert "caller" not in json.dumps(input_of(other, message, result_of("call_1|fc_1", name="f")))


def program_fields(raw):
    return {
        "kind": raw["type"],
        "item_id": raw["id"],
        **{key: raw[key] for key in raw if key not in ("type", "id")},
    }


# Results


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ((TextContent("a"), IMAGE), [{"type": "input_text", "text": "a"}, PNG]),
        (
            (IMAGE, TextContent("a"), IMAGE, TextContent("b")),
            [{"type": "input_text", "text": "a\nb"}, PNG, PNG],
        ),
        ((IMAGE,), [PNG]),
        ((), "(no tool output)"),
        ((TextContent(""),), "(no tool output)"),
        ((TextContent("a"),), "a"),
    ],
)
def test_images_of_a_tool_are_part_of_its_output(content, output):
    """Behind its text; no message of the user's is made up for them."""
    items = input_of(MODEL, own(call_of()), result_of("call_1|fc_1", *content))
    assert [item["type"] for item in items] == ["function_call", "function_call_output"]
    assert items[1]["output"] == output


def test_images_of_a_tool_are_a_line_for_a_model_that_cannot_see():
    """Nothing is sent that it would refuse."""
    items = input_of(BLIND, own(call_of(), model=BLIND), result_of("call_1|fc_1", IMAGE))
    assert items[1]["output"] == "(tool image omitted: model does not support images)"


def test_details_of_a_result_stay_here():
    """So does whether it is an error."""
    result = result_of("call_1|fc_1", TextContent("boom"), is_error=True, details={"secret": 1})
    assert set(input_of(MODEL, own(call_of()), result)[1]) == {"type", "call_id", "output"}


# Grammar tools


def test_a_grammar_tool_was_called_with_its_input():
    """Not with JSON; its result is of its kind."""
    reply = own(ToolCall("call_1|ctc_1", "sample_tool", {"payload": "abc"}), model=CUSTOM)
    result = result_of("call_1|ctc_1", TextContent("done"), name="sample_tool")
    assert input_of(CUSTOM, reply, result, tools=[GRAMMAR]) == [
        {
            "type": "custom_tool_call",
            "call_id": "call_1",
            "name": "sample_tool",
            "input": "abc",
            "id": "ctc_1",
        },
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
    ]


@pytest.mark.parametrize("arguments", [{}, {"payload": 42}, [], "abc"])
def test_a_grammar_tool_needs_its_input(arguments):
    """The whole request fails, because the provider would refuse it."""
    reply = own(ToolCall("call_1|ctc_1", "sample_tool", arguments), model=CUSTOM)
    text = 'Grammar tool call "sample_tool" requires argument "payload" to be a string.'
    with pytest.raises(InvalidOptionError, match=text):
        input_of(CUSTOM, reply, tools=[GRAMMAR])


@pytest.mark.parametrize(("model", "tools"), [(CUSTOM, []), (MODEL, [GRAMMAR])])
def test_a_tool_that_is_no_grammar_tool_any_more_was_called_as_a_function(model, tools):
    """Its item id is of the wrong kind then, and so is not sent."""
    reply = own(ToolCall("call_1|ctc_1", "sample_tool", {"payload": "abc"}), model=model)
    call, result = input_of(model, reply, result_of("call_1|ctc_1", name="sample_tool"), tools=tools)
    assert call == {
        "type": "function_call",
        "call_id": "call_1",
        "name": "sample_tool",
        "arguments": '{"payload":"abc"}',
    }
    assert result["type"] == "function_call_output"


def test_a_functions_id_is_none_for_a_custom_call():
    """Neither its own of before, nor one that was made for a call of another provider."""
    for reply in (
        own(ToolCall("call_1|fc_1", "sample_tool", {"payload": "abc"}), model=CUSTOM),
        foreign(ToolCall("call_1|x", "sample_tool", {"payload": "abc"})),
    ):
        call, _ = input_of(CUSTOM, reply, tools=[GRAMMAR])
        assert (call["type"], call["call_id"], "id" in call) == ("custom_tool_call", "call_1", False)


# Provider items

SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
COMPACTION = {"type": "compaction", "id": "cmp_1", "encrypted_content": "abc"}


def test_provider_items_stand_where_they_stood():
    """Between the blocks, in their order, untouched."""
    items = (
        {"index": 1, "item": SEARCH},
        {"index": 1, "item": {**SEARCH, "id": "ws_2"}},
        {"index": 9, "item": COMPACTION},
    )
    reply = own(TextContent("a", "msg_a"), TextContent("b", "msg_b"), provider_items=items)
    sent = input_of(MODEL, reply)
    assert ids_of(sent) == ["msg_a", "ws_1", "ws_2", "msg_b", "cmp_1"]
    assert sent[1] == SEARCH
    assert sent[-1] == COMPACTION


def test_a_reply_of_nothing_else_counts():
    """A compaction alone is worth a turn."""
    assert input_of(MODEL, own(provider_items=({"index": 0, "item": COMPACTION},))) == [COMPACTION]


@pytest.mark.parametrize(
    "entry",
    [{"index": 0}, {"item": SEARCH}, {"index": "0", "item": SEARCH}, {"index": 0, "item": [1]}, 7, None],
)
def test_what_is_no_provider_item_is_left_out(entry):
    """A transcript may have come from anywhere."""
    assert input_of(MODEL, own(TextContent("a", "msg_a"), provider_items=(entry,))) == [said("a", "msg_a")]


def test_provider_items_are_not_looked_into():
    """Whatever they are, they cannot break a request."""
    for odd in ({"type": "function_call"}, {"type": "function_call", "call_id": ["call_1"]}):
        items = input_of(MODEL, own(call_of(), provider_items=({"index": 0, "item": odd},)), result_of())
        assert [item["type"] for item in items] == ["function_call", "function_call", "function_call_output"]
        assert items[0] == odd


def test_provider_items_go_to_their_own_model_only():
    """Same provider, API and id."""
    reply = own(TextContent("a"), provider_items=({"index": 0, "item": COMPACTION},))
    for target in (model_of("other"), model_of(provider="mine")):
        assert [item["type"] for item in input_of(target, reply)] == ["message"]


def test_images_are_of_any_type():
    """The data URL says which."""
    (item,) = input_of(MODEL, user("", [ImageContent("eA==", "image/webp")]))
    assert item["content"][1]["image_url"] == "data:image/webp;base64,eA=="
