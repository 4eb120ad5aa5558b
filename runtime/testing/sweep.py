"""Cut a scenario at every one of its checkpoints, and look at what is left each time."""

import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")


class Cutter(trio.abc.Instrument):
    """Given to a scenario: it says what can be cut, and the sweep cuts it at the k-th step of the scenario's tasks."""

    def __init__(self, kind: str | None = None, at: int = 0) -> None:
        self.kinds: list[str] = []
        self.steps = 0
        self.reached = False
        self._kind = kind
        self._at = at
        self._cut: Callable[[], object] | None = None
        self._root: trio.lowlevel.Task | None = None

    def arm(self, **cuts: Callable[[], object]) -> None:
        """Name the ways to cut; counting begins here, with the calling task and its children."""
        self.kinds = list(cuts)
        self._cut = cuts[self._kind] if self._kind is not None else None
        self._root = trio.lowlevel.current_task()

    def disarm(self) -> None:
        """What follows is not counted, and not cut."""
        self._root = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and cut when it is time."""
        if self._root is None or not self._is_ours(task):
            return
        self.steps += 1
        if self.steps == self._at and self._cut is not None:
            self.reached = True
            self._cut()

    def _is_ours(self, task: trio.lowlevel.Task) -> bool:
        here: trio.lowlevel.Task | None = task
        while here is not None and here is not self._root:
            here = here.parent_nursery.parent_task if here.parent_nursery else None
        return here is not None


@dataclass
class SweepReport(Generic[T]):
    """How many cuts of each kind were made, and what the scenario without a cut returned."""

    uncut: T
    cuts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All cuts."""
        return sum(self.cuts.values())


def cancel_everywhere(
    scenario: Callable[[Cutter], Awaitable[T]],
    check: Callable[[T], Any],
    *,
    clock: Callable[[], trio.abc.Clock | None] = lambda: MockClock(autojump_threshold=0),
    at_most: int = 10_000,
) -> SweepReport[T]:
    """Run a scenario, then once more for each kind of cut and each of its steps, cut exactly there.

    The scenario gets a Cutter, arms it with what can be cut, and returns what ``check`` is to look at. The check runs after
    the run without a cut, too. A failure is raised with a note that names kind and step; ``run_cut`` repeats it alone.
    ValueError if nothing was armed, or if a kind still has steps after ``at_most`` cuts.

    ``clock`` makes a clock for each run; one that makes None is for scenarios with sockets, threads or processes, whose
    deadlines a jumping clock would pass at once.
    """
    uncut, cutter = run_cut(scenario, None, 0, clock=clock)
    check(uncut)
    if not cutter.kinds:
        raise ValueError("the scenario armed nothing: call cutter.arm(name=function, ...) in it")
    report = SweepReport(uncut)
    for kind in cutter.kinds:
        report.cuts[kind] = _sweep(scenario, check, kind, clock, at_most)
    return report


def _sweep(
    scenario: Callable[[Cutter], Awaitable[T]],
    check: Callable[[T], Any],
    kind: str,
    clock: Callable[[], trio.abc.Clock | None],
    at_most: int,
) -> int:
    for step in range(1, at_most + 2):
        with _noted(f"cut by {kind!r} at step {step}"):
            result, cutter = run_cut(scenario, kind, step, clock=clock)
            check(result)
        if not cutter.reached:
            return step - 1
    raise ValueError(f"the scenario is longer than {at_most} steps; shorten it, or raise at_most")


def run_cut(
    scenario: Callable[[Cutter], Awaitable[T]],
    kind: str | None,
    step: int,
    *,
    clock: Callable[[], trio.abc.Clock | None] = lambda: MockClock(autojump_threshold=0),
) -> tuple[T, Cutter]:
    """Run a scenario once, cut at one step; the same every time."""
    cutter = Cutter(kind, step)
    with _deterministic():
        return trio.run(scenario, cutter, clock=clock(), instruments=[cutter]), cutter


@contextmanager
def _noted(note: str) -> Generator[None, None, None]:
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise


@contextmanager
def _deterministic() -> Generator[None, None, None]:
    """Have trio schedule tasks in the same order each time, the way pytest-trio and Hypothesis do."""
    import trio._core._run as scheduler  # trio has no public name for it

    module: Any = scheduler
    kept = (module._ALLOW_DETERMINISTIC_SCHEDULING, module._r)  # noqa: SLF001
    module._ALLOW_DETERMINISTIC_SCHEDULING, module._r = True, random.Random(0)  # noqa: S311, SLF001
    try:
        yield
    finally:
        module._ALLOW_DETERMINISTIC_SCHEDULING, module._r = kept  # noqa: SLF001
