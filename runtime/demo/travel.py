"""The tools of the scenes: three that look something up, and one that takes an hour."""

import trio

from runtime import ToolInvocation
from tools import tool


async def _work(call: ToolInvocation, *steps: tuple[float, str], rest: float) -> None:
    """Take some time, and say how far it is in between."""
    for seconds, text in steps:
        await trio.sleep(seconds)
        await call.update(text)
    await trio.sleep(rest)


@tool
async def flights(call: ToolInvocation, city: str) -> str:
    """Find a flight to a city."""
    await _work(call, (0.3, "asking 12 airlines"), (1.1, "9 have answered"), rest=0.7)
    return f"Friday 18:05 to {city}, 89 euros"


@tool
async def hotels(call: ToolInvocation, city: str) -> str:
    """Find a hotel in a city."""
    await _work(call, (0.4, "214 rooms"), (0.6, "31 with a balcony"), rest=0.6)
    return f"a balcony above the river of {city}, 70 euros"


@tool
async def weather(call: ToolInvocation, city: str) -> str:
    """Tell the weekend's weather in a city."""
    await _work(call, (0.5, "looking out of the window"), rest=0.7)
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
            with trio.move_on_after(1, shield=True):  # an abort waits for this, but not for ever
                await trio.sleep(0.3)
                await call.update("paper taken out, printer off")
                self.tidied_up = True
        return f"a guidebook of {city}"
