"""Credentials: their JSON, their copies, and what they do not show."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from providers.oauth import OAuthApiKey, OAuthCredentials
from runtime.testing import strategies
from runtime.values.clock import now_ms
from tests.providers.oauth.accounts_lab import EXTRAS, TOKENS


@st.composite
def credentials(draw):
    return OAuthCredentials(
        draw(strategies.texts()), draw(strategies.texts()), draw(strategies.timestamps()), draw(EXTRAS)
    )


@given(credentials())
def test_json_goes_there_and_back(held):
    """What is written is read as the same value, extras of any kind included."""
    assert OAuthCredentials.model_validate_json(held.model_dump_json()) == held
    assert OAuthCredentials.model_validate(held.model_dump()) == held
    assert pickle.loads(pickle.dumps(held)) == held == copy.deepcopy(held)


def test_the_json_is_flat():
    """Extras stand at the top level, under their own names; even one called ``extra``."""
    held = OAuthCredentials("r", "a", 700_000, {"enterpriseUrl": "company.ghe.com", "extra": [1]})
    assert held.model_dump_json() == (
        '{"refresh":"r","access":"a","expires":700000,"enterpriseUrl":"company.ghe.com","extra":[1]}'
    )
    assert held.extra == {"enterpriseUrl": "company.ghe.com", "extra": [1]}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"refresh":"hidden-value","access":"hidden-value"}', "expires"),
        ('{"refresh":"hidden-value","access":7,"expires":1}', "access"),
        ('{"refresh":"hidden-value","access":"a","expires":"hidden-value"}', "expires"),
        ('{"refresh":"hidden-value","access":"a","expires":-1}', "expires"),
        ('{"refresh":"hidden-value","access":"a","expires":true}', "expires"),
        ('{"refresh":"hidden-value","access":"a","expires":1', "Invalid JSON"),
        ('["hidden-value"]', "object"),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(text, place):
    """The error says which field, and shows no value."""
    with pytest.raises(ValidationError) as caught:
        OAuthCredentials.model_validate_json(text)
    assert place in str(caught.value)
    assert "hidden-value" not in str(caught.value)


def test_a_field_is_no_extra():
    """A second value for a field is refused."""
    with pytest.raises(TypeError, match="access is a field of its own"):
        OAuthCredentials("r", "a", 1, {"access": "b"})


def test_the_extras_cannot_be_changed():
    """They are a copy, and read-only."""
    given_extras = {"tenant": "one"}
    held = OAuthCredentials("r", "a", 1, given_extras)
    given_extras["tenant"] = "two"
    assert held.extra == {"tenant": "one"}
    with pytest.raises(TypeError):
        held.extra["tenant"] = "three"


def test_a_copy_keeps_what_is_not_named():
    """Unknown extras stay, named ones change, and None takes one away."""
    held = OAuthCredentials("r", "a", 1, {"tenant": "one", "note": None, "scope": "x"})
    fresh = held.replace(access="b", expires=2, extra={"scope": None, "plan": "pro"})
    assert fresh == OAuthCredentials("r", "b", 2, {"tenant": "one", "note": None, "plan": "pro"})
    assert held.replace() == held


def test_the_moment_of_expiry_counts_as_expired():
    """From ``expires`` on, a refresh is due."""
    held = OAuthCredentials("r", "a", 1000)
    assert [held.expired(now) for now in (999, 1000, 1001)] == [False, True, True]
    assert held.is_expired
    assert not OAuthCredentials("r", "a", now_ms() + 60_000).is_expired


@given(TOKENS, TOKENS, TOKENS)
def test_no_repr_shows_a_token(refresh, access, other):
    """Not of the whole, not of a field, not of the extras, and not of a key made of them; names of extras are shown."""
    extra = {"githubRefreshToken": other, "nested": {"tokens": [other]}}
    held = OAuthCredentials(refresh, access, 5, extra)
    shown = " ".join([
        repr(held), str(held), repr([held]), repr(held.access), repr(held.refresh), repr(held.extra),
        repr(held.model_dump()), repr(OAuthApiKey(held, access)), repr(held.replace(expires=6)),
        repr(OAuthCredentials.model_validate_json(held.model_dump_json())),
    ])  # fmt: skip
    assert not [token for token in (refresh, access, other) if token in shown]
    assert "githubRefreshToken" in repr(held)


def test_the_secrets_are_all_that_is_not_known_to_be_harmless():
    """A domain and the names of models may be shown; an extra that nobody knows may not."""
    extra = {"enterpriseUrl": "company.ghe.com", "availableModelIds": ["gpt"], "x": {"y": ["hush"]}, "n": 1}
    assert OAuthCredentials("r", "a", 1, extra).secrets() == ["r", "a", "hush"]
