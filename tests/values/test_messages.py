import json

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from runtime.testing.strategies import (
    assistant_messages,
    contexts,
    custom_messages,
    json_values,
    messages,
    texts_with_lone_surrogates,
)
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import (
    AssistantMessage,
    CustomMessage,
    Message,
    StopReason,
    ToolResultMessage,
    UserMessage,
    is_llm_message,
    parse_message,
    user,
)
from runtime.values.tool import Tool
from runtime.values.usage import Usage, UsageCost

USAGE = json.loads(Usage().model_dump_json())
ASSISTANT = {
    "role": "assistant",
    "content": [],
    "api": "a",
    "provider": "p",
    "model": "m",
    "usage": USAGE,
    "stopReason": "stop",
    "timestamp": 1,
}
RESULT = {
    "role": "toolResult",
    "toolCallId": "c",
    "toolName": "n",
    "content": [],
    "isError": False,
    "timestamp": 1,
}
USER = {"role": "user", "content": "hi", "timestamp": 1}


def without(data, *keys):
    return {key: value for key, value in data.items() if key not in keys}


def dumped(value):
    return json.loads(value.model_dump_json())


# Writing


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (UserMessage("hi"), "user"),
        (AssistantMessage(), "assistant"),
        (ToolResultMessage("c", "n"), "toolResult"),
    ],
)
def test_each_message_writes_its_role(message, role):
    """A message written alone says who speaks."""
    assert dumped(message)["role"] == role


def test_keys_are_written_in_one_order_and_absent_when_unset():
    """The JSON begins with the role, and optional keys are absent, never null."""
    assert [*dumped(UserMessage("hi", timestamp=1)).items()] == [*USER.items()]
    assert [*dumped(AssistantMessage(api="a", provider="p", model="m", timestamp=1)).items()] == [
        *ASSISTANT.items()
    ]
    assert [*dumped(ToolResultMessage("c", "n", timestamp=1)).items()] == [*RESULT.items()]


def test_everything_optional_is_written_where_it_belongs():
    """Set optional keys come in their place."""
    reply = AssistantMessage(
        [TextContent("t", "s"), ThinkingContent("th", "s", False), ToolCall("c", "n", {"a": [1]}, "s")],
        response_model="rm",
        response_id="ri",
        diagnostics=[{"type": "d"}],
        error_message="e",
        stop_reason=StopReason.Error,
        provider_items=[{"index": 0, "item": {}}],
    )
    keys = (
        "role content api provider model responseModel responseId diagnostics usage stopReason errorMessage"
    )
    assert [*dumped(reply)] == [*keys.split(), "providerItems", "timestamp"]
    assert dumped(reply)["content"] == [
        {"type": "text", "text": "t", "textSignature": "s"},
        {"type": "thinking", "thinking": "th", "thinkingSignature": "s", "redacted": False},
        {"type": "toolCall", "id": "c", "name": "n", "arguments": {"a": [1]}, "thoughtSignature": "s"},
    ]
    result = ToolResultMessage(
        "c", "n", [ImageContent("aGk=", "image/png")], {"d": 1}, Usage(), ["more"], True
    )
    keys = "role toolCallId toolName content details usage addedToolNames isError timestamp"
    assert [*dumped(result)] == keys.split()
    assert dumped(result)["content"] == [{"type": "image", "data": "aGk=", "mimeType": "image/png"}]


def test_a_context_writes_its_conversation_and_reads_it_back():
    """Roles are in the JSON of a context, and it reads back equal."""
    context = Context("be kind", [UserMessage("hi"), AssistantMessage(), ToolResultMessage("c", "n")])
    assert [m["role"] for m in dumped(context)["messages"]] == ["user", "assistant", "toolResult"]
    assert Context.model_validate_json(context.model_dump_json()) == context


