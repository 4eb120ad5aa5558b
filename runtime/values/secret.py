"""Credentials that do not print themselves, and what of a URL and of headers is one."""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import unquote, unquote_plus

MASK = "***"
_PUBLIC_HEADERS = frozenset({
    "accept", "accept-encoding", "anthropic-beta", "anthropic-dangerous-direct-browser-access", "anthropic-version",
    "connection", "content-length", "content-type", "copilot-integration-id", "copilot-vision-request",
    "editor-plugin-version", "editor-version", "host", "http-referer", "openai-intent", "session_id", "transfer-encoding",
    "user-agent", "x-client-request-id", "x-github-api-version", "x-initiator", "x-session-affinity", "x-session-id", "x-title",
})  # fmt: skip
_CREDENTIAL_NAME = re.compile(r"key|token|secret|auth|sig|pass|code", re.IGNORECASE)
_SHOWN = 4
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]*(?:%[\w.~-]*)?\]?|[\w.-]*)(?::[0-9]*)?")


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


def secrets_in(url: str) -> Iterator[str]:
    """The password, as it is and as HTTP sends it, or the name where that is empty; and what the query calls a key or the like."""
    if user := user_in(url):
        name, _, password = user.partition(":")
        yield unquote(password or name)
        yield b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    for field in re.split(r"[?&#]", url)[1:]:
        name, _, value = field.partition("=")
        if _CREDENTIAL_NAME.search(name):
            yield from (value, unquote_plus(value))


def secret_header_values(headers: Mapping[str, str | None]) -> list[str]:
    """The header values that may be credentials, all but those of well-known harmless names; and what is packed into them."""
    values = [
        (name.lower(), value)
        for name, value in headers.items()
        if value and name.lower() not in _PUBLIC_HEADERS
    ]
    return [each for name, value in values for each in (value, *_packed(name, value))]


def _packed(name: str, value: str) -> Iterator[str]:
    """The password of Basic, or its name where that is empty; and the cookies."""
    scheme, _, packed = value.strip().partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):  # it is none: then only what it is counts
            user, _, password = b64decode(packed + "==").decode(errors="replace").partition(":")
            yield password or user
    if name == "cookie":
        yield from (cookie.partition("=")[2].strip() for cookie in value.split(";"))
