"""JSON that has not arrived yet, or that a model wrote badly.

What is shown of a document that is still coming is only what no continuation can take back: finished
members, the beginning of a string, a literal that can be no other. The one exception is a number at the
very end, which may grow. Damage ends the reading: what came before it stays, what follows is ignored.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from runtime.values.text import MAX_DEPTH, clean_text, parse_json

_NOTHING: Final = object()
_SOLID: Final = re.compile(r"\S")
_STRING_RUN: Final = re.compile(r'[^"\\]*+(?:\\(?:[^u]|u[0-9A-Fa-f]{4})[^"\\]*+)*+')
_CUT_ESCAPE: Final = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([^u]))")
_ESCAPED: Final = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_NUMBER_RUN: Final = re.compile(r"[-+.0-9eE \t\n\r]*+")
_LITERALS: Final = {"n": ("null", None), "t": ("true", True), "f": ("false", False)}


def parse_partial_json(text: str | None) -> Any:
    """Read as much of a JSON document as is there; never raises.

    A whole document gives what a strict parser gives. None, blank text, and text in which nothing can be
    read give ``{}``. The result holds no lone surrogate, no NaN and no infinity, and is never nested
    deeper than other values may be.
    """
    try:
        return parse_json(text or "")
    except ValueError:
        parser = PartialJson()
        parser.feed(text or "")
        return parser.value()


class PartialJson:
    """The same reading for text that comes in chunks: ``feed`` them, ask for the ``value`` at any time.

    However the text is cut, ``value()`` is what ``parse_partial_json`` gives for all of it. Feeding costs
    the length of the chunk; a value costs a copy of the containers and the string that are still open.
    """

    __slots__ = ("_held", "_open", "_run", "_shown", "_step")

    def __init__(self) -> None:
        self._open: list[_Array | _Object] = []
        self._held = ""  # the beginning of an escape or a literal, to be read again with the next chunk
        self._run: _Text | _Number = _Text()
        self._shown: Callable[[], Any] = _nothing
        self._step: Callable[[PartialJson, str, int], int] = PartialJson._value

    def feed(self, chunk: str) -> None:
        """Read on."""
        text = self._held + chunk
        self._held = ""
        at = 0
        while at < len(text):
            at = self._step(self, text, at)

    def value(self) -> Any:
        """What is known so far; ``{}`` for nothing.

        Feeding never changes it afterwards. Containers that were closed are the same objects in every
        value, so change none of them.
        """
        shown = self._shown()
        for container in reversed(self._open):
            shown = container.showing(shown)
        return {} if shown is _NOTHING else shown

    # Each step reads the text from a place on, and says how far it came.

    def _value(self, text: str, at: int) -> int:
        found = _SOLID.search(text, at)
        if found is None:
            return len(text)
        first, at = found[0], found.start()
        if first == '"':
            return self._start(_Text(), PartialJson._string, at + 1)
        if first in "-0123456789":
            return self._start(_Number(), PartialJson._number, at)
        if first in "[{":
            return self._enter(_Array() if first == "[" else _Object(), text, at)
        if first in _LITERALS:
            return self._literal(text, at)
        return self._leave("]", text, at)

    def _key(self, text: str, at: int) -> int:
        found = _SOLID.search(text, at)
        if found is None:
            return len(text)
        if found[0] == '"':
            return self._start(_Text(), PartialJson._string, found.end())
        return self._leave("}", text, found.start())

    def _colon(self, text: str, at: int) -> int:
        return self._skip(":", PartialJson._value, text, at)

    def _comma(self, text: str, at: int) -> int:
        return self._skip(",", self._open[-1].first_step, text, at)

    def _skip(self, mark: str, step: "_Step", text: str, at: int) -> int:
        found = _SOLID.search(text, at)
        if found is None:
            return len(text)
        self._step = step
        return found.end() if found[0] == mark else found.start()

    def _string(self, text: str, at: int) -> int:
        end = _end_of(_STRING_RUN, text, at)
        self._run.grow(text[at:end])
        if end == len(text):
            return end
        if text[end] == '"':
            self._add(self._run.value())
            return end + 1
        return self._hold(text, end) if _CUT_ESCAPE.match(text, end) else self._give_up(text)

    def _number(self, text: str, at: int) -> int:
        end = _end_of(_NUMBER_RUN, text, at)
        self._run.grow(text[at:end])
        if end == len(text):
            return end
        value = self._run.value() if text[end] in ",]}" else _NOTHING
        if value is _NOTHING:
            return self._give_up(text)
        self._add(value)
        return end

    def _literal(self, text: str, at: int) -> int:
        word, value = _LITERALS[text[at]]
        if text.startswith(word, at):
            self._add(value)
            return at + len(word)
        if not word.startswith(text[at : at + len(word)]):
            return self._give_up(text)
        self._shown = lambda: value
        return self._hold(text, at)

    def _ignore(self, text: str, _at: int) -> int:
        return len(text)

    # What steps do.

    def _start(self, run: "_Text | _Number", step: "_Step", at: int) -> int:
        self._run = run
        self._shown = run.value
        self._step = step
        return at

    def _enter(self, container: "_Array | _Object", text: str, at: int) -> int:
        if len(self._open) == MAX_DEPTH:
            return self._give_up(text)
        self._open.append(container)
        self._step = container.first_step
        return at + 1

    def _leave(self, closer: str, text: str, at: int) -> int:
        if text[at] != closer or not self._open or self._open[-1].closer != closer:
            return self._give_up(text)
        self._add(self._open.pop().content)
        return at + 1

    def _add(self, value: Any) -> None:
        self._shown = _nothing
        if self._open:
            self._open[-1].add(value)
            self._step = PartialJson._colon if self._open[-1].awaits_value else PartialJson._comma
        else:
            self._shown = lambda: value
            self._step = PartialJson._ignore

    def _hold(self, text: str, at: int) -> int:
        self._held = text[at:]
        return len(text)

    def _give_up(self, text: str) -> int:
        self._shown = _nothing
        self._step = PartialJson._ignore
        return len(text)


_Step = Callable[[PartialJson, str, int], int]


class _Array:
    __slots__ = ("content",)
    closer: Final = "]"
    awaits_value: Final = False
    first_step: Final = staticmethod(PartialJson._value)  # noqa: SLF001 - the steps are this module's

    def __init__(self) -> None:
        self.content: list[Any] = []

    def add(self, item: Any) -> None:
        self.content.append(item)

    def showing(self, item: Any) -> list[Any]:
        return self.content.copy() if item is _NOTHING else [*self.content, item]


class _Object:
    """Members come as a key, then its value; a key alone is not shown."""

    __slots__ = ("_key", "content")
    closer: Final = "}"
    first_step: Final = staticmethod(PartialJson._key)  # noqa: SLF001 - the steps are this module's

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self._key: str | None = None

    @property
    def awaits_value(self) -> bool:
        return self._key is not None

    def add(self, part: Any) -> None:
        if self._key is None:
            self._key = part
        else:
            self.content[self._key] = part
            self._key = None

    def showing(self, part: Any) -> dict[str, Any]:
        if self._key is None or part is _NOTHING:
            return self.content.copy()
        return {**self.content, self._key: part}


class _Text:
    """A growing string: escapes are whole in every piece, halves of surrogate pairs wait for each other."""

    __slots__ = ("_half", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._half = ""

    def grow(self, raw: str) -> None:
        text = self._half + (_ESCAPE.sub(_unescape, raw) if "\\" in raw else raw)
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self._pieces.append(clean_text(text.removesuffix(self._half)))

    def value(self) -> str:
        return _join(self._pieces)


class _Number:
    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def grow(self, raw: str) -> None:
        self._pieces.append(raw)

    def value(self) -> Any:
        """The number, or the one before an exponent that is cut or too large."""
        text = _join(self._pieces)
        for candidate in (text, text.rpartition("e")[0]):
            try:
                return parse_json(candidate)
            except ValueError:
                continue
        return _NOTHING


def _join(pieces: list[str]) -> str:
    """Join in place, so that the next reader copies one long piece and not thousands of short ones."""
    pieces[:] = ["".join(pieces)]
    return pieces[0]


def _unescape(escape: re.Match[str]) -> str:
    """The character; a backslash that escapes nothing stands for itself."""
    code, letter = escape.groups()
    return chr(int(code, 16)) if code else _ESCAPED.get(letter, escape[0])


def _end_of(run: re.Pattern[str], text: str, at: int) -> int:
    found = run.match(text, at)
    return found.end() if found else at


def _nothing() -> Any:
    return _NOTHING
