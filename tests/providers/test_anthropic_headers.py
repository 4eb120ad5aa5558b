"""The headers of a Messages request."""

import pytest

from providers.access import Access
from providers.anthropic import AnthropicOptions
from runtime.values.message import CustomMessage, user
from runtime.values.options import StreamOptions
from tests.providers.anthropic_lab import (
    IMAGE,
    SUBSCRIPTION,
    call_of,
    headers_of,
    model_of,
    own,
    payload_of,
    result_of,
    tool_named,
)

HI = user("hi")
ALWAYS = {
    "content-type": "application/json",
    "accept": "application/json",
    "anthropic-version": "2023-06-01",
    "anthropic-dangerous-direct-browser-access": "true",
}
OAUTH = "oauth-2025-04-20"
FINE = "fine-grained-tool-streaming-2025-05-14"
INTERLEAVED = "interleaved-thinking-2025-05-14"
THINKING = AnthropicOptions(thinking_enabled=True)
LAZY = {"supports_eager_tool_input_streaming": False}
ADAPTIVE = {"force_adaptive_thinking": True}


def betas_of(model=None, **settings):
    return headers_of(model or model_of(), HI, **settings).get("anthropic-beta")


def test_a_key():
    """Goes by Anthropic's own name; without one there is no such header."""
    assert headers_of(model_of(), HI, api_key="k") == {**ALWAYS, "x-api-key": "k"}
    assert headers_of(model_of(), HI) == ALWAYS


def test_the_token_of_a_subscription():
    """Is a bearer's, with the beta that it needs, and nothing else."""
    assert headers_of(model_of(), HI, api_key=SUBSCRIPTION) == {
        **ALWAYS,
        "authorization": f"Bearer {SUBSCRIPTION}",
        "anthropic-beta": OAUTH,
    }


def test_what_is_nearer_to_the_call_replaces():
    """Handle, model, call; None removes, but never the content type."""
    access = Access(headers={"X-One": "handle", "X-Two": "handle"})
    model = model_of(headers={"x-one": "model", "Anthropic-Version": "2099-01-01"})
    options = StreamOptions(headers={"x-TWO": None, "Accept": "*/*", "content-type": None, "x-api-key": None})
    assert headers_of(model, HI, access=access, options=options, api_key="k") == {
        **ALWAYS,
        "accept": "*/*",
        "anthropic-version": "2099-01-01",
        "x-one": "model",
    }


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
def test_a_credential_in_the_headers_of_a_call_replaces_the_key(header):
    """Unless the call brings a key too."""
    options = StreamOptions(headers={header: "mine"})
    sent = headers_of(model_of(), HI, options=options, api_key=SUBSCRIPTION)
    assert sent == {**ALWAYS, header.lower(): "mine"}
    both = StreamOptions(headers={"Authorization": "mine"}, api_key="k")
    assert headers_of(model_of(), HI, options=both, api_key="k")["x-api-key"] == "k"


# Betas


def test_betas_in_their_order():
    """For a subscription's token, for tools that stream in the old way, for thinking between calls."""
    tools = [tool_named("a")]
    assert betas_of(model_of(compat=LAZY), options=THINKING, api_key=SUBSCRIPTION, tools=tools) == (
        f"{OAUTH},{FINE},{INTERLEAVED}"
    )
    assert betas_of(tools=tools) is None
    assert betas_of(model_of(compat={**LAZY, **ADAPTIVE}), options=THINKING, tools=tools) == FINE
    assert betas_of(model_of(compat={**LAZY, **ADAPTIVE}), options=THINKING) is None


