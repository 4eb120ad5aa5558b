"""Image models against a server of other people, which answers as OpenAI does and fails as providers do."""

import pytest

from providers import openai
from providers.openai import OpenAIImagesOptions
from runtime.streams.images import generate_images
from runtime.values.content import ImageContent, TextContent
from runtime.values.images import ImagesContext, ImagesStopReason
from runtime.values.options import StreamOptions

from .conftest import KEY

pytestmark = pytest.mark.faults

PNG = ImageContent.from_bytes(b"\x89PNG\r\n\x1a\nfox")
EDIT = ImagesContext.of("make the fox blue", PNG)
CONTEXTS = {"generation": ImagesContext.of("a blue fox"), "edit": EDIT}


def model_at(server):
    return openai.images(KEY, base_url=f"{server.url}/v1", provider_id="mock").model("gpt-image-2.5-flare")


def drawing(*images, **response):
    """A fixture for the prompts of these tests."""
    return {"match": {"userMessage": "fox"}, "response": {"images": list(images), **response}}


@pytest.fixture(params=CONTEXTS)
def context(request):
    """A text alone, and one with an image."""
    return CONTEXTS[request.param]


async def test_images_arrive(aimock, context):
    """With the prompts that were made of ours; one that is only linked to is left out."""
    await aimock.script(
        drawing(
            {"b64Json": PNG.data, "revisedPrompt": "A fox"},
            {"url": "https://h/fox.png"},
            {"b64Json": PNG.data},
        )
    )
    options = OpenAIImagesOptions(n=3, mask=PNG if context.images else None)
    result = await generate_images(model_at(aimock), context, options)
    assert result.stop_reason is ImagesStopReason.Stop, result.error_message
    assert result.output == (TextContent(text="A fox"), PNG, PNG)
    (request,) = await aimock.requests()
    assert request["path"] == ("/v1/images/edits" if context.images else "/v1/images/generations")
    assert request["body"]["model"] == "gpt-image-2.5-flare"
    assert request["body"]["messages"][0]["content"] == context.texts[0]


async def test_an_error_of_the_server_is_told_in_its_words(aimock, context):
    """And not tried again."""
    error = {"error": {"message": "Your prompt was refused", "type": "moderation"}, "status": 400}
    await aimock.script({"match": {"userMessage": "fox", "endpoint": "image"}, "response": error})
    result = await generate_images(model_at(aimock), context)
    assert result.stop_reason is ImagesStopReason.Error
    assert "HTTP 400 Bad Request" in result.error_message
    assert "Your prompt was refused" in result.error_message
    assert KEY not in result.error_message
    assert len(await aimock.requests()) == 1


@pytest.mark.parametrize(
    ("trouble", "says", "attempts"),
    [("disconnect", "/images/", 2), ("malformed", "could not decode the images", 1), ("drop", "HTTP 500", 2)],
)
async def test_trouble_is_an_error(aimock, context, trouble, says, attempts):
    """No answer and an overload are tried again; a success that is no JSON is not."""
    await aimock.script(drawing({"b64Json": PNG.data}))
    options = StreamOptions(max_retries=1, headers={f"x-aimock-chaos-{trouble}": "1"})
    result = await generate_images(model_at(aimock), context, options)
    assert result.stop_reason is ImagesStopReason.Error
    assert says in result.error_message
    assert len(await aimock.requests()) == attempts


async def test_troubles_that_pass_are_waited_for(llmock):
    """Two limits of the rate and an overload, then an answer: the call succeeds, and asks four times."""
    await llmock.script({"type": "fail", "status": 429, "times": 2}, {"type": "fail", "status": 503})
    result = await generate_images(model_at(llmock), CONTEXTS["generation"], StreamOptions(max_retries=3))
    assert result.stop_reason is ImagesStopReason.Stop, result.error_message
    assert len(result.images) == 1
    assert result.images[0].to_bytes()
    assert len(await llmock.requests()) == 4
    assert await llmock.findings() == []
