"""From the answer to an embeddings request to its vectors: nothing in it is trusted."""

from typing import Any

from providers.document import Document
from providers.loose_json import text_at, whole_number
from providers.token_counts import count, details, told_count
from runtime.values.embeddings import EmbeddingBatch, EmbeddingUsage, size_of, vector_of
from runtime.values.model import Model
from runtime.values.options import EmbeddingOptions

REFUSAL = "could not decode embeddings response"
_SHOWN_INDICES = 20
_LARGEST_INDEX = 2**53

Vector = str | tuple[float, ...]


def read_embeddings(
    document: Document, model: Model, texts: int, options: EmbeddingOptions
) -> EmbeddingBatch:
    """The vectors of so many texts, in their order; InvalidResponseError if one is missing, or is no vector.

    Each has ``options.dimensions`` numbers, or else as many as the others. What came as base64 stays text where
    ``options.encoding_format`` asks for that, and is numbers otherwise.
    """
    answer = document.json(REFUSAL)
    try:
        items = _in_order(answer, texts)
        as_text = options.encoding_format == "base64"
        vectors = [_vector(index, item, as_text=as_text) for index, item in enumerate(items)]
        _check_sizes(vectors, options.dimensions)
    except ValueError as error:
        raise document.invalid(str(error)) from error
    served_by = document.request.redactor.known(text_at(answer, "model"))
    return EmbeddingBatch(vectors, served_by or model.id, _usage(details(answer, "usage")))


def _in_order(answer: Any, texts: int) -> list[dict[str, Any]]:
    items = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{REFUSAL}: there is no list of objects called data")
    ordered = sorted((_index(item, position), position) for position, item in enumerate(items))
    if [index for index, _ in ordered] != list(range(texts)):
        shown = ", ".join(str(_index(item, position)) for position, item in enumerate(items[:_SHOWN_INDICES]))
        more = ", ..." if len(items) > _SHOWN_INDICES else ""
        raise ValueError(f"expected {texts} indexed embeddings, received indices [{shown}{more}]")
    return [items[position] for _, position in ordered]


def _index(item: dict[str, Any], position: int) -> int:
    """Which text it belongs to. Some servers leave that out where it is 0 (Google's), others everywhere: then the order says it."""
    index = item.get("index")
    number = position if index is None else whole_number(index)
    if number is None or abs(number) > _LARGEST_INDEX:
        raise ValueError(f"{REFUSAL}: the index of data[{position}] is no whole number")
    return number


def _vector(index: int, item: dict[str, Any], *, as_text: bool) -> Vector:
    embedding = item.get("embedding")
    try:
        if not isinstance(embedding, str):
            _check_numbers(embedding)
        numbers = vector_of(embedding)  # type: ignore[arg-type]  # just checked
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{REFUSAL}: the embedding of index {index} is no vector: {error}") from error
    return embedding if as_text and isinstance(embedding, str) else numbers


def _check_numbers(embedding: Any) -> None:
    if not isinstance(embedding, list) or not set(map(type, embedding)) <= {int, float}:
        raise ValueError("it is neither a list of numbers nor a text")


def _check_sizes(vectors: list[Vector], dimensions: int | None) -> None:
    expected = dimensions or size_of(vectors[0])
    for index, vector in enumerate(vectors):
        if size_of(vector) != expected:
            raise ValueError(
                f"expected embeddings of {expected} numbers, received {size_of(vector)} for index {index}"
            )


def _usage(told: dict[str, Any]) -> EmbeddingUsage:
    prompt, total = count(told, "prompt_tokens"), told_count(told.get("total_tokens"))
    return EmbeddingUsage(prompt, prompt if total is None else total)
