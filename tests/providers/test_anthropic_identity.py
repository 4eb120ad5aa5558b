"""Looking like Claude Code: only through a handle that was made for that, and only with a subscription's token."""

import pytest

from providers.anthropic import AnthropicOptions
from providers.anthropic.credentials import AnthropicAccess
from providers.anthropic.identity import SYSTEM_PROMPT, ToolNames
from runtime.values.content import ToolCall
from runtime.values.message import user
from runtime.values.options import StreamOptions
from tests.providers.anthropic_lab import (
    SUBSCRIPTION,
    call_of,
    headers_of,
    model_of,
    opened,
    own,
    payload_of,
    reply_of,
    result_of,
    stopped,
    tool_named,
)

HI = user("hi")
POSING = AnthropicAccess(claude_code_identity=True)
OPUS = model_of("claude-opus-4-6")
NAMES = {
    "read": "Read", "write": "Write", "edit": "Edit", "bash": "Bash", "todowrite": "TodoWrite", "ASKUSERQUESTION": "AskUserQuestion",
    "find": "find", "my_custom_tool": "my_custom_tool",
}  # fmt: skip


def sent_names(*names, posing=True):
    payload = payload_of(model_of(), HI, tools=[tool_named(name) for name in names], posing=posing)
    return [tool["name"] for tool in payload["tools"]]


def received(name, *tools, posing=True):
    """What the caller sees of a call by this name."""
    names = ToolNames(posing).received([tool_named(tool) for tool in tools])
    start = opened(0, "tool_use", id="a", name=name, input={})
    return reply_of(start, stopped(), names=names).message.tool_calls[0].name


def test_a_subscriptions_token_alone_shapes_nothing():
    """It takes the handle's word."""
    plain = headers_of(OPUS, HI, api_key=SUBSCRIPTION)
    assert "x-app" not in plain
    assert plain["anthropic-beta"] == "oauth-2025-04-20"
    posing = headers_of(OPUS, HI, api_key=SUBSCRIPTION, access=POSING)
    assert (posing["user-agent"], posing["x-app"]) == ("claude-cli/2.1.75", "cli")
    assert posing["anthropic-beta"] == "claude-code-20250219,oauth-2025-04-20"
    assert posing["authorization"] == f"Bearer {SUBSCRIPTION}"


@pytest.mark.parametrize("key", ["sk-ant-api03-x", None])
def test_the_handles_word_alone_shapes_nothing(key):
    """An API key is nobody's subscription."""
    sent = headers_of(OPUS, HI, api_key=key, access=POSING)
    assert not {"x-app", "anthropic-beta", "authorization"} & set(sent)
    mine = StreamOptions(headers={"Authorization": f"Bearer {SUBSCRIPTION}"})
    assert "x-app" not in headers_of(OPUS, HI, options=mine, api_key=SUBSCRIPTION, access=POSING)


def test_the_system_prompt_says_so_first():
    """Four marks are all that the provider takes."""
    payload = payload_of(
        OPUS, HI, posing=True, system_prompt="Be brief.", tools=[tool_named("a"), tool_named("b")]
    )
    assert [block["text"] for block in payload["system"]] == [SYSTEM_PROMPT, "Be brief."]
    assert str(payload).count("cache_control") == 4
    assert [block["text"] for block in payload_of(OPUS, HI, posing=True)["system"]] == [SYSTEM_PROMPT]


def test_tools_that_claude_code_has_are_spelt_its_way():
    """Others are not, and nothing is translated."""
    assert sent_names(*NAMES) == list(NAMES.values())
    assert sent_names(*NAMES, posing=False) == list(NAMES)


@pytest.mark.parametrize(("mine", "theirs"), NAMES.items())
def test_the_caller_sees_its_own_names(mine, theirs):
    """Whatever the reply's spelling is."""
    assert received(theirs, "other", mine) == mine
    assert received(theirs.upper(), "other", mine) == mine
    assert received(theirs, "other", mine, posing=False) == theirs


def test_a_name_that_the_caller_does_not_have_stays():
    """``find`` is never ``Glob``; of two alike, the first is meant."""
    assert received("Glob", "find") == "Glob"
    assert received("READ", "read", "Read") == "read"


def test_the_history_is_spelt_alike():
    """And so is a choice of a tool."""
    call = own(ToolCall("a", "read", {}), model=OPUS)
    payload = payload_of(
        OPUS,
        HI,
        call,
        tools=[tool_named("read")],
        posing=True,
        options=AnthropicOptions(tool_choice={"type": "tool", "name": "read"}),
    )
    assert payload["messages"][1]["content"][0]["name"] == "Read"
    assert payload["tool_choice"] == {"type": "tool", "name": "Read"}


def test_of_tools_that_become_one_the_last_definition_counts():
    """At the place of the first."""
    tools = [tool_named("read", "old"), tool_named("x"), tool_named("Read", "new")]
    sent = payload_of(OPUS, HI, tools=tools, posing=True)["tools"]
    assert [(tool["name"], tool["description"]) for tool in sent] == [("Read", "new"), ("x", "A tool")]


def test_deferred_tools_are_told_apart_by_the_names_of_the_wire():
    """A call of Read was one of read; a marker of Read loads read."""
    tools = [tool_named("base"), tool_named("read")]
    used = (HI, own(call_of(1, "Read"), model=OPUS), result_of(1, "x", added_tool_names=["read"]))
    assert "defer_loading" not in str(payload_of(OPUS, *used, tools=tools, posing=True))
    marked = (HI, own(call_of(1, "base"), model=OPUS), result_of(1, "x", added_tool_names=["read"]))
    payload = payload_of(OPUS, *marked, tools=tools, posing=True)
    assert [(tool["name"], tool.get("defer_loading")) for tool in payload["tools"]] == [
        ("base", None),
        ("Read", True),
    ]
    assert payload["messages"][2]["content"][0]["content"] == [
        {"type": "tool_reference", "tool_name": "Read"}
    ]
