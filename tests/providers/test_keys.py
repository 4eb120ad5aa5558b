"""Which credential a call takes."""

import pytest
import trio

from providers import (
    OpenAICompletionsOptions,
    complete_openai_completions,
    complete_simple_openai_completions,
    get_env_api_key,
    openai,
    stream_openai_completions,
    stream_simple_openai_completions,
)
from providers.access import Access
from providers.keys import resolve_api_key
from runtime.errors import InvalidOptionError, MissingApiKeyError, UnsupportedModelError
from runtime.streams.call import stream, stream_simple
from runtime.streams.events import StreamError
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.completions_lab import OPENAI, PROXY

HI = Context(messages=[user("hi")])
VARIABLE = {"OPENAI_API_KEY": "scoped"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Only what a test sets."""
    for name in (
        "OPENAI_API_KEY",
        "OPENROUTER_API_KEY",
        "ANTHROPIC_OAUTH_TOKEN",
        "ANTHROPIC_API_KEY",
        "COPILOT_GITHUB_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def key(base_url=OPENAI, provider="openai", access=None, **options):
    model = Model("m", provider=provider, base_url=base_url)
    return resolve_api_key(model, StreamOptions(**options), Access(**(access or {})))


def test_what_is_nearest_to_the_call_wins(environment):
    """Option, scoped variable, handle, the handle's variable, environment."""
    environment.setenv("OPENAI_API_KEY", "process")
    access = {"api_key": "handle", "env": {"OPENAI_API_KEY": "handle-env"}}
    assert key(access=access, api_key=" option ", env=VARIABLE) == "option"
    assert key(access=access, env=VARIABLE) == "scoped"
    assert key(access=access) == "handle"
    assert key(access={"env": access["env"]}) == "handle-env"
    assert key() == "process"


def test_blank_keys_are_none(environment):
    """Wherever they stand."""
    environment.setenv("OPENAI_API_KEY", "process")
    assert key(access={"api_key": " "}, api_key="", env={"OPENAI_API_KEY": " "}) == "process"


@pytest.mark.parametrize(
    "base_url",
    [PROXY, "http://localhost:11434/v1", OPENAI + "/other", "https://api.openai.com.evil.example/v1"],
)
def test_a_key_of_the_environment_goes_to_its_own_provider_only(environment, base_url):
    """Elsewhere a call goes without, unless it brings one."""
    environment.setenv("OPENAI_API_KEY", "process")
    assert key(base_url) is None
    assert key(base_url, env=VARIABLE) == "scoped"
    assert key(base_url, access={"api_key": "handle"}) == "handle"


@pytest.mark.parametrize("base_url", [OPENAI + "/", "HTTPS://API.OPENAI.COM/v1", f" {OPENAI} "])
def test_another_spelling_is_the_same_place(environment, base_url):
    """Slash, case and blanks do not matter."""
    environment.setenv("OPENAI_API_KEY", "process")
    assert key(base_url) == "process"


def test_a_key_does_not_go_to_another_provider(environment):
    """Each has its own variables and its own place."""
    environment.setenv("OPENAI_API_KEY", "process")
    for base_url, provider in ((OPENAI, "mine"), ("https://openrouter.ai/api/v1", "openai")):
        with pytest.raises(
            MissingApiKeyError, match=rf"No API key for provider: {provider} \(pass api_key\)"
        ):
            key(base_url, provider)


def test_a_missing_key_says_where_it_could_come_from():
    """The option, or the variable."""
    with pytest.raises(
        MissingApiKeyError, match=r"No API key for provider: openai \(pass api_key, or set OPENAI_API_KEY\)"
    ):
        key()


@pytest.mark.parametrize("name", ["Authorization", "cf-aig-authorization", "api-key", "X-API-Key"])
def test_a_header_can_take_the_place_of_a_key(environment, name):
    """The environment is not asked then; a blank one, or one that is removed, does not count."""
    assert key(headers={name: "x"}) is None
    assert key(access={"headers": {name: "x"}}) is None
    environment.setenv("OPENAI_API_KEY", "process")
    assert key(headers={name: "x"}) is None
    assert key(headers={name: " "}) == key(headers={name: None}, access={"headers": {name: "x"}}) == "process"


def test_the_environment_can_be_asked_by_itself(environment):
    """Variables that are given come first; empty ones do not count."""
    environment.setenv("ANTHROPIC_API_KEY", "a")
    assert get_env_api_key("anthropic") == "a"
    assert get_env_api_key("anthropic", {"ANTHROPIC_OAUTH_TOKEN": "b"}) == "b"
    assert get_env_api_key("openai") is get_env_api_key("nobody") is None


# On entry

MODEL = openai.chat_completions(provider_id="openai", base_url=OPENAI).model("m")


@pytest.mark.parametrize(
    "call", [stream, stream_simple, stream_openai_completions, stream_simple_openai_completions]
)
async def test_a_missing_key_is_raised_on_entry(call):
    """By every way to call, even when the model's API was renamed."""
    for model in (
        (MODEL, MODEL.model_copy(update={"api": "x"})) if call in (stream, stream_simple) else (MODEL,)
    ):
        with pytest.raises(MissingApiKeyError, match="provider: openai"):
            async with call(model, HI):
                raise AssertionError("not reached")


@pytest.mark.parametrize("name", ["Authorization", "cf-aig-authorization"])
async def test_a_header_is_enough_to_enter(name):
    """Nothing is sent until the block waits."""
    options = SimpleStreamOptions(headers={name: "x"}, max_retries=0)
    async with stream_simple(MODEL, HI, options) as reply:
        assert "streaming" in repr(reply)


@pytest.mark.parametrize("call", [stream, stream_openai_completions])
async def test_an_abort_comes_before_a_missing_key(call):
    """The call is a lone aborted event."""
    stop = trio.Event()
    stop.set()
    async with call(MODEL, HI, StreamOptions(abort=stop)) as reply:
        (event,) = [event async for event in reply]
    assert isinstance(event, StreamError)
    assert (event.reason, event.error.error_message) == (StopReason.Aborted, "Request was aborted")


@pytest.mark.parametrize("call", [complete_openai_completions, complete_simple_openai_completions])
async def test_direct_calls_refuse_models_of_other_apis(call):
    """And arguments of the wrong kind."""
    with pytest.raises(
        UnsupportedModelError, match="unsupported api: Mismatched api: other expected openai-completions"
    ):
        await call(MODEL.model_copy(update={"api": "other"}), HI)
    for arguments in ((None, HI), (MODEL, None), (MODEL, HI, {"temperature": 1})):
        with pytest.raises(InvalidOptionError, match="must be"):
            await call(*arguments)


async def test_a_direct_simple_call_takes_simple_options():
    """Others say nothing about thinking."""
    with pytest.raises(
        InvalidOptionError, match="options must be SimpleStreamOptions, not OpenAICompletionsOptions"
    ):
        await complete_simple_openai_completions(MODEL, HI, OpenAICompletionsOptions())


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.openai.com/v1?x=1",
        "https://api.openai.com:443/v1",
        "https://API.openai.com/v1/",
        "http://api.openai.com/v1",
    ],
)
def test_every_way_to_a_provider_wants_its_key(base_url):
    """A query, a port or capitals do not make it another place."""
    model = openai.responses(base_url=base_url).model("m")
    with pytest.raises(MissingApiKeyError):
        resolve_api_key(model, StreamOptions(), Access())


def test_a_key_of_the_environment_goes_out_encrypted_only(monkeypatch):
    """Somebody who writes http:// by mistake does not send it in clear."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    safe = openai.responses(base_url="https://api.openai.com/v1?x=1").model("m")
    assert resolve_api_key(safe, StreamOptions(), Access()) == "sk-of-the-environment"
    with pytest.raises(MissingApiKeyError):
        resolve_api_key(
            openai.responses(base_url="http://api.openai.com/v1").model("m"), StreamOptions(), Access()
        )
