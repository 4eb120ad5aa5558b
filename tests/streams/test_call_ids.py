import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.streams.call_ids import (
    normalize_anthropic_id,
    normalize_completions_id,
    normalize_responses_id,
    short_hash,
)
from runtime.testing.strategies import texts, texts_with_lone_surrogates
from runtime.values.message import AssistantMessage
from runtime.values.model import Model

ELSEWHERE = AssistantMessage(api="anthropic-messages", provider="anthropic", model="claude")


def model(provider="openai", api="openai-completions"):
    return Model(id="target", provider=provider, api=api)


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("", "k4n83c7h0j2b"),
        ("hello", "1h6qa0qrowduu"),
        ("foreign-tool-call-id", "1r12n89219uo"),
        ("😀", "13wj7r7usi372"),
        ("a", "m8735310ae7sx"),
        ("call_123|fc_456", "1l8gxfc1027wt9"),
    ],
)
def test_the_hash_is_the_one_that_other_programs_compute(text, hashed):
    """Known texts hash to known values, counted in UTF-16 units."""
    assert short_hash(text) == hashed


@given(texts() | texts_with_lone_surrogates())
def test_any_text_hashes_to_a_short_word(text):
    """Whatever the text, the hash is at most 14 lower-case letters and digits."""
    assert re.fullmatch(r"[0-9a-z]{2,14}", short_hash(text))


@pytest.mark.parametrize(
    ("call_id", "normalized"),
    [
        ("toolu_1-A", "toolu_1-A"),
        ("call_123|fc_123", "call_123_fc_123"),
        ("é.😀", "___"),
        ("x" * 70, "x" * 64),
    ],
)
def test_anthropic_ids_have_its_alphabet_and_length(call_id, normalized):
    """Each foreign character becomes an underscore, and 64 characters are kept."""
    assert normalize_anthropic_id(call_id, model("anthropic"), ELSEWHERE) == normalized


LONG = "c" * 50


@pytest.mark.parametrize(
    ("provider", "call_id", "normalized"),
    [
        ("openai", "call_1", "call_1"),
        ("openai", "a.b", "a.b"),
        ("openai", LONG, "c" * 40),
        ("groq", LONG, LONG),
        ("groq", "a.b", "a.b"),
        ("groq", "call_123|fc_123", "call_123_fc_123"),
        ("groq", "call.1|", "call_1"),
        ("groq", "a|b|c", "a_b_c"),
        ("groq", f"{LONG}|fc_1", f"{'c' * 31}_{short_hash(LONG + '|fc_1')[:8]}"),
        ("openai", f"call_1|{LONG}", f"call_1_{short_hash('call_1|' + LONG)[:8]}"),
    ],
)
def test_completions_ids_are_one_part_and_fit(provider, call_id, normalized):
    """Ids of two parts are joined and cut to 40 characters with a hash; others are cut for OpenAI alone."""
    assert normalize_completions_id(call_id, model(provider), ELSEWHERE) == normalized


@pytest.mark.parametrize(
    ("source_api", "provider", "call_id", "normalized"),
    [
        ("anthropic-messages", "openai", "toolu_1", "toolu_1"),
        ("anthropic-messages", "openai", "call.1|fc_1", f"call_1|fc_{short_hash('fc_1')}"),
        ("openai-responses", "openai", "call_1|fc_1", "call_1|fc_1"),
        ("openai-responses", "openai", "call_1|msg.1_", "call_1|fc_msg_1"),
        ("openai-responses", "openai", f"call_1|{'x' * 70}", f"call_1|fc_{'x' * 61}"),
        ("openai-responses", "openai", "a|b|c", "a|fc_b_c"),
        ("openai-responses", "github-copilot", "call_1|fc_1", "call_1_fc_1"),
        ("openai-responses", "github-copilot", "x" * 63 + "___", "x" * 63),
    ],
)
def test_responses_ids_keep_an_item_id_only_where_it_is_understood(source_api, provider, call_id, normalized):
    """Item ids begin with fc_, are hashed when they come from elsewhere, and vanish into one part for other providers."""
    source = AssistantMessage(api=source_api, provider="openai", model="other")
    assert normalize_responses_id(call_id, model(provider, "openai-responses"), source) == normalized


@given(texts(80), st.sampled_from(("openai", "openai-codex", "groq")))
def test_normal_forms_are_final(call_id, provider):
    """Normalising twice changes nothing more, for the APIs that do not hash every time."""
    for normalize in (normalize_anthropic_id, normalize_completions_id):
        once = normalize(call_id, model(provider), ELSEWHERE)
        assert normalize(once, model(provider), ELSEWHERE) == once


@given(texts(80), texts(80))
def test_normal_forms_are_what_the_apis_accept(call, item):
    """Any two-part id comes out within the alphabet and the length of its API."""
    call_id = f"{call}|{item}"
    assert re.fullmatch(r"[\w-]{0,64}", normalize_anthropic_id(call_id, model(), ELSEWHERE), re.ASCII)
    assert re.fullmatch(r"[\w-]{0,40}", normalize_completions_id(call_id, model(), ELSEWHERE), re.ASCII)
    responses = normalize_responses_id(call_id, model(api="openai-responses"), ELSEWHERE)
    assert re.fullmatch(r"[\w-]{0,64}\|fc_[\w-]{1,61}", responses, re.ASCII)
