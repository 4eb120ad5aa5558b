"""What must not grow: the price of one agent among many, and of ending a thousand tools at once.

Run as a program, it is a contender like ``bare`` and ``ours``: ``python -m tests.benchmarks.scale <work> ...``.
"""

import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from providers import limit_requests
from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import StopReason, open_agent
from tools import tool

from .contender import Work, compete, first_number
from .ours import WORKS as OURS
from .race import Contender, ours, race
from .report import Row, compared
from .sizes import Sizes

ABORT = 4
"""What an abort may cost, in terms of cancelling as many bare tasks."""
FLAT = 1.5
"""What an agent in a crowd may cost, in terms of one among a few."""
IN_FLIGHT = 500


def scale(work: str, scenario: str, name: str = "agentrio") -> Contender:
    """A contender of this module."""
    return Contender(name, (sys.executable, "-m", f"{__package__}.scale"), work, "chat", scenario)


def aborts(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 6: the abort of a batch of tools that run, beside the cancellation of as many tasks."""
    scenario = f"idle:{sizes.crowd}"
    racers = race(
        server,
        [scale("cancel", scenario, "floor"), scale("abort", scenario)],
        sizes.laps,
        sizes.enough(ABORT),
    )
    yield compared(6, f"abort of {sizes.crowd} running tools", racers, ABORT)


def flatness(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 3: what each agent costs among many, beside what it costs among a hundredth of them."""
    few, many = max(1, sizes.crowd // 100), sizes.crowd
    contenders = [
        ours("crowd", scenario=f"crowd:{count}:2", name=f"{count}") for count in dict.fromkeys((few, many))
    ]
    racers = race(server, contenders, sizes.few_laps)
    dear, cheap = racers[f"{many}"], racers[f"{few}"]
    ratio = dear.median() / many / (cheap.median() / few)
    least = dear.least() / many / (cheap.least() / few)
    note = f"{dear.median() / many * 1000:.2f} ms against {cheap.median() / few * 1000:.2f} ms"
    yield Row(3, f"an agent of {many} beside one of {few}", ratio, least, FLAT, note)


def multitude(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 3: ten times the crowd, with a limit of requests in flight; beside the crowd without one."""
    crowds = [
        ours("crowd", scenario=f"crowd:{sizes.crowd}:2", name="crowd"),
        scale("limited", f"crowd:{sizes.crowd * 10}:2", "multitude"),
    ]
    racers = race(server, crowds, 1)
    yield compared(
        3,
        f"{sizes.crowd * 10} agents beside {sizes.crowd}",
        racers,
        10 * FLAT,
        one="multitude",
        other="crowd",
    )


def cancel_tasks(_api: str) -> Work:
    """Bare tasks that sleep, cancelled all at once; only that is counted."""

    async def work(url: str) -> dict[str, Any]:
        async with trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                nursery.start_soon(trio.sleep_forever)
            await wait_all_tasks_blocked()
            gc.collect()
            begin = time.process_time()
            nursery.cancel_scope.cancel()
        return {"cpu": time.process_time() - begin}

    return work


def abort_tools(_api: str) -> Work:
    """One agent whose tools sleep, aborted; only that is counted, with all results and events."""

    @tool
    async def work_long() -> str:
        """Never come to an end."""
        await trio.sleep_forever()
        return ""

    async def work(url: str) -> dict[str, Any]:
        count = first_number(url)
        calls = [faux_tool_call("work_long", {}, id=f"c{number}") for number in range(count)]
        with register_faux_provider() as faux:
            faux.set_responses([faux_assistant_message(calls, stop_reason=StopReason.ToolUse)])
            async with (
                open_agent(faux.get_model(), tools=[work_long]) as agent,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(agent.prompt, "go")
                await wait_all_tasks_blocked()
                assert agent.statistics().running_tools == count
                gc.collect()  # what was made for the start is not the end's to look through
                begin = time.process_time()
                agent.abort()
                await agent.wait_for_idle()
                return {"cpu": time.process_time() - begin}
        raise AssertionError

    return work


@asynccontextmanager
async def limited_crowd(api: str) -> AsyncIterator[Work]:
    """The crowd of ``ours``, so many requests of it in flight at a time."""
    limit_requests(IN_FLIGHT)
    async with OURS["crowd"](api) as work:
        yield work


WORKS: dict[str, Callable[[str], AbstractAsyncContextManager[Work]]] = {
    "cancel": lambda api: nullcontext(cancel_tasks(api)),
    "abort": lambda api: nullcontext(abort_tools(api)),
    "limited": limited_crowd,
}


def main() -> None:
    work, api, server, scenario = sys.argv[1:]
    compete(WORKS[work](api), server, scenario)


if __name__ == "__main__":
    main()
