"""How much is measured."""

from dataclasses import dataclass

from .race import Enough


@dataclass(frozen=True)
class Sizes:
    """The sizes of the goals. ``checking`` ends a race as soon as its limit is kept."""

    deltas: int = 5000
    packets: int = 2000
    arguments: int = 1_000_000
    partials: int = 200_000
    large: int = 10_000_000
    few_turns: int = 200
    turns: int = 1000
    window: int = 50
    crowd: int = 1000
    readers: int = 100
    laps: int = 9
    few_laps: int = 3
    checking: bool = False

    def enough(self, limit: float) -> Enough | None:
        return Enough(limit) if self.checking else None


FULL = Sizes()
CHECK = Sizes(laps=25, few_laps=10, checking=True)
TINY = Sizes(
    deltas=20,
    packets=5,
    arguments=2000,
    partials=500,
    large=4000,
    few_turns=4,
    turns=24,
    window=2,
    crowd=3,
    readers=10,
    laps=1,
    few_laps=1,
)
