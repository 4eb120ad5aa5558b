"""OpenAI's handles: which models each makes, and when a call wants a key."""

import pytest
import trio

from providers import openai
from runtime.errors import MissingApiKeyError, UnsupportedModelError
from runtime.streams.call import stream, stream_simple
from runtime.streams.embeddings import embed
from runtime.streams.provider import EmbeddingModelApi, Provider
from runtime.values.context import Context
from runtime.values.message import user
from runtime.values.model import Model, ModelCost

HI = Context(messages=[user("hi")])
OPENAI = "https://api.openai.com/v1"
OWN = "http://127.0.0.1:9/v1"
HANDLES = {
    "responses": openai.responses,
    "chat_completions": openai.chat_completions,
    "embeddings": openai.embeddings,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_embeddings_handle_makes_embedding_models():
    """At OpenAI by default; they take text and have no sizes, and speak no other API."""
    handle = openai.embeddings("sk-key-0123456789")
    assert isinstance(handle, Provider)
    assert (handle.id, handle.base_url) == ("openai", OPENAI)
    assert (handle.capabilities.language_models, handle.capabilities.embedding_models) == (False, True)
    model = handle.model("text-embedding-3-small")
    assert model == Model(
        "text-embedding-3-small",
        name="text-embedding-3-small",
        api="openai-embeddings",
        provider="openai",
        base_url=OPENAI,
        input=("text",),
    )
    assert isinstance(model.bindings.embeddings, EmbeddingModelApi)
    assert repr(model.bindings.embeddings) == "<EmbeddingsApi openai-embeddings>"
    assert "sk-key" not in repr(handle) + repr(model)


@pytest.mark.parametrize("mode", HANDLES)
def test_every_handle_makes_embedding_models(mode):
    """The same ones, by name."""
    handle = HANDLES[mode](provider_id="mine", base_url=OWN)
    assert handle.capabilities.embedding_models
    assert handle.embedding_model("m") == openai.embeddings(provider_id="mine", base_url=OWN).model("m")


def test_an_embedding_model_has_its_settings():
    """Those that it has a use for."""
    cost = ModelCost(input=0.02)
    model = openai.responses().embedding_model(
        "m", name="M", cost=cost, context_window=8192, base_url=OWN, headers={"X-A": "1"}
    )
    assert (model.name, model.cost, model.context_window, model.base_url) == ("M", cost, 8192, OWN)
    assert model.headers == {"X-A": "1"}


async def test_an_embedding_model_is_no_language_model():
    """Neither is a language model one for embeddings, though its handle makes both."""
    for call in (stream, stream_simple):
        with pytest.raises(UnsupportedModelError, match="^provider openai does not support language models$"):
            async with call(openai.embeddings().model("m"), HI):
                pass
    model = openai.responses().model("gpt-4o")
    with pytest.raises(
        UnsupportedModelError, match="Mismatched api: openai-responses expected openai-embeddings"
    ):
        await embed(model, "a")


# Which key a language model wants


@pytest.mark.parametrize("handle", [openai.responses, openai.chat_completions])
@pytest.mark.parametrize("key", [(), (None,), ("  ",)])
async def test_a_server_of_ones_own_is_asked_without_a_key(handle, key):
    """Not given, None and blank are the same: a stream comes of it."""
    model = handle(*key, base_url=OWN, provider_id="mine").model("m")
    with trio.CancelScope() as scope:
        async with stream_simple(model, HI) as reply:
            assert reply is not None
            scope.cancel()


async def test_openai_wants_a_key_whoever_asks():
    """A provider of another name at OpenAI's address; what the model says its API is does not matter for that."""
    model = openai.responses(provider_id="mine").model("m").model_copy(update={"api": "other"})
    with pytest.raises(MissingApiKeyError, match="^No API key for provider: mine"):
        async with stream_simple(model, HI):
            pass
