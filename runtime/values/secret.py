"""Credentials that do not print themselves, and what of a URL and of headers is one."""

import re
from collections.abc import Mapping
from typing import Self

MASK = "***"
_PUBLIC_HEADERS = frozenset({
    "accept", "accept-encoding", "anthropic-beta", "anthropic-dangerous-direct-browser-access", "anthropic-version",
    "content-type", "copilot-integration-id", "editor-plugin-version", "editor-version", "http-referer", "openai-intent",
    "user-agent", "x-github-api-version", "x-initiator", "x-title",
})  # fmt: skip
_SHOWN = 4
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]*\]?|[\w.-]*)(?::[0-9]*)?")


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


def user_in(url: str) -> str:
    """What stands before the host of a URL, also where a password was not escaped: then up to the last ``@``."""
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    user, _, host = authority.rpartition("@")
    return user if _HOST.fullmatch(host) else rest.rpartition("@")[0]


def without_secrets(url: str) -> str:
    """A URL fit to be shown: without user, query and fragment. Of what is none, and may be a key, just the beginning."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url if len(url) <= _SHOWN else f"{url[:_SHOWN]}..."
    place = rest[len(user_in(url)) :].removeprefix("@")
    return scheme + mark + re.split("[?#]", place, maxsplit=1)[0]


def secret_header_values(headers: Mapping[str, str | None]) -> list[str]:
    """The header values that may be credentials: all but those of well-known harmless names."""
    return [value for name, value in headers.items() if value and name.lower() not in _PUBLIC_HEADERS]
