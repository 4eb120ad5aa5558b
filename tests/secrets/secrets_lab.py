"""Random secrets, and the search for them in whatever a program shows.

A secret counts as shown where it stands as it is, in the escapes of JSON, ``repr``, HTML or a URL, in base64, and, if it is not
short, where sixteen characters of it stand.
"""

import base64
import html
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, unquote_plus
from zlib import crc32

import pytest
import structlog
from hypothesis import Phase, settings
from hypothesis import strategies as st

USER = "user"
"""Whose password a secret is, where it is one."""
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_ESCAPED = "%+/=\"'\\<&>"
_SHORT = 20
_PIECE = 16


def few(examples: int) -> settings:
    """So many examples where others have a hundred, for tests of many paths. One secret is as good as another: none is shrunk."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(max_examples=examples * max(1, settings().max_examples // 100), phases=phases)


@st.composite
def _secrets(draw: st.DrawFn, shift: int) -> str:
    length = draw(st.integers(_SHORT, 64) | st.integers(8, _SHORT - 1) | st.integers(65, 200))
    characters = _spread(draw(st.binary(min_size=length, max_size=length)), shift)
    for place in draw(st.lists(st.integers(0, length - 1), max_size=4)):
        characters[place] = draw(st.sampled_from(_ESCAPED))
    return "".join(characters)


def _spread(numbers: bytes, shift: int) -> list[str]:
    """Characters that depend on their place, too: what is simplest to Hypothesis is no row of zeros, which stands anywhere by chance."""
    return [
        _VISIBLE[(number + 31 * at * at + (17 + shift) * at + shift) % 94]
        for at, number in enumerate(numbers)
    ]


def _is_odd(secret: str) -> bool:
    return len(set(secret[:8])) >= 5 and "***" not in secret and not secret.isalpha()


def secrets(salt: str = "") -> st.SearchStrategy[str]:
    """8 to 200 characters of visible ASCII that stand nowhere else by chance, with those among them that encoders escape.

    Where Hypothesis is told to draw the same for all parameters of a test, ``salt`` makes the difference.
    """
    return _secrets(crc32(salt.encode()) % 94).filter(_is_odd)


SECRETS = secrets()


# The search


class Hidden:
    """Secrets that nothing may show."""

    def __init__(self, *secrets: str) -> None:
        self._pieces: dict[int, dict[str, str]] = {}
        for secret in filter(None, secrets):
            for piece in _pieces(secret):
                self._pieces.setdefault(len(piece), {})[piece] = secret
        self._halves = {
            size: {half for piece in pieces for half in _slices(piece, (size + 1) // 2)}
            for size, pieces in self._pieces.items()
        }

    def check(self, where: str, *shown: object) -> None:
        """Fail where one of these holds a secret: strings as they are, of exceptions all that they can print, of others the ``repr``."""
        for text in dict.fromkeys(text for each in shown for text in _texts(each)):
            for reading in readings(text):
                self._check(where, reading, text)

    def check_files(self, directory: Path, *but: Path) -> None:
        """Fail where a file below a directory holds a secret."""
        for path in directory.rglob("*"):
            if path.is_file() and path not in but:
                self.check(str(path), path.read_bytes().decode(errors="replace"))

    def _check(self, where: str, reading: str, text: str) -> None:
        for size, pieces in self._pieces.items():
            half = (size + 1) // 2
            if self._halves[size].isdisjoint(reading[at : at + half] for at in range(0, len(reading), half)):
                continue
            for found in pieces.keys() & set(_slices(reading, size)):
                pytest.fail(f"{where}: {found!r} of {pieces[found]!r} is in {text}")


def _pieces(secret: str) -> Iterator[str]:
    """What must not be found: a short one, any piece of a long one, and the same for its base64."""
    is_long = len(secret) >= _SHORT
    yield from _slices(secret, _PIECE) if is_long else (secret,)
    for plain in (secret, f"{USER}:{secret}"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(plain.encode()).decode().rstrip("=")
            yield from _slices(whole, _PIECE * 4 // 3) if is_long else (whole,)


def _slices(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(len(text) - size + 1))


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)


def _unescaped(text: str) -> str:
    """Without the backslashes of JSON and ``repr``."""
    return _ESCAPE.sub(lambda found: found[3] or chr(int(found[1] or found[2], 16)), text)


_DECODERS: tuple[Callable[[str], str], ...] = (_unescaped, unquote, unquote_plus, html.unescape)


def readings(text: str) -> set[str]:
    """A text as it is, and as it reads where it was encoded, up to three times."""
    found = new = {text}
    for _ in range(3):
        new = {decode(each) for each in new for decode in _DECODERS} - found
        found = found | new
    return found


def spelling(secret: str, text: str) -> str:
    """How a secret is spelled in a request; empty if it is not there."""
    spelled = (
        secret,
        json.dumps(secret)[1:-1],
        base64.b64encode(f"{USER}:{secret}".encode()).decode(),
        base64.b64encode(f"{secret}:".encode()).decode(),
        quote(secret, safe=""),
        quote(secret, safe="+"),
        quote(secret, safe="*").replace("~", "%7E"),
    )
    return next((form for form in spelled if form in text), "")


# What a program shows


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case BaseException():
            yield "".join(
                traceback.format_exception(value, limit=0)
            )  # the lines of our source hold no secret
            yield from map(repr, vars(value).values())
            for error in _chain(value):
                yield f"{error!r} {error}"
        case _:
            yield repr(value)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it, also where a traceback leaves them out."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


class Lines(logging.Handler):
    """What an application writes that logs everything: ``own`` are agentrio's lines, ``requests`` httpx's lines on requests."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.own: list[str] = []
        self.requests: list[str] = []
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=[
                    structlog.stdlib.ExtraAdder(),
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(default=repr),
                ]
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("agentrio"):
            self.own += [self.format(record), logging.Formatter().format(record), repr(vars(record))]
        elif record.name == "httpx":
            self.requests.append(record.getMessage())


@contextmanager
def logged() -> Iterator[Lines]:
    """What is logged in the block, at DEBUG."""
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
