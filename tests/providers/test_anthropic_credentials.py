"""Which credential a Messages call takes."""

import pytest
import trio

from providers import anthropic, get_env_api_key
from providers.anthropic.credentials import AnthropicAccess, bearer_token
from providers.anthropic.messages_api import (
    complete_anthropic,
    complete_simple_anthropic,
    stream_anthropic,
    stream_simple_anthropic,
)
from providers.keys import AUTHENTICATING_HEADERS, resolve_api_key
from runtime.errors import InvalidOptionError, MissingApiKeyError, UnsupportedModelError
from runtime.streams.call import complete, complete_simple, stream, stream_simple
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.anthropic_lab import ANTHROPIC, LAST, PROXY, SUBSCRIPTION, TEXT, ending, sse_of, start_of
from tests.providers.loopback import serve, sse

HI = Context("Be brief.", [user("hi")])
ANSWER = sse_of(start_of(), *TEXT, ending(), LAST)
TOKEN, OAUTH, KEY = "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"
ALL = {TOKEN: "auth-token", OAUTH: "oauth-token", KEY: "api-key"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Only what a test sets."""
    for name in ALL:
        monkeypatch.delenv(name, raising=False)

    def set_all(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


def credential(base_url=ANTHROPIC, provider="anthropic", access=None, **options):
    """The key and the token that a call would take."""
    model = Model("m", provider=provider, base_url=base_url)
    given, access = StreamOptions(**options), AnthropicAccess(**(access or {}))
    token = bearer_token(model, given, access)
    if token:
        return None, token
    return resolve_api_key(model, given, access), None


def test_what_is_nearest_to_the_call_wins(environment):
    """Option, scoped variables, handle, the handle's variables, environment; in each of them a token before a key."""
    environment(**ALL)
    access = {"api_key": "handle", "auth_token": "handle-token", "env": {TOKEN: "handle-env", KEY: "x"}}
    assert credential(access=access, api_key="option", env=ALL) == ("option", None)
    assert credential(access=access, env=ALL) == (None, "auth-token")
    assert credential(access=access, env={OAUTH: "scoped", KEY: "x"}) == ("scoped", None)
    assert credential(access=access) == ("handle", None)
    assert credential(access={**access, "api_key": " "}) == (None, "handle-token")
    assert credential(access={"env": access["env"]}) == (None, "handle-env")
    assert credential(access={"env": {KEY: "handle-key"}}) == ("handle-key", None)
    assert credential() == (None, "auth-token")


def test_the_environment_is_asked_only_for_anthropic_itself(environment):
    """Its token leaks to nobody else, and neither does its key."""
    environment(**ALL)
    assert credential(base_url=PROXY) == (None, None)
    assert credential(base_url=ANTHROPIC + "/") == (None, "auth-token")
    with pytest.raises(MissingApiKeyError):
        credential(provider="mine")
    assert credential(base_url=PROXY, provider="openai", env=ALL) == (None, None)


def test_empty_variables_do_not_count(environment):
    """The next one does."""
    environment(**{TOKEN: "", OAUTH: "", KEY: "api-key"})
    assert credential() == ("api-key", None)
    assert credential(env={TOKEN: " ", KEY: "scoped"}) == ("scoped", None)


def test_a_lookup_of_the_key_knows_no_token(environment):
    """OAuth token first; unknown providers have none."""
    environment(**{TOKEN: "auth-token"})
    assert get_env_api_key("anthropic") is None
    environment(**ALL)
    assert get_env_api_key("anthropic") == "oauth-token"
    assert get_env_api_key("anthropic", {KEY: "scoped"}) == "scoped"
    assert get_env_api_key("nobody") is None


@pytest.mark.parametrize("header", ["Authorization", "AUTHORIZATION", "X-Api-Key"])
def test_headers_are_credentials_too(environment, header):
    """Then no token is added; one that is removed counts as one."""
    environment(**{TOKEN: "auth-token"})
    assert credential(headers={header: "mine"}) == (None, None)
    assert credential(access={"auth_token": "t", "headers": {header: "mine"}}) == (None, None)
    with pytest.raises(MissingApiKeyError):
        credential(headers={header: None})


@pytest.mark.parametrize("header", AUTHENTICATING_HEADERS)
def test_the_environment_adds_nothing_to_a_header_that_authenticates(environment, header):
    """Neither its token nor its key goes out beside the header."""
    environment(**ALL)
    assert credential(headers={header.title(): "mine"}) == (None, None)
    assert credential(access={"headers": {header: "mine"}}) == (None, None)


@pytest.mark.parametrize("settings", [{"api_key": "k"}, {"auth_token": "t"}])
async def test_a_header_of_azures_replaces_the_handles_credential(settings):
    """As the other two do: one credential goes out."""
    mine = SimpleStreamOptions(headers={"API-Key": "mine"}, cache_retention="none")
    request = await sent_by(anthropic.messages, mine, **settings)
    assert request.headers["api-key"] == "mine"
    assert not {"x-api-key", "authorization"} & set(request.headers)


async def test_a_header_of_a_gateway_goes_beside_the_providers_credential():
    """It opens the gateway, which hands the other one on."""
    mine = SimpleStreamOptions(headers={"cf-aig-authorization": "Bearer g"}, cache_retention="none")
    request = await sent_by(anthropic.messages, mine, api_key="k")
    assert (request.headers["cf-aig-authorization"], request.headers["x-api-key"]) == ("Bearer g", "k")
    request = await sent_by(anthropic.messages, mine, auth_token="t")
    assert request.headers["authorization"] == "Bearer t"


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "CF-AIG-Authorization"])
def test_a_call_with_one_of_the_headers_needs_no_key(header):
    """Unless there is nothing in it."""
    assert credential(headers={header: "Bearer x"}) == (None, None)
    with pytest.raises(MissingApiKeyError):
        credential(headers={header: " "})


