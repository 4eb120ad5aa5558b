"""Embedding over any API: batches, order, how many at a time, and how it ends."""

from collections.abc import Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.errors import (
    AbortedError,
    InvalidOptionError,
    InvalidResponseError,
    TransportError,
    UnsupportedModelError,
)
from runtime.streams.embeddings import batches_of, embed, embed_many
from runtime.streams.provider import EmbeddingModelApi
from runtime.testing import cancel_everywhere
from runtime.values.embeddings import EmbeddingBatch, EmbeddingUsage
from runtime.values.model import Bindings, Model
from runtime.values.options import EmbeddingOptions, StreamOptions

ONE = EmbeddingUsage(1, 2)


def vector(text):
    """A vector that tells its text."""
    return [float(len(text)), float(sum(map(ord, text)))]


async def at_once(texts):
    await trio.lowlevel.checkpoint()


class Api:
    """Answers each request when its turn comes, and remembers what was under way at a time."""

    id = "test-embeddings"

    def __init__(self, answer: Callable[[list[str]], object] | None = None, wait=at_once):
        self.requests = []
        self.busy = 0
        self.busiest = 0
        self._answer = answer or (
            lambda texts: EmbeddingBatch([vector(text) for text in texts], "served", ONE)
        )
        self._wait = wait

    async def embed_many(self, model, texts, options):
        self.requests.append(list(texts))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self._wait(texts)
            return self._answer(texts)
        finally:
            self.busy -= 1

    @property
    def model(self):
        return Model("m", provider="p").bound(Bindings(embeddings=self))


def run(call, *args):
    return trio.run(call, *args, clock=MockClock(autojump_threshold=0))


# Input


async def test_no_text_is_refused_before_anything_else():
    """Also by a model that has no embedding API."""
    for model in (Model("m"), Api().model):
        with pytest.raises(InvalidOptionError, match="^embedding input must contain at least one string$"):
            await embed_many(model, [])


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ("text", "texts must be a sequence of strings, not str"),
        (None, "texts must be a sequence of strings, not NoneType"),
        ({"a"}, "texts must be a sequence of strings, not set"),
        (iter("ab"), "texts must be a sequence of strings, not str_"),
        (["a", 5], r"texts\[1\] must be a string, not int"),
        ([b"a"], r"texts\[0\] must be a string, not bytes"),
        (b"ab", r"texts\[0\] must be a string, not int"),
        (["a", "b", ""], r"texts\[2\] is empty"),
        (["\ud83d"], r"texts\[0\] is empty"),
    ],
)
async def test_what_is_no_text_is_refused_by_its_place(texts, why):
    """Nothing is sent then; half of a character is nothing."""
    api = Api()
    with pytest.raises(InvalidOptionError, match=why):
        await embed_many(api.model, texts)
    assert api.requests == []


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "is empty"), (None, "must be a string, not NoneType"), (["a"], "must be a string, not list")],
)
async def test_one_text_is_checked_by_its_own_name(text, why):
    """``embed`` takes one string."""
    with pytest.raises(InvalidOptionError, match=f"^text {why}"):
        await embed(Api().model, text)


async def test_a_model_without_the_api_is_refused():
    """By what it cannot do."""
    with pytest.raises(UnsupportedModelError, match="^provider p does not support embedding models$"):
        await embed(Model("m", provider="p"), "text")


@pytest.mark.parametrize(
    "args", [("m", ["a"]), (Api().model, ["a"], StreamOptions()), (Api().model, ["a"], {})]
)
async def test_arguments_of_other_types_are_refused(args):
    """The options of a chat are none for this."""
    with pytest.raises(InvalidOptionError, match="(model|options) must be"):
        await embed_many(*args)


async def test_halves_of_characters_are_left_out():
    """The rest of the text is sent."""
    api = Api()
    await embed_many(api.model, ["a\ud83d", "\ud83d\ude00"])
    assert api.requests == [["a", "\U0001f600"]]


async def test_the_api_is_one_by_its_methods():
    """A class of anybody's own will do."""
    assert isinstance(Api(), EmbeddingModelApi)


# Batches


async def test_one_text_is_a_batch_of_one():
    """``embed`` gives its vector, the model that answered, and the usage."""
    one = await embed(Api().model, "ab")
    assert (one.embedding, one.model, one.usage) == ((2.0, 195.0), "served", ONE)


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(1, 7), st.none() | st.integers(1, 20))
def test_batches_hold_all_texts_in_order_within_the_limits(texts, size, tokens):
    """Joined they are the texts; none is empty, or larger than allowed, unless a single text is."""
    batches = list(batches_of(texts, EmbeddingOptions(max_batch_size=size, max_batch_tokens=tokens)))
    assert [text for batch in batches for text in batch] == texts
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert tokens is None or len(batch) == 1 or sum(len(text.encode()) for text in batch) <= tokens
    for batch, following in zip(batches, batches[1:], strict=False):  # no batch is smaller than it must be
        larger = [*batch, following[0]]
        assert len(larger) > size or (tokens and sum(len(text.encode()) for text in larger) > tokens)


def test_the_limits_are_within_openais():
    """2048 texts and 300,000 tokens, whatever the texts are."""
    texts = ["\u4e2d" * 50_000, *["x"] * 5000]
    batches = list(batches_of(texts, EmbeddingOptions()))
    assert max(map(len, batches)) <= 2048
    assert all(sum(len(text.encode()) for text in batch) <= 300_000 for batch in batches)


