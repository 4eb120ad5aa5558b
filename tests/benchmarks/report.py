"""What was measured: rows of one table, for people and as JSON."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .race import Racers

MARGIN = 1.1
"""The check lets so much more pass: it shares its machine with others."""


@dataclass(frozen=True)
class Row:
    """One thing that was measured, as a ratio to a floor or to itself in small, and the limit that it should keep.

    ``least`` is the ratio of the best laps: what disturbs a lap makes it slower and never faster, so checks look at this one.
    ``others`` are the ratios of further contenders.
    """

    goal: int | None
    name: str
    ratio: float
    least: float
    limit: float | None = None
    note: str = ""
    others: dict[str, float] = field(default_factory=dict)
    laps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        return self.limit is None or min(self.ratio, self.least) <= self.limit

    @property
    def nearly_kept(self) -> bool:
        return self.limit is None or min(self.ratio, self.least) <= self.limit * MARGIN


def compared(
    goal: int | None,
    name: str,
    racers: Racers,
    limit: float | None = None,
    *,
    one: str = "agentrio",
    other: str = "floor",
    key: str = "cpu",
    note: str = "",
) -> Row:
    """The row of a race: what one has cost in terms of the other."""
    ratio = racers[one].median(key) / racers[other].median(key)
    least = racers[one].least(key) / racers[other].least(key)
    further = {
        name: racer.median(key) / racers[other].median(key)
        for name, racer in racers.items()
        if name not in (one, other)
    }
    laps = {name: racer.laps for name, racer in racers.items()}
    note = (
        note or f"{_figure(racers[one].median(key), key)} against {_figure(racers[other].median(key), key)}"
    )
    return Row(goal, name, ratio, least, limit, note, further, laps)


def _figure(value: float, key: str) -> str:
    return f"{value / 1e6:.1f} MB" if key == "peak" else f"{value * 1000:.1f} ms"


def show(row: Row) -> str:
    """A line of the table."""
    goal = f"{row.goal}" if row.goal else " "
    verdict = "" if row.limit is None else f"<= {row.limit:<4g} {'ok' if row.kept else 'OVER'}"
    others = "".join(f", {name} {ratio:.2f}" for name, ratio in row.others.items())
    return f"{goal:2} {row.name:52} {row.ratio:7.2f} {row.least:7.2f}  {verdict:12}  {row.note}{others}"


HEAD = f"{'':2} {'':52} {'median':>7} {'least':>7}  {'limit':12}  CPU"


def write(rows: Sequence[Row], path: Path) -> None:
    """The same as JSON, with every lap."""
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "platform": sys.platform}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1))
