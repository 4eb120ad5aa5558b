"""The tools of the scenes: three that look something up, and one that takes an hour."""

from collections.abc import Sequence

import trio

from runtime import ToolInvocation
from tools import tool


async def _work(call: ToolInvocation, seconds: float, steps: Sequence[str]) -> None:
    """Take some time, and say how far it is in between."""
    for step in steps:
        await trio.sleep(seconds / (len(steps) + 1))
        await call.update(step)
    await trio.sleep(seconds / (len(steps) + 1))


@tool
async def flights(call: ToolInvocation, city: str) -> str:
    """Find a flight to a city."""
    await _work(call, 2.1, ["asking 12 airlines", "9 have answered"])
    return f"Friday 18:05 to {city}, 89 euros"


@tool
async def hotels(call: ToolInvocation, city: str) -> str:
    """Find a hotel in a city."""
    await _work(call, 1.5, ["214 rooms", "31 with a balcony"])
    return f"a balcony above the river of {city}, 70 euros"


@tool
async def weather(call: ToolInvocation, city: str) -> str:
    """Tell the weekend's weather in a city."""
    await _work(call, 0.9, ["looking out of the window"])
    return f"sunny in {city}, 24 degrees"


class Guidebook:
    """Prints a guidebook: slowly, and it tidies up when it is stopped."""

    pages = 3600

    def __init__(self) -> None:
        self.tidied_up = False

    @tool
    async def print_guide(self, call: ToolInvocation, city: str) -> str:
        """Print a guidebook of a city: a page a second."""
        try:
            for page in range(1, self.pages + 1):
                await call.update(f"page {page} of {self.pages}")
                await trio.sleep(1)
        finally:
            await self._tidy_up(call)
        return f"a guidebook of {city}"

    async def _tidy_up(self, call: ToolInvocation) -> None:
        with trio.move_on_after(1, shield=True):  # also when the run was aborted, but not for ever
            await trio.sleep(0.2)
            await call.update("paper taken out, printer off")
            self.tidied_up = True
