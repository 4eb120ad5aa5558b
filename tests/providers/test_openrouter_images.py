"""OpenRouter's images: what is sent, and what becomes of the answer."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers import openrouter
from providers.access import Access
from providers.images import ImagesAnswer, ImagesCall
from providers.openrouter import OpenRouterImagesOptions
from providers.openrouter.image_chat import OPENROUTER_IMAGES_WIRE
from runtime.errors import InvalidOptionError, MissingApiKeyError, ProviderError, UnsupportedModelError
from runtime.streams.images import generate_images
from runtime.streams.provider import Capabilities
from runtime.values.content import ImageContent, TextContent
from runtime.values.images import ImagesContext, ImagesStopReason
from runtime.values.model import ModelCost
from runtime.values.options import StreamOptions
from tests.providers.images_lab import (
    FOX,
    JSON,
    KEY,
    PICTURE,
    PNG,
    answering,
    asked,
    openrouter_answer,
    openrouter_at,
    text_of,
)
from tests.providers.loopback import serve

OPENROUTER = "https://openrouter.ai/api/v1"
DATA_URL = f"data:image/png;base64,{text_of(PNG)}"
MODEL = openrouter.images(KEY).model("m", cost=ModelCost(input=1, output=2, cache_read=3, cache_write=4))


def read(answer) -> ImagesAnswer:
    return OPENROUTER_IMAGES_WIRE.read(ImagesCall(MODEL, FOX, StreamOptions(), Access(), None), b"{}", answer)


def payload_of(context=FOX, options=None, **settings):
    model = openrouter_at("http://h", **settings)
    return OPENROUTER_IMAGES_WIRE.payload(
        ImagesCall(model, context, options or StreamOptions(), Access(), None)
    )


async def test_a_whole_call():
    """A text goes out as a chat with one message; text, image, usage and id come back."""
    answer = openrouter_answer(
        {"image_url": DATA_URL}, content="Here.", usage={"prompt_tokens": 12, "completion_tokens": 34}
    )
    result, request = await asked(answering(answer), openrouter_at, headers={"x-model": "1"})
    assert (request.method, request.target) == ("POST", "/api/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["x-model"], request.headers["content-type"]) == ("1", "application/json")
    assert request.json() == {
        "model": "google/flash-image",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a fox"}]}],
        "stream": False,
        "modalities": ["image"],
    }
    assert result.output == (TextContent(text="Here."), PICTURE)
    assert (result.usage.input, result.usage.output, result.usage.total_tokens) == (12, 34, 46)
    assert result.usage.cost.total == 0
    assert (result.api, result.provider, result.model) == (
        "openrouter-images",
        "openrouter",
        "google/flash-image",
    )
    assert (result.response_id, result.stop_reason) == ("gen-1", ImagesStopReason.Stop)


async def test_an_image_goes_along():
    """As a data URL, whatever the model says that it takes; an answer without text and usage is one image."""
    context = ImagesContext.of("make it blue", PICTURE)
    result, request = await asked(answering(openrouter_answer(PNG)), openrouter_at, context)
    assert request.json()["messages"][0]["content"] == [
        {"type": "text", "text": "make it blue"},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
    ]
    assert request.json()["modalities"] == ["image"]
    assert (result.output, result.usage.total_tokens) == ((PICTURE,), 0)


def test_text_is_asked_for_where_the_model_gives_it():
    """Beside the images."""
    assert payload_of(output=("text", "image"))["modalities"] == ["image", "text"]
    assert payload_of(ImagesContext())["messages"] == [{"role": "user", "content": []}]


def test_typed_options_are_its_own():
    """What is set is sent; provider_options are not looked at."""
    options = OpenRouterImagesOptions(aspect_ratio="16:9", image_size="2K")
    assert payload_of(options=options)["image_config"] == {"aspect_ratio": "16:9", "image_size": "2K"}
    assert payload_of(options=OpenRouterImagesOptions(image_size="4K"))["image_config"] == {
        "image_size": "4K"
    }
    assert "image_config" not in payload_of(options=OpenRouterImagesOptions())
    assert payload_of(options=StreamOptions(provider_options={"n": 2, "seed": 1})) == payload_of()
    with pytest.raises(InvalidOptionError, match="aspect_ratio"):
        OpenRouterImagesOptions(aspect_ratio=1.5)


async def test_an_abort_beforehand_sends_nothing():
    """Not even a missing key matters then."""
    abort = trio.Event()
    abort.set()
    result = await generate_images(openrouter.images().model("m"), FOX, StreamOptions(abort=abort))
    assert (result.stop_reason, result.error_message) == (ImagesStopReason.Aborted, "request was cancelled")


async def test_at_openrouter_a_key_is_needed(monkeypatch):
    """Without one the call ends as Error; elsewhere it goes without."""
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    result = await generate_images(openrouter.images("  ").model("m"), FOX)
    assert result.stop_reason is ImagesStopReason.Error
    assert result.error_message.startswith("No API key for provider: openrouter")
    with pytest.raises(MissingApiKeyError, match="^No API key for provider: openrouter"):
        openrouter.from_env()
    async with serve(answering(openrouter_answer(PNG))) as server:
        assert (await generate_images(openrouter_at(server.url, None), FOX)).images == (PICTURE,)
    assert "authorization" not in server.requests[0].headers


async def test_the_environment_may_have_the_key(monkeypatch):
    """For a handle made of it, at its own place."""
    monkeypatch.setenv("OPENROUTER_API_KEY", f" {KEY}\n")
    handle = openrouter.from_env()
    assert handle.base_url == OPENROUTER
    assert KEY not in repr(handle)
    async with serve(answering(openrouter_answer(PNG))) as server:
        await generate_images(handle.model("m", base_url=server.url), FOX)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_handle_makes_image_models_only():
    """``model`` and ``image_model`` are the same."""
    handle = openrouter.images(KEY, provider_id="or", base_url="http://h/v1")
    assert handle.capabilities == Capabilities(
        language_models=False, image_models=True, embedding_models=False
    )
    model = handle.model("google/flash-image")
    assert model == handle.image_model("google/flash-image")
    assert (model.api, model.provider, model.base_url) == ("openrouter-images", "or", "http://h/v1")
    assert (model.input, model.output) == (("text",), ("image",))
    with pytest.raises(UnsupportedModelError, match="provider or does not support embedding models"):
        handle.embedding_model("m")


# Answers


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ({"image_url": {"url": DATA_URL}}, True),
        ({"image_url": DATA_URL, "type": "image_url"}, True),
        ({"image_url": f"data:image/png;charset=x;base64,{text_of(PNG)}"}, True),
        ({"image_url": {"url": "https://h/fox.png"}}, False),
        ({"image_url": "data:image/png;base64,"}, False),
        ({"image_url": "data:;base64,aGk="}, False),
        ({"image_url": "data:image/png,aGk="}, False),
        ({"image_url": {}}, False),
        ({"image_url": None}, False),
        ({"image_url": {"url": 5}}, False),
        ({}, False),
    ],
)
def test_an_image_is_taken_where_it_is_whole(image, found):
    """Links and empty URLs are left out."""
    assert read(openrouter_answer(image)).output == ((PICTURE,) if found else ())


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "gen-1", "choices": []},
        openrouter_answer(content=None),
        {"id": "gen-1", "choices": [{"message": {}}, {"message": {"content": "second"}}]},
    ],
)
def test_only_the_first_choice_counts(answer):
    """And it may be empty."""
    assert (read(answer).output, read(answer).response_id) == ((), "gen-1")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 34}, (12, 34, 0, 0)),
        ({"prompt_tokens": 20, "prompt_tokens_details": {"cached_tokens": 5}}, (15, 0, 5, 0)),
        (
            {"prompt_tokens": 20, "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 4}},
            (11, 0, 5, 4),
        ),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4}},
            (0, 0, 0, 4),
        ),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, (0, 0, 9, 0)),
        ({"prompt_tokens": None, "completion_tokens": "x"}, (0, 0, 0, 0)),
        (None, (0, 0, 0, 0)),
    ],
)
def test_usage_is_what_is_told(usage, counts):
    """What was written to the cache is not what was read from it; nothing goes below zero."""
    found = read(openrouter_answer(usage=usage)).usage
    assert (found.input, found.output, found.cache_read, found.cache_write) == counts
    assert found.total_tokens == sum(counts)
    assert found.cost.total == pytest.approx(sum(map(int.__mul__, counts, (1, 2, 3, 4))) / 1e6)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([], "the answer must be an object"),
        ({"id": "x"}, "choices must be a list, not null"),
        ({"choices": []}, "id must be a string, not null"),
        ({"id": 5, "choices": []}, "id must be a string, not a number"),
        ({"id": "x", "choices": [5]}, r"choices\[0\] must be an object"),
        ({"id": "x", "choices": [{}]}, r"choices\[0\].message must be an object"),
        (openrouter_answer(content=[]), r"choices\[0\].message.content must be a string, not a list"),
        (
            {"id": "x", "choices": [{"message": {"images": None}}]},
            r"choices\[0\].message.images must be a list",
        ),
        (openrouter_answer("x"), r"choices\[0\].message.images\[0\] must be an object, not a string"),
    ],
)
def test_what_is_of_a_wrong_shape_is_no_answer(answer, says):
    """The place is named."""
    with pytest.raises(ValueError, match=f"^{says}"):
        read(answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"error": {"message": "no credits", "code": 402}}, "the answer is an error"),
        ({"id": "x", "choices": [{"error": {"message": "overloaded"}}]}, "the choice is an error"),
    ],
)
def test_a_failure_in_a_success_is_a_failure(answer, says):
    """Of the whole, or of the choice."""
    with pytest.raises(ProviderError, match=f"^{says}$"):
        read(answer)


CHOICES = st.lists(
    st.fixed_dictionaries(
        {
            "message": st.fixed_dictionaries({}, optional={"content": JSON, "images": st.lists(JSON) | JSON})
            | JSON
        }
    )
    | JSON,
    max_size=2,
)
ANSWERS = st.fixed_dictionaries(
    {}, optional={"id": st.text() | JSON, "choices": CHOICES | JSON, "usage": JSON}
)


@given(JSON | ANSWERS)
def test_any_json_is_an_answer_or_is_none(answer):
    """Nothing else comes of it."""
    try:
        found = read(answer)
    except (ValueError, ProviderError):
        return
    assert isinstance(found.response_id, str)
    assert all(isinstance(block, TextContent | ImageContent) for block in found.output)
