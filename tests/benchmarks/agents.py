"""Agents: one with many turns, many with few, many readers of one, and what they need when nobody speaks to them."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from .race import Racer, bare, ours, race
from .report import Row, compared
from .sizes import Sizes

LATE_TURN = 1.5
"""What a late turn may cost, in terms of an early one, beyond the bytes of its request."""


def one_agent(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 4: n turns, each a model call and a tool call; and a late turn beside an early one."""
    scenario = f"turns:{sizes.turns}"
    racers = race(
        server, [bare("turns", scenario=scenario), ours("turns", scenario=scenario)], sizes.few_laps
    )
    yield compared(None, f"1 agent, {sizes.turns} turns", racers)
    yield late_turn(racers["agentrio"], racers["floor"], sizes)


def late_turn(own: Racer, floor: Racer, sizes: Sizes) -> Row:
    """The floor sends the same growing conversation: what its late turns cost more is the bytes."""
    (early, late), (bare_early, bare_late) = turns_of(own, sizes.window), turns_of(floor, sizes.window)
    ratio = (late - max(0.0, bare_late - bare_early)) / early
    told = [f"{cost * 1000:.2f} ms" for cost in (early, late, bare_early, bare_late)]
    note = f"{told[0]} -> {told[1]}, floor {told[2]} -> {told[3]}"
    return Row(
        4,
        f"turn {sizes.turns} beside turn 10, beyond its bytes",
        ratio,
        ratio,
        LATE_TURN,
        note,
        {"with its bytes": late / early},
    )


def turns_of(racer: Racer, window: int) -> tuple[float, float]:
    """The cost of a turn early and late: the least of all laps, of medians around the place."""
    early, late = [], []
    for lap in racer.laps:
        turns = [after - before for before, after in pairwise(lap["clock"])]
        early.append(median(turns[window // 2 : window // 2 + window]))
        late.append(median(turns[-window:]))
    return min(early), min(late)


def many_agents(server: str, sizes: Sizes) -> Iterator[Row]:
    """A crowd, beside loops with a client each; and a tenth of it, beside loops that share one."""
    for floor, crowd in (("crowd-each", sizes.crowd), ("crowd-shared", max(1, sizes.crowd // 10))):
        scenario = f"crowd:{crowd}:2"
        racers = race(
            server, [bare(floor, scenario=scenario), ours("crowd", scenario=scenario)], sizes.few_laps
        )
        clients = "a client each" if floor == "crowd-each" else "one client"
        yield compared(None, f"{crowd} agents, 2 turns each, floor with {clients}", racers)
        if floor == "crowd-each":
            yield compared(None, f"{crowd} agents, 2 turns each, memory", racers, key="peak")


def readers(server: str, sizes: Sizes) -> Iterator[Row]:
    """Ten times the readers of one agent."""
    for work in ("subscribers", "feeds"):
        few, many = (
            ours(work, scenario=f"fan:{count}", name=f"{count}")
            for count in (sizes.readers // 10, sizes.readers)
        )
        racers = race(server, [few, many], sizes.few_laps)
        yield compared(
            None, f"{many.name} {work} beside {few.name}", racers, 10, one=many.name, other=few.name
        )


def idle_agents(server: str, sizes: Sizes) -> Iterator[Row]:
    """Agents that wait, beside tasks that wait."""
    scenario = f"idle:{sizes.crowd}"
    racers = race(server, [bare("idle", scenario=scenario), ours("idle", scenario=scenario)], 1)
    each = {name: racer.median("peak") / sizes.crowd / 1024 for name, racer in racers.items()}
    note = ", ".join(f"{name} {size:.1f} KiB each" for name, size in each.items())
    ratio = each["agentrio"] / max(each["floor"], 0.001)
    yield Row(None, f"{sizes.crowd} idle agents beside idle tasks, memory", ratio, ratio, note=note)
