"""Child processes, as Linux lists them: without waiting for one, which would take its status from who has to know it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .leftover import Leftover

_PROC = Path("/proc")
_PARENT, _BEGAN = 1, 19
"""Fields of ``/proc/PID/stat`` after the command's name (proc(5)): its parent, and when it began."""


@dataclass(frozen=True)
class _Child:
    """A process; with the time when it began, because numbers are given again."""

    pid: int
    began: str


class ProcessWatch:
    """The children of this process. A child of a child that has ended belongs to nobody, and is not seen."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._before: set[_Child] = set()

    @property
    def unchecked(self) -> str:
        """Without Linux's ``/proc``, all of them."""
        return "" if (self._proc / "self" / "stat").exists() else "child processes"

    def begin(self) -> None:
        """Remember the children that there are."""
        self._before = self._children()

    def left(self) -> list[Leftover]:
        """The children that came since and are still there, those included that have ended and that nobody waited for."""
        new = self._children() - self._before
        return [
            Leftover("child process", self._name(child.pid)) for child in sorted(new, key=lambda it: it.pid)
        ]

    def end(self) -> None:
        """Forget them."""
        self._before.clear()

    def _children(self) -> set[_Child]:
        if self.unchecked or _has_none():
            return set()
        found = set()
        for path in self._proc.glob("[0-9]*/stat"):
            with suppress(OSError):  # it ends at this moment
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[_PARENT]) == os.getpid():
                    found.add(_Child(int(path.parent.name), fields[_BEGAN]))
        return found

    def _name(self, pid: int) -> str:
        command = b""
        with suppress(OSError):
            command = (self._proc / str(pid) / "cmdline").read_bytes()
        shown = command.replace(b"\0", b" ").decode(errors="replace").strip()
        return f"{pid} {shown or 'that has ended, and that nobody waited for'}"


def _has_none() -> bool:
    """Whether there is no child at all, which the system knows at once; a status that one has left stays where it is."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