@given(st.data(), st.integers(1, 40), st.integers(1, 5), st.integers(1, 6))
def test_the_order_is_that_of_the_texts_whoever_answers_first(data, count, size, at_a_time):
    """Any delays give the same vectors; never are more requests under way than allowed; usage is the sum."""
    texts = [f"text {number}" for number in range(count)]
    delays = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))

    async def wait(batch):
        await trio.sleep(delays[texts.index(batch[0])])

    api = Api(wait=wait)
    options = EmbeddingOptions(max_batch_size=size, max_concurrent_requests=at_a_time)
    batch = run(embed_many, api.model, texts, options)
    assert batch.embeddings == tuple(tuple(vector(text)) for text in texts)
    requests = -(-count // size)
    assert len(api.requests) == requests
    assert api.busiest == min(requests, at_a_time)
    assert batch.usage == EmbeddingUsage(requests, 2 * requests)


async def test_text_vectors_are_joined_as_they_are():
    """Base64 of several requests stays base64."""
    api = Api(lambda texts: EmbeddingBatch(["AACAPw=="] * len(texts), "m"))
    batch = await embed_many(api.model, ["a", "b", "c"], EmbeddingOptions(max_batch_size=1))
    assert batch.embeddings == ("AACAPw==",) * 3
    assert batch.vectors == ((1.0,),) * 3


# Failures


@pytest.mark.parametrize(
    ("vectors", "why"),
    [
        ([], "embedding response contained no data"),
        ([[1.0]] * 3, "expected 2 embeddings, received 3"),
        ([[1.0]], "expected 2 embeddings, received 1"),
    ],
)
async def test_an_api_that_loses_vectors_is_found_out(vectors, why):
    """Whoever wrote it."""
    api = Api(lambda texts: EmbeddingBatch(vectors, "m"))
    with pytest.raises(InvalidResponseError, match=f"^invalid provider response: {why}$"):
        await embed_many(api.model, ["a", "b"])


@pytest.mark.parametrize("other", [[1.0, 2.0, 3.0], "AACAPw=="])
async def test_requests_must_agree_on_the_length(other):
    """A server that changes its model in between gives no batch."""
    api = Api(lambda texts: EmbeddingBatch([[1.0, 2.0] if texts == ["a"] else other], "m"))
    with pytest.raises(InvalidResponseError, match=r"gave vectors of \[(1, 2|2, 3)\] numbers"):
        await embed_many(api.model, ["a", "b"], EmbeddingOptions(max_batch_size=1))


async def test_the_first_failure_ends_the_others_and_leaves_as_itself(autojump_clock):
    """The error of one request, not a group; what was under way is cancelled, what waited is not sent."""

    async def wait(texts):
        await trio.sleep(1 if texts == ["b"] else 100)
        raise error

    error = TransportError("broken")
    api = Api(wait=wait)
    with pytest.raises(TransportError) as caught:
        await embed_many(
            api.model, list("abcdef"), EmbeddingOptions(max_batch_size=1, max_concurrent_requests=3)
        )
    assert caught.value is error
    assert trio.current_time() < 100
    assert (api.requests, api.busy) == ([["a"], ["b"], ["c"]], 0)


# Abort and cancel


async def test_an_abort_set_beforehand_sends_nothing():
    """Not even the key is looked for."""
    api, abort = Api(), trio.Event()
    abort.set()
    with pytest.raises(AbortedError, match="^request was cancelled$"):
        await embed_many(api.model, ["a"], EmbeddingOptions(abort=abort))
    assert api.requests == []


async def test_an_abort_ends_all_requests(nursery):
    """Those under way are cancelled, those that wait are not sent."""

    async def wait(texts):
        await trio.sleep_forever()

    api, abort = Api(wait=wait), trio.Event()
    options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=2, abort=abort)

    @nursery.start_soon
    async def later():
        await wait_all_tasks_blocked()
        assert api.busy == 2
        abort.set()

    with trio.fail_after(5), pytest.raises(AbortedError):
        await embed_many(api.model, ["a", "b", "c"], options)
    assert (api.busy, len(api.requests)) == (0, 2)


async def test_an_abort_that_comes_too_late_changes_nothing():
    """All answers were here."""
    abort = trio.Event()

    def answer(texts):
        abort.set()
        return EmbeddingBatch([[1.0]], "m")

    assert (await embed(Api(answer).model, "a", EmbeddingOptions(abort=abort))).vector == (1.0,)


def test_a_cut_anywhere_leaves_no_request():
    """Cancelled at any step, it is the cancellation that leaves; aborted at any step, it is AbortedError, or all the vectors."""
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]

    async def scenario(cutter):
        api, abort, outcome = Api(), trio.Event(), "cancelled"
        options = EmbeddingOptions(max_batch_size=1, max_concurrent_requests=2, abort=abort)
        with trio.CancelScope() as scope:
            cutter.arm(cancel=scope.cancel, abort=abort.set)
            try:
                outcome = (await embed_many(api.model, texts, options)).vectors
            except AbortedError:
                outcome = "aborted"
            finally:
                cutter.disarm()
        return outcome, api.busy, abort.is_set(), scope.cancel_called

    def check(result):
        outcome, busy, aborted, cancelled = result
        assert busy == 0
        assert (
            outcome == tuple(tuple(vector(text)) for text in texts)
            or (outcome == "aborted" and aborted)
            or (outcome == "cancelled" and cancelled)
        )

    assert cancel_everywhere(scenario, check).total > 20
