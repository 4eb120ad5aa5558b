"""Agents: one with many turns, many with few, many readers of one, and what they need when nobody speaks to them."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from .race import Racer, Racers, bare, ours, race
from .report import Row, compared
from .sizes import Sizes

LATE_TURN = 1.5
"""What a late turn may cost, in terms of an early one, beyond the bytes of its request."""
TURNS = 2.5
"""What the turns of one agent may cost, in terms of a loop by hand."""
CROWD = 2
"""The same for a crowd of agents."""
FAN = 3
"""What ten times the subscribers may cost."""
IDLE_KILOBYTES = 20


def one_agent(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goals 3 and 4: n turns, each a model call and a tool call; and of many turns a late one beside an early one."""
    scenario = f"turns:{sizes.few_turns}"
    teams = [bare("turns", scenario=scenario), ours("turns", scenario=scenario)]
    racers = race(server, teams, sizes.laps, sizes.enough(TURNS))
    yield compared(3, f"1 agent, {sizes.few_turns} turns", racers, TURNS)
    scenario = f"turns:{sizes.turns}"
    teams = [bare("turns", scenario=scenario), ours("turns", scenario=scenario)]
    racers = race(server, teams, sizes.few_laps, partial(_is_flat, sizes) if sizes.checking else None)
    yield compared(None, f"1 agent, {sizes.turns} turns", racers)
    yield late_turn(racers["agentrio"], racers["floor"], sizes)


def _is_flat(sizes: Sizes, racers: Racers) -> bool:
    return late_turn(racers["agentrio"], racers["floor"], sizes).kept


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
    """The cost of a turn around the tenth and among the last: of all laps and neighbours, one that few were faster than."""
    turns = [[after - before for before, after in pairwise(lap["clock"])] for lap in racer.laps]
    early, late = (
        min(sorted(few)[len(few) // 10] for few in part)
        for part in ([lap[5:15] for lap in turns], [lap[-window:] for lap in turns])
    )
    return early, late


def many_agents(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 3: a crowd, beside loops with a client each; and a tenth of it, beside loops that share one, which costs its square."""
    for floor, crowd in (("crowd-each", sizes.crowd), ("crowd-shared", max(1, sizes.crowd // 10))):
        scenario = f"crowd:{crowd}:2"
        teams = [bare(floor, scenario=scenario), ours("crowd", scenario=scenario)]
        racers = race(server, teams, sizes.few_laps, sizes.enough(CROWD))
        clients = "a client each" if floor == "crowd-each" else "one client"
        yield compared(3, f"{crowd} agents, 2 turns each, floor with {clients}", racers, CROWD)
        if floor == "crowd-each":
            yield compared(None, f"{crowd} agents, 2 turns each, memory", racers, key="peak")


def readers(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 7: ten times the subscribers of one agent; and ten times the feeds, each of which is read by a task of its own."""
    for work, goal, limit in (("subscribers", 7, FAN), ("feeds", None, 10)):
        few, many = (
            ours(work, scenario=f"fan:{count}", name=f"{count}")
            for count in (sizes.readers // 10, sizes.readers)
        )
        racers = race(server, [few, many], sizes.few_laps)
        name = f"{many.name} {work} beside {few.name}"
        yield compared(goal, name, racers, limit, one=many.name, other=few.name)


def idle_agents(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 3: what an agent needs when nobody speaks to it, in kilobytes; a task that waits for mail stands beside it."""
    scenario = f"idle:{sizes.crowd}"
    racers = race(server, [bare("idle", scenario=scenario), ours("idle", scenario=scenario)], 1)
    own, floor = (racers[name].median("peak") / sizes.crowd / 1000 for name in ("agentrio", "floor"))
    yield Row(
        3, "an idle agent, KB of memory", own, own, IDLE_KILOBYTES, f"a task that waits: {floor:.1f} KB"
    )
