"""Answers of any kind: the same batch for any order, and nothing but our own errors for anything else."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import AgentrioError, InvalidResponseError
from runtime.testing.strategies import json_values
from runtime.values.embeddings import EmbeddingBatch
from tests.providers.embedding_lab import KEY, answer, item, packed, read

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FORMATS = st.none() | st.sampled_from(["float", "base64"])
ODD = (
    json_values()
    | st.floats()
    | st.integers(-2, 3)
    | st.just(10**400)
    | st.lists(st.floats() | st.integers() | st.none(), max_size=3)
    | st.text("ABCDabcd0189+/=", max_size=12)
    | st.lists(st.floats(width=32), min_size=1, max_size=3).map(packed)
)
PLACES = st.sampled_from([
    ("data",), ("data", 0), ("data", 0, "index"), ("data", 0, "embedding"), ("data", 1, "embedding", 0),
    ("model",), ("usage",), ("usage", "prompt_tokens"), ("usage", "total_tokens"),
])  # fmt: skip


@st.composite
def vectors(draw, min_size=1, max_size=12):
    """Some vectors of one length."""
    length = draw(st.integers(1, 5))
    vector = st.lists(NUMBERS, min_size=length, max_size=length)
    return draw(st.lists(vector, min_size=min_size, max_size=max_size))


@given(vectors(), FORMATS, st.randoms(use_true_random=False), st.booleans())
def test_any_order_of_the_answer_is_the_same_batch(wanted, encoding_format, chance, as_text):
    """The index alone says which text a vector belongs to, as numbers and as text."""
    data = [item(index, packed(one) if as_text else one) for index, one in enumerate(wanted)]
    chance.shuffle(data)
    batch = read(answer(data=data), len(wanted), encoding_format=encoding_format)
    assert batch.vectors == tuple(map(tuple, wanted))
    assert all(isinstance(one, str) for one in batch.embeddings) is (as_text and encoding_format == "base64")


@given(vectors(min_size=2), st.data())
def test_a_vector_too_many_too_few_or_twice_is_never_taken(wanted, data):
    """Any change to the indices is found out."""
    items = [item(index, one) for index, one in enumerate(wanted)]
    place = data.draw(st.integers(0, len(items) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "rename"]))
    if change == "drop":
        del items[place]
    elif change == "double":
        items.append(items[place])
    else:
        other = data.draw(st.integers(-3, len(items) + 3).filter(lambda index: index != place))
        items[place] = item(other, wanted[place])
    random.Random(0).shuffle(items)
    try:
        read(answer(data=items), len(wanted))
    except InvalidResponseError as error:
        assert "indexed embeddings, received indices" in str(error)
    else:
        raise AssertionError("it was taken")


@given(st.lists(st.tuples(PLACES, ODD), max_size=2), FORMATS, st.none() | st.integers(1, 3))
def test_an_answer_with_anything_in_it_is_a_batch_or_one_of_our_errors(changes, encoding_format, dimensions):
    """Any value at any place. A batch is one: so many vectors, all of a length, all numbers, fit to be written."""
    changed = answer([1.0, 2.0], packed([3.0, 4.0]) if encoding_format == "base64" else [3.0, 4.0])
    for path, value in changes:
        put(changed, path, value)
    check(json.dumps(changed).encode(), 2, encoding_format=encoding_format, dimensions=dimensions)


@given(ODD)
def test_any_json_is_one_of_our_errors(value):
    """Whatever it is."""
    check(json.dumps(value).encode(), 1)


@given(
    st.binary() | st.text().map(str.encode) | st.binary().map(lambda tail: b'{"data":[{"embedding":' + tail)
)
def test_any_bytes_are_a_batch_or_one_of_our_errors(body):
    """Also what is no JSON."""
    check(body, 1)


def put(value, path, new):
    """Put a value at a place, if that is still there."""
    *before, last = path
    try:
        for step in before:
            value = value[step]
        value[last] = new
    except (LookupError, TypeError):
        pass


def check(body, texts, **options):
    try:
        batch = read(body, texts, **options)
    except AgentrioError as error:
        assert KEY not in str(error)
        return
    assert len(batch.embeddings) == texts
    assert len({len(vector) for vector in batch.vectors}) == 1
    assert EmbeddingBatch.model_validate_json(batch.model_dump_json()) == batch
