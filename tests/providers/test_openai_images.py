"""OpenAI's image API: what is sent, and what becomes of the answer."""

from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP

import httpx
import pytest

from providers import openai
from providers.openai import OpenAIImagesOptions
from runtime.errors import InvalidOptionError
from runtime.streams.images import generate_images
from runtime.values.content import ImageContent, TextContent
from runtime.values.images import ImagesContext, ImagesStopReason
from runtime.values.model import ModelCost
from runtime.values.options import SimpleStreamOptions, StreamOptions
from tests.providers.images_lab import (
    FOX,
    JPEG,
    KEY,
    ONCE,
    PICTURE,
    PNG,
    answering,
    asked,
    openai_answer,
    openai_at,
    text_of,
)
from tests.providers.loopback import reply, serve

OPENAI = "https://api.openai.com/v1"
GOOD = answering(openai_answer(PNG))
MASK = ImageContent(text_of(b"\x89PNG\r\n\x1a\nmask"), "image/png")


def form_of(request):
    """The parts of a form: name, file name, type, content."""
    start = b"Content-Type: %b\r\n\r\n" % request.headers["content-type"].encode()
    parts = BytesParser(policy=HTTP).parsebytes(start + request.body).iter_parts()
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type() if part.get_filename() else None,
            part.get_payload(decode=True),
        )
        for part in parts
    ]


# Generations


async def test_a_whole_call():
    """Two texts are one prompt; the settings are sent as they are; prompt, image, usage and id come back."""
    answer = openai_answer(
        {"b64_json": text_of(b"jpeg"), "revised_prompt": "A red fox"},
        id="img-1",
        usage={"input_tokens": 11, "output_tokens": 7, "total_tokens": 18},
    )
    options = StreamOptions(
        max_retries=0,
        provider_options={"size": "1024x1024", "quality": "high", "outputFormat": "jpeg", "seed": 1},
    )
    result, request = await asked(
        answering(answer),
        context=ImagesContext.of("a fox", "in snow"),
        options=options,
        cost=ModelCost(input=10, output=40),
    )
    assert (request.method, request.target) == ("POST", "/v1/images/generations")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "model": "gpt-image",
        "prompt": "a fox\n\nin snow",
        "response_format": "b64_json",
        "size": "1024x1024",
        "quality": "high",
        "output_format": "jpeg",
    }
    assert result.output == (TextContent(text="A red fox"), ImageContent(text_of(b"jpeg"), "image/jpeg"))
    assert (result.usage.input, result.usage.output, result.usage.total_tokens) == (11, 7, 18)
    assert result.usage.cost.total == pytest.approx(11 * 10e-6 + 7 * 40e-6)
    assert (result.api, result.provider, result.model) == ("openai-images", "loopback", "gpt-image")
    assert (result.response_id, result.stop_reason) == ("img-1", ImagesStopReason.Stop)


async def test_a_server_of_ones_own_gets_a_key_that_is_none():
    """Some insist on one; the image is a PNG, and there is no text."""
    async with serve(answering(openai_answer({"b64_json": "Zm94"}))) as server:
        handle = openai.chat_completions(base_url=f"{server.url}/v1")
        result = await generate_images(handle.image_model("x/z-image"), FOX, ONCE)
    (request,) = server.requests
    assert (request.target, request.headers["authorization"]) == ("/v1/images/generations", "Bearer ollama")
    assert result.output == (ImageContent("Zm94", "image/png"),)


async def test_a_key_that_is_none_is_no_secret():
    """A word of an answer is not hidden because of it."""
    result, _ = await asked(reply('{"error":"ollama is out of memory"}', 400), key=None)
    assert "ollama is out of memory" in result.error_message


async def test_a_client_of_the_handle_is_used():
    """Unless the call brings another."""
    seen = []

    def answer(name):
        def respond(request):
            seen.append((name, request.url.path))
            return httpx.Response(200, json=openai_answer(PNG))

        return httpx.MockTransport(respond)

    async with httpx.AsyncClient(transport=answer("handle")) as own:
        async with httpx.AsyncClient(transport=answer("call")) as other:
            model = openai.images(base_url="http://h/v1", http_client=own).model("m")
            await generate_images(model, FOX, ONCE)
            await generate_images(model, FOX, StreamOptions(http_client=other))
    assert seen == [("handle", "/v1/images/generations"), ("call", "/v1/images/generations")]


