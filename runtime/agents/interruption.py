"""The cutting of a run, in one place: why, when, and what has to stop.

A run is cut once, by an abort or by an exception of application code. Cutting cancels the scopes that are open at that
moment and those that open later, so nothing has to look at a flag. Code outside such a scope, which is to say the
run's own bookkeeping and the readers of its events, is never cut.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import trio

from runtime.nurseries import is_cancellation, without_cancellation

T = TypeVar("T")


class Interruption:
    """Whether a run is being cut."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._cuts: dict[object, Callable[[], None]] = {}
        self.failure: BaseException | None = None
        self.failed_first = False
        self.time: float | None = None

    def is_set(self) -> bool:
        """Whether the run was cut."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until it is."""
        await self._event.wait()

    def abort(self) -> None:
        """Cut because somebody asked."""
        self._cut()

    def fail(self, failure: BaseException) -> None:
        """Cut because application code raised; the first such exception is the one that leaves the run."""
        if self.failure is None:
            self.failure = failure
            self.failed_first = not self.is_set()
        self._cut()

    def _cut(self) -> None:
        if not self.is_set():
            self.time = trio.current_time()
            self._event.set()
            for cut in tuple(self._cuts.values()):
                cut()

    @contextmanager
    def calls(self, cut: Callable[[], None]) -> Iterator[None]:
        """Have something called when the run is cut, or now if it was."""
        key = object()
        self._cuts[key] = cut
        if self.is_set():
            cut()
        try:
            yield
        finally:
            self._cuts.pop(key, None)

    def scope(self) -> "CutScope":
        """A cancel scope, as a context manager, that is cancelled when the run is cut."""
        return CutScope(self._cuts, self.is_set)

    def __repr__(self) -> str:
        state = "failed" if self.failure else "aborted" if self.is_set() else "not cut"
        return f"<Interruption {state}, {len(self._cuts)} to cut>"

    async def attempt(
        self,
        function: Callable[..., Awaitable[T]],
        *args: Any,
        opened: "Callable[[CutScope], None] | None" = None,
    ) -> "Attempt[T]":
        """Await application code in a scope of its own: how that ended, as a value.

        ``opened`` is given the scope, for those who may want to cut it alone.
        """
        value: T | None = None
        failure: BaseException | None = None
        try:
            with self.scope() as scope:
                if opened is not None:
                    opened(scope)
                value = await function(*args)
        except BaseException as error:  # noqa: ASYNC103 - what holds a cancellation is raised
            if is_cancellation(error):  # of somebody else's scope: ours has taken its own out
                raise
            failure = without_cancellation(error)
        return Attempt(value, failure, scope.was_cut)


@dataclass(slots=True)
class Attempt(Generic[T]):
    """How application code ended: its value, what it raised, and whether it was cut meanwhile."""

    value: T | None
    failure: BaseException | None
    was_cut: bool


class CutScope:
    """One cancel scope of an interruption."""

    __slots__ = ("_cuts", "_is_cut", "_trio")

    def __init__(self, cuts: dict[object, Callable[[], None]], is_cut: Callable[[], bool]) -> None:
        self._trio = trio.CancelScope()
        self._cuts = cuts
        self._is_cut = is_cut

    def __enter__(self) -> Self:
        self.resume()
        self._trio.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.spare()
        return bool(self._trio.__exit__(kind, raised, trace))

    def cancel(self) -> None:
        """Cut this one alone."""
        self._trio.cancel()

    def spare(self) -> None:
        """What follows in the block is cut by other means."""
        self._cuts.pop(self, None)

    def resume(self) -> None:
        """Cut the rest of the block with the run again."""
        self._cuts[self] = self.cancel
        if self._is_cut():
            self.cancel()

    @property
    def was_cut(self) -> bool:
        """Whether the block was cancelled, even if it did not listen."""
        return self._trio.cancel_called
