"""Which models a Copilot account may use: what the API lists, the terms to accept, and what that does to models."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers import github_copilot, openai
from providers.oauth.copilot_models import CopilotModels, read_available_ids, read_pending_ids, retry_after
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.github_copilot import GitHubCopilotOAuth
from runtime.errors import ApiStatusError, OAuthError
from runtime.testing.strategies import json_values
from tests.providers.loopback import reply
from tests.providers.oauth.copilot_lab import COPILOT, GPT, answers, github, listed, model

BASE = "https://api.business.githubcopilot.com"
INDIVIDUAL = "https://api.individual.githubcopilot.com"
ENTERPRISE = "tid=1;proxy-ep=proxy.enterprise.example.com;exp=2"


def available(*models, policies_count=False):
    return read_available_ids({"data": list(models)}, policies_count=policies_count)


# Listings


def test_what_stands_in_the_picker_is_available():
    """Unless its terms were refused, or it takes no tools."""
    assert available(
        model("gpt-4.1"),
        model("claude-sonnet-5", policy="enabled"),
        model("claude-opus-5", policy="unconfigured"),
        model("refused", policy="disabled"),
        model("hidden", picker=False),
        model("no-tools", tools=False),
        model("tools-unknown", tools=None),
        {"id": "bare", "model_picker_enabled": True},
        {"id": "picker-unknown"},
        model(7),
        "not an object",
    ) == ["gpt-4.1", "claude-sonnet-5", "claude-opus-5", "tools-unknown", "bare"]


def test_an_empty_picker():
    """Where individuals are, accepted terms count in its place; nowhere else."""
    models = [
        model("a", picker=False, policy="enabled"),
        model("b", picker=False),
        model("c", picker=False, policy="disabled"),
        model("d", picker=False, policy="enabled", tools=False),
    ]
    assert available(*models, policies_count=True) == ["a"]
    assert available(*models) == []
    assert available(*models, model("picked"), policies_count=True) == ["picked"]


@pytest.mark.parametrize("listing", [{}, {"data": {}}, [], None, "x", {"data": None}])
def test_a_listing_that_is_none(listing):
    """It is an error for who asks what is available, and no reason to accept anything."""
    with pytest.raises(OAuthError, match=r"^Invalid Copilot models response$"):
        read_available_ids(listing, policies_count=True)
    assert read_pending_ids(listing) == []


def test_terms_that_wait():
    """Every state but an accepted one; models without terms have none to accept."""
    models = [model(state, policy=state) for state in ("unconfigured", "disabled", "enabled", "new")]
    assert read_pending_ids({"data": [*models, model("free"), {"id": "odd", "policy": "x"}, 3]}) == [
        "unconfigured",
        "disabled",
        "new",
    ]


@given(json_values() | st.fixed_dictionaries({"data": st.lists(json_values())}), st.booleans())
def test_listings_are_never_trusted(listing, policies_count):
    """Whatever comes: ids that are strings, or the one error."""
    assert all(isinstance(model_id, str) for model_id in read_pending_ids(listing))
    try:
        ids = read_available_ids(listing, policies_count=policies_count)
    except OAuthError as error:
        assert str(error) == "Invalid Copilot models response"
    else:
        assert all(isinstance(model_id, str) for model_id in ids)


# Requests


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3", 3), ("10", 10), ("86400", 10), ("999999999999", 1), ("0", 1), ("1.5", 1), ("-2", 1), ("²", 1),
     ("Fri, 31 Dec 1999 23:59:59 GMT", 1), (None, 1)],
)  # fmt: skip
def test_how_long_to_wait(said, seconds):
    """Whole seconds are believed, up to ten."""
    assert retry_after({"retry-after": said} if said is not None else {}) == seconds


async def test_models_are_asked_for_once_more_after_429(autojump_clock):
    """When the API says; the second answer holds."""
    async with github(
        reply("slow", 429, retry_after="7"), GPT, reply("slow", 429), reply("slow", 429)
    ) as lab:
        models = CopilotModels(BASE, COPILOT, lab.client)
        assert await models.available_ids() == ("gpt-4.1",)
        with pytest.raises(ApiStatusError, match="HTTP 429"):
            await models.available_ids()
    assert [round(after - lab.times[0]) for after in lab.times] == [0, 7, 7, 8]
    assert (lab.requests[0].method, lab.requests[0].target) == ("GET", "/models")


async def test_accepted_terms_count_at_the_place_of_individuals_only():
    """The rule for an empty picker looks at where it was asked."""
    listing = listed(model("a", picker=False, policy="enabled"))
    async with github(listing, listing) as lab:
        assert await CopilotModels(INDIVIDUAL, COPILOT, lab.client).available_ids() == ("a",)
        assert await CopilotModels(BASE, COPILOT, lab.client).available_ids() == ()


async def test_terms_are_accepted():
    """With the words that Copilot wants for that, and without the version of its listing."""
    async with github(reply("{}"), reply("no", 403)) as lab:
        models = CopilotModels(BASE, COPILOT, lab.client)
        assert await models.accept_policy("claude-sonnet-5") is True
        assert await models.accept_policy("claude-sonnet-5") is False
    sent = lab.requests[0]
    assert (sent.method, sent.target) == ("POST", "/models/claude-sonnet-5/policy")
    assert sent.json() == {"state": "enabled"}
    assert sent.headers["openai-intent"] == sent.headers["x-interaction-type"] == "chat-policy"
    assert sent.headers["authorization"] == f"Bearer {COPILOT}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["editor-version"] == "vscode/1.107.0"
    assert "x-github-api-version" not in sent.headers


async def test_an_id_that_no_url_can_hold():
    """It is refused, like terms that Copilot refuses."""
    assert await CopilotModels(BASE, COPILOT).accept_policy("a\x00b") is False


async def test_a_listing_without_end_does_not_hold_a_login_up(autojump_clock):
    """After a minute it has accepted what it could."""
    many = answers({"data": [model(f"m{number}", policy="unconfigured") for number in range(1000)]})

    async def slow(wire):
        await trio.sleep(4)
        await reply("{}")(wire)

    async with github(many, slow, repeat=True) as lab:
        await CopilotModels(BASE, COPILOT, lab.client).accept_policies()
        assert trio.current_time() - lab.times[0] == pytest.approx(60)
        assert len(lab.requests) <= 17


def test_no_token_in_the_repr():
    """Only the place."""
    assert repr(CopilotModels(BASE, COPILOT)) == f"<CopilotModels at {BASE}>"


# What it does to models

GPT_41, CLAUDE = github_copilot.for_model("gpt-4.1"), github_copilot.for_model("claude-opus-4.7")
OTHER = openai.responses("k", provider_id="anthropic").model("claude-opus-4.7")


def modified(*models, token=ENTERPRISE, **extra):
    return GitHubCopilotOAuth().modify_models(models, OAuthCredentials("r", token, 1, extra))


def test_copilots_models_are_where_the_credentials_lead():
    """Claude's under /v1, as its API is; those of other providers stay where they are, and all stay callable."""
    gpt, claude, other = modified(GPT_41, CLAUDE, OTHER)
    assert gpt.base_url == "https://api.enterprise.example.com"
    assert claude.base_url == "https://api.enterprise.example.com/v1"
    assert other is OTHER
    assert gpt.bindings is GPT_41.bindings
    assert claude.bindings.language is not None


def test_only_available_models_are_left():
    """Of Copilot's; what is not known drops nothing, an empty list drops all."""
    assert [m.provider for m in modified(GPT_41, CLAUDE, OTHER, availableModelIds=["gpt-4.1"])] == [
        "github-copilot",
        "anthropic",
    ]
    assert modified(GPT_41, CLAUDE, OTHER, availableModelIds=[]) == [OTHER]
    for unknown in (None, "gpt-4.1", ["gpt-4.1", 3], {"gpt-4.1": 1}):
        assert len(modified(GPT_41, CLAUDE, OTHER, availableModelIds=unknown)) == 3
    assert len(modified(GPT_41, CLAUDE, OTHER)) == 3
