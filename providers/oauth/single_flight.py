"""One does the work, and all who wanted it meanwhile have what came of it."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

import trio

from runtime.errors import AgentrioError

_T = TypeVar("_T")


class _Flight:
    """One piece of work, and the tasks that wait for it in line."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        self.waiting = 0
        self.result: Any = None
        self.failure: AgentrioError | None = None
        self.landed = False


# Of one trio.run: tasks of two runs, in two threads, cannot wait for each other.
_flights: trio.lowlevel.RunVar[dict[Hashable, _Flight]] = trio.lowlevel.RunVar("oauth_flights")


async def share(key: Hashable, work: Callable[[], Awaitable[_T]]) -> _T:
    """Do the work, unless a task of this run already does it under the same key: then wait, and take its result.

    An AgentrioError is shared like a result. When the task that does the work is cancelled, or fails in another way, the next
    one that waits does it. Who comes after the end begins anew.
    """
    flights = _current_flights()
    flight = flights.setdefault(key, _Flight())
    flight.waiting += 1
    try:
        async with flight.turn:
            if not flight.landed:
                await _fly(flight, work)
                _forget(flights, key, flight)
    finally:
        flight.waiting -= 1
        if not flight.waiting:
            _forget(flights, key, flight)
    if flight.failure is not None:
        raise flight.failure
    result: _T = flight.result
    return result


async def _fly(flight: _Flight, work: Callable[[], Awaitable[Any]]) -> None:
    try:
        flight.result = await work()
    except AgentrioError as error:
        flight.failure = error
    flight.landed = True


def _forget(flights: dict[Hashable, _Flight], key: Hashable, flight: _Flight) -> None:
    if flights.get(key) is flight:
        del flights[key]


def _current_flights() -> dict[Hashable, _Flight]:
    try:
        return _flights.get()
    except LookupError:
        flights: dict[Hashable, _Flight] = {}
        _flights.set(flights)
        return flights
