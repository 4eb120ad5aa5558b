"""Embeddings and images whose server repeats the credential that it was sent: neither errors nor results show it."""

import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runtime import EmbeddingOptions, ImagesContext, StreamOptions, embed, generate_images
from runtime.testing.server.loopback import response
from tests.secrets.calls_lab import DOCUMENTS, credentials, model_at, quick
from tests.secrets.echo_lab import REFUSALS, Echo, check_answered, echoing
from tests.secrets.secrets_lab import Hidden, few, logged


def _answered(make):
    """A success with this JSON in it."""

    def answer(echo: Echo) -> bytes:
        return response(json.dumps(make(echo.line)).encode(), 200, {"content-type": "application/json"})

    return answer


ANSWERS = REFUSALS | {
    "no JSON": lambda echo: response(echo.text.encode()),
    "JSON and rubbish": lambda echo: response(b'{"data": []} ' + echo.text.encode()),
    "JSON that begins well": lambda echo: response(b'{"data": [{"embedding": "' + echo.text.encode()),
    "a cut answer": lambda echo: response(('{"data": [{"embedding": "' + echo.across(500, 25)).encode()),
    "an error in a success": _answered(lambda said: {"error": {"message": said, "code": said}}),
    "nothing but a text": _answered(lambda said: said),
    "odd vectors": _answered(lambda said: {"data": [{"index": 0, "embedding": said}], "model": said}),
    "odd indices": _answered(lambda said: {"data": [{"index": said, "embedding": [1.0]}]}),
    "odd usage": _answered(
        lambda said: {"data": [{"index": 0, "embedding": [1.0]}], "model": said, "usage": {said: said}}
    ),
    "odd images": _answered(lambda said: {"data": [{"b64_json": [said], "url": said}], "id": [said]}),
    "images and words": _answered(
        lambda said: {
            "data": [{"b64_json": "AAAA", "revised_prompt": said}],
            "id": said,
            "usage": {"total": said},
        }
    ),
    "odd types of images": _answered(
        lambda said: {"data": [{"b64_json": "AAAA", "revised_prompt": [said]}], "output_format": said}
    ),
    "a chat": _answered(
        lambda said: {
            "id": said,
            "choices": [{"message": {"content": said, "images": [{"image_url": said}]}}],
        }
    ),
    "an odd chat": _answered(
        lambda said: {"id": "x", "choices": [{"error": said, "message": {"content": [said]}}], "usage": said}
    ),
}


async def asked(api, url, way):
    """What an application gets: the result, or the exception; and what else there is to be seen."""
    handle, model = model_at(api, url, way)
    options = (EmbeddingOptions if api == "embeddings" else StreamOptions)(**{**quick(), **way.options})
    rest = [options, handle, model, model.bindings.embeddings, model.bindings.images]
    try:
        if api == "embeddings":
            result = await embed(model, "hello", options)
        else:
            result = await generate_images(model, ImagesContext.of("a fox"), options)
    except Exception as error:
        return [error, *rest]
    return [result, result.model_dump_json(), *rest]


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("api", DOCUMENTS)
@few(2)
@given(st.data())
def test_a_document_that_repeats_a_credential(api, name, data):
    """Whatever a server answers: no result, and no exception with all that led to it, holds the credential."""
    credential = data.draw(credentials(api, name))

    async def main():
        async with echoing(credential.secret, ANSWERS[name]) as server:
            return await asked(api, server.url, credential.way)

    with logged() as lines:
        shown = trio.run(main)
    check_answered("", *shown)
    Hidden(credential.secret).check(credential.how, *shown, *lines.own)
