"""OpenAI's handles and their image models: which there are, and when a call wants a key."""

import httpx
import pytest

from providers import ProviderHandle, anthropic, openai
from providers.access import Access
from runtime.errors import InvalidOptionError, MissingApiKeyError, UnsupportedModelError
from runtime.streams.call import stream
from runtime.streams.images import generate_images
from runtime.streams.provider import Capabilities, ImageModelApi, Provider
from runtime.values.context import Context
from runtime.values.model import Bindings
from runtime.values.options import StreamOptions
from tests.providers.images_lab import FOX, KEY, ONCE, PNG, answering, openai_answer
from tests.providers.loopback import serve

OPENAI = "https://api.openai.com/v1"
GOOD = answering(openai_answer(PNG))


def test_image_models_of_a_handle():
    """From text to images, of the image API, whatever else the handle is for."""
    for handle in (openai.responses(KEY), openai.images(KEY), openai.chat_completions(KEY, base_url=OPENAI)):
        model = handle.image_model("gpt-image")
        assert (model.api, model.input, model.output) == ("openai-images", ("text",), ("image",))
        assert (model.context_window, model.max_tokens, model.name) == (0, 0, "gpt-image")
        assert isinstance(model.bindings.images, ImageModelApi)
        assert KEY not in model.model_dump_json() + repr(model) + repr(handle) + repr(model.bindings.images)
    assert handle.image_model("m", name="M", input=["text", "image"], base_url="http://h/v1").input == (
        "text",
        "image",
    )


async def test_a_handle_for_images_makes_them_and_no_language_models():
    """Its ``model`` is an image model, which cannot be talked to."""
    handle = openai.images(KEY)
    assert isinstance(handle, Provider)
    assert handle.capabilities == Capabilities(
        language_models=False, image_models=True, embedding_models=True
    )
    assert handle.model("gpt-image") == handle.image_model("gpt-image")
    with pytest.raises(UnsupportedModelError, match="provider openai does not support language models"):
        async with stream(handle.model("gpt-image"), Context()):
            pass


def test_a_handle_without_an_image_api_makes_none():
    """It says so; a setting that image models have not is refused, too."""
    with pytest.raises(UnsupportedModelError, match="provider anthropic does not support image models"):
        anthropic.messages(KEY).image_model("m")
    with pytest.raises(UnsupportedModelError, match="provider p does not support image models"):
        ProviderHandle("p", OPENAI, Access(), Bindings(images=object())).image_model("m")
    for unknown in ("api", "reasoning", "provider", "size"):
        with pytest.raises(InvalidOptionError, match=f"no settings called {unknown}"):
            openai.images(KEY).image_model("m", **{unknown: "x"})


async def test_a_model_of_another_api_is_refused():
    """The model names it."""
    model = openai.images(KEY).model("m").model_copy(update={"api": "other"})
    result = await generate_images(model, FOX)
    assert result.error_message == "unsupported api: Mismatched api: other expected openai-images"


async def key_of(model):
    """The key that goes out with a call, which is given another server to go to."""
    sent = []

    def answer(request):
        sent.append(request.headers["authorization"].removeprefix("Bearer "))
        return httpx.Response(200, json=openai_answer(PNG))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await generate_images(model, FOX, StreamOptions(http_client=client))
    return sent[0]


async def test_at_openai_a_key_is_needed(monkeypatch):
    """Without one the call ends as Error; that of the environment is found, and goes nowhere else."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = openai.images().model("m")
    result = await generate_images(model, FOX)
    assert result.error_message.startswith("No API key for provider: openai")
    with pytest.raises(MissingApiKeyError):
        openai.from_env()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert await key_of(model) == KEY
    async with serve(GOOD) as server:
        elsewhere = openai.images(base_url=server.url)
        await generate_images(elsewhere.model("m"), FOX, ONCE)
    assert server.requests[0].headers["authorization"] == "Bearer ollama"


async def test_the_key_of_a_call_outranks_that_of_its_handle():
    """And its variables, too."""
    for options in (StreamOptions(api_key="sk-call"), StreamOptions(env={"OPENAI_API_KEY": "sk-call"})):
        async with serve(GOOD) as server:
            handle = openai.images(KEY, base_url=server.url)
            await generate_images(handle.model("m"), FOX, options)
        assert server.requests[0].headers["authorization"] == "Bearer sk-call"
