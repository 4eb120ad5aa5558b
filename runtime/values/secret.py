"""Credentials that do not print themselves, and the removal of those that somebody else printed."""

import re
from collections.abc import Iterable, Mapping
from typing import Self

MASK = "***"
_PUBLIC_HEADERS = frozenset({
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "content-type", "user-agent",
})  # fmt: skip
# In prose, "bearer", "basic" and "token" are words too ("model token limit: 4096"), so there what follows must look it.
_CREDENTIAL = re.compile(
    r"""(?ix)
    ( \b(?:bearer|basic)\s+ (?=[^\s"',;]*\d|[^\s"',;]{16})
    | \btoken\s+ (?=[^\s"',;]{16})
    | (?:api[-_]?key|authorization|access_token) (?:\\*["'])? \s*[:=]\s* (?:\\*["'])? (?:(?:bearer|basic|token)\s+)?
    ) [^\s"',;&<>}\]\\]{6,}""",
)


class Secret(str):
    """A string that shows as ``***`` wherever its ``repr`` is taken; everything else is plain ``str``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"

    @classmethod
    def or_none(cls, value: str | None) -> Self | None:
        """Wrap a key as users give it: trimmed, and nothing when there is nothing in it."""
        trimmed = value.strip() if value else ""
        return cls(trimmed) if trimmed else None


class Redactor:
    """Takes known credentials, and what looks like one, out of a text that somebody else wrote."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        parts = {
            part
            for secret in secrets
            if secret
            for part in (secret, secret.removeprefix("Bearer "))
            if len(part) >= 4
        }
        self._secrets = sorted(parts, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _CREDENTIAL.sub(rf"\g<1>{MASK}", text)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._secrets)} secrets>"


def without_secrets(url: str) -> str:
    """A URL fit to be shown: without user, query and fragment."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


def secret_header_values(headers: Mapping[str, str | None]) -> list[str]:
    """The header values that may be credentials: all but those of well-known harmless names."""
    return [value for name, value in headers.items() if value and name.lower() not in _PUBLIC_HEADERS]
