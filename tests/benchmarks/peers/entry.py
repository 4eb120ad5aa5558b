"""How a peer enters the race, and how it is seen that it has done the work: by the characters it got, or the calls it made."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext
from typing import Any

from tests.benchmarks.contender import Work, compete, first_number
from tests.benchmarks.wire import WORD

PROMPT = "Look around."
Converse = Callable[[str], Coroutine[Any, Any, object]]
MANY = 10_000
"""More turns than any scenario has."""


def enter(works: Mapping[str, Callable[[], Work]], run: Callable[[Any], object] | None = None) -> None:
    """The command line of a contender: work, API (always Chat Completions here), server, scenario; on asyncio unless told."""
    work, _api, server, scenario = sys.argv[1:]
    compete(nullcontext(works[work]()), server, scenario, run or _on_asyncio)


def _on_asyncio(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def check(url: str, got: int) -> None:
    """A reader has got the characters of the text or of the arguments; a loop has made its calls."""
    wanted = amount(url.split("/")[3])
    if got != wanted:
        raise RuntimeError(f"{got} instead of {wanted} at {url}")


class Lookout:
    """What the tool of the agents does; as in an application, one tool serves all of them."""

    def __init__(self) -> None:
        self._calls = 0

    def see(self, place: str) -> str:
        self._calls += 1
        return f"nothing special in {place}"

    def check(self, url: str, runs: int = 1) -> None:
        """All runs together have made their calls."""
        calls, self._calls = self._calls, 0
        check(url, calls // runs)
        if calls % runs:
            raise RuntimeError(f"{calls} calls in {runs} runs at {url}")


def amount(scenario: str) -> int:
    match scenario.split(":"):
        case ["text", count, *_]:
            return int(count) * len(WORD)
        case ["args", _, size, *_]:
            return int(size)
        case [*_, turns]:
            return int(turns)
    raise ValueError(scenario)


LOOKOUT = Lookout()


def alone(one: Converse) -> Callable[[], Work]:
    """One agent that looks around."""

    async def work(url: str) -> None:
        await one(url)
        LOOKOUT.check(url)

    return lambda: work


def together(one: Converse) -> Callable[[], Work]:
    """As many at a time as the scenario says."""

    async def work(url: str) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(first_number(url)):
                group.create_task(one(url))
        LOOKOUT.check(url, first_number(url))

    return lambda: work