@pytest.mark.parametrize("call", [stream, stream_simple, stream_anthropic, stream_simple_anthropic])
async def test_a_call_without_a_key_raises_on_entry(call):
    """Naming the handle's provider, and the variables."""
    with pytest.raises(MissingApiKeyError, match="^No API key for provider: anthropic .*ANTHROPIC_API_KEY"):
        async with call(anthropic.messages().model("m"), HI):
            pass


async def test_dispatch_follows_the_handle():
    """Whatever the model's name for its API became."""
    model = anthropic.messages().model("m").model_copy(update={"api": "bogus"})
    with pytest.raises(MissingApiKeyError) as raised:
        await complete_simple(model, HI)
    assert raised.value.provider == "anthropic"


async def test_an_abort_beforehand_comes_first():
    """Before the key is missed."""
    abort = trio.Event()
    abort.set()
    message = await complete(anthropic.messages().model("m"), HI, StreamOptions(abort=abort))
    assert (message.stop_reason, message.error_message, message.content) == (
        StopReason.Aborted,
        "Request was aborted",
        (),
    )


# Handles


async def sent_by(make, options=None, **settings):
    """The request that a handle's model sends."""
    async with serve(sse(ANSWER)) as server:
        model = make(base_url=server.url + "/v1", **settings).model("m")
        message = await complete_simple(model, HI, options or SimpleStreamOptions(cache_retention="none"))
        assert message.text == "Hello", message.error_message
    return server.requests[0]


async def test_a_handle_from_the_environment_takes_the_token_alone(environment):
    """And sends it as a bearer's, with nothing of Claude Code's."""
    environment(**ALL)
    request = await sent_by(anthropic.from_env)
    assert request.headers["authorization"] == "Bearer auth-token"
    assert not {"x-api-key", "anthropic-beta", "x-app"} & set(request.headers)
    assert request.json()["system"] == [{"type": "text", "text": "Be brief."}]


@pytest.mark.parametrize(("variables", "key"), [({OAUTH: "o", KEY: "k"}, "o"), ({KEY: "k"}, "k")])
async def test_a_handle_from_the_environment_takes_a_key(environment, variables, key):
    """Where there is no token; one that looks like no subscription's is an API key."""
    environment(**variables)
    request = await sent_by(anthropic.from_env)
    assert request.headers["x-api-key"] == key
    assert "authorization" not in request.headers


def test_a_handle_from_an_empty_environment():
    """Says what to set."""
    with pytest.raises(
        MissingApiKeyError, match="^No API key for provider: anthropic .*ANTHROPIC_AUTH_TOKEN or"
    ):
        anthropic.from_env()


