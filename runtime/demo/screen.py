"""What people see: lines, and text that flows in; in colour on a terminal, plain everywhere else."""

import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import Enum
from typing import TextIO

LABEL_WIDTH = 8


class Style(Enum):
    """How a piece of text looks; the value is its ANSI code."""

    Plain = ""
    Title = "1;36"
    Faint = "2"
    User = "32"
    Agent = "1"
    Tool = "33"
    Good = "1;32"
    Bad = "1;31"


@dataclass(frozen=True)
class Symbols:
    """The few characters beyond ASCII, and what stands for them where they cannot be shown."""

    good: str = "✓"
    bad: str = "✗"
    start: str = "▶"
    update: str = "·"
    end: str = "■"
    joins: str = "↪"

    @classmethod
    def for_encoding(cls, encoding: str | None) -> "Symbols":
        """The real ones if the encoding has them."""
        real = cls()
        try:
            "".join(astuple(real)).encode(encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return cls("ok", "FAILED", ">", ".", "<", "+")
        return real


class Screen:
    """Writes lines and flowing text, each at once.

    A flow is text that comes in pieces under one label; any line ends it. Control characters never get through: what a model
    or a tool says must not steer the terminal.
    """

    def __init__(self, out: TextIO, *, coloured: bool, symbols: Symbols) -> None:
        self._out = out
        self._coloured = coloured
        self._flowing: str | None = None
        self.symbols = symbols

    @classmethod
    def on(cls, out: TextIO, environment: Mapping[str, str] = os.environ) -> "Screen":
        """Colours if it is a terminal, unless NO_COLOR is set; nothing that is shown can fail to be encoded."""
        if reconfigure := getattr(out, "reconfigure", None):
            reconfigure(errors="replace")
        coloured = out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        return cls(out, coloured=coloured, symbols=Symbols.for_encoding(out.encoding))

    def line(self, text: str = "", style: Style = Style.Plain) -> None:
        """A line of its own."""
        self.end_flow()
        self._write(self._painted(_printable(text), style) + "\n")

    def labelled(self, label: str, text: str, style: Style, text_style: Style = Style.Plain) -> None:
        """A line with a label in front; further lines of the text are indented as far."""
        self.end_flow()
        self._write(self._label(label, style) + self._painted(_indented(text), text_style) + "\n")

    def flow(self, label: str, text: str, style: Style, text_style: Style = Style.Plain) -> None:
        """A piece of text that goes on where the last one of the same label ended."""
        if self._flowing != label:
            self.end_flow()
            self._write(self._label(label, style))
            self._flowing = label
        self._write(self._painted(_indented(text), text_style))

    def end_flow(self) -> None:
        """The text that flowed in is complete, or was cut."""
        if self._flowing is not None:
            self._flowing = None
            self._write("\n")

    def ask(self, label: str) -> None:
        """A label, with the cursor behind it."""
        self.flow(label, "", Style.User)

    def typed(self, *, by_hand: bool) -> None:
        """A line was typed; by hand, its Enter has moved the cursor to a new line already."""
        if by_hand:
            self._flowing = None

    def _label(self, label: str, style: Style) -> str:
        return self._painted(f"  {label:<{LABEL_WIDTH}}", style)

    def _painted(self, text: str, style: Style) -> str:
        return f"\x1b[{style.value}m{text}\x1b[0m" if self._coloured and style.value else text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def _printable(text: str) -> str:
    return text.translate(_CONTROLS)


def _indented(text: str) -> str:
    return _printable(text).replace("\n", "\n" + " " * (LABEL_WIDTH + 2))
