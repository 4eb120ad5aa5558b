"""Thinking levels on the Chat Completions wire, in each family's form."""

import logging

import pytest

from providers.openai.completions_compat import completions_compat
from providers.openai.options import OpenAICompletionsOptions
from runtime.values.compat import THINKING_FORMATS
from runtime.values.message import user
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.completions_lab import model_of, payload_of

FIELDS = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs")
NO_EFFORT = {"supports_reasoning_effort": False}
ENABLED, EFFORT = {"$var": "thinking.enabled"}, {"$var": "thinking.effort"}


def asked(level, form="openai", levels=None, reasoning=True, **compat):
    """The fields that ask for a level."""
    model = model_of(
        reasoning=reasoning, thinking_level_map=levels or {}, compat={"thinking_format": form, **compat}
    )
    payload = payload_of(model, user("hi"), options=OpenAICompletionsOptions(reasoning_effort=level))
    return {name: payload[name] for name in FIELDS if name in payload}


def template(level, levels=None, **kwargs):
    return asked(level, "chat-template", levels, chat_template_kwargs=kwargs)


@pytest.mark.parametrize("form", THINKING_FORMATS)
def test_a_model_that_does_not_reason_is_asked_nothing(form):
    """Whatever the endpoint's form."""
    assert asked("high", form, {"high": "h"}, reasoning=False, chat_template_kwargs={"a": 1}) == {}


@pytest.mark.parametrize(
    ("level", "levels", "sent"),
    [
        ("low", {}, {"reasoning_effort": "low"}),
        ("high", {"high": "default"}, {"reasoning_effort": "default"}),
        ("max", {"max": "maximum"}, {"reasoning_effort": "maximum"}),
        ("medium", {"high": "default"}, {"reasoning_effort": "medium"}),
        ("minimal", {"minimal": None}, {}),
        (None, {}, {}),
        ("off", {}, {}),
        (None, {"off": "none"}, {"reasoning_effort": "none"}),
        ("off", {"off": None}, {}),
    ],
)
def test_openai_takes_a_word(level, levels, sent):
    """The model's word for the level, else the level's name; nothing for a level that the model does not have."""
    assert asked(level, levels=levels) == sent
    assert asked(level, levels=levels, **NO_EFFORT) == {}


def test_a_model_of_which_nothing_is_known_is_asked_what_the_call_asks():
    """But nothing of its own accord."""
    assert asked("high", reasoning=None) == {"reasoning_effort": "high"}
    assert asked(None, reasoning=None) == {}


@pytest.mark.parametrize(
    ("level", "levels", "effort"),
    [
        ("high", {}, "high"),
        ("high", {"high": "h"}, "h"),
        ("high", {"high": None}, None),
        (None, {}, "none"),
        (None, {"off": "zero"}, "zero"),
        (None, {"off": None}, None),
    ],
)
def test_openrouter_and_the_string_form_say_off_as_well(level, levels, effort):
    """Unless the model has no off."""
    assert asked(level, "openrouter", levels) == ({"reasoning": {"effort": effort}} if effort else {})
    assert asked(level, "string-thinking", levels) == ({"thinking": effort} if effort else {})


