"""Proof Key for Code Exchange (RFC 7636, S256): who redeems a code must be who asked for it."""

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

from runtime.values.secret import Secret

_VERIFIER_BYTES = 32


@dataclass(frozen=True)
class Pkce:
    """A ``verifier``, which stays here until the code is redeemed, and its ``challenge``, which anybody may see."""

    verifier: str
    challenge: str

    def __repr__(self) -> str:
        return f"Pkce(challenge={self.challenge!r})"


def create_pkce() -> Pkce:
    """A new pair: 32 random bytes and the SHA-256 of their text, both in base64url without padding."""
    verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
    return Pkce(Secret(verifier), challenge_of(verifier))


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).decode("ascii").rstrip("=")
