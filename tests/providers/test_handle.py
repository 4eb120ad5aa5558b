"""Handles, and the models that they make."""

import pytest

from providers import ProviderHandle, openai, stream_openai_completions
from providers.access import Access
from runtime.errors import InvalidOptionError, UnsupportedModelError
from runtime.streams.call import complete
from runtime.streams.provider import Capabilities, LanguageModelApi, Provider
from runtime.values.compat import ModelCompat
from runtime.values.context import Context
from runtime.values.message import user
from runtime.values.model import Bindings, Model, ModelCost
from runtime.values.options import StreamOptions
from tests.providers.completions_lab import PROXY, chunk_of, sse_of
from tests.providers.loopback import serve, sse

KEY = "sk-handle-0123456789"
HI = Context(messages=[user("hi")])
HELLO = sse(sse_of(chunk_of({"content": "Hello"}, "stop")))


def test_a_handle_is_a_provider_of_language_models():
    """By default of a server on this machine, which wants no key."""
    handle = openai.chat_completions()
    assert isinstance(handle, Provider)
    assert (handle.id, handle.base_url) == ("ollama", "http://localhost:11434/v1")
    assert handle.capabilities == Capabilities(language_models=True, image_models=True, embedding_models=True)


def test_a_model_has_defaults():
    """Nothing is known of its thinking, and it is assumed to see."""
    model = openai.chat_completions().model("qwen3")
    assert model == Model(
        "qwen3",
        name="qwen3",
        api="openai-completions",
        provider="ollama",
        base_url="http://localhost:11434/v1",
        input=("text", "image"),
        context_window=1_000_000,
        max_tokens=16_384,
    )
    assert isinstance(model.bindings.language, LanguageModelApi)
    assert model.reasoning is None


def test_a_model_has_its_settings():
    """Those that are given, over the handle's."""
    handle = openai.chat_completions(compat={"supports_store": False, "zai_tool_stream": True})
    model = handle.model(
        "m",
        name="M",
        reasoning=True,
        thinking_level_map={"high": "max", "off": None},
        input=["text"],
        cost=ModelCost(input=1),
        context_window=10,
        max_tokens=5,
        base_url=PROXY,
        headers={"x": "1"},
        compat=ModelCompat(zai_tool_stream=False),
    )
    assert (model.name, model.base_url, model.input, model.max_tokens) == ("M", PROXY, ("text",), 5)
    assert model.compat == ModelCompat(supports_store=False, zai_tool_stream=False)
    assert model.thinking_level_map == {"high": "max", "off": None}
    assert handle.model("n").compat == ModelCompat(supports_store=False, zai_tool_stream=True)


def test_what_a_handle_was_given_can_be_changed_afterwards():
    """It keeps copies."""
    headers, env = {"x-own": "1"}, {"OPENAI_API_KEY": "a"}
    access = Access(headers=headers, env=env)
    headers["x-own"] = env["OPENAI_API_KEY"] = "2"
    assert (access.headers, access.env) == ({"x-own": "1"}, {"OPENAI_API_KEY": "a"})
    with pytest.raises(TypeError):
        access.headers["x-own"] = "3"


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": 5},
        {"base_url": ""},
        {"base_url": None},
        {"base_url": "localhost:11434"},
        {"base_url": "http:///v1"},
        {"provider_id": " "},
        {"headers": {"a b": "x"}},
        {"headers": {"a": "x\n"}},
        {"headers": {"a": None}},
        {"headers": ["a"]},
        {"env": {"A": 1}},
    ],
)
def test_a_handle_refuses_what_cannot_work(wrong):
    """Where it is made, and without showing values."""
    with pytest.raises(InvalidOptionError):
        openai.chat_completions(**wrong)


def test_a_model_refuses_what_it_does_not_know():
    """By name, instead of leaving it out."""
    with pytest.raises(InvalidOptionError, match="no settings called contxt_window"):
        openai.chat_completions().model("m", contxt_window=5)
    with pytest.raises(InvalidOptionError, match="base_url must begin with http"):
        openai.chat_completions().model("m", base_url="ftp://h")
    with pytest.raises(InvalidOptionError, match="invalid header name"):
        openai.chat_completions().model("m", headers={"a b": "x"})


def test_a_handle_without_an_api_makes_no_models():
    """It says which kind it lacks."""
    handle = ProviderHandle("p", PROXY, Access(), Bindings())
    assert handle.capabilities == Capabilities(False, False, False)
    with pytest.raises(UnsupportedModelError, match="provider p does not support language models"):
        handle.model("m")


def test_no_repr_shows_a_secret():
    """Neither the handle's nor the model's, nor the model's JSON."""
    handle = openai.chat_completions(
        KEY,
        base_url=f"https://me:{KEY}@h/v1?key={KEY}",
        headers={"api-key": KEY},
        env={"OPENAI_API_KEY": KEY},
    )
    model = handle.model("m", base_url=PROXY)
    shown = [
        repr(handle),
        repr(model),
        repr(model.bindings.language),
        repr(Access(KEY, {"K": KEY}, {"k": KEY})),
    ]
    assert not [text for text in shown if KEY in text]
    assert repr(handle) == "<ProviderHandle 'ollama' at https://h/v1, api_key=***, headers api-key>"
    assert KEY not in model.model_dump_json()


async def test_a_model_from_json_is_called_directly():
    """Without its handle it has no key, and the plain call does not know how to reach it."""
    async with serve(HELLO, HELLO) as server:
        model = openai.chat_completions(KEY, base_url=server.url).model("m")
        loaded = Model.model_validate_json(model.model_dump_json())
        for one in (model, loaded):
            async with stream_openai_completions(one, HI) as reply:
                assert (await reply.result()).text == "Hello"
        with pytest.raises(UnsupportedModelError):
            await complete(loaded, HI)
    assert [request.headers.get("authorization") for request in server.requests] == [f"Bearer {KEY}", None]


async def test_a_handle_may_bring_its_own_client():
    """It is used unless the call brings one, and stays open."""
    import httpx

    used = []

    def client(name):
        async def note(request):
            used.append(name)

        return httpx.AsyncClient(event_hooks={"request": [note]})

    async with client("handle") as own, client("call") as other, serve(HELLO, HELLO) as server:
        model = openai.chat_completions(base_url=server.url, http_client=own).model("m")
        for options in (None, StreamOptions(http_client=other)):
            assert (await complete(model, HI, options)).text == "Hello"
        assert not own.is_closed
        assert not other.is_closed
    assert used == ["handle", "call"]


async def test_a_handle_is_shared_between_threads():
    """Each run has its own connections."""
    import trio

    async with serve(HELLO, HELLO) as server:
        model = openai.chat_completions(base_url=server.url).model("m")
        replies = [await trio.to_thread.run_sync(trio.run, complete, model, HI) for _ in range(2)]
    assert [reply.text for reply in replies] == ["Hello", "Hello"]
