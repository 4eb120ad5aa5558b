"""Embeddings of llama.cpp's own server with a real, small model."""

import math
import signal
import struct

import pytest
import trio

from providers import openai
from providers.pool import current_pool
from runtime.errors import AbortedError, ApiStatusError, InvalidResponseError, TransportError
from runtime.streams.embeddings import embed, embed_many
from runtime.values.options import EmbeddingOptions

from .conftest import KEY, start_llama, stop

pytestmark = pytest.mark.real

SIZE = 576
TEXTS = [
    "A cat sleeps on the sofa.",
    "The kitten naps on the couch.",
    "Interest rates rose again.",
    "Über 5 €: 猫 😀",
]


@pytest.fixture(scope="module")
def embedder():
    """A server that embeds."""
    server = start_llama("--embeddings")
    yield server
    stop(server)


def model_at(server, key=KEY):
    return openai.embeddings(key, base_url=server.base_url, provider_id="llama").model("smollm2")


def cosine(one, other):
    return sum(map(lambda a, b: a * b, one, other)) / math.hypot(*one) / math.hypot(*other)


async def test_a_text_has_a_vector(embedder):
    """Numbers of length one, a name, and the tokens that were read."""
    one = await embed(model_at(embedder), TEXTS[0])
    assert len(one.vector) == SIZE
    assert math.hypot(*one.vector) == pytest.approx(1, abs=1e-5)
    assert one.model == "smollm2"
    assert one.usage.total_tokens == one.usage.prompt_tokens > 3


async def test_a_text_is_most_like_itself(embedder):
    """The cosine of a text with itself is 1, twice asked or twice in a batch; two of one topic are nearer than two of two."""
    model = model_at(embedder)
    batch = await embed_many(model, [*TEXTS, TEXTS[0]])
    cat, kitten, rates, _, again = batch.vectors
    alone = (await embed(model, TEXTS[0])).vector
    assert cosine(cat, again) == pytest.approx(1, abs=1e-4)
    assert cosine(cat, alone) == pytest.approx(1, abs=1e-3)
    assert cosine(cat, kitten) > cosine(cat, rates)


@pytest.mark.parametrize("encoding_format", [None, "float", "base64"])
async def test_the_order_of_a_batch_is_kept(embedder, encoding_format):
    """However many requests it takes, and however vectors are written; usage is what one request would have."""
    model = model_at(embedder)
    texts = [f"{text} Number {number}." for number in range(3) for text in TEXTS]
    whole = await embed_many(model, texts)
    options = EmbeddingOptions(encoding_format=encoding_format, max_batch_size=5, max_concurrent_requests=2)
    parts = await embed_many(model, texts, options)
    assert all(isinstance(one, str) for one in parts.embeddings) is (encoding_format == "base64")
    assert parts.usage == whole.usage
    for place, vector in enumerate(parts.vectors):
        likeness = [cosine(vector, other) for other in whole.vectors]
        assert max(range(len(texts)), key=likeness.__getitem__) == place
        assert likeness[place] == pytest.approx(1, abs=1e-3)


async def test_base64_has_the_same_numbers(embedder):
    """Those of JSON, rounded to 32 bits."""
    model = model_at(embedder)
    floats = await embed(model, TEXTS[0], EmbeddingOptions(encoding_format="float"))
    packed = await embed(model, TEXTS[0], EmbeddingOptions(encoding_format="base64"))
    assert isinstance(packed.embedding, str)
    rounded = struct.unpack(f"{SIZE}f", struct.pack(f"{SIZE}f", *floats.vector))
    assert packed.vector == pytest.approx(rounded, abs=1e-4)


async def test_a_length_that_the_server_does_not_give_is_found_out(embedder):
    """It ignores ``dimensions``; its own length may be asked for."""
    model = model_at(embedder)
    assert len((await embed(model, "a", EmbeddingOptions(dimensions=SIZE))).vector) == SIZE
    with pytest.raises(InvalidResponseError, match=f"expected embeddings of 64 numbers, received {SIZE}"):
        await embed(model, "a", EmbeddingOptions(dimensions=64))


async def test_a_text_that_is_too_long_is_an_error_with_the_servers_words(embedder):
    """And ends the whole call, without a retry."""
    options = EmbeddingOptions(max_batch_size=1, max_retries=0)
    with pytest.raises(ApiStatusError, match="3001 tokens"):
        await embed_many(model_at(embedder), ["short", "word " * 3000, "short"], options)


async def test_a_wrong_key_is_an_error_that_does_not_tell_it(embedder):
    """401, with the endpoint."""
    with pytest.raises(ApiStatusError, match=f"{embedder.base_url}/embeddings") as caught:
        await embed(model_at(embedder, "sk-wrong-key-123"), "a")
    assert caught.value.status == 401
    assert "sk-wrong-key-123" not in str(caught.value)


@pytest.mark.parametrize("how", ["abort", "cancel"])
async def test_a_call_that_is_given_up_leaves_nothing_busy(embedder, how):
    """The server is idle soon, no request is left, and the next one is answered."""
    model, abort = model_at(embedder), trio.Event()
    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=3, abort=abort)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def stop_soon():
                while not await embedder.busy_slots():  # noqa: ASYNC110 - the server has no event for us
                    await trio.sleep(0.005)
                abort.set() if how == "abort" else scope.cancel()

            try:
                await embed_many(model, ["word " * 20] * 60, options)
            except AbortedError:
                assert how == "abort"
            else:
                raise AssertionError("it was not given up")
    assert scope.cancelled_caught is (how == "cancel")
    assert current_pool().statistics().in_flight == 0
    await embedder.wait_until_idle(30)
    assert len((await embed(model, "a")).vector) == SIZE


async def test_the_server_dying_is_an_error():
    """kill -9 while it works on a batch."""
    server = start_llama("--embeddings")
    try:
        options = EmbeddingOptions(max_batch_size=1, max_retries=0)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def kill_soon():
                    while not await server.busy_slots():  # noqa: ASYNC110 - the server has no event for us
                        await trio.sleep(0.005)
                    server.process.send_signal(signal.SIGKILL)

                with pytest.raises(TransportError, match=server.base_url):
                    await embed_many(model_at(server), ["word " * 20] * 60, options)
    finally:
        stop(server)