def test_a_context_writes_only_what_is_in_it():
    """Messages are always written, tools and system prompt when there are any; an empty prompt is one."""
    assert dumped(Context()) == {"messages": []}
    assert dumped(Context("")) == {"systemPrompt": "", "messages": []}
    assert Context.model_validate_json("{}") == Context()


def test_a_context_holds_what_it_is_given():
    """System prompt, messages and tools are stored, and messages can be added."""
    tool = Tool.define("n", "d")
    context = Context(system_prompt="s", messages=[UserMessage("a")], tools=[tool])
    context.messages.append(UserMessage("b"))
    assert (context.system_prompt, [m.content for m in context.messages], context.tools) == (
        "s",
        ["a", "b"],
        [tool],
    )


def test_two_tools_of_one_name_are_refused():
    """A context names the tool that is there twice."""
    with pytest.raises(ValueError, match="two tools are called 'n'; rename or drop one"):
        Context(tools=[Tool.define("n", "one"), Tool.define("n", "two")])


@pytest.mark.parametrize(
    ("custom", "written"),
    [
        (CustomMessage(note="x", count=1), {"role": "custom", "note": "x", "count": 1}),
        (CustomMessage("note", some_key=None), {"role": "note", "some_key": None}),
        (CustomMessage(value=[1, None]), {"role": "custom", "value": [1, None]}),
    ],
)
def test_custom_messages_are_written_as_they_are(custom, written):
    """The role comes first, and the application's own keys are not respelled."""
    assert [*dumped(custom).items()] == [*written.items()]
    assert parse_message(custom.model_dump_json()) == custom


# Reading


@pytest.mark.parametrize("data", [{}, {"role": None}, {"role": 1}, [], "x", 1, None, {"content": "hi"}])
def test_a_message_without_a_role_is_refused(data):
    """What is no object, or has no role that is a string, is no message."""
    with pytest.raises(ValidationError, match="missing message role"):
        parse_message(data if isinstance(data, dict | list) else json.dumps(data))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (USER, UserMessage),
        (ASSISTANT, AssistantMessage),
        (RESULT, ToolResultMessage),
        ({"role": "custom"}, CustomMessage),
        ({"role": "tool", "content": 5, "x": [None]}, CustomMessage),
    ],
)
def test_the_role_tells_messages_apart(data, kind):
    """Three roles have types; every other one is a custom message that keeps the whole object."""
    for read in (
        parse_message(data),
        parse_message(json.dumps(data)),
        parse_message(json.dumps(data).encode()),
    ):
        assert type(read) is kind
        assert dumped(read) == data


@pytest.mark.parametrize("data", [USER, ASSISTANT, RESULT])
@pytest.mark.parametrize("change", [{"content": None}, None])
def test_absent_content_is_no_blocks(data, change):
    """Content that is null or missing reads as an empty list, for users too."""
    message = parse_message({**data, **change} if change else without(data, "content"))
    assert message.content == ()
    assert dumped(message)["content"] == []


@pytest.mark.parametrize(
    "data",
    [
        {**USER, "content": 5},
        {**USER, "content": [{"type": "video"}]},
        {**USER, "content": [{"type": "thinking", "thinking": "x"}]},
        {**USER, "content": ["x"]},
        {**ASSISTANT, "content": [{"type": "image", "data": "", "mimeType": "image/png"}]},
        {**ASSISTANT, "content": "x"},
        {**ASSISTANT, "content": [{"type": "toolCall", "id": "c", "name": "n"}]},
        {**ASSISTANT, "stopReason": "tired"},
        {**ASSISTANT, "diagnostics": None},
        {**ASSISTANT, "usage": without(USAGE, "cost")},
        {**ASSISTANT, "usage": {**USAGE, "input": 1.0}},
        {**ASSISTANT, "usage": {**USAGE, "input": True}},
        {**RESULT, "addedToolNames": None},
        {**RESULT, "isError": 1},
        {**USER, "timestamp": 1.0},
        {**USER, "timestamp": -1},
        {**USER, "timestamp": "1"},
        without(USER, "timestamp"),
        *(
            without(ASSISTANT, key)
            for key in ("usage", "api", "provider", "model", "stopReason", "timestamp")
        ),
        *(without(RESULT, key) for key in ("toolCallId", "toolName", "isError", "timestamp")),
        *({**ASSISTANT, "usage": without(USAGE, key)} for key in USAGE),
    ],
    ids=lambda data: json.dumps(data)[:60],
)
def test_what_the_format_does_not_allow_is_refused(data):
    """A wrong type, an unknown block and a missing key are errors, read as text or as objects, alone or in a context."""
    for read in (parse_message, lambda d: parse_message(json.dumps(d))):
        with pytest.raises(ValidationError):
            read(data)
    with pytest.raises(ValidationError):
        Context.model_validate_json(json.dumps({"messages": [data]}))


