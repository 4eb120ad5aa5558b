"""What we send to embed texts, and what we read, checked with the types of OpenAI's own SDK."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from providers.openai.embedding_api import embedding_payload
from runtime.testing.strategies import texts
from runtime.values.options import EmbeddingOptions
from tests.providers.embedding_lab import answer, model_at, read

pytest.importorskip("openai", reason="the SDKs are in agentrio[sdk]")

OPTIONS = st.builds(
    EmbeddingOptions,
    dimensions=st.none() | st.integers(1, 10_000),
    encoding_format=st.none() | st.sampled_from(["float", "base64"]),
    user=st.none() | texts(),
)


def request_type():
    from openai.types import EmbeddingCreateParams

    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(EmbeddingCreateParams))


@given(st.lists(texts().filter(bool), min_size=1), OPTIONS)
def test_any_request_fits_the_type(inputs, options):
    """Every field is known there."""
    request_type().validate_python(embedding_payload(model_at(), inputs, options), strict=True)


def test_the_type_refuses_what_it_does_not_know():
    """What the test before relies on."""
    payload = embedding_payload(model_at(), ["a"], EmbeddingOptions())
    with pytest.raises(ValidationError):
        request_type().validate_python({**payload, "dimension": 3})


def test_the_answers_of_the_tests_fit_the_type():
    """What is read here is what the SDK reads."""
    from openai.types import CreateEmbeddingResponse

    whole = answer([0.5, -1.0], [1.0, 0.25])
    known = CreateEmbeddingResponse.model_validate(whole, strict=True)
    assert [list(vector) for vector in read(whole, 2).vectors] == [one.embedding for one in known.data]