async def test_a_token_of_the_handle():
    """The call's own header replaces it, and so does the call's key."""
    request = await sent_by(anthropic.messages, auth_token="t-0123456789")
    assert request.headers["authorization"] == "Bearer t-0123456789"
    mine = SimpleStreamOptions(headers={"authorization": "Bearer mine"}, cache_retention="none")
    request = await sent_by(anthropic.messages, mine, auth_token="t-0123456789")
    assert request.headers["authorization"] == "Bearer mine"
    assert not {"x-api-key", "anthropic-beta"} & set(request.headers)
    assert request.json()["system"] == [{"type": "text", "text": "Be brief."}]
    request = await sent_by(anthropic.messages, SimpleStreamOptions(api_key="k"), auth_token="t-0123456789")
    assert request.headers["x-api-key"] == "k"
    assert "authorization" not in request.headers


async def test_a_scoped_token_replaces_the_handles_key():
    """One credential goes out, not two."""
    request = await sent_by(anthropic.messages, SimpleStreamOptions(env=ALL), api_key="k")
    assert request.headers["authorization"] == "Bearer auth-token"
    assert "x-api-key" not in request.headers


async def test_a_subscription_through_a_handle_that_was_made_for_it():
    """The opt-in reaches the request, and the reply."""
    request = await sent_by(anthropic.messages, api_key=SUBSCRIPTION, claude_code_identity=True)
    assert (request.headers["x-app"], len(request.json()["system"])) == ("cli", 2)
    request = await sent_by(anthropic.messages, api_key=SUBSCRIPTION)
    assert "x-app" not in request.headers
    assert len(request.json()["system"]) == 1


def test_a_handle_shows_no_secret():
    """Nor do its models; wrong credentials are refused where it is made."""
    handle = anthropic.messages("sk-ant-secret", "token-secret", headers={"x-private": "hidden-secret"})
    shown = repr(handle) + repr(handle.model("m")) + handle.model("m").model_dump_json()
    assert "secret" not in shown
    with pytest.raises(InvalidOptionError, match="auth_token must be a string, not int"):
        anthropic.messages(auth_token=7)


def test_a_handle_makes_language_models():
    """With what Anthropic's have."""
    model = anthropic.messages("k").model("claude-opus-4-8")
    assert (model.api, model.provider, model.base_url) == ("anthropic-messages", "anthropic", ANTHROPIC)
    assert (model.input, model.context_window, model.max_tokens) == (("text", "image"), 1_000_000, 16_384)
    assert model.compat.supports_strict_tools is True
    assert anthropic.messages("k").capabilities.image_models is False


# Direct calls


async def test_a_model_from_json_is_called_with_what_the_call_has():
    """It has lost its handle, not its endpoint."""
    async with serve(sse(ANSWER), sse(ANSWER)) as server:
        model = anthropic.messages("k", base_url=server.url).model("m")
        read = Model.model_validate_json(model.model_dump_json())
        options = anthropic.AnthropicOptions(api_key="mine", thinking_enabled=True)
        assert (await complete_anthropic(read, HI, options)).text == "Hello"
        assert (await complete_simple_anthropic(model, HI)).text == "Hello"
    first, second = server.requests
    assert (first.headers["x-api-key"], second.headers["x-api-key"]) == ("mine", "k")
    assert first.json()["thinking"]["type"] == "enabled"


async def test_a_model_from_json_takes_a_scoped_token():
    """As the handle's would."""
    async with serve(sse(ANSWER)) as server:
        model = Model("m", api="anthropic-messages", provider="anthropic", base_url=server.url)
        await complete_anthropic(model, HI, StreamOptions(env={TOKEN: "scoped"}))
    assert server.requests[0].headers["authorization"] == "Bearer scoped"


async def test_direct_calls_refuse_what_is_not_theirs():
    """Models of other APIs, and things that are no models."""
    with pytest.raises(UnsupportedModelError, match="openai-responses expected anthropic-messages"):
        await complete_anthropic(Model("m", api="openai-responses"), HI)
    with pytest.raises(InvalidOptionError, match="model must be Model, not str"):
        await complete_simple_anthropic("m", HI)  # type: ignore[arg-type]
