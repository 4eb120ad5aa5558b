"""Embedding texts: ``embed`` and ``embed_many``, in as many requests as it takes."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from runtime.errors import InvalidOptionError, InvalidResponseError, UnsupportedModelError
from runtime.nurseries import SingleVoiceNursery
from runtime.values.checks import check_type
from runtime.values.embeddings import Embedding, EmbeddingBatch, EmbeddingUsage, size_of
from runtime.values.model import Model
from runtime.values.options import EmbeddingOptions
from runtime.values.text import clean_text

from .abort import or_aborted
from .provider import EmbeddingModelApi

Ask = Callable[[list[str]], Awaitable[EmbeddingBatch]]


async def embed(model: Model, text: str, options: EmbeddingOptions | None = None) -> Embedding:
    """The vector of one text. Raises what ``embed_many`` raises."""
    batch = await embed_many(model, [_checked_text("text", text)], options)
    return Embedding(batch.embeddings[0], batch.model, batch.usage)


async def embed_many(
    model: Model, texts: Sequence[str], options: EmbeddingOptions | None = None
) -> EmbeddingBatch:
    """The vectors of texts, in the order of the texts: all of them, or an exception.

    More texts than ``options.max_batch_size`` and ``max_batch_tokens`` allow go in several requests, of which
    ``max_concurrent_requests`` are under way at a time; the first one that fails ends the others. Usage is the sum.
    Cancelled, it leaves no connection in use.

    Before a request it raises InvalidOptionError (no texts, or one that is empty or no string), UnsupportedModelError
    and MissingApiKeyError; then ApiStatusError, TransportError and InvalidResponseError, and AbortedError when
    ``options.abort`` is set.
    """
    check_type("model", model, Model)
    check_type("options", options, EmbeddingOptions | None)
    options, cleaned = options or EmbeddingOptions(), _checked_texts(texts)
    ask = partial(_ask, embedding_api(model), model, options)
    batches = list(batches_of(cleaned, options))
    answers = await or_aborted(options.abort, partial(_gather, ask, batches, options.max_concurrent_requests))
    return answers[0] if len(answers) == 1 else _joined(answers)


def embedding_api(model: Model) -> EmbeddingModelApi:
    """The embedding API that a model is called through; UnsupportedModelError if it has none."""
    api = model.bindings.embeddings
    if not isinstance(api, EmbeddingModelApi):
        raise UnsupportedModelError.capability(model.provider, "embedding models")
    return api


def batches_of(texts: Sequence[str], options: EmbeddingOptions) -> Iterator[list[str]]:
    """The texts of each request, in order; one that is larger than a request may be is alone in its own."""
    batch: list[str] = []
    used = 0
    for text in texts:
        size = len(text.encode())  # no text has more tokens than bytes
        full = options.max_batch_tokens is not None and used + size > options.max_batch_tokens
        if batch and (full or len(batch) == options.max_batch_size):
            yield batch
            batch, used = [], 0
        batch.append(text)
        used += size
    yield batch


async def _gather(ask: Ask, batches: list[list[str]], at_a_time: int) -> list[EmbeddingBatch]:
    """The answers to all batches, in their order."""
    queue = iter(enumerate(batches))
    answers: dict[int, EmbeddingBatch] = {}

    async def work() -> None:
        for place, batch in queue:
            answers[place] = await ask(batch)

    async with SingleVoiceNursery() as nursery:
        for _ in range(min(len(batches), at_a_time)):
            nursery.start_soon(work)
    return [answers[place] for place in range(len(batches))]


async def _ask(
    api: EmbeddingModelApi, model: Model, options: EmbeddingOptions, texts: list[str]
) -> EmbeddingBatch:
    answer = await api.embed_many(model, texts, options)
    if not answer.embeddings:
        raise InvalidResponseError("embedding response contained no data")
    if len(answer.embeddings) != len(texts):
        raise InvalidResponseError(f"expected {len(texts)} embeddings, received {len(answer.embeddings)}")
    return answer


def _joined(answers: list[EmbeddingBatch]) -> EmbeddingBatch:
    """One batch of several, by the model that the first request was answered by."""
    sizes = {size_of(answer.embeddings[0]) for answer in answers}
    if len(sizes) > 1:
        raise InvalidResponseError(f"the requests of one call gave vectors of {sorted(sizes)} numbers")
    usage = EmbeddingUsage(
        sum(answer.usage.prompt_tokens for answer in answers),
        sum(answer.usage.total_tokens for answer in answers),
    )
    embeddings = tuple(vector for answer in answers for vector in answer.embeddings)
    return answers[0].model_copy(update={"embeddings": embeddings, "usage": usage})


def _checked_texts(texts: object) -> list[str]:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InvalidOptionError(f"texts must be a sequence of strings, not {type(texts).__name__}")
    if not texts:
        raise InvalidOptionError("embedding input must contain at least one string")
    return [_checked_text(f"texts[{place}]", text) for place, text in enumerate(texts)]


def _checked_text(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise InvalidOptionError(f"{name} must be a string, not {type(text).__name__}")
    if not (cleaned := clean_text(text)):
        raise InvalidOptionError(f"{name} is empty: there is nothing in it to embed")
    return cleaned