@pytest.mark.parametrize(
    ("options", "settings", "sent"),
    [
        (THINKING, {}, INTERLEAVED),
        (THINKING, {"compat": ADAPTIVE}, None),
        (THINKING, {"reasoning": False}, None),
        (AnthropicOptions(), {}, None),
        (AnthropicOptions(thinking_enabled=False), {}, None),
        (AnthropicOptions(thinking_enabled=True, interleaved_thinking=False), {}, None),
        (AnthropicOptions(thinking_enabled=True, thinking_budget_tokens=7), {}, None),
    ],
)
def test_thinking_between_calls_is_asked_for_with_a_budget(options, settings, sent):
    """Models that decide themselves need no asking, and without thinking there is nothing to ask for."""
    assert betas_of(model_of(**settings), options=options) == sent


def test_a_callers_betas_add_up():
    """Of handle, model and call, each once; None in the call's headers removes them all."""
    access = Access(headers={"anthropic-beta": "one, two"})
    model = model_of(headers={"Anthropic-Beta": "two,three,"})
    for mine, sent in (("four,one", "one,two,three,four"), ("", "one,two,three")):
        options = StreamOptions(headers={"ANTHROPIC-BETA": mine})
        assert betas_of(model, options=options, access=access, api_key=SUBSCRIPTION) == f"{OAUTH},{sent}"
    removed = StreamOptions(headers={"anthropic-Beta": None})
    assert betas_of(model, options=removed, access=access, api_key=SUBSCRIPTION) is None


# Sessions


def affinity_of(session="s-1", retention=None, compat=True, **headers):
    options = StreamOptions(session_id=session, cache_retention=retention, headers=headers)
    model = model_of(compat={"send_session_affinity_headers": compat})
    return headers_of(model, HI, options=options).get("x-session-affinity")


def test_a_session_names_itself_where_the_endpoint_wants_that():
    """Unless nothing is to be kept; the call's own header replaces it."""
    assert affinity_of() == affinity_of(retention="short") == affinity_of(retention="long") == "s-1"
    assert affinity_of(retention="none") is affinity_of(compat=False) is affinity_of(session=None) is None
    assert affinity_of(**{"X-Session-Affinity": "mine"}) == "mine"
    assert affinity_of(session="tést") is affinity_of(session="a\nb") is None


# GitHub Copilot


COPILOT = {"Copilot-Integration-Id": "vscode-chat"}


def copilot(*messages, api_key="k", options=None, **settings):
    model = model_of("claude-sonnet-4", provider="github-copilot", headers=COPILOT, **settings)
    return headers_of(model, *messages, api_key=api_key, options=options, tools=[tool_named("a")])


def test_copilot_is_told_who_asks_and_what_there_is_to_see():
    """A key is a bearer's there, and never shaped."""
    sent = copilot(user("look", [IMAGE]))
    assert sent == {
        **ALWAYS,
        "authorization": "Bearer k",
        "copilot-integration-id": "vscode-chat",
        "x-initiator": "user",
        "openai-intent": "conversation-edits",
        "copilot-vision-request": "true",
    }
    assert "authorization" not in copilot(HI, api_key=None)
    payload = payload_of(model_of("claude-sonnet-4", provider="github-copilot", max_tokens=99), HI)
    assert (payload["model"], payload["stream"], payload["max_tokens"]) == ("claude-sonnet-4", True, 99)


def test_copilot_learns_whether_the_agent_goes_on_by_itself():
    """Messages of the application do not count; images in results do."""
    assert copilot(HI, CustomMessage())["x-initiator"] == "user"
    assert copilot()["x-initiator"] == copilot(CustomMessage())["x-initiator"] == "user"
    assert copilot(HI, own(call_of()))["x-initiator"] == "agent"
    going_on = copilot(HI, own(call_of()), result_of(1, IMAGE), CustomMessage())
    assert (going_on["x-initiator"], going_on["copilot-vision-request"]) == ("agent", "true")
    assert "copilot-vision-request" not in copilot(HI)


def test_copilots_betas():
    """Thinking between calls, never for a model that decides itself; tools stream in by their own field."""
    assert copilot(HI, options=THINKING)["anthropic-beta"] == INTERLEAVED
    assert "anthropic-beta" not in copilot(HI, options=THINKING, compat=ADAPTIVE)