async def test_a_header_that_is_a_key_stands_alone():
    """Azure's way."""
    async with serve(GOOD) as server:
        handle = openai.images(base_url=f"{server.url}/v1?api-version=1", headers={"api-key": KEY})
        await generate_images(handle.model("m"), FOX, ONCE)
    (request,) = server.requests
    assert request.target == "/v1/images/generations?api-version=1"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers


async def test_headers_are_laid_over_each_other():
    """Handle, model, call: the nearest wins, and None removes, whatever the case."""
    options = StreamOptions(max_retries=0, headers={"X-C": "call", "AUTHORIZATION": None, "x-a": None})
    async with serve(GOOD) as server:
        handle = openai.images(
            KEY, base_url=server.url, headers={"x-a": "handle", "x-b": "handle", "x-c": "handle"}
        )
        await generate_images(handle.model("m", headers={"X-B": "model"}), FOX, options)
    sent = server.requests[0].headers
    assert (sent["x-b"], sent["x-c"]) == ("model", "call")
    assert "x-a" not in sent
    assert "authorization" not in sent


async def test_nothing_asked_is_an_empty_prompt():
    """It is for the server to refuse."""
    _, request = await asked(GOOD, context=ImagesContext())
    assert request.json()["prompt"] == ""


async def test_at_openai_base64_is_not_asked_for():
    """Its models give it anyway, and refuse the question; any other spelling of the address counts as another place."""
    for base_url, wanted in ((OPENAI, {}), (f"{OPENAI}/", {"response_format": "b64_json"})):
        payload = await payload_of(openai.images(KEY, base_url=base_url).model("gpt-image"))
        assert payload == {"model": "gpt-image", "prompt": "a fox", **wanted}


async def payload_of(model, options=None, context=FOX):
    """What a call would send: the hook looks at it, and ends the call there."""
    seen = []

    async def look(payload, model):
        seen.append(payload)
        raise RuntimeError("seen")

    options = replace(options or StreamOptions(), on_payload=look)
    result = await generate_images(model, context, options)
    assert result.error_message == "on_payload failed: seen", result.error_message
    return seen[0]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"outputFormat": "webp", "output_format": "png"}, {"output_format": "png"}),
        ({"outputCompression": 50}, {"output_compression": 50}),
        ({"responseFormat": "url"}, {"response_format": "url"}),
        ({"response_format": None, "n": "two"}, {"response_format": None, "n": "two"}),
        ({"style": "vivid", "user": "u", "background": "opaque", "moderation": "low"}, None),
        ({"prompt": "mine", "model": "mine", "stream": True}, {}),
    ],
)
async def test_provider_options_go_out_as_they_are(given, sent):
    """Those that the API knows, under either spelling."""
    payload = await payload_of(openai.images(KEY).model("m"), StreamOptions(provider_options=given))
    assert payload == {"model": "m", "prompt": "a fox", **(given if sent is None else sent)}


async def test_typed_options_say_the_same():
    """What is set is sent, and nothing else; they do not read provider_options."""
    options = OpenAIImagesOptions(
        n=2, size="1536x864", quality="high", background="transparent", moderation="low", style="natural",
        input_fidelity="high", output_format="webp", output_compression=80, user="u",
        provider_options={"size": "other"},
    )  # fmt: skip
    assert await payload_of(openai.images(KEY).model("m"), options) == {
        "model": "m", "prompt": "a fox", "n": 2, "size": "1536x864", "quality": "high", "background": "transparent",
        "moderation": "low", "style": "natural", "input_fidelity": "high", "output_format": "webp",
        "output_compression": 80, "user": "u",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0},
        {"n": 1.5},
        {"n": True},
        {"size": 1024},
        {"output_compression": -1},
        {"mask": "x"},
        {"quality": b"x"},
    ],
)
def test_typed_options_are_checked(wrong):
    """When they are made, by their names."""
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        OpenAIImagesOptions(**wrong)


