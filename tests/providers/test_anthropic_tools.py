"""Tools on the Messages wire, and those that a conversation makes available only later."""

import pytest

from runtime.errors import ToolDefinitionError
from runtime.values.message import AssistantMessage, user
from runtime.values.options import StreamOptions
from runtime.values.tool import GrammarSampling, GrammarVariants, JsonSchemaSampling, Tool
from tests.providers.anthropic_lab import (
    IMAGE,
    WIRE_IMAGE,
    call_of,
    messages_of,
    model_of,
    own,
    payload_of,
    result_of,
    tool_named,
)

HI = user("hi")
OPUS = model_of("claude-opus-4-6")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": []}


def wired(tool, **compat):
    return payload_of(
        model_of(compat=compat), HI, options=StreamOptions(cache_retention="none"), tools=[tool]
    )["tools"][0]


def test_a_tool():
    """Its input streams in as it is written, unless the endpoint does not know that."""
    assert wired(tool_named("a", "Does it")) == {
        "name": "a",
        "description": "Does it",
        "input_schema": SCHEMA,
        "eager_input_streaming": True,
    }
    assert "eager_input_streaming" not in wired(tool_named("a"), supports_eager_tool_input_streaming=False)
    assert "tools" not in payload_of(model_of(), HI)


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        ({}, {"type": "object", "properties": {}, "required": []}),
        (None, {"type": "object", "properties": {}, "required": []}),
        ({"type": "string", "properties": 7, "required": None}, {"type": "object", "properties": {}, "required": []}),
        (
            {"$defs": {"x": {}}, "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"], "additionalProperties": False},
            {
                "$defs": {"x": {}}, "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"], "additionalProperties": False,
                "type": "object",
            },
        ),
    ],
)  # fmt: skip
def test_a_schema_is_sent_whole_with_what_the_provider_insists_on(parameters, sent):
    """References keep what they point at."""
    assert wired(Tool("a", "A", parameters))["input_schema"] == sent


def test_strict_tools():
    """A handle's models take them; preferring is not insisting."""
    schema = {**SCHEMA, "additionalProperties": False}
    prefer, require = (Tool("a", "A", schema, JsonSchemaSampling(how)) for how in ("prefer", "require"))
    for tool in (prefer, require):
        assert wired(tool)["strict"] is True
        assert wired(tool)["input_schema"] == schema
    assert "strict" not in wired(prefer, supports_strict_tools=False)
    with pytest.raises(
        ToolDefinitionError,
        match='^Tool "a" requires JSON-schema constrained sampling, but strict tools are unsupported.$',
    ):
        wired(require, supports_strict_tools=False)
    for sampling in (None, False, GrammarSampling(GrammarVariants(openai_lark="x"))):
        assert "strict" not in wired(Tool("a", "A", schema, sampling))


def test_compat_of_a_model_is_laid_over_the_handles():
    """Another flag does not lose the strict tools."""
    assert model_of().compat.supports_strict_tools is True
    assert model_of(compat={"supports_temperature": False}).compat.supports_strict_tools is True


# Deferred tools


def later(*messages, tools=("base", "late"), model=OPUS, posing=False):
    """The tools and the messages of a conversation, without marks."""
    payload = payload_of(
        model,
        *messages,
        options=StreamOptions(cache_retention="none"),
        tools=[tool_named(name) for name in tools],
        posing=posing,
    )
    return [(tool["name"], tool.get("defer_loading", False)) for tool in payload["tools"]], payload[
        "messages"
    ]


def adding(number, *names, **fields):
    return result_of(number, *fields.pop("content", ("loaded",)), added_tool_names=names, **fields)


def reference(*names):
    return [{"type": "tool_reference", "tool_name": name} for name in names]


BOTH = [("base", False), ("late", False)]
DEFERRED = [("base", False), ("late", True)]


def test_a_result_makes_a_tool_available():
    """The tool waits, and the result refers to it; what it says comes behind."""
    tools, messages = later(HI, own(call_of(1, "base"), model=OPUS), adding(1, "late", is_error=True))
    assert tools == DEFERRED
    assert messages[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": reference("late"), "is_error": True},
        {"type": "text", "text": "loaded"},
    ]


