"""An agent on GitHub Copilot that outlives its token: keys stay fresh, and models follow where new tokens lead."""

import pytest

from providers import github_copilot
from providers.oauth.registry import register_oauth_provider, unregister_oauth_provider
from providers.oauth.store import CredentialStore
from runtime import open_agent
from runtime.errors import OAuthError
from runtime.values.message import StopReason
from tests.providers.completions_lab import chunk_of, sse_of
from tests.providers.loopback import reply, sse
from tests.providers.oauth.copilot_lab import BUSINESS, COPILOT, GPT, INDIVIDUAL, github, held, minted

HELLO = sse(sse_of(chunk_of({"content": "Hello"}, "stop")))
PROVIDER = "github-copilot"


@pytest.fixture(autouse=True)
def _as_before():
    yield
    unregister_oauth_provider(PROVIDER)


async def test_an_agent_outlives_its_token(tmp_path):
    """It is refreshed before a call that needs it, once, and kept; a model can be moved where the new one leads."""
    store = CredentialStore(tmp_path / "logins" / "credentials.json")
    credentials = held()
    async with github(minted(), GPT, HELLO, HELLO, HELLO) as lab:
        register_oauth_provider(lab.oauth)
        await store.set(PROVIDER, credentials)
        model = github_copilot.for_model("gpt-4.1", credentials=credentials, http_client=lab.client)
        async with open_agent(model, get_api_key=store.get_api_key) as agent:
            for _ in range(2):
                assert (await agent.prompt("hi")).stop_reason is StopReason.Stop
            (moved,) = lab.oauth.modify_models([model], await store.get(PROVIDER))
            agent.update(model=moved)
            assert (await agent.prompt("hi")).text == "Hello"
    assert lab.asked == [
        "GET api.github.com/copilot_internal/v2/token",
        f"GET {BUSINESS}/models",
        f"POST {INDIVIDUAL}/chat/completions",
        f"POST {INDIVIDUAL}/chat/completions",
        f"POST {BUSINESS}/chat/completions",
    ]
    assert {sent.headers["authorization"] for sent in lab.requests[2:]} == {f"Bearer {COPILOT}"}


async def test_a_login_that_is_gone(tmp_path):
    """A refresh that fails ends the run, and says why; nothing is sent to a model."""
    store = CredentialStore(tmp_path / "credentials.json")
    async with github(reply("bad", 401)) as lab:
        register_oauth_provider(lab.oauth)
        await store.set(PROVIDER, held())
        model = github_copilot.for_model("gpt-4.1", credentials=held(), http_client=lab.client)
        async with open_agent(model, get_api_key=store.get_api_key) as agent:
            with pytest.raises(
                OAuthError, match="^Failed to refresh OAuth token for github-copilot: .*HTTP 401"
            ):
                await agent.prompt("hi")
