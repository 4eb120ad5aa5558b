"""Threads. Not counted: trio's idle workers, and threads that resolve a host name, which nothing can interrupt."""

import socket
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

import trio

from .leftover import Leftover, place_of

_IDLE_WORKER = (str(Path(trio.__file__).parent / "_core" / "_thread_cache.py"), "_work")
_RESOLVER = (socket.__file__, "getaddrinfo")


class ThreadWatch:
    """The threads that Python knows."""

    unchecked = ""

    def __init__(self) -> None:
        self._before: set[threading.Thread] = set()

    def begin(self) -> None:
        """Remember who works now: a worker that is idle may be put to work."""
        self._before = set(_working())

    def left(self) -> list[Leftover]:
        """Those that work now, and did not then."""
        working = _working()
        return [
            Leftover("thread", thread.name, place_of(stack))
            for thread, stack in working.items()
            if thread not in self._before
        ]

    def end(self) -> None:
        """Forget them."""
        self._before.clear()


def _working() -> dict[threading.Thread, list[tuple[FrameType, int]]]:
    """The threads that do something, each with its stack, outermost frame first."""
    frames = sys._current_frames()  # noqa: SLF001 - documented, in spite of its name
    stacks = {
        thread: list(traceback.walk_stack(frames[thread.ident]))[::-1] if thread.ident in frames else []
        for thread in threading.enumerate()
    }
    return {thread: stack for thread, stack in stacks.items() if not _is_idle(stack)}


def _is_idle(stack: list[tuple[FrameType, int]]) -> bool:
    where = [(frame.f_code.co_filename, frame.f_code.co_name) for frame, _ in stack]
    return _RESOLVER in where or (bool(where) and where[-1] == _IDLE_WORKER)
