"""One thing that was left behind, and where in the program it stands."""

import os
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import trio

_LIBRARY = (sysconfig.get_path("stdlib"), str(Path(trio.__file__).parent))
_SITE = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


@dataclass(frozen=True)
class Leftover:
    """A thing that is still there: its ``kind`` (task, thread, ...), its ``name``, and its ``place`` as far as it has one.

    ``lasting`` says that it will not go away by itself, so that there is nothing to wait for.
    """

    kind: str
    name: str
    place: str = ""
    lasting: bool = False

    @property
    def title(self) -> str:
        """What patterns are compared with."""
        return f"{self.kind} {self.name}"

    def __str__(self) -> str:
        return f"{self.title} ({self.place})" if self.place else self.title


class Watch(Protocol):
    """Knows what of one kind was there when it began, and what has come since."""

    def begin(self) -> None:
        """Remember what is there."""

    def left(self) -> list[Leftover]:
        """What is there now, and was not at the beginning."""

    def end(self) -> None:
        """Stop watching."""

    @property
    def unchecked(self) -> str:
        """What it cannot look at on this machine; empty if there is nothing of the kind."""


def place_of(frames: Iterable[tuple[FrameType, int]]) -> str:
    """The innermost line that is neither trio's nor the standard library's; else the innermost. Outermost frame first."""
    stack = list(frames)
    if not stack:
        return ""
    own = [item for item in stack if not _is_library(item[0].f_code.co_filename)]
    frame, line = (own or stack)[-1]
    return f"{_short(frame.f_code.co_filename)}:{line} in {frame.f_code.co_qualname}"


def _is_library(path: str) -> bool:
    if path.startswith(_SITE):
        return path.startswith(_LIBRARY[1])
    return path.startswith(_LIBRARY) or path.startswith("<frozen")


def _short(path: str) -> str:
    return path.removeprefix(str(Path.cwd()) + os.sep)