@pytest.mark.parametrize(
    ("form", "on", "off"),
    [
        ("deepseek", {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}),
        ("together", {"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}),
        (
            "zai",
            {"thinking": {"type": "enabled", "clear_thinking": False}},
            {"thinking": {"type": "disabled"}},
        ),
    ],
)
def test_a_switch_with_an_effort(form, on, off):
    """The effort comes with it where the endpoint takes one, and the model has a word for it."""
    assert asked("high", form) == {**on, "reasoning_effort": "high"}
    assert asked("low", form, {"low": "high"}) == {**on, "reasoning_effort": "high"}
    assert asked("high", form, **NO_EFFORT) == on
    assert asked("minimal", form, {"minimal": None}) == on
    assert asked(None, form) == off


@pytest.mark.parametrize(("level", "on"), [("high", True), (None, False), ("off", False)])
def test_qwen_takes_a_switch_alone(level, on):
    """At the top, or for its chat template, where it also keeps what was thought."""
    assert asked(level, "qwen") == {"enable_thinking": on}
    kwargs = {"enable_thinking": on, "preserve_thinking": True}
    assert asked(level, "qwen-chat-template") == {"chat_template_kwargs": kwargs}


def test_a_chat_template_takes_what_the_model_declares():
    """Plain values as they are, variables by the level."""
    fixed = {"flag": True, "share": 0.5, "name": "x", "nothing": None}
    assert template("high", **fixed, thinking=ENABLED) == {
        "chat_template_kwargs": {**fixed, "thinking": True}
    }
    assert template(None, thinking=ENABLED) == {"chat_template_kwargs": {"thinking": False}}


def test_a_template_variable_may_be_left_out():
    """When thinking is off, when there is no word for the level, and then the field when nothing is left."""
    shy = {**EFFORT, "omitWhenOff": True}
    assert template("xhigh", {"xhigh": "max"}, a=1, effort=shy) == {
        "chat_template_kwargs": {"a": 1, "effort": "max"}
    }
    assert template(None, {"off": "none"}, a=1, effort=shy) == {"chat_template_kwargs": {"a": 1}}
    assert template(None, {"off": "none"}, effort=EFFORT) == {"chat_template_kwargs": {"effort": "none"}}
    assert template("low", {"low": None}, effort=EFFORT) == template(None, effort=EFFORT) == {}


def test_ant_ling_knows_named_levels_only():
    """A level without a word is not asked for."""
    assert asked("high", "ant-ling", {"high": "high"}) == {"reasoning": {"effort": "high"}}
    assert asked("medium", "ant-ling", {"high": "high"}) == asked(None, "ant-ling", {"off": "x"}) == {}


def test_a_whole_profile_of_flags():
    """Each does its own part."""
    compat = {
        "thinking_format": "ant-ling",
        "supports_store": False,
        "supports_developer_role": False,
        "supports_reasoning_effort": False,
        "supports_long_cache_retention": False,
        "max_tokens_field": "max_tokens",
    }
    model = model_of(reasoning=True, thinking_level_map={"high": "high"}, compat=compat)
    options = OpenAICompletionsOptions(
        reasoning_effort="high", max_tokens=123, session_id="s", cache_retention="long"
    )
    payload = payload_of(model, user("hi"), options=options, system_prompt="s")
    assert set(payload) == {"model", "messages", "stream", "stream_options", "max_tokens", "reasoning"}
    assert payload["messages"][0]["role"] == "system"


def test_flags_that_are_not_set_take_their_defaults():
    """Setting some leaves the others alone."""
    compat = completions_compat(
        model_of(compat={"thinkingFormat": "deepseek", "requiresReasoningContentOnAssistantMessages": True})
    )
    assert (compat.thinking_format, compat.requires_reasoning_content_on_assistant_messages) == (
        "deepseek",
        True,
    )
    assert (compat.supports_store, compat.zai_tool_stream, compat.max_tokens_field) == (
        True,
        False,
        "max_completion_tokens",
    )


# Simple calls


def simple(level, **settings):
    return payload_of(model_of(**settings), user("hi"), options=SimpleStreamOptions(reasoning=level)).get(
        "reasoning_effort"
    )


def test_a_simple_call_clamps_to_what_the_model_takes():
    """To the nearest level above, else below; off is none."""
    assert simple("xhigh", reasoning=True) == "high"
    assert simple("xhigh", reasoning=True, thinking_level_map={"xhigh": "x"}) == "x"
    assert simple("minimal", reasoning=True, thinking_level_map={"minimal": None}) == "low"
    assert simple("off", reasoning=True) is simple(None, reasoning=True) is None
    assert simple("high") == "high"


def test_asking_a_model_that_does_not_reason_is_noted(caplog):
    """The level is not sent, and a warning says so."""
    with caplog.at_level(logging.WARNING, "agentrio"):
        assert simple("high", reasoning=False) is None
        assert simple("off", reasoning=False) is None
    assert [record.getMessage() for record in caplog.records] == ["thinking level ignored"]


def test_the_plain_call_leaves_the_level_to_its_options():
    """Without any, nothing is asked."""
    assert "reasoning_effort" not in payload_of(model_of(reasoning=True), user("hi"), options=StreamOptions())
