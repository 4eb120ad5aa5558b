"""Vectors: numbers, and numbers packed into text."""

import base64
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime.errors import InvalidOptionError
from runtime.values.embeddings import Embedding, EmbeddingBatch, EmbeddingUsage, size_of, vector_of
from runtime.values.options import EmbeddingOptions, RequestOptions, StreamOptions

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = st.lists(FLOATS, min_size=1)


def packed(numbers):
    """As the API packs them: little-endian 32-bit floats, in base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@given(VECTORS)
@example([0.0, -0.0, 1.401298464324817e-45, 3.4028234663852886e38])
def test_packed_numbers_come_back_bit_for_bit(numbers):
    """Base64 and back is the same vector, signs of zeros and the smallest numbers included."""
    vector = vector_of(packed(numbers))
    assert [number.hex() for number in vector] == [number.hex() for number in numbers]
    assert size_of(packed(numbers)) == size_of(numbers) == len(numbers)


def test_the_byte_order_is_the_wires():
    """Little-endian, whatever this machine is: 1.0 is 00 00 80 3f."""
    assert vector_of("AACAPwAAAMA=") == (1.0, -2.0)


@given(st.text() | st.text("ABCDabcd0189+/=") | st.binary().map(lambda data: base64.b64encode(data).decode()))
def test_any_text_is_a_vector_or_a_value_error(text):
    """Nothing else comes of a text, and what comes is finite."""
    try:
        vector = vector_of(text)
    except ValueError:
        return
    assert packed(vector) == text or base64.b64decode(text) == base64.b64decode(packed(vector))


@pytest.mark.parametrize(
    ("embedding", "why"),
    [
        ("", "empty"),
        ([], "empty"),
        ("AACAPw", "[Pp]adding"),
        ("AACAPw==!", "[Ii]nvalid|[Ee]xcess|[Nn]on-base64|[Oo]nly|data"),
        ("AACA", "3 bytes are no row of 32-bit floats"),
        ("caf\u00e9", "ASCII"),
        (packed([1.0, float("nan")]), "number 1 is nan"),
        (packed([float("-inf")]), "number 0 is -inf"),
        ([0.5, float("inf")], "number 1 is inf"),
    ],
)
def test_what_is_no_vector_says_why(embedding, why):
    """The error names the place of a number, or what is wrong with the text."""
    with pytest.raises(ValueError, match=why):
        vector_of(embedding)


def test_the_numbers_of_a_result_are_there_however_they_came():
    """``vector`` and ``vectors`` are numbers; ``embedding`` and ``embeddings`` are what came."""
    one, other = Embedding([1, -2], "m"), Embedding("AACAPwAAAMA=", "m")
    assert one.vector == other.vector == one.embedding == (1.0, -2.0)
    assert other.embedding == "AACAPwAAAMA="
    batch = EmbeddingBatch([one.embedding, other.embedding], "m")
    assert batch.vectors == ((1.0, -2.0), (1.0, -2.0))
    with pytest.raises(ValueError, match="ASCII"):
        _ = Embedding("caf\u00e9", "m").vector


@given(st.lists(VECTORS | VECTORS.map(packed)), st.integers(0, 10**12))
def test_a_batch_comes_back_from_json(vectors, tokens):
    """Numbers as numbers, text as text."""
    batch = EmbeddingBatch(vectors, "m", EmbeddingUsage(tokens, tokens))
    assert EmbeddingBatch.model_validate_json(batch.model_dump_json()) == batch
    assert [type(vector) for vector in batch.embeddings] == [
        tuple if isinstance(vector, list) else str for vector in vectors
    ]


@pytest.mark.parametrize("embedding", [[True], ["1"], [None], None, 5, {"a": 1}, [float("nan")], [[1.0]]])
def test_a_vector_holds_numbers_only(embedding):
    """Neither flags nor digits pass for numbers."""
    with pytest.raises(ValidationError):
        Embedding(embedding, "m")


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("dimensions", value) for value in (0, -1, 1.0, True, "3")),
        *(("encoding_format", value) for value in ("int8", "", True)),
        *(("user", value) for value in (5, b"u")),
        *(
            (name, value)
            for name in ("max_batch_size", "max_concurrent_requests")
            for value in (0, -1, None, 2.0)
        ),
        *(("max_batch_tokens", value) for value in (0, -1, 2.0, "1")),
        ("max_retries", -1),
        ("timeout", 0),
        ("headers", {"a b": "c"}),
        ("abort", True),
    ],
)
def test_a_bad_option_is_refused_by_its_name(name, value):
    """Also those that all requests have."""
    with pytest.raises(InvalidOptionError, match=name.removesuffix("s")):
        EmbeddingOptions(**{name: value})


def test_options_have_what_a_request_needs_and_no_more():
    """They share the knobs of every request with the options of a stream, and none of those that only chat has."""
    assert isinstance(EmbeddingOptions(), RequestOptions)
    assert isinstance(StreamOptions(), RequestOptions)
    with pytest.raises(TypeError, match="temperature"):
        EmbeddingOptions(temperature=1)


def test_options_show_no_secret():
    """The key, the headers and the variables are masked."""
    secret = "sk-embedding-0123456789"
    options = EmbeddingOptions(
        api_key=secret, headers={"api-key": secret}, env={"OPENAI_API_KEY": secret}, dimensions=3
    )
    assert secret not in repr(options)
    assert "dimensions=3" in repr(options)
    assert (options.api_key, options.headers["api-key"]) == (secret, secret)
