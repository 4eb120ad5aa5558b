"""What we send for images, and what we read, checked with the types and the forms of OpenAI's own SDK."""

from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json

from providers import openai
from providers.access import Access
from providers.images import ImagesCall
from providers.openai import OpenAIImagesOptions
from providers.openai.image_answer import read_images
from providers.openai.image_generation import OPENAI_IMAGES_WIRE
from runtime.testing.strategies import texts
from runtime.values.content import ImageContent
from runtime.values.images import ImagesContext
from tests.providers.images_lab import JPEG, PNG, openai_answer

pytest.importorskip("openai", reason="the SDKs are in agentrio[sdk]")

MODEL = openai.images("sk-x").model("gpt-image-2.5-flare")
PNG_IMAGE, JPEG_IMAGE = ImageContent.from_bytes(PNG), ImageContent.from_bytes(JPEG)
CONTEXTS = st.lists(texts(), max_size=3).map(lambda found: ImagesContext.of(*found))
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(1, 10),
        "size": st.sampled_from(["auto", "1024x1024", "1536x864"]),
        "quality": st.sampled_from(["low", "high", "auto"]),
        "background": st.sampled_from(["transparent", "opaque"]),
        "output_format": st.sampled_from(["png", "webp", "jpeg"]),
        "output_compression": st.integers(0, 100),
        "user": texts(),
    },
)
OF_GENERATIONS = st.fixed_dictionaries({}, optional={"moderation": st.just("low"), "style": st.just("vivid")})


def call_of(context, options):
    return ImagesCall(MODEL, context, options, Access(), "sk-x")


def request_type():
    from openai.types.image_generate_params import ImageGenerateParamsNonStreaming

    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(ImageGenerateParamsNonStreaming))


@given(CONTEXTS, SETTINGS, OF_GENERATIONS)
def test_any_generation_fits_the_type(context, settings, more):
    """Every field is known there, with these values."""
    call = call_of(context, OpenAIImagesOptions(**settings, **more))
    request_type().validate_python(OPENAI_IMAGES_WIRE.payload(call), strict=True)


def test_the_type_refuses_what_it_does_not_know():
    """What the test before relies on."""
    payload = OPENAI_IMAGES_WIRE.payload(call_of(ImagesContext.of("x"), OpenAIImagesOptions()))
    for wrong in ({"seed": 1}, {"n": "two"}, {"background": "red"}):
        with pytest.raises(ValidationError):
            request_type().validate_python({**payload, **wrong}, strict=True)


def form_of(content_type, body):
    """The fields and files of a form, without the file names and the order."""
    start = b"Content-Type: %b\r\n\r\n" % content_type.encode()
    found = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_content_type() if part.get_filename() else None,
            part.get_payload(decode=True),
        )
        for part in BytesParser(policy=HTTP).parsebytes(start + body).iter_parts()
    ]
    return sorted(found, key=repr)


def form_of_the_sdk(**arguments):
    """The same of what the SDK would send."""
    import httpx2
    from openai import OpenAI

    sent = []

    def answer(request):
        sent.append((request.method, request.url.path, request.headers["content-type"], request.read()))
        return httpx2.Response(200, json=openai_answer(PNG))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        OpenAI(api_key="sk-x", http_client=client).images.edit(**arguments)
    ((method, path, content_type, body),) = sent
    assert (method, path) == ("POST", "/v1/images/edits")
    return form_of(content_type, body)


@pytest.mark.parametrize("images", [(PNG_IMAGE,), (PNG_IMAGE, JPEG_IMAGE), (JPEG_IMAGE,) * 3])
@pytest.mark.parametrize("mask", [None, PNG_IMAGE])
def test_a_form_is_the_one_that_the_sdk_sends(images, mask):
    """Field by field, file by file, with the settings and without."""
    for settings in ({}, {"n": 2, "size": "1536x864", "output_compression": 80, "input_fidelity": "high"}):
        call = call_of(ImagesContext.of("make it blüe", *images), OpenAIImagesOptions(mask=mask, **settings))
        request = OPENAI_IMAGES_WIRE.request(call, to_json(OPENAI_IMAGES_WIRE.payload(call)))
        files = [("x", image.to_bytes(), image.mime_type) for image in images]
        theirs = form_of_the_sdk(
            model=MODEL.id,
            prompt="make it blüe",
            image=files if len(files) > 1 else files[0],
            **settings,
            **({"mask": ("x", mask.to_bytes(), mask.mime_type)} if mask else {}),
        )
        assert request.url == "https://api.openai.com/v1/images/edits"
        assert form_of(request.headers["content-type"], request.body) == theirs


def test_the_answers_of_the_tests_fit_the_type():
    """What is read here is what the SDK reads."""
    from openai.types import ImagesResponse

    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"image_tokens": 1, "text_tokens": 10},
        "output_tokens": 7,
        "total_tokens": 18,
    }
    whole = openai_answer(PNG, {"url": "https://h/x.png"}, output_format="webp", usage=usage)
    known = ImagesResponse.model_validate(whole, strict=True)
    found = read_images(MODEL, {}, whole)
    assert [image.data for image in found.output] == [one.b64_json for one in known.data if one.b64_json]
    assert found.output[0].mime_type == f"image/{known.output_format}"
    assert (found.usage.input, found.usage.total_tokens) == (
        known.usage.input_tokens,
        known.usage.total_tokens,
    )