def test_what_results_with_references_say_comes_behind_all_results():
    """In their order; nothing where they say nothing."""
    calls = own(call_of(1, "base"), call_of(2, "base"), call_of(3, "base"), model=OPUS)
    _, messages = later(
        HI,
        calls,
        adding(1, "late", content=("first", IMAGE)),
        result_of(2, "second"),
        adding(3, "other", content=("",)),
        tools=("base", "late", "other"),
    )
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result"] * 3 + ["text", "image"]
    assert [block.get("content") for block in messages[2]["content"][:3]] == [
        reference("late"),
        "second",
        reference("other"),
    ]
    assert messages[2]["content"][3:] == [{"type": "text", "text": "first"}, WIRE_IMAGE]


def test_the_last_tool_that_is_there_at_once_is_marked():
    """A deferred one may not be."""
    payload = payload_of(
        OPUS,
        HI,
        own(call_of(1, "base"), model=OPUS),
        adding(1, "late"),
        tools=[tool_named("base"), tool_named("late")],
    )
    assert ["cache_control" in tool for tool in payload["tools"]] == [True, False]


def test_a_name_is_loaded_once():
    """The first result that adds it; names that nobody knows are nothing."""
    calls = own(call_of(1, "base"), call_of(2, "base"), model=OPUS)
    tools, messages = later(HI, calls, adding(1, "late", "late", "nobody"), adding(2, "late", "nobody"))
    assert tools == DEFERRED
    assert [block.get("content") for block in messages[2]["content"]] == [reference("late"), "loaded", None]


def test_a_tool_that_was_called_before_is_not_deferred():
    """The model knows it."""
    used = own(call_of(1, "late"), model=OPUS)
    tools, messages = later(HI, used, adding(1, "late"))
    assert tools == BOTH
    assert messages[2]["content"][0]["content"] == "loaded"


def test_some_tool_is_there_at_once():
    """A result that would leave none loads none."""
    one = (HI, own(call_of(1, "x"), model=OPUS), adding(1, "late"))
    assert later(*one, tools=("late",)) == ([("late", False)], messages_of(OPUS, *one))
    both = (HI, own(call_of(1, "x"), model=OPUS), adding(1, "base", "late"))
    assert later(*both)[0] == BOTH
    calls = own(call_of(1, "x"), call_of(2, "x"), model=OPUS)
    tools, _ = later(HI, calls, adding(1, "late"), adding(2, "base"))
    assert tools == DEFERRED


def test_a_transcript_of_another_model_defers_too():
    """What counts is what results say."""
    foreign = AssistantMessage((call_of(1, "base"),), api="openai-responses", provider="openai", model="gpt")
    assert later(HI, foreign, adding(1, "late"))[0] == DEFERRED


@pytest.mark.parametrize(
    ("name", "provider", "flag", "defers"),
    [
        ("claude-opus-4-5", "anthropic", None, True),
        ("claude-sonnet-4-5-20250929", "anthropic", None, True),
        ("claude-opus-4-6", "anthropic", None, True),
        ("claude-sonnet-5", "anthropic", None, True),
        ("claude-fable-5", "anthropic", None, True),
        ("claude-sonnet-4-20250514", "anthropic", None, False),
        ("claude-opus-4-1", "anthropic", None, False),
        ("claude-haiku-4-5", "anthropic", None, False),
        ("claude-3-5-sonnet-20241022", "anthropic", None, False),
        ("claude-opus-4.6", "anthropic", None, False),
        ("claude-opus-4-6", "fireworks", None, False),
        ("anything", "fireworks", True, True),
        ("claude-opus-4-6", "anthropic", False, False),
    ],
)
def test_which_models_take_references(name, provider, flag, defers):
    """By their id at the provider anthropic, or by the flag."""
    model = model_of(name, provider=provider, compat={"supports_tool_references": flag})
    tools, _ = later(HI, own(call_of(1, "base"), model=model), adding(1, "late"), model=model)
    assert tools == (DEFERRED if defers else BOTH)


def test_the_providers_name_changes_no_other_flag():
    """Fireworks gets what Anthropic gets."""
    tools = [tool_named("a")]
    one, other = (payload_of(model_of(provider=name), HI, tools=tools) for name in ("anthropic", "fireworks"))
    assert one == other
