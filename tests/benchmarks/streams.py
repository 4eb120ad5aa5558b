"""One reply: its text, and the arguments of its tool call."""

from collections.abc import Iterator

from .race import Enough, bare, ours, race
from .report import Row, compared
from .sizes import Sizes
from .wire import APIS

FRAMINGS = {"bulk": 1.5, "each": 1.8, "packets": 1.8}
"""What an event may cost, in terms of the floor: many in a chunk, a chunk for each, a packet for each."""


def text(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 1: the deltas of a text, read event by event."""
    for api in APIS:
        for framing, limit in FRAMINGS.items():
            if sizes.checking and framing == "packets":  # on a busy machine they come together
                continue
            count = sizes.packets if framing == "packets" else sizes.deltas
            scenario = f"text:{count}:{framing}"
            teams = [bare("read", api, scenario), ours("read", api, scenario)]
            racers = race(server, teams, sizes.laps, sizes.enough(limit))
            yield compared(1, f"text, {count} deltas, {framing}, {api}", racers, limit)


def text_with_client(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 1, over a client that the application brings: a part for each HTTP chunk."""
    scenario = f"text:{sizes.deltas}:each"
    for api in APIS:
        teams = [bare("read", api, scenario), ours("read-client", api, scenario)]
        racers = race(server, teams, sizes.laps, sizes.enough(FRAMINGS["each"]))
        yield compared(1, f"text, {sizes.deltas} deltas, each, own client, {api}", racers, FRAMINGS["each"])


def tool_calls(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 2: the arguments of a tool call in small deltas."""
    for api in APIS:
        for kind in ("plain", "escaped"):
            scenario = f"args:{kind}:{sizes.arguments}:bulk"
            teams = [bare("read", api, scenario), ours("read", api, scenario)]
            racers = race(server, teams, sizes.laps, sizes.enough(1.5))
            yield compared(2, f"tool call, {sizes.arguments} bytes, {kind}, {api}", racers, 1.5)


def partial_arguments(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 2: a reader who looks at the arguments so far at every delta."""
    for api in APIS:
        for kind in ("plain", "escaped"):
            scenario = f"args:{kind}:{sizes.partials}:bulk"
            teams = [bare("read", api, scenario), ours("partials", api, scenario)]
            racers = race(server, teams, sizes.laps, sizes.enough(10))
            yield compared(2, f"partial at every delta, {sizes.partials} bytes, {kind}, {api}", racers, 10)


def growth(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 2: ten times the bytes, and what they need of memory. Responses repeat the whole on one line: not up to there."""
    enough = Enough(12, "large", "small") if sizes.checking else None
    for api in ("chat", "anthropic"):
        for kind in ("plain", "escaped"):
            teams = [
                ours("read", api, f"args:{kind}:{size}:bulk", name)
                for name, size in (("small", sizes.large // 10), ("large", sizes.large))
            ]
            racers = race(server, teams, sizes.few_laps, enough)
            what = f"{sizes.large} bytes, {kind}, {api}"
            yield compared(2, f"ten times the bytes, {what}", racers, 12, one="large", other="small")
            peak = max(lap["peak"] for lap in racers["large"].laps)
            ratio = peak / sizes.large
            yield Row(2, f"memory beside the payload, {what}", ratio, ratio, 8, f"{peak / 1e6:.1f} MB")
