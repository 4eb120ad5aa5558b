"""What it costs to begin: imports, and the demo."""

import sys
from collections.abc import Callable, Iterator
from statistics import median

from .race import Lap, command_cpu
from .report import Row
from .sizes import Sizes

IMPORT = 1.25
DEMO_SECONDS = 1
FLOOR = "import trio, pydantic"


def imports(_server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 5: the kernel, beside what it is made of; and with names in use, which are imported when they are asked for."""
    yield _import("import runtime", sizes, IMPORT)
    if not sizes.checking:
        yield _import("from runtime import open_agent, stream, user", sizes)


def _import(statement: str, sizes: Sizes, limit: float | None = None) -> Row:
    costs: dict[str, list[Lap]] = {FLOOR: [], statement: []}
    for each in costs:
        command_cpu(sys.executable, "-c", each)  # writes the byte code
    for lap in range(2 * sizes.laps):
        for each, laps in costs.items():
            laps.append(command_cpu(sys.executable, "-c", each))
        if sizes.checking and limit and lap > 2 and _ratio(costs, min) <= limit:
            break
    note = " against ".join(
        f"{median(lap['cpu'] for lap in costs[each]) * 1000:.0f} ms" for each in (statement, FLOOR)
    )
    goal = None if limit is None else 5
    return Row(goal, statement, _ratio(costs, median), _ratio(costs, min), limit, note, laps=costs)


def _ratio(costs: dict[str, list[Lap]], of: Callable[[list[float]], float]) -> float:
    floor, own = (of([lap["cpu"] for lap in laps]) for laps in costs.values())
    return own / floor


def demo(_server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 5: the demo from beginning to end, in seconds of CPU."""
    laps = [command_cpu(sys.executable, "-m", "runtime.demo", "--fast") for _ in range(sizes.few_laps)]
    costs = [lap["cpu"] for lap in laps]
    yield Row(5, "the demo, seconds of CPU", median(costs), min(costs), DEMO_SECONDS, laps={"agentrio": laps})
