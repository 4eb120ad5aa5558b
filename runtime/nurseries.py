"""A nursery that speaks with one voice.

trio's nurseries raise exception groups, even for one exception. Inside our own context managers that would
change the type of what a user's block raised, only because we happened to run a task beside it. Tasks that
we start report their failures as values, so one exception can always speak for all.
"""

import math
from collections.abc import Callable
from types import TracebackType

import trio


class SingleVoiceNursery:
    """``async with SingleVoiceNursery() as nursery:`` is ``trio.open_nursery()`` without the group.

    What the body raises leaves as itself. Otherwise the first failure of a child leaves, and a cancellation only
    when there is nothing else to say.
    """

    def __init__(self) -> None:
        self._manager = trio.open_nursery()

    async def __aenter__(self) -> trio.Nursery:
        return await self._manager.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            return bool(await self._manager.__aexit__(kind, raised, trace))  # noqa: ASYNC102 - as trio's own does
        except BaseExceptionGroup as group:
            voice = spokesman(group, raised)
        if voice is raised:
            return False
        raise voice  # outside the except clause, so that the group does not become its context


def spokesman(group: BaseExceptionGroup[BaseException], raised: BaseException | None = None) -> BaseException:
    """The exception that stands for a group made by our nursery: the body's own, else the first that is no cancellation."""
    if raised is not None and not _only_cancels(raised):
        return raised
    others = [exc for exc in group.exceptions if not _only_cancels(exc)]
    return others[0] if others else group.exceptions[0]


def _only_cancels(error: BaseException) -> bool:
    """Whether there is nothing in it but cancellations, as in the groups that trio's own nurseries make of them."""
    return all(isinstance(leaf, trio.Cancelled) for leaf in leaves(error))


def holds_cancellation(error: BaseException) -> bool:
    """Whether an exception is a cancellation, or a group with one in it: such must reach the scope that it belongs to."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[0] is not None
    return isinstance(error, trio.Cancelled)


def is_cancellation(error: BaseException) -> bool:
    """Whether an exception holds a cancellation that a scope around us asked for; one kept from elsewhere is a mere failure."""
    return holds_cancellation(error) and trio.current_effective_deadline() == -math.inf


def without_cancellation(error: BaseException) -> BaseException:
    """The same exception; in place of a cancellation that nobody asked for, one that says so."""
    if not holds_cancellation(error):
        return error
    rest = error.split(trio.Cancelled)[1] if isinstance(error, BaseExceptionGroup) else None
    stray = RuntimeError("a trio.Cancelled was raised outside of the scope that it belongs to")
    stray.__cause__ = error
    return rest or stray


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions of a group, however deep; of another exception, itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def explain(error: BaseException) -> str:
    """The text of an exception; of a group, those of its exceptions, the same ones once."""
    return "; ".join(dict.fromkeys(_text(leaf) for leaf in leaves(error)))


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - application code, which is asked where a failure must not stop us
        return type(error).__name__


async def when_set(event: trio.Event, act: Callable[[], object]) -> None:
    """Wait for an event, then do something."""
    await event.wait()
    act()