def test_null_details_and_usage_are_none():
    """Null stands for no details and no usage of a result."""
    message = parse_message({**RESULT, "details": None, "usage": None})
    assert (message.details, message.usage) == (None, None)
    assert dumped(message) == RESULT


def test_unknown_keys_are_ignored():
    """What a newer program wrote besides does not matter."""
    block = {"type": "text", "text": "x", "citations": []}
    assert parse_message({**ASSISTANT, "content": [block], "mood": "good"}).content == (TextContent("x"),)


@pytest.mark.parametrize(
    ("kind", "data"), [(UserMessage, USER), (AssistantMessage, ASSISTANT), (ToolResultMessage, RESULT)]
)
def test_a_type_reads_its_own_role_or_none(kind, data):
    """Read as one type, the role may be missing or null, and another is refused by name."""
    for own in (data, without(data, "role"), {**data, "role": None}):
        assert dumped(kind.model_validate_json(json.dumps(own))) == data
    with pytest.raises(ValidationError, match=f"expected role {data['role']}, got system"):
        kind.model_validate_json(json.dumps({**data, "role": "system"}))


@pytest.mark.parametrize("tools", [None, 5])
def test_tools_of_a_context_are_a_list(tools):
    """Null is not the same as no tools."""
    with pytest.raises(ValidationError):
        Context.model_validate({"tools": tools})


def test_null_arguments_read_as_none_at_all():
    """A call without arguments reads as an empty object; other JSON is kept."""
    assert ToolCall("c", "n", None).arguments == {}
    assert ToolCall("c", "n", [1]).arguments == [1]
    assert ToolCall.model_validate_json('{"id":"c","name":"n","arguments":null}').arguments == {}


def test_tool_result_extras_round_trip():
    """Usage and added tool names of a result come back in full."""
    cost = UsageCost(0.1, 0.2, 0.3, 0.4, 1.0)
    usage = Usage(1, 2, 3, 4, 4, 2, 10, cost)
    result = ToolResultMessage("c", "n", usage=usage, added_tool_names=["x", "y"])
    assert parse_message(result.model_dump_json()) == result
    assert dumped(result)["addedToolNames"] == ["x", "y"]
    assert dumped(result)["usage"]["cacheWrite1h"] == 4


@given(messages())
def test_any_message_comes_back_from_json(message):
    """Writing and reading a message gives an equal one, by text and by parsed object."""
    text = message.model_dump_json()
    assert parse_message(text) == message
    assert parse_message(json.loads(text)) == message
    assert type(message).model_validate_json(text) == message
    assert parse_message(text).model_dump_json() == text


@given(contexts())
def test_any_context_comes_back_from_json(context):
    """Writing and reading a context gives an equal one."""
    assert Context.model_validate_json(context.model_dump_json()) == context


@given(assistant_messages())
def test_the_helpers_see_all_blocks(message):
    """Text, thinking and calls of a reply are those of its blocks."""
    assert [message.text, message.thinking] == [
        "".join(getattr(block, name, "") for block in message.content) for name in ("text", "thinking")
    ]
    assert [*message.tool_calls] == [block for block in message.content if isinstance(block, ToolCall)]


