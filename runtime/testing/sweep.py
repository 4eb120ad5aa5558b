"""Cut a scenario at every one of its checkpoints, and look at what is left each time."""

import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import trio

from .cutter import Cutter

T = TypeVar("T")
_Scenario = Callable[[Cutter], Awaitable[T]]
_NewClock = Callable[[], trio.abc.Clock | None] | None

TRIES = 3
"""On the real clock steps vary: so many runs in a row must end before a step, until there are no more steps."""
_SEEDED = ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r")


def new_clock() -> trio.abc.Clock:
    """A clock whose time passes at once when everybody waits."""
    from trio.testing import MockClock

    return MockClock(autojump_threshold=0)


@dataclass
class SweepReport(Generic[T]):
    """How many cuts of each kind were made, and what the scenario without a cut returned after how many steps."""

    uncut: T
    cuts: dict[str, int] = field(default_factory=dict)
    steps: int = 0

    @property
    def total(self) -> int:
        """All cuts."""
        return sum(self.cuts.values())

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.cuts.items())
        return f"{self.total} cuts of a scenario of {self.steps} steps: {kinds}"


def cancel_everywhere(
    scenario: _Scenario[T],
    check: Callable[[T], Any],
    *,
    clock: _NewClock = new_clock,
    at_most: int = 10_000,
) -> SweepReport[T]:
    """Run a scenario, then once more for each kind of cut and each of its steps, cut exactly there.

    The scenario gets a Cutter, arms it with what can be cut, and returns what ``check`` is to look at. The check runs after
    the run without a cut, too. A failure is raised with a note that says how to repeat it alone. ValueError if nothing was
    armed, or if a kind still has steps after ``at_most`` cuts; RuntimeError with a trio whose scheduler cannot be seeded.

    ``clock`` makes a clock for each run. None, or one that makes None, is the real clock: for scenarios with sockets,
    threads or processes, whose deadlines a jumping clock would pass at once. Steps then vary from run to run; the sweep
    goes on until several runs in a row were over before the step that they were to be cut at.
    """
    with _noted("in the run without a cut"):
        uncut, cutter = run_cut(scenario, None, 0, clock=clock)
        check(uncut)
    if not cutter.kinds:
        raise ValueError("the scenario armed nothing: call cutter.arm(name=function, ...) in it")
    report = SweepReport(uncut, steps=cutter.steps)
    for kind in cutter.kinds:
        report.cuts[kind] = _sweep(scenario, check, kind, clock, at_most)
    return report


def _sweep(
    scenario: _Scenario[T], check: Callable[[T], Any], kind: str, clock: _NewClock, at_most: int
) -> int:
    tries = TRIES if clock is None or clock() is None else 1
    for step in range(1, at_most + 2):
        if not any(_is_cut(scenario, check, kind, step, clock) for _ in range(tries)):
            return step - 1
    raise ValueError(f"the scenario is longer than {at_most} steps; shorten it, or raise at_most")


def _is_cut(
    scenario: _Scenario[T], check: Callable[[T], Any], kind: str, step: int, clock: _NewClock
) -> bool:
    """Run and check once; whether the scenario had not ended before."""
    its_clock = "" if clock is new_clock else ", clock=..."
    again = f"{_name(check)}(run_cut({_name(scenario)}, {kind!r}, {step}{its_clock})[0])"
    with _noted(f"cut by {kind!r} at step {step}; alone: {again}"):
        result, cutter = run_cut(scenario, kind, step, clock=clock)
        check(result)
    return cutter.reached


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def run_cut(
    scenario: _Scenario[T],
    kind: str | None,
    step: int,
    *,
    clock: _NewClock = new_clock,
) -> tuple[T, Cutter]:
    """Run a scenario once, cut at one step, and return its result and its Cutter; on a virtual clock the same every time.

    Nothing is checked: give the result to the check of the sweep.
    """
    cutter = Cutter(kind, step)
    with _deterministic():
        result = trio.run(scenario, cutter, clock=clock() if clock else None, instruments=[cutter])
    if cutter.failure is not None:
        raise cutter.failure
    return result, cutter


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

    if missing := [name for name in _SEEDED if not hasattr(scheduler, name)]:
        raise RuntimeError(
            f"trio {trio.__version__} has no {' and no '.join(missing)} in trio._core._run, by which the order of tasks is "
            "made repeatable: install a trio that has them, as 0.35 does"
        )
    module: Any = scheduler
    kept = [getattr(module, name) for name in _SEEDED]
    module._ALLOW_DETERMINISTIC_SCHEDULING, module._r = True, random.Random(0)  # noqa: S311, SLF001
    try:
        yield
    finally:
        for name, value in zip(_SEEDED, kept, strict=True):
            setattr(module, name, value)
