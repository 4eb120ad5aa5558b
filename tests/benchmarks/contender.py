"""What a contender is: a command that does its work once for every line it reads, and answers with its costs as a line of JSON.

``cpu`` and ``wall`` are seconds, ``peak`` is how many bytes of memory the work had in use at most beyond those before it;
more keys may follow. Before the first lap it does a small piece of the same work, so that imports and connections do not count.
A contender in another environment, of another framework, is another command.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from .wire import small

Work = Callable[[str], Awaitable[dict[str, Any] | None]]
"""Calls the API at a base URL once, or as often as its scenario says; may add to its costs."""


def compete(
    opened: AbstractAsyncContextManager[Work],
    server: str,
    scenario: str,
    run: Callable[[Any], object] | None = None,
) -> None:
    """Do the work for every line of input, all of it in one ``trio.run``, or one ``run`` of another loop."""

    async def main() -> None:
        async with opened as work:
            await work(_url(server, small(scenario)))
            while sys.stdin.readline():  # blocking: nothing else runs here
                print(json.dumps(await _lap(work, _url(server, scenario))), flush=True)

    if run is None:
        import trio

        run = trio.run
    run(main)


async def _lap(work: Work, url: str) -> dict[str, Any]:
    gc.collect()
    before = _reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    more = await work(url)
    costs = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {**costs, "peak": _memory("VmHWM") - before, **(more or {})}


def _url(server: str, scenario: str) -> str:
    return f"{server}/{scenario}/v1"


def first_number(url: str) -> int:
    """Of the scenario of a base URL."""
    return int(url.split("/")[3].split(":")[1])


def _reset_peak() -> int:
    if os.name == "posix" and (peak := Path("/proc/self/clear_refs")).exists():
        peak.write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Bytes of memory of this process, as Linux tells them; elsewhere nothing is known."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))
