"""What a Chat Completions request says about caching."""

import pytest

from providers.openai.session import prompt_cache_key
from runtime.values.content import ImageContent, TextContent
from runtime.values.message import UserMessage, user
from runtime.values.options import StreamOptions
from runtime.values.tool import Tool
from tests.providers.completions_lab import OPENAI, WEATHER, call_of, model_of, own, payload_of, result_of

HI = user("hi")
SESSION = "s" * 68
MARK = {"cache_control": {"type": "ephemeral"}}
LONG = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
OTHER = model_of(provider="mine")
MODEST = model_of(provider="mine", compat={"supports_long_cache_retention": False})
AT_OPENAI = model_of(base_url=OPENAI)


@pytest.mark.parametrize(
    ("model", "retention", "key", "kept"),
    [
        (AT_OPENAI, "long", "s" * 64, "24h"),
        (AT_OPENAI, "short", "s" * 64, None),
        (AT_OPENAI, None, "s" * 64, None),
        (AT_OPENAI, "none", None, None),
        (MODEST, "long", None, None),
        (OTHER, "long", "s" * 64, "24h"),
        (OTHER, "short", None, None),
    ],
)
def test_the_session_is_a_cache_key(model, retention, key, kept):
    """At OpenAI always, elsewhere when a long retention is asked for and known; at most 64 characters."""
    payload = payload_of(model, HI, options=StreamOptions(session_id=SESSION, cache_retention=retention))
    assert payload.get("prompt_cache_key") == key
    assert payload.get("prompt_cache_retention") == kept


def test_a_cache_key_is_cut_between_characters():
    """Not in the middle of an emoji; no session has no key."""
    assert prompt_cache_key("a" * 63 + "😀😀") == "a" * 63 + "😀"
    assert prompt_cache_key(None) is prompt_cache_key("") is None


def test_the_environment_does_not_change_the_retention(monkeypatch):
    """Variables of other programs are not read."""
    monkeypatch.setenv("PI_CACHE_RETENTION", "long")
    options = StreamOptions(env={"PI_CACHE_RETENTION": "long"}, session_id="s")
    assert "prompt_cache_retention" not in payload_of(AT_OPENAI, HI, options=options)


MARKED = model_of(
    provider="openrouter",
    base_url="https://openrouter.ai/api/v1",
    compat={"cache_control_format": "anthropic"},
)


def text(value, **more):
    return [{"type": "text", "text": value, **more}]


def test_marks_stand_on_the_system_prompt_the_last_message_and_the_last_tool():
    """A string becomes a list of parts for its mark."""
    tools = [WEATHER, Tool("other", "d", {})]
    payload = payload_of(MARKED, user("a"), own(TextContent("b")), user("c"), system_prompt="s", tools=tools)
    system, first, reply, last = payload["messages"]
    assert system["content"] == text("s", **MARK)
    assert (first["content"], reply["content"]) == ("a", "b")
    assert last["content"] == text("c", **MARK)
    assert [tool.get("cache_control") for tool in payload["tools"]] == [None, MARK["cache_control"]]


def test_a_result_can_be_the_last_message():
    """Then the user's message stays a string."""
    messages = payload_of(MARKED, user("a"), own(call_of()), result_of(1, TextContent("ok")))["messages"]
    assert messages[0]["content"] == "a"
    assert messages[-1]["content"] == text("ok", **MARK)


def test_a_message_without_text_takes_no_mark():
    """The mark goes to the one before it; in a list, to its last text."""
    image = ImageContent("aGk=", "image/png")
    earlier = UserMessage([TextContent("a"), TextContent("b"), image])
    messages = payload_of(MARKED, earlier, UserMessage([image]), user(""))["messages"]
    assert [part.get("cache_control") for part in messages[0]["content"]] == [
        None,
        MARK["cache_control"],
        None,
    ]
    assert messages[1]["content"][0]["type"] == "image_url"
    assert messages[2]["content"] == ""


def test_only_the_first_system_message_counts():
    """Added tools are one without content, and take no mark."""
    kimi = model_of(compat={"cache_control_format": "anthropic", "deferred_tools_mode": "kimi"})
    history = (own(call_of()), result_of(1, TextContent("ok"), added_tool_names=["get_weather"]))
    messages = payload_of(kimi, HI, *history, tools=[WEATHER])["messages"]
    assert set(messages[-1]) == {"role", "tools"}
    assert messages[-2]["content"] == text("ok", **MARK)


@pytest.mark.parametrize(("retention", "mark"), [("long", LONG), ("short", MARK), ("none", {})])
def test_marks_follow_the_retention(retention, mark):
    """None: plain strings."""
    messages = payload_of(MARKED, HI, options=StreamOptions(cache_retention=retention))["messages"]
    assert messages[0]["content"] == (text("hi", **mark) if mark else "hi")


def test_a_long_mark_is_short_where_long_ones_are_not_known():
    """The flag for long retention counts for marks too."""
    model = model_of(compat={"cache_control_format": "anthropic", "supports_long_cache_retention": False})
    messages = payload_of(model, HI, options=StreamOptions(cache_retention="long"))["messages"]
    assert messages[0]["content"] == text("hi", **MARK)
