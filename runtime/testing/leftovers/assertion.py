"""The assertion: what a block, or a whole run, has started is gone when it ends."""

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from types import TracebackType

import trio

from .channels import ChannelWatch
from .leftover import Leftover, Watch
from .processes import ProcessWatch
from .sockets import SocketWatch
from .tasks import TaskWatch
from .threads import ThreadWatch

_STEP = 0.002
"""Seconds between two looks."""


class NothingLeft:
    """A block at whose end nothing of it is left. ``assert_nothing_left`` makes one; it is used once."""

    def __init__(self, patience: float, allow: Sequence[str]) -> None:
        self._patience = patience
        self._allow = tuple(allow)
        self._watches: list[Watch] = []

    def __enter__(self) -> None:
        if trio.lowlevel.in_trio_run():
            raise RuntimeError("inside of trio.run, write: async with assert_nothing_left(): ...")
        self._begin([ChannelWatch(lambda: True)])

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if raised is None:
                deadline = time.monotonic() + self._patience
                while self._is_worth_waiting(left := self._left(), deadline):
                    time.sleep(_STEP)
                self._report(left)
        finally:
            self._end()

    async def __aenter__(self) -> None:
        await trio.lowlevel.checkpoint()
        tasks = TaskWatch()
        self._begin([tasks, ChannelWatch(lambda: tasks.is_mine(trio.lowlevel.current_task()))])

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if raised is None:
                await trio.lowlevel.checkpoint()  # noqa: ASYNC102 - nothing was raised
                deadline = time.monotonic() + self._patience
                while self._is_worth_waiting(left := self._left(), deadline):
                    await trio.lowlevel.checkpoint()  # noqa: ASYNC102
                    time.sleep(_STEP)  # noqa: ASYNC251 - on the real clock, while that of the run stands still
                self._report(left)
        finally:
            self._end()

    def _begin(self, special: Sequence[Watch]) -> None:
        for watch in (*special, ThreadWatch(), SocketWatch(), ProcessWatch()):
            watch.begin()
            self._watches.append(watch)

    def _end(self) -> None:
        for watch in self._watches:
            watch.end()

    def _left(self) -> list[Leftover]:
        found = [leftover for watch in self._watches for leftover in watch.left()]
        return [
            item for item in found if not any(fnmatchcase(item.title, pattern) for pattern in self._allow)
        ]

    def _is_worth_waiting(self, left: list[Leftover], deadline: float) -> bool:
        return bool(left) and not any(item.lasting for item in left) and time.monotonic() < deadline

    def _report(self, left: list[Leftover]) -> None:
        if left:
            lines = [f"  {item}" for item in left]
            raise AssertionError("\n".join(["left behind:", *lines, *self._remarks()]))

    def _remarks(self) -> list[str]:
        unchecked = [watch.unchecked for watch in self._watches if watch.unchecked]
        return [f"  (not checked on this system: {', '.join(unchecked)})"] if unchecked else []


def assert_nothing_left(*, patience: float = 1.0, allow: Sequence[str] = ()) -> NothingLeft:
    """Assert that what a block starts is gone when it ends: tasks, threads, sockets, child processes, memory channels.

    ``async with assert_nothing_left():`` inside of a run, ``with assert_nothing_left():`` around a ``trio.run``. The
    AssertionError names each thing that is left. If the block raises, nothing is checked.

    - Tasks are those that the block's task started, and what those started, whoever's nursery they are in. Memory
      channels are those that these tasks opened and that are open at both ends, with items that nobody took or with
      tasks that wait. Both must be gone at once.
    - Threads, sockets and child processes are those of the whole process that were not there before. They may take
      ``patience`` real seconds to go; trio's other tasks run meanwhile, and its clock, if it is a MockClock, stands still.
    - Not counted: trio's own tasks, its idle workers and the threads that resolve host names; the HTTP pool's task, and
      its idle connections with their other ends. The child of a child that has ended is not seen.
    - ``allow`` has patterns (``fnmatch``) of what may stay, as the failure names it: ``"thread tool read_almanac"``.

    Sockets are checked on Linux and macOS, child processes on Linux; elsewhere a failure says that they were not.
    """
    return NothingLeft(patience, allow)
