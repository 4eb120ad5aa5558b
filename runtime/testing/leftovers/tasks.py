"""Tasks: who was started by the block's own task, or by one that it had started, whatever nursery they are in.

Not counted is the task that keeps the HTTP pool of a run: it ends with the run.
"""

from contextlib import suppress

import trio

from .leftover import Leftover, place_of

_KEEPER = ("providers.pool", "Pool.keep")


class TaskWatch(trio.abc.Instrument):
    """Follows who starts whom. Only inside of a trio run; outside of one there are no tasks."""

    unchecked = ""

    def __init__(self) -> None:
        self._mine: set[trio.lowlevel.Task] = set()
        self._owner: trio.lowlevel.Task | None = None

    def begin(self) -> None:
        """The present task is the block's own."""
        self._owner = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(self)

    def end(self) -> None:
        """What is started from now on does not count."""
        trio.lowlevel.remove_instrument(self)

    def is_mine(self, task: trio.lowlevel.Task) -> bool:
        """Whether a task is the block's own, or was started by it."""
        return task is self._owner or task in self._mine

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Called by trio; an exception in here would only disable the watch."""
        with suppress(RuntimeError):  # started by no task, but by trio itself
            if self.is_mine(trio.lowlevel.current_task()) and not _is_keeper(task):
                self._mine.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        self._mine.discard(task)

    def left(self) -> list[Leftover]:
        """Those that still run."""
        return [
            Leftover("task", task.name, place_of(task.iter_await_frames()), lasting=True)
            for task in sorted(self._mine, key=lambda task: task.name)
        ]


def _is_keeper(task: trio.lowlevel.Task) -> bool:
    frame = getattr(task.coro, "cr_frame", None)
    module = frame.f_globals.get("__name__") if frame else None
    return (module, getattr(task.coro, "__qualname__", None)) == _KEEPER
