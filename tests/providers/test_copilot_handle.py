"""Handles for GitHub Copilot: which API a model is called through, and what is known of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import ProviderHandle, github_copilot
from providers.github_copilot import GitHubCopilot, api_for_model
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.github_copilot import GitHubCopilotOAuth
from runtime.errors import InvalidOptionError, MissingApiKeyError
from runtime.streams.provider import Capabilities, EmbeddingModelApi, LanguageModelApi, Provider
from runtime.values.compat import ModelCompat
from runtime.values.model import Model
from tests.providers.completions_lab import headers_of
from tests.providers.oauth.copilot_lab import COPILOT as TOKEN

BASE = "https://api.individual.githubcopilot.com"
BUSINESS = "https://api.business.githubcopilot.com"
MESSAGES, CHAT, RESPONSES = "anthropic-messages", "openai-completions", "openai-responses"
CLIENT = {
    "User-Agent": "GitHubCopilotChat/0.35.0",
    "Editor-Version": "vscode/1.107.0",
    "Editor-Plugin-Version": "copilot-chat/0.35.0",
    "Copilot-Integration-Id": "vscode-chat",
}
LOGIN = OAuthCredentials("ghu_1", TOKEN, 1)


def model_of(model_id, **settings):
    return GitHubCopilot(TOKEN, **settings).model(model_id)


# Routing

ROUTES = {
    MESSAGES: ["claude-sonnet-5", "claude-opus-4.8", "claude-haiku-4.5", "claude-sonnet-4", "claude-opus-4-6", "claude-haiku-5"],
    RESPONSES: ["gpt-5.6-sol", "gpt-5", "gpt-5.3-codex", "gpt-50", "grok-4.5", "oswe-preview", "oswe", "mai-code-1-flash"],
    CHAT: ["gpt-4.1", "gemini-3.7-flash", "claude-sonnet-3.7", "claude-sonnet-45", "claude-opus-6", "claude-fable-5",
           "claude-3.5-sonnet", "o3-mini", "gpt-6", "GPT-5", "xgpt-5", ""],
}  # fmt: skip


@pytest.mark.parametrize(
    ("model_id", "api"), [(name, api) for api, names in ROUTES.items() for name in names]
)
def test_the_id_decides(model_id, api):
    """Claude 4 and 5, then those that only Responses has, then all others."""
    assert api_for_model(model_id) == api
    if model_id:
        model = model_of(model_id)
        assert (model.api, model.bindings.language.id) == (api, api)


@given(st.text() | st.from_regex(r"(claude-(haiku|sonnet|opus)-|gpt-|grok-|mai-)[0-9.x-]*"))
def test_every_id_has_one_api(model_id):
    """Also ids that nobody has heard of: there is no list of models."""
    api = api_for_model(model_id)
    assert (api == MESSAGES) <= model_id.startswith("claude-")
    assert (api == RESPONSES) <= (model_id[:1] in "gom")
    assert api in ROUTES


@given(st.sampled_from([MESSAGES, CHAT, RESPONSES]), st.text(min_size=1))
def test_a_named_api_outranks_the_id(api, model_id):
    """For every model of the handle."""
    assert model_of(model_id, api=api).api == api


def test_the_functions_name_an_api():
    """One for each, and none for a single model."""
    for make, api in (
        (github_copilot.messages, MESSAGES),
        (github_copilot.chat_completions, CHAT),
        (github_copilot.responses, RESPONSES),
    ):
        assert {make(TOKEN).model(model_id).api for model_id in ("claude-sonnet-5", "gpt-5", "x")} == {api}
    model = github_copilot.for_model("claude-sonnet-5", TOKEN)
    assert isinstance(model, Model)
    assert (model.id, model.api) == ("claude-sonnet-5", MESSAGES)


def test_an_api_that_there_is_not():
    """It is refused with the names of those that there are."""
    with pytest.raises(InvalidOptionError, match="anthropic-messages, openai-completions, openai-responses"):
        GitHubCopilot(api="messages")


# Models


def test_a_handle_is_a_provider():
    """Of language and embedding models, with no connection."""
    handle = GitHubCopilot()
    assert isinstance(handle, Provider)
    assert isinstance(handle, ProviderHandle)
    assert (handle.id, handle.base_url) == ("github-copilot", BASE)
    assert handle.capabilities == Capabilities(
        language_models=True, image_models=False, embedding_models=True
    )
    assert TOKEN not in repr(GitHubCopilot(TOKEN))


def test_a_model_has_defaults():
    """It sees, its limits are large, and nothing is known of its thinking."""
    model = model_of("claude-opus-4.5")
    assert (model.provider, model.base_url, model.headers) == ("github-copilot", f"{BASE}/v1", CLIENT)
    assert (model.input, model.context_window, model.max_tokens) == (("text", "image"), 1_000_000, 16_384)
    assert model.reasoning is None
    assert isinstance(model.bindings.language, LanguageModelApi)


def test_a_model_has_its_settings():
    """As with every handle."""
    model = GitHubCopilot(TOKEN, compat={"supports_store": True, "zai_tool_stream": True}).model(
        "gpt-4.1",
        name="G",
        reasoning=True,
        max_tokens=5,
        headers={"X-A": "1"},
        compat={"zai_tool_stream": False},
    )
    assert (model.name, model.reasoning, model.max_tokens) == ("G", True, 5)
    assert model.headers == {**CLIENT, "X-A": "1"}
    assert model.compat == ModelCompat(
        supports_store=True,
        supports_developer_role=False,
        supports_reasoning_effort=False,
        zai_tool_stream=False,
    )
    with pytest.raises(InvalidOptionError, match="no settings called temperature"):
        GitHubCopilot().model("m", temperature=1)


@pytest.mark.parametrize(
    ("model_id", "base_url", "place"),
    [
        ("claude-sonnet-5", "https://h.example.com/", "https://h.example.com/v1"),
        ("claude-sonnet-5", "https://h.example.com/v1", "https://h.example.com/v1"),
        ("claude-sonnet-5", "https://h.example.com/v1/", "https://h.example.com/v1"),
        ("gpt-5", "https://h.example.com", "https://h.example.com"),
        ("gpt-4.1", "https://h.example.com/x", "https://h.example.com/x"),
    ],
)
def test_only_messages_are_versioned(model_id, base_url, place):
    """Whatever base URL the handle has."""
    assert model_of(model_id, base_url=base_url).base_url == place


def test_a_models_own_place_stays_as_it_is():
    """Who says where a model is knows why."""
    assert GitHubCopilot().model("claude-sonnet-5", base_url="https://h").base_url == "https://h"


def test_what_is_known_of_the_apis():
    """Chat lacks three things, Responses takes grammars from GPT-5 on, and nothing is strict."""
    three = {"supports_store": False, "supports_developer_role": False, "supports_reasoning_effort": False}
    assert model_of("gpt-4.1").compat == ModelCompat(**three)
    assert model_of("claude-sonnet-5", api=CHAT).compat == ModelCompat(**three)
    assert model_of("gpt-5.4").compat == ModelCompat(supports_openai_grammar_tools=True)
    assert model_of("grok-4.5").compat == ModelCompat()
    assert model_of("gpt-4.1", api=RESPONSES).compat == ModelCompat()
    assert model_of("claude-opus-4.5").compat == ModelCompat()


def test_an_embedding_model():
    """Text only, where the handle is, with the headers that never change."""
    handle = github_copilot.messages(TOKEN, base_url="https://h.example.com/")
    model = handle.embedding_model("text-embedding-3-small")
    assert (model.api, model.base_url, model.input) == (
        "openai-embeddings",
        "https://h.example.com/",
        ("text",),
    )
    assert model.headers == CLIENT
    assert isinstance(model.bindings.embeddings, EmbeddingModelApi)


def test_headers_of_the_handle_outrank_the_clients():
    """And stay out of models."""
    model = model_of("gpt-4.1", headers={"user-agent": "mine"})
    assert "mine" not in model.headers.values()
    assert "User-Agent" not in model.headers
    assert headers_of(model)["editor-version"] == "vscode/1.107.0"


# Credentials


def test_credentials_bring_key_and_place():
    """Unless they are given."""
    handle = GitHubCopilot(credentials=LOGIN)
    assert handle.base_url == BUSINESS
    assert "api_key=***" in repr(handle)
    assert GitHubCopilot(credentials=LOGIN, base_url="https://h").base_url == "https://h"
    assert github_copilot.for_model("claude-sonnet-5", credentials=LOGIN).base_url == f"{BUSINESS}/v1"
    assert github_copilot.base_url_for_credentials(LOGIN) == BUSINESS


def test_the_environments_key(monkeypatch):
    """One variable; tokens for other things are left alone, and no place follows from it."""
    monkeypatch.delenv("COPILOT_GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GH_TOKEN", "other")
    monkeypatch.setenv("GITHUB_TOKEN", "other")
    with pytest.raises(
        MissingApiKeyError, match=r"^No API key for provider: github-copilot \(set COPILOT_GITHUB_TOKEN\)"
    ):
        github_copilot.from_env()
    monkeypatch.setenv("COPILOT_GITHUB_TOKEN", "  ")
    with pytest.raises(MissingApiKeyError):
        github_copilot.from_env()
    monkeypatch.setenv("COPILOT_GITHUB_TOKEN", TOKEN)
    handle = github_copilot.from_env()
    assert "api_key=***" in repr(handle)
    assert handle.base_url == BASE
    assert handle.model("claude-sonnet-5").api == MESSAGES
    assert github_copilot.from_env(base_url="https://h").base_url == "https://h"


def test_the_login():
    """It is one call away."""
    assert github_copilot.oauth() == GitHubCopilotOAuth()
