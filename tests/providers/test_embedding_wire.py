"""The embeddings API without a network: what is sent, and what becomes of an answer."""

import json
import math

import pytest

from providers.access import Access
from providers.openai.embedding_api import embedding_headers, embedding_payload
from runtime.errors import InvalidResponseError
from runtime.values.embeddings import EmbeddingUsage
from runtime.values.options import EmbeddingOptions
from tests.providers.embedding_lab import KEY, PROXY, answer, item, model_at, packed, read

BEGIN = "invalid provider response: could not decode embeddings response: "
NAN, INF = math.nan, math.inf

# Requests


def test_a_payload_has_what_is_set():
    """The input is always a list; options that are not set are not mentioned."""
    assert embedding_payload(model_at(), ["a"], EmbeddingOptions()) == {"model": "m", "input": ["a"]}
    options = EmbeddingOptions(dimensions=3, encoding_format="base64", user="u")
    assert embedding_payload(model_at(), ("a", "b"), options) == {
        "model": "m",
        "input": ["a", "b"],
        "dimensions": 3,
        "encoding_format": "base64",
        "user": "u",
    }


def test_headers_come_in_layers():
    """The call's over the model's over the handle's; None removes one, also the key's."""
    model = model_at(headers={"X-Model": "1", "X-Both": "model"})
    access = Access(headers={"X-Handle": "1", "X-Both": "handle"})
    options = EmbeddingOptions(headers={"x-both": "call", "X-Handle": None})
    assert embedding_headers(model, options, access, KEY) == {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        "x-model": "1",
        "x-both": "call",
    }
    bare = EmbeddingOptions(headers={"Authorization": None})
    assert "authorization" not in embedding_headers(model_at(), bare, Access(), KEY)
    assert "authorization" not in embedding_headers(model_at(), EmbeddingOptions(), Access(), None)


# Answers


def test_vectors_come_in_the_order_of_the_texts():
    """Whatever the order of the answer; model and usage are the answer's."""
    batch = read(answer(data=[item(1, [0.5, 1]), item(0, [0.25, -1e-9])]), 2)
    assert batch.embeddings == ((0.25, -1e-9), (0.5, 1.0))
    assert (batch.model, batch.usage) == ("m-served", EmbeddingUsage(3, 4))


@pytest.mark.parametrize("fields", [{"model": None}, {"model": ""}, {"model": 5}])
def test_the_model_that_was_asked_stands_in(fields):
    """Where the answer names none."""
    assert read(answer([1.0], **fields)).model == "m"


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, (0, 0)),
        ("many", (0, 0)),
        ({"prompt_tokens": 5, "total_tokens": 6}, (5, 6)),
        ({"prompt_tokens": 5}, (5, 5)),
        ({"prompt_tokens": 5.0, "total_tokens": None}, (5, 5)),
        ({"prompt_tokens": -1, "total_tokens": "6"}, (0, 0)),
        ({"prompt_tokens": 5, "total_tokens": 10**400}, (5, 5)),
    ],
)
def test_usage_is_read_loosely(usage, counted):
    """Vectors are not thrown away because of a wrong count."""
    assert read(answer([1.0], usage=usage)).usage == EmbeddingUsage(*counted)


@pytest.mark.parametrize("index", [(None, 1), (None, None), (0, None)])
def test_an_index_that_is_left_out_is_the_position(index):
    """Servers leave out a 0, or all of them; null is no index either."""
    first, second = item(index[0], [1.0]), item(index[1], [2.0])
    for data in (
        [first, second],
        [{k: v for k, v in one.items() if v is not None} for one in (first, second)],
    ):
        assert read(answer(data=data), 2).embeddings == ((1.0,), (2.0,))


def test_base64_stays_text_where_it_was_asked_for():
    """Otherwise floats are what comes of it; floats are floats either way."""
    text = packed([1.0, -2.5])
    data = answer(text, [1.0, -2.5])
    assert read(data, 2, encoding_format="base64").embeddings == (text, (1.0, -2.5))
    for options in ({}, {"encoding_format": "float"}):
        assert read(data, 2, **options).embeddings == ((1.0, -2.5), (1.0, -2.5))


@pytest.mark.parametrize(
    ("indices", "shown"),
    [
        ((0, 0), "0, 0"),
        ((1, 2), "1, 2"),
        ((-1, 0), "-1, 0"),
        ((0,), "0"),
        ((0, 1, 2), "0, 1, 2"),
        ((0, 1, 1), "0, 1, 1"),
        ((1, None), "1, 1"),
        ((), ""),
        (range(100), ", ".join(map(str, range(20))) + ", ..."),
    ],
)
def test_one_vector_for_each_text_or_none(indices, shown):
    """Missing, doubled and foreign indices are refused, and shown."""
    data = answer(data=[item(index, [1.0]) for index in indices])
    with pytest.raises(InvalidResponseError) as caught:
        read(data, 2)
    assert str(caught.value).startswith(
        f"invalid provider response: expected 2 indexed embeddings, received indices [{shown}] "
        f"(POST {PROXY}/embeddings; application/json came: "
    )


