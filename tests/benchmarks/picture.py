"""Draws what was measured: ``python -m tests.benchmarks.picture FILE... -o tests/benchmarks/picture.svg``.

Reads what ``tests.benchmarks.peers --json`` writes, and the races of ``tests.benchmarks --json``. Needs matplotlib: extra ``bench``.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, FLOOR, OTHERS = "#0b6e99", "#8a8f98", "#d9a066"
PAPER, INK = "#fbfbf9", "#24292f"
"""The paper is opaque: it is read on light and on dark pages."""
STYLE = {
    "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "agentrio", "font.family": "sans-serif", "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": "#c8ccd1",
}  # fmt: skip
ACROSS = 2


@dataclass(frozen=True)
class Bar:
    """A contender: its CPU seconds, or why there are none."""

    name: str
    seconds: float | None
    outcome: str = ""
    note: str = ""

    @property
    def colour(self) -> str:
        return (
            OURS if self.name.startswith("agentrio") else FLOOR if self.name.startswith("floor") else OTHERS
        )


Panels = dict[str, list[Bar]]


def panels(document: Mapping[str, Any]) -> Panels:
    """A panel for each row that has contenders."""
    found = {row["name"]: list(bars(row)) for row in document["rows"]}
    return {name: row for name, row in found.items() if len(row) > 1}


def bars(row: Mapping[str, Any]) -> Iterator[Bar]:
    for one in row.get("contenders", ()):
        yield Bar(one["name"], one.get("median"), one.get("outcome", ""), times(one.get("beside_ours", 1)))
    for name, laps in row.get("laps", {}).items():
        yield Bar(name, median(lap["cpu"] for lap in laps))


def times(ratio: float) -> str:
    """Nothing for ours itself."""
    digits = 2 if ratio < 1 else 1 if ratio < 10 else 0
    return "" if ratio == 1 else f"  {ratio:.{digits}f}×"


def draw(documents: Sequence[Mapping[str, Any]], path: Path) -> None:
    """All panels on one sheet; the kind of file is that of its suffix."""
    found = {name: row for document in documents for name, row in panels(document).items()}
    limits = [document["limit"] for document in documents if "limit" in document]
    rows = [list(found.items())[at : at + ACROSS] for at in range(0, len(found), ACROSS)]
    heights = [max(len(row) for _, row in line) for line in rows]
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 1.4 + 0.24 * sum(heights) + 0.6 * len(heights)), facecolor=PAPER)
        figure.set_layout_engine("constrained")
        grid = figure.add_gridspec(len(rows), ACROSS, height_ratios=heights)
        for down, line in enumerate(rows):
            for across, (name, row) in enumerate(line):
                draw_panel(
                    figure.add_subplot(grid[down, across]), name, row, max(limits, default=1), heights[down]
                )
        figure.suptitle(
            "CPU seconds of the client's process, less is better (logarithmic)", fontweight="bold"
        )
        figure.supxlabel("\n".join(map(caption, documents)), fontsize=8)
        options = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
        figure.savefig(path, facecolor=PAPER, **options)


def draw_panel(axes: Axes, name: str, row: Sequence[Bar], limit: float, places: int) -> None:
    """As many places as its neighbour has, so that all bars are of one height."""
    known = [bar.seconds for bar in row if bar.seconds]
    least = min(known, default=limit)
    widths = [bar.seconds or (limit if bar.outcome == "over" else least) for bar in row]
    drawn = axes.barh(range(len(row)), widths, color=[bar.colour for bar in row], height=0.72)
    for place, (bar, patch, width) in enumerate(zip(row, drawn, widths, strict=True)):
        if bar.seconds is None:
            patch.set(hatch="////", facecolor=PAPER, edgecolor=bar.colour)
        axes.annotate(f" {told(bar, limit)}", (width, place), va="center", fontsize=8, fontweight=weight(bar))
    axes.set(xscale="log", xlim=(least / 2, max(widths) * 8), facecolor=PAPER)
    axes.set_yticks(range(len(row)), [bar.name for bar in row])
    for label, bar in zip(axes.get_yticklabels(), row, strict=True):
        label.set_fontweight(weight(bar))
    axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
    axes.set_ylim(places - 0.4, -0.6)
    axes.xaxis.set_visible(False)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def weight(bar: Bar) -> str:
    return "bold" if bar.colour == OURS else "normal"


def told(bar: Bar, limit: float) -> str:
    """What stands at the end of a bar."""
    if bar.seconds is None:
        return f"over {limit:g} s" if bar.outcome == "over" else bar.outcome
    shown = f"{bar.seconds:.1f} s" if bar.seconds >= 1 else f"{bar.seconds * 1000:.0f} ms"
    return shown + bar.note


def caption(document: Mapping[str, Any]) -> str:
    """When, on what, and against which versions."""
    machine = document["machine"]
    parts = [document.get("date"), machine.get("cpu"), f"{machine.get('cores', machine.get('cpus'))} cores",
             f"Python {machine['python']}"]  # fmt: skip
    if versions := document.get("versions"):
        parts.append("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))
        parts.append(
            "\n×: beside ours at the same work; agents beside agentrio agent, all else beside agentrio"
        )
    if note := document.get("note"):
        parts.append(f"\n{note}")
    return " · ".join(part for part in parts if part).replace(" · \n", "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.picture", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("picture.svg"))
    options = parser.parse_args()
    draw([json.loads(file.read_text()) for file in options.files], options.output)


if __name__ == "__main__":
    main()
