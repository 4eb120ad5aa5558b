"""One reply: its text, and the arguments of its tool call."""

from collections.abc import Iterator
from itertools import product

from .race import Contender, Enough, bare, ours, race
from .report import Row, compared
from .sizes import Sizes
from .wire import APIS

KINDS = ("plain", "escaped")
FRAMINGS = {"bulk": 1.5, "each": 1.8, "packets": 1.8}
"""What an event may cost, in terms of the floor: many in a chunk, a chunk for each, a packet for each."""


def text(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 1: the deltas of a text, read event by event."""
    for api in APIS:
        for framing, limit in FRAMINGS.items():
            if sizes.checking and framing == "packets":  # on a busy machine they come together
                continue
            count = sizes.packets if framing == "packets" else sizes.deltas
            own = ours("read", api, f"text:{count}:{framing}")
            yield beside_floor(server, sizes, 1, f"text, {count} deltas, {framing}, {api}", own, limit)


def text_with_client(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 1, over a client that the application brings: a part for each HTTP chunk."""
    for api in APIS:
        own = ours("read-client", api, f"text:{sizes.deltas}:each")
        name = f"text, {sizes.deltas} deltas, each, own client, {api}"
        yield beside_floor(server, sizes, 1, name, own, FRAMINGS["each"])


def tool_calls(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 2: the arguments of a tool call in small deltas."""
    for api, kind in product(APIS, KINDS):
        own = ours("read", api, f"args:{kind}:{sizes.arguments}:bulk")
        name = f"tool call, {sizes.arguments} bytes, {kind}, {api}"
        yield beside_floor(server, sizes, 2, name, own, 1.5)


def partial_arguments(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 2: a reader who looks at the arguments so far at every delta."""
    for api, kind in product(APIS, KINDS):
        own = ours("partials", api, f"args:{kind}:{sizes.partials}:bulk")
        name = f"partial at every delta, {sizes.partials} bytes, {kind}, {api}"
        yield beside_floor(server, sizes, 2, name, own, 10)


def beside_floor(server: str, sizes: Sizes, goal: int, name: str, own: Contender, limit: float) -> Row:
    """A contender of ours beside the one that only reads the same."""
    floor = bare("read", own.api, own.scenario)
    return compared(goal, name, race(server, [floor, own], sizes.laps, sizes.enough(limit)), limit)


def growth(server: str, sizes: Sizes) -> Iterator[Row]:
    """Goal 2: ten times the bytes, and what they need of memory. Responses repeat the whole on one line: not up to there."""
    enough = Enough(12, "large", "small") if sizes.checking else None
    for api in ("chat", "anthropic"):
        for kind in KINDS:
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
