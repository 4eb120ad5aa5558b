"""Handles for the Responses API, their credentials, and direct calls."""

import pytest

from providers import (
    OpenAIResponsesOptions,
    complete_openai_responses,
    complete_simple_openai_responses,
    get_env_api_key,
    openai,
    stream_openai_responses,
    stream_simple_openai_responses,
)
from runtime.errors import InvalidOptionError, MissingApiKeyError, UnsupportedModelError
from runtime.streams.call import stream, stream_simple
from runtime.streams.provider import Capabilities, Provider
from runtime.values.compat import ModelCompat
from runtime.values.context import Context
from runtime.values.message import user
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.loopback import serve, sse
from tests.providers.responses_lab import OPENAI, completed, done, model_of, sse_of

KEY = "sk-handle-0123456789"
HI = Context(messages=[user("hi")])
HELLO = sse(sse_of(done(0, "message", "msg_1", content=[{"text": "Hello"}]), completed()))


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Only what a test sets."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return monkeypatch


def test_a_handle_is_one_of_openai_by_default():
    """Its models speak Responses, see, and are of unknown thinking."""
    handle = openai.responses(KEY)
    assert isinstance(handle, Provider)
    assert (handle.id, handle.base_url) == ("openai", OPENAI)
    assert handle.capabilities == Capabilities(language_models=True, image_models=True, embedding_models=True)
    assert handle.model("gpt-4o") == Model(
        "gpt-4o",
        name="gpt-4o",
        api="openai-responses",
        provider="openai",
        base_url=OPENAI,
        input=("text", "image"),
        context_window=1_000_000,
        max_tokens=16_384,
        compat=ModelCompat(supports_strict_mode=True),
    )
    assert KEY not in repr(handle)


def test_flags_of_the_handle_are_laid_over_what_is_known_of_a_model():
    """And the model's over them."""
    handle = openai.responses(
        KEY, compat={"supports_openai_grammar_tools": False, "supports_tool_search": False}
    )
    compat = handle.model("gpt-5.4", compat={"supports_tool_search": True}).compat
    assert (
        compat.supports_strict_mode,
        compat.supports_openai_grammar_tools,
        compat.supports_tool_search,
    ) == (True, False, True)


async def test_the_environment_has_the_key(environment):
    """Trimmed; the handle keeps it, also for an endpoint elsewhere."""
    environment.setenv("OPENAI_API_KEY", f" {KEY} ")
    handle = openai.from_env()
    environment.delenv("OPENAI_API_KEY")
    assert (handle.id, handle.base_url) == ("openai", OPENAI)
    async with serve(HELLO) as server:
        async with stream(handle.model("m", base_url=server.url), HI) as reply:
            assert (await reply.result()).text == "Hello"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_environment_without_a_key_is_an_error(value, environment):
    """It names the variable."""
    if value is not None:
        environment.setenv("OPENAI_API_KEY", value)
    with pytest.raises(MissingApiKeyError, match="No API key for provider: openai .*OPENAI_API_KEY"):
        openai.from_env()
    assert not (get_env_api_key("openai") or "").strip()


@pytest.mark.parametrize("provider", ["openai", "mine"])
@pytest.mark.parametrize(
    "call", [stream, stream_simple, stream_openai_responses, stream_simple_openai_responses]
)
async def test_openai_wants_a_key(call, provider):
    """Whatever the handle is called; the error names it."""
    model = model_of(base_url=OPENAI, provider=provider)
    with pytest.raises(MissingApiKeyError, match=f"No API key for provider: {provider}"):
        async with call(model, HI):
            raise AssertionError("a call without a key")


@pytest.mark.parametrize("name", ["Authorization", "cf-aig-authorization"])
async def test_a_header_may_authenticate(name):
    """Then no key is needed, and none is made up."""
    async with serve(HELLO) as server:
        model = openai.responses(base_url=server.url).model("m")
        await complete_simple_openai_responses(model, HI, SimpleStreamOptions(headers={name: "Bearer mine"}))
    sent = server.requests[0].headers
    assert {key: value for key, value in sent.items() if "authorization" in key} == {
        name.lower(): "Bearer mine"
    }


async def test_direct_calls_take_typed_options():
    """Full and simple, streamed and not."""
    async with serve(HELLO, HELLO) as server:
        model = openai.responses(KEY, base_url=server.url).model("m")
        options = OpenAIResponsesOptions(service_tier="flex", reasoning_effort="low")
        assert (await complete_openai_responses(model, HI, options)).text == "Hello"
        assert (await complete_simple_openai_responses(model, HI)).text == "Hello"
    sent = [request.json() for request in server.requests]
    assert (sent[0]["service_tier"], sent[0]["reasoning"]["effort"]) == ("flex", "low")
    assert "service_tier" not in sent[1]
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)


async def test_direct_calls_are_checked():
    """The API of the model, and the kind of options."""
    other = openai.chat_completions().model("m")
    with pytest.raises(
        UnsupportedModelError, match="Mismatched api: openai-completions expected openai-responses"
    ):
        await complete_openai_responses(other, HI)
    with pytest.raises(InvalidOptionError, match="options must be SimpleStreamOptions"):
        await complete_simple_openai_responses(model_of(), HI, StreamOptions())


async def test_a_model_from_json_is_called_directly():
    """Without its handle it has no key."""
    async with serve(HELLO) as server:
        model = openai.responses(KEY, base_url=server.url).model("m")
        loaded = Model.model_validate_json(model.model_dump_json())
        assert (await complete_openai_responses(loaded, HI)).text == "Hello"
    assert "authorization" not in server.requests[0].headers
    assert KEY not in model.model_dump_json()
