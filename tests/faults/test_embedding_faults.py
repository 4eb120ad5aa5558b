"""Embeddings against servers of other people, which answer as providers do and fail as providers do."""

from hashlib import sha256

import pytest

from providers import openai
from runtime.errors import ApiStatusError, InvalidResponseError, TransportError
from runtime.streams.embeddings import embed, embed_many
from runtime.values.options import EmbeddingOptions

from .conftest import KEY

pytestmark = pytest.mark.faults

TEXTS = [f"text number {number}" for number in range(23)]


def model_at(server):
    return openai.embeddings(KEY, base_url=f"{server.url}/v1", provider_id="mock").model(
        "text-embedding-3-small"
    )


def hashed(text, dimensions):
    """The vector that the server makes of a text: the bytes of its hash, and of the hashes of that."""
    digest, numbers = b"", []
    for place in range(dimensions):
        if place % 32 == 0:
            digest = sha256(digest or text.encode()).digest()
        numbers.append(digest[place % 32] / 127.5 - 1)
    return tuple(numbers)


async def test_many_requests_keep_the_order(aimock):
    """Each text has the vector that the server makes of it, in so many dimensions."""
    options = EmbeddingOptions(dimensions=40, max_batch_size=3, max_concurrent_requests=5)
    batch = await embed_many(model_at(aimock), TEXTS, options)
    assert batch.vectors == tuple(hashed(text, 40) for text in TEXTS)
    assert batch.model == "text-embedding-3-small"
    assert len(await aimock.requests()) == 8


async def test_a_scripted_vector_arrives(aimock):
    """For the text that it is scripted for, and base64 asked for in vain is no trouble."""
    await aimock.script({"match": {"inputText": "special"}, "response": {"embedding": [0.25, -1, 3e-8]}})
    one = await embed(model_at(aimock), "a special text", EmbeddingOptions(encoding_format="base64"))
    assert one.embedding == (0.25, -1.0, 3e-8)


async def test_an_error_of_the_server_is_raised_with_its_words(aimock):
    """The first request that fails ends the call; what succeeded is not given out."""
    error = {"error": {"message": "This model is gone", "type": "not_found"}, "status": 404}
    await aimock.script({"match": {"inputText": "number 7"}, "response": error})
    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=2)
    with pytest.raises(ApiStatusError, match="This model is gone") as caught:
        await embed_many(model_at(aimock), TEXTS, options)
    assert caught.value.status == 404
    assert len(await aimock.requests()) < len(TEXTS)


async def test_a_connection_that_gives_no_answer_is_tried_again_and_then_an_error(aimock):
    """max_retries attempts more; the error names the endpoint."""
    model = model_at(aimock)
    options = EmbeddingOptions(max_retries=1, headers={"x-aimock-chaos-disconnect": "1"})
    with pytest.raises(TransportError, match=f"{model.base_url}/embeddings"):
        await embed(model, "text", options)
    assert len(await aimock.requests()) == 2


async def test_a_success_that_is_no_json_is_an_error(aimock):
    """It is shown."""
    options = EmbeddingOptions(headers={"x-aimock-chaos-malformed": "1"})
    with pytest.raises(InvalidResponseError, match="could not decode embeddings response.*malformed json"):
        await embed(model_at(aimock), "text", options)


async def test_troubles_that_pass_are_waited_for(llmock):
    """Two limits of the rate and an overload, then an answer: the call succeeds, and asks four times."""
    await llmock.script({"type": "fail", "status": 429, "times": 2}, {"type": "fail", "status": 503})
    one = await embed(model_at(llmock), "text", EmbeddingOptions(max_retries=3))
    assert len(one.vector) == 1536
    assert len(await llmock.requests()) == 4
    assert await llmock.findings() == []


async def test_a_refusal_is_not_tried_again(llmock):
    """One request, one error."""
    await llmock.script({"type": "fail", "status": 401})
    with pytest.raises(ApiStatusError) as caught:
        await embed(model_at(llmock), "text")
    assert caught.value.status == 401
    assert KEY not in str(caught.value)
    assert len(await llmock.requests()) == 1
