"""Many requests for one call, over HTTP: order, how many at a time, and that all end together."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.pool import current_pool
from runtime.errors import AbortedError, ApiStatusError
from runtime.streams.embeddings import embed_many
from runtime.testing import cancel_everywhere
from runtime.values.embeddings import EmbeddingUsage
from runtime.values.options import EmbeddingOptions
from tests.providers.embedding_lab import at_once, model_at, serve_embeddings, vector
from tests.providers.loopback import raw, reply, serve


def texts_of(count):
    return [f"text {number} " + "x" * number for number in range(count)]


def vectors_of(texts):
    return tuple(tuple(vector(text)) for text in texts)


def requests_in_flight():
    left = current_pool().statistics()
    return left.in_flight + left.waiting


async def test_the_first_request_may_answer_last():
    """The server answers in the opposite order, once all requests are here; the vectors are in the order of the texts."""
    texts = texts_of(8)
    answered = [trio.Event() for _ in range(5)]
    answered[4].set()

    async def before(batch):
        place = texts.index(batch[0]) // 2
        await answered[place + 1].wait()
        answered[place].set()

    options = EmbeddingOptions(max_batch_size=2, max_concurrent_requests=4)
    async with serve_embeddings(before) as embedder:
        with trio.fail_after(5):
            batch = await embed_many(model_at(embedder.server.url), texts, options)
    assert batch.embeddings == vectors_of(texts)
    assert (batch.model, batch.usage) == ("m-2026", EmbeddingUsage(23, 23))
    assert sorted(embedder.inputs) == sorted(texts[place : place + 2] for place in (0, 2, 4, 6))


@pytest.mark.parametrize("at_a_time", [1, 3, 50])
async def test_the_server_never_sees_more_requests_than_allowed(at_a_time):
    """And it sees that many, if there are so many."""
    expected = min(at_a_time, 10)
    here = trio.Event()

    async def before(batch):
        if embedder.busy == expected:
            here.set()
        await here.wait()
        await trio.lowlevel.checkpoint()

    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=at_a_time)
    async with serve_embeddings(before) as embedder:
        with trio.fail_after(5):
            await embed_many(model_at(embedder.server.url), texts_of(10), options)
        assert embedder.busiest == expected
        assert len(embedder.server.wires) == expected  # connections are used again


async def test_five_thousand_texts_are_within_the_limits_of_the_api():
    """At most 2048 in each request; every one of them gets its own vector, as text or as numbers."""
    texts = [f"{number}" for number in range(5000)]
    async with serve_embeddings() as embedder:
        model = model_at(embedder.server.url)
        batch = await embed_many(model, texts)
        packed = await embed_many(model, texts, EmbeddingOptions(encoding_format="base64"))
    assert batch.embeddings == packed.vectors == vectors_of(texts)
    assert max(map(len, embedder.inputs)) <= 2048


@settings(max_examples=15)
@given(
    st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=9), st.integers(1, 4), st.integers(1, 4)
)
def test_any_texts_come_back_in_order(texts, size, at_a_time):
    """Over the wire, whatever is in them."""

    async def main():
        options = EmbeddingOptions(max_batch_size=size, max_concurrent_requests=at_a_time)
        async with serve_embeddings() as embedder:
            batch = await embed_many(model_at(embedder.server.url), texts, options)
        assert batch.embeddings == vectors_of(texts)
        assert sorted(text for batch in embedder.inputs for text in batch) == sorted(texts)

    trio.run(main)


async def test_a_request_that_fails_ends_the_others():
    """Its error leaves as itself, and the connections of the others are closed."""

    hang = raw(b"", hang=True)
    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=3)
    async with serve(hang, hang, reply("no more", 400)) as server:
        with trio.fail_after(5), pytest.raises(ApiStatusError, match="no more"):
            await embed_many(model_at(server.url), list("abcdef"), options)
        assert len(server.requests) == 3
        assert requests_in_flight() == 0
        await server.wait_closed(but=1)  # the one that was answered may be used again


# Abort and cancel


@pytest.mark.parametrize("how", ["abort", "cancel", "deadline"])
async def test_requests_under_way_are_given_up(how):
    """An abort is AbortedError, a cancellation goes on; the server sees all connections close."""
    abort, scope = trio.Event(), trio.CancelScope()
    cuts = {"abort": abort.set, "cancel": scope.cancel, "deadline": lambda: setattr(scope, "deadline", 0)}

    async def hang(wire):
        if len(server.requests) == 3:
            cuts[how]()
        await wire.wait_closed()

    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=3, abort=abort)
    async with serve(hang, repeat=True) as server:
        aborted = False
        with trio.fail_after(5), scope:
            try:
                await embed_many(model_at(server.url), list("abcde"), options)
            except AbortedError:
                aborted = True
        assert (aborted, scope.cancelled_caught) == (how == "abort", how != "abort")
        assert requests_in_flight() == 0
        assert len(server.requests) == 3
        await server.wait_closed()


TEXTS = texts_of(3)


async def embedding(cutter):
    """Three requests, two at a time, the first of which has to be tried again; then another call on the same pool."""
    abort, ended = trio.Event(), "cancelled"
    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=2, abort=abort)
    async with serve_embeddings(at_once, reply("busy", 429, retry_after_ms="1")) as embedder:
        model = model_at(embedder.server.url)
        with trio.CancelScope() as scope:
            cutter.arm(abort=abort.set, cancel=scope.cancel)
            try:
                ended = (await embed_many(model, TEXTS, options)).vectors
            except AbortedError:
                ended = "aborted"
            finally:
                cutter.disarm()
        in_flight = requests_in_flight()
        with trio.fail_after(5):
            for wire in embedder.server.wires:
                if wire.busy:
                    await wire.closed.wait()
        assert (await embed_many(model, ["again"])).vectors == vectors_of(["again"])
    return ended, in_flight, abort.is_set(), scope.cancel_called


def nothing_is_left(result):
    ended, in_flight, aborted, cancelled = result
    assert in_flight == 0
    assert (
        ended == vectors_of(TEXTS) or (ended == "aborted" and aborted) or (ended == "cancelled" and cancelled)
    )


def test_a_call_can_be_cut_anywhere():
    """At every step of its tasks: it ends with all its vectors, as aborted or as cancelled, and no connection is in use."""
    report = cancel_everywhere(embedding, nothing_is_left, clock=lambda: None)
    assert set(report.cuts) == {"abort", "cancel"}
    assert min(report.cuts.values()) > 30