@pytest.mark.parametrize("index", ["0", True, 0.5, [], 10**400, -(10**30), 1e300])
def test_an_index_is_a_whole_number(index):
    """Nothing else is one, and nothing that cannot be shown."""
    with pytest.raises(InvalidResponseError, match=r"the index of data\[1\] is no whole number") as caught:
        read(answer(data=[item(0, [1.0]), item(index, [1.0])]), 2)
    assert str(caught.value).startswith(BEGIN)


@pytest.mark.parametrize(
    "data", [None, {}, "x", 5, [5], [None], ["AACAPw=="], [[1.0]]], ids=lambda data: str(data)
)
def test_the_vectors_are_in_a_list_of_objects(data):
    """Called data."""
    with pytest.raises(InvalidResponseError, match="there is no list of objects called data"):
        read(answer(data=data))


@pytest.mark.parametrize("document", [b"", b"null", b"[]", b"5", b'"x"'])
def test_an_answer_is_an_object(document):
    """No other JSON is one, and neither is nothing."""
    with pytest.raises(InvalidResponseError) as caught:
        read(document)
    assert str(caught.value).startswith(BEGIN)


@pytest.mark.parametrize(
    ("embedding", "why"),
    [
        (None, "neither a list of numbers nor a text"),
        (5, "neither"),
        ({"0": 1}, "neither"),
        ([None], "neither"),
        (["1"], "neither"),
        ([True], "neither"),
        ([[1.0]], "neither"),
        ([], "it is empty"),
        ("", "it is empty"),
        ([1.0, 10**400], "too large"),
        (packed([1.0, NAN]), "its number 1 is nan"),
        (packed([-INF]), "its number 0 is -inf"),
        ("AACA", "its 3 bytes are no row of 32-bit floats"),
        ("Bearer caf\u00e9", "ASCII"),
    ],
)
@pytest.mark.parametrize("format_", ["float", "base64"])
def test_what_is_no_vector_is_refused_by_its_index(embedding, why, format_):
    """Whether it would be decoded or passed on."""
    with pytest.raises(InvalidResponseError, match=why) as caught:
        read(answer([1.0], embedding), 2, encoding_format=format_)
    assert str(caught.value).startswith(f"{BEGIN}the embedding of index 1 is no vector: ")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_number_of_json_that_is_none_is_refused(number):
    """In the two ways of writing one."""
    document = json.dumps(answer([1.0, 2.0])).replace("2.0", number).encode()
    with pytest.raises(InvalidResponseError) as caught:
        read(document)
    assert str(caught.value).startswith(BEGIN)


@pytest.mark.parametrize(
    ("embeddings", "dimensions", "told"),
    [
        (([1.0, 2.0], [1.0]), None, "expected embeddings of 2 numbers, received 1 for index 1"),
        (([1.0], packed([1.0, 2.0])), None, "expected embeddings of 1 numbers, received 2 for index 1"),
        (([1.0, 2.0],), 3, "expected embeddings of 3 numbers, received 2 for index 0"),
        (
            (packed([1.0] * 5), packed([1.0] * 4)),
            4,
            "expected embeddings of 4 numbers, received 5 for index 0",
        ),
    ],
)
@pytest.mark.parametrize("format_", ["float", "base64"])
def test_vectors_have_the_length_that_was_asked_for(embeddings, dimensions, told, format_):
    """And all the same."""
    with pytest.raises(InvalidResponseError, match=told):
        read(answer(*embeddings), len(embeddings), dimensions=dimensions, encoding_format=format_)


def test_no_part_of_an_answer_shows_the_key():
    """Servers repeat what they were sent: in a name, in a vector, in a page, in an index."""
    assert read(answer([1.0], model=f"model of {KEY}")).model == "model of ***"
    for wrong in (
        answer(KEY),
        answer([KEY]),
        answer(data=[item(KEY, [1.0])]),
        answer(data=KEY),
        f"<html>{KEY}</html>".encode(),
    ):
        with pytest.raises(InvalidResponseError) as caught:
            read(wrong)
        assert KEY not in str(caught.value)
        assert KEY not in repr(caught.value.__cause__)


def test_a_failure_that_is_told_in_a_success_is_quoted():
    """Its words are in the error."""
    with pytest.raises(InvalidResponseError, match="the model is overloaded"):
        read({"error": {"message": "the model is overloaded"}})
