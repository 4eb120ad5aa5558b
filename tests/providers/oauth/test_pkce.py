"""PKCE: the pair of a secret verifier and its public challenge."""

import re

from providers.oauth.pkce import challenge_of, create_pkce


def test_the_challenge_is_that_of_the_standard():
    """The example of RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_pair_is_base64url_without_padding():
    """32 bytes are 43 characters, in both; none of them is ``=``."""
    pair = create_pkce()
    for part in (pair.verifier, pair.challenge):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", part)
    assert pair.challenge == challenge_of(pair.verifier)


def test_each_pair_is_new():
    """No verifier is used twice."""
    assert len({create_pkce().verifier for _ in range(100)}) == 100


def test_a_pair_does_not_show_its_verifier():
    """Neither does the verifier itself."""
    pair = create_pkce()
    assert repr(pair) == f"Pkce(challenge={pair.challenge!r})"
    assert repr(pair.verifier) == "'***'"
