import pytest

from runtime.values.environment import API_KEY_VARIABLES, find_anthropic_auth_token, find_env_api_key

VARIABLES = [*(name for names in API_KEY_VARIABLES.values() for name in names), "ANTHROPIC_AUTH_TOKEN"]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in [*VARIABLES, "GH_TOKEN", "GITHUB_TOKEN"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("anthropic", "ANTHROPIC_OAUTH_TOKEN"),
        ("github-copilot", "COPILOT_GITHUB_TOKEN"),
        ("openrouter", "OPENROUTER_API_KEY"),
    ],
)
def test_each_provider_has_its_variables(monkeypatch, provider, variable):
    """A key is found in the process's environment and in a scoped one, untrimmed."""
    assert find_env_api_key(provider) is None
    assert find_env_api_key(provider, {variable: " scoped "}) == " scoped "
    monkeypatch.setenv(variable, " process ")
    assert find_env_api_key(provider) == find_env_api_key(provider, {}) == " process "


def test_oauth_comes_before_the_api_key():
    """Of Anthropic's two variables the OAuth token is taken."""
    env = {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_OAUTH_TOKEN": "oauth"}
    assert find_env_api_key("anthropic", env) == "oauth"


def test_the_auth_token_is_no_key(monkeypatch):
    """Anthropic's bearer token is found by a function of its own only."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "bearer")
    assert find_env_api_key("anthropic") is None
    assert find_anthropic_auth_token() == "bearer"
    assert find_anthropic_auth_token({"ANTHROPIC_AUTH_TOKEN": "scoped"}) == "scoped"
    assert find_anthropic_auth_token(process=False) is None


def test_an_empty_value_is_none(monkeypatch):
    """An empty variable does not count, and hides nothing behind it."""
    assert find_env_api_key("openai", {"OPENAI_API_KEY": ""}) is None
    monkeypatch.setenv("OPENAI_API_KEY", "process")
    assert find_env_api_key("openai", {"OPENAI_API_KEY": ""}) == "process"
    assert find_env_api_key("anthropic", {"ANTHROPIC_OAUTH_TOKEN": "", "ANTHROPIC_API_KEY": "key"}) == "key"


def test_an_unknown_provider_has_no_key(monkeypatch):
    """Nothing is guessed from a provider's name."""
    monkeypatch.setenv("NOWHERE_API_KEY", "key")
    assert find_env_api_key("nowhere", {"NOWHERE_API_KEY": "key"}) is None


def test_scoped_comes_before_process(monkeypatch):
    """A scoped key is taken before the process's, any of its variables before any of theirs."""
    monkeypatch.setenv("OPENAI_API_KEY", "process")
    monkeypatch.setenv("ANTHROPIC_OAUTH_TOKEN", "process")
    assert find_env_api_key("openai", {"OPENAI_API_KEY": "scoped"}) == "scoped"
    assert find_env_api_key("anthropic", {"ANTHROPIC_API_KEY": "scoped"}) == "scoped"


def test_the_process_can_be_left_out(monkeypatch):
    """A call can look at its own variables alone."""
    monkeypatch.setenv("OPENAI_API_KEY", "process")
    assert find_env_api_key("openai", {}, process=False) is None
    assert find_env_api_key("openai", {"OPENAI_API_KEY": "scoped"}, process=False) == "scoped"


@pytest.mark.parametrize("variable", ["GH_TOKEN", "GITHUB_TOKEN"])
def test_githubs_general_tokens_are_not_taken(monkeypatch, variable):
    """Copilot has a variable of its own; a token for something else is left alone."""
    monkeypatch.setenv(variable, "other")
    assert find_env_api_key("github-copilot", {variable: "other"}) is None
    monkeypatch.setenv("COPILOT_GITHUB_TOKEN", "copilot")
    assert find_env_api_key("github-copilot", {variable: "other"}) == "copilot"


def test_a_found_key_does_not_show():
    """The repr of a key is not the key."""
    assert "secret" not in repr(find_env_api_key("openai", {"OPENAI_API_KEY": "secret"}))
    assert "secret" not in repr(find_anthropic_auth_token({"ANTHROPIC_AUTH_TOKEN": "secret"}))
