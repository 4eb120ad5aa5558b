"""The removal of credentials that somebody else printed."""

import json
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from .secret import MASK
from .text import clean_text, from_html

_LEAST = 4
"""What is shorter is no credential, but may stand in any word."""
_PIECE = 12
"""A server may cut what it repeats: so many characters of a credential are worth hiding. Shorter ones may be words."""
_STEP = _PIECE // 2
"""Wherever a piece begins, it holds so many characters that begin at a multiple of this number."""
_NESTED = 4
"""Encodings inside of one another that are read."""
_LONGEST_TRACEBACK = 128 * 1024
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token)\s+")
_BACKSLASHED = re.compile(r"\\+(?:u(?P<unit>[0-9a-fA-F]{4})|x(?P<byte>[0-9a-fA-F]{2})|(?P<blank>[nrt]))?")
# In prose, "bearer", "basic" and "token" are words too ("model token limit: 4096"), so there what follows must look it.
_CREDENTIAL = re.compile(
    r"""(?ix)
    ( \b(?:bearer|basic)\s+ (?=[^\s"',;]{0,15}\d|[^\s"',;]{16})
    | \btoken\s+ (?=[^\s"',;]{16})
    | (?:api[-_]?key|authorization|access_token) (?:\\*["'])? \s*[:=]\s* (?:\\*["'])? (?:(?:bearer|basic|token)\s+)?
      (?=[^\s"',;&<>}\]]{0,15}\d|[^\s"',;&<>}\]]{16})
    ) (?: [^\s"',;&<>}\]\\] | \\+/ ){6,}""",
)


class Redactor:
    """Takes known credentials, and what looks like one, out of a text that somebody else wrote.

    A credential is known as it is and without its scheme (``Bearer``); of a long one any twelve characters in a row are, and a
    shorter one where no letter or digit stands beside it; and both where JSON, ``repr``, HTML or a URL have escaped what they
    like of it, also one inside of another. Where only reading the escapes brings it to light, the text comes back without them.
    ``guess`` takes out what else may be one; None: not even what is called so. ``place``, an address, stays as it is unless a
    long one is in it. The time for that grows with the text: a tenth of a second for each megabyte, some tenths where it is
    full of escapes. To make one costs next to nothing.
    """

    def __init__(
        self, secrets: Iterable[str | None], guess: Callable[[str], str] | None = str, place: str = ""
    ) -> None:
        self._secrets: set[str] = set()
        self._guess = guess
        self._place = place
        self.learn(secrets)

    def learn(self, secrets: Iterable[str | None]) -> None:
        """Know these, too, from now on."""
        bare = {_SCHEME.sub("", secret, count=1) for secret in secrets if secret}
        self._secrets |= {secret for secret in bare if len(secret) >= _LEAST}
        for made in ("known", "_spelled", "_short", "_pieces", "_halves"):
            vars(self).pop(made, None)
        spelled = self._place + " " + unquote(self._place)
        if any(secret in spelled for secret in self._secrets if len(secret) >= _PIECE):
            self._place = ""

    def __call__(self, text: str) -> str:
        parts = text.split(self._place) if self._place else (text,)
        return self._place.join(map(self._hidden, parts))

    @cached_property
    def known(self) -> "Redactor":
        """The same for what is no failure: it guesses nothing, and where a short one is a word, it is none."""
        return Redactor(
            (secret for secret in self._secrets if len(secret) >= _PIECE or not secret.isalpha()),
            None,
            self._place,
        )

    def _hidden(self, text: str) -> str:
        if self._guess is not None:
            text = _CREDENTIAL.sub(rf"\g<1>{MASK}", self._guess(self._without_whole(text)))
        masked, reading = self._masked(text), _read(text)
        if reading == text:
            return masked
        said = self._masked(reading)
        return said if len(said) < len(_read(masked)) else masked  # whichever hides more

    def is_quoted_in(self, error: BaseException) -> bool:
        """Whether a traceback of this exception, with all that led to it, shows a credential, or too much to be searched."""
        shown = "".join(traceback.format_exception(error, limit=0))
        return len(shown) > _LONGEST_TRACEBACK or self(shown) != shown

    def _without_whole(self, text: str) -> str:
        for secret in self._spelled:
            if len(secret) >= _PIECE:
                text = text.replace(secret, MASK)
        return self._short.sub(MASK, text) if self._short else text

    def _masked(self, text: str) -> str:
        text = self._without_whole(text)
        shown: list[str] = []
        end = 0
        for start in self._found(text):
            if start > end or not shown:
                shown += (text[end:start], MASK)
            end = start + _PIECE
        return "".join((*shown, text[end:]))

    def _found(self, text: str) -> Iterator[int]:
        """Where pieces of credentials begin."""
        for at in range(0, len(text), _STEP):
            if text[at : at + _STEP] in self._halves:
                for start in range(max(0, at - _STEP), at + 1):
                    if text[start : start + _PIECE] in self._pieces:
                        yield start

    @cached_property
    def _spelled(self) -> list[str]:
        """The credentials, and what they read as where something in them happens to look like an escape."""
        spelled = self._secrets | {_read(secret) for secret in self._secrets}
        return sorted((secret for secret in spelled if len(secret) >= _LEAST), key=len, reverse=True)

    @cached_property
    def _short(self) -> re.Pattern[str] | None:
        """The short ones where they stand alone: ``test`` is a part of other words, too."""
        short = [re.escape(secret) for secret in self._spelled if len(secret) < _PIECE]
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(short)})(?![^\W_])") if short else None

    @cached_property
    def _pieces(self) -> frozenset[str]:
        """A piece with a scheme is no reason to hide the beginning of every URL."""
        pieces = {piece for secret in self._spelled for piece in _slices(secret, _PIECE)}
        return frozenset(piece for piece in pieces if "://" not in piece)

    @cached_property
    def _halves(self) -> frozenset[str]:
        return frozenset(half for secret in self._spelled for half in _slices(secret, _STEP))

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._secrets)} secrets>"


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """JSON whose texts, wherever they are in it, are what ``redact`` leaves of them. Mostly that is all, which is seen at once."""
    whole = json.dumps(value, ensure_ascii=False)
    return value if redact(whole) == whole else _each_redacted(value, redact)


def _each_redacted(value: Any, redact: Callable[[str], str]) -> Any:
    match value:
        case str():
            return redact(value)
        case list():
            return [_each_redacted(item, redact) for item in value]
        case dict():
            return {redact(name): _each_redacted(item, redact) for name, item in value.items()}
    return value


def _slices(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


def _read(text: str) -> str:
    """What a text says: without escapes, and without those that come to light by that."""
    for _ in range(_NESTED):
        said = clean_text(from_html(unquote(_BACKSLASHED.sub(_meant, text))))
        if said == text:
            break
        text = said
    return text


def _meant(escape: re.Match[str]) -> str:
    match escape.lastgroup:
        case "unit" | "byte" as code:
            return chr(int(escape[code], 16))
        case "blank":
            return " "
    return ""