@given(custom_messages())
def test_custom_messages_are_the_only_ones_that_no_model_reads(message):
    """Custom messages are told apart from what a model can be sent."""
    assert not is_llm_message(message)
    assert all(map(is_llm_message, (UserMessage("x"), AssistantMessage(), ToolResultMessage("c", "n"))))


def test_a_user_message_is_made_from_text_and_images():
    """``user`` makes a string, or blocks when there are images; both are of now."""
    image = ImageContent("aGk=", "image/png")
    assert user("hi").content == "hi"
    assert user("hi", [image]).content == (TextContent("hi"), image)
    assert user("hi").timestamp > 1_700_000_000_000


# What cannot be said


@pytest.mark.parametrize("role", ["user", "assistant", "toolResult"])
def test_custom_messages_do_not_pose_as_others(role):
    """The three roles belong to their own types."""
    with pytest.raises(ValidationError, match=f"role {role} belongs to a message type of its own"):
        CustomMessage(role)


@given(texts_with_lone_surrogates())
def test_lone_surrogates_never_get_in(text):
    """Whatever halves a text holds, it can be encoded; pairs are joined, and nothing else is lost."""
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    call = ToolCall(text, text, {text: [text]})
    for kept in (UserMessage(text).content, TextContent(text).text, call.id, *call.arguments):
        assert kept == expected
        kept.encode()
    custom = CustomMessage.model_validate({"role": "note", "key": text})
    assert custom.model_dump()["key"] == expected


def test_lone_surrogate_escapes_in_json_are_read():
    """JSON as JavaScript writes it, with half a pair in an escape, is read without the half."""
    data = json.dumps({**USER, "content": "a\ud83db\ud83d\ude00"})
    assert "\\ud83d" in data
    assert parse_message(data).content == "ab😀"
    assert UserMessage.model_validate_json(data).content == "ab😀"
    assert Context.model_validate_json(f'{{"messages":[{data}]}}').messages[0].content == "ab😀"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_has_not_are_refused(number):
    """NaN and the infinities are refused when a value is made."""
    for make in (
        lambda: ToolCall("c", "n", {"a": [number]}),
        lambda: ToolResultMessage("c", "n", details=number),
        lambda: CustomMessage(value=number),
        lambda: AssistantMessage(diagnostics=[number]),
        lambda: UsageCost(input=number),
        lambda: Tool("n", "d", {"maximum": number}),
    ):
        with pytest.raises(ValidationError):
            make()


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_json_text_with_such_numbers_is_refused(text):
    """NaN, the infinities and what is too large for a number are refused when they are read."""
    data = json.dumps({**RESULT, "details": 5}).replace("5", text)
    with pytest.raises(ValidationError):
        parse_message(data)
    with pytest.raises(ValidationError):
        ToolResultMessage.model_validate_json(data)


@pytest.mark.parametrize("value", [{1: 2}, {None: 2}, object(), b"x", {"a"}, 1j])
def test_what_is_no_json_is_refused(value):
    """Objects have string keys, and only JSON's own types are taken."""
    with pytest.raises(ValidationError):
        ToolCall("c", "n", {"a": value})


def test_json_too_deep_to_be_written_is_refused():
    """Nesting that no reader would follow is refused when the value is made, not when it is written."""
    deep: list = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(ValidationError, match="JSON nested deeper than 200 levels"):
        ToolResultMessage("c", "n", details=deep)


@given(json_values())
def test_arguments_are_a_copy(value):
    """What a value is made from can be changed afterwards without changing the value."""
    source = {"key": [value]}
    call = ToolCall("c", "n", source)
    source["key"].append("more")
    assert call.arguments == {"key": [value]}


def test_the_union_can_be_used_in_pydantic_models():
    """``Message`` is a discriminated union like any other."""
    assert TypeAdapter(list[Message]).validate_python([USER])[0] == UserMessage("hi", timestamp=1)