async def test_options_of_another_api_are_refused():
    """Here they would do nothing."""
    result = await generate_images(openai_at("http://127.0.0.1:1"), FOX, SimpleStreamOptions())
    assert result.error_message == (
        "options of openai-images must be OpenAIImagesOptions or StreamOptions, not SimpleStreamOptions"
    )


async def test_the_hook_may_change_what_is_sent():
    """Then the type of the images is that of what was sent."""

    async def change(payload, model):
        return {**payload, "output_format": "image/webp", "extra": [1]}

    options = StreamOptions(max_retries=0, on_payload=change)
    result, request = await asked(answering(openai_answer({"b64_json": "Zm94"})), options=options)
    assert request.json()["extra"] == [1]
    assert result.images[0].mime_type == "image/webp"


@pytest.mark.parametrize("returned", [[], "x", 5])
async def test_a_hook_must_return_an_object(returned):
    """Anything else ends the call."""

    async def change(payload, model):
        return returned

    result = await generate_images(openai_at("http://127.0.0.1:1"), FOX, StreamOptions(on_payload=change))
    assert result.stop_reason is ImagesStopReason.Error
    assert "on_payload must return a dict" in result.error_message


# Edits


async def test_an_image_is_edited():
    """It goes out as a form, its bytes as they are, with the mask and the settings."""
    options = OpenAIImagesOptions(max_retries=0, mask=MASK, n=2, output_format="webp")
    result, request = await asked(
        answering(openai_answer({"b64_json": "Zm94"})),
        context=ImagesContext.of("make it", PICTURE, "blue"),
        options=options,
    )
    assert (request.method, request.target) == ("POST", "/v1/images/edits")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert form_of(request) == [
        ("model", None, None, b"gpt-image"),
        ("prompt", None, None, b"make it\n\nblue"),
        ("response_format", None, None, b"b64_json"),
        ("n", None, None, b"2"),
        ("output_format", None, None, b"webp"),
        ("image", "image-1.png", "image/png", PNG),
        ("mask", "mask.png", "image/png", MASK.to_bytes()),
    ]
    assert result.images == (ImageContent("Zm94", "image/webp"),)


async def test_several_images_are_a_list():
    """In their order, each with its own type."""
    context = ImagesContext.of(PICTURE, "join them", ImageContent.from_bytes(JPEG))
    _, request = await asked(GOOD, context=context)
    assert form_of(request)[3:] == [
        ("image[]", "image-1.png", "image/png", PNG),
        ("image[]", "image-2.jpg", "image/jpeg", JPEG),
    ]


async def test_a_form_is_one_whatever_the_headers_say():
    """A content type of the caller's own would hide where its parts begin."""
    options = StreamOptions(max_retries=0, headers={"content-type": "application/json"})
    _, request = await asked(GOOD, context=ImagesContext.of("x", PICTURE), options=options)
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")


async def test_the_hook_sees_the_fields_of_a_form():
    """But not the images; what it adds is sent."""

    async def change(payload, model):
        assert payload == {"model": "gpt-image", "prompt": "x", "response_format": "b64_json"}
        del payload["response_format"]
        return {**payload, "svg": {"model": "m"}}

    options = StreamOptions(max_retries=0, on_payload=change)
    _, request = await asked(GOOD, context=ImagesContext.of("x", PICTURE), options=options)
    assert [(name, data) for name, _, _, data in form_of(request)] == [
        ("model", b"gpt-image"), ("prompt", b"x"), ("svg[model]", b"m"), ("image", PNG)
    ]  # fmt: skip


async def test_a_mask_needs_an_image():
    """Nothing is sent."""
    result = await generate_images(openai_at("http://127.0.0.1:1"), FOX, OpenAIImagesOptions(mask=MASK))
    assert result.error_message.startswith("mask needs an image to lie on")


async def test_an_image_that_is_none_cannot_be_sent():
    """Its data is no base64."""
    context = ImagesContext.of("x", ImageContent("?", "image/png"))
    result = await generate_images(openai_at("http://127.0.0.1:1"), context, ONCE)
    assert result.error_message.startswith("the data of this image is no base64")
