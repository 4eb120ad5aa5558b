"""``python -m tests.benchmarks [group ...] [--check] [--json FILE]``."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from . import agents, scale, startup, streams
from .race import replay_server
from .report import HEAD, MARGIN, Row, show, write
from .sizes import CHECK, FULL, TINY, Sizes

Group = Callable[[str, Sizes], Iterator[Row]]
GROUPS: dict[str, Group] = {
    "text": streams.text,
    "own-client": streams.text_with_client,
    "tool-calls": streams.tool_calls,
    "partials": streams.partial_arguments,
    "growth": streams.growth,
    "one-agent": agents.one_agent,
    "many-agents": agents.many_agents,
    "flatness": scale.flatness,
    "multitude": scale.multitude,
    "aborts": scale.aborts,
    "readers": agents.readers,
    "idle": agents.idle_agents,
    "import": startup.imports,
    "demo": startup.demo,
}
CHECKED = ("text", "own-client", "tool-calls", "partials", "growth", "one-agent", "import")


def measure(groups: dict[str, Group], sizes: Sizes) -> list[Row]:
    """Measure and show, row by row."""
    rows = []
    print(HEAD)
    with replay_server() as server:
        for group in groups.values():
            for row in group(server, sizes):
                print(show(row), flush=True)
                rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="what to measure; everything")
    parser.add_argument(
        "--check", action="store_true", help=f"fail where a goal is passed by a factor of {MARGIN}"
    )
    parser.add_argument("--tiny", action="store_true", help="see whether it runs")
    parser.add_argument("--json", type=Path, help="also write every lap to a file")
    options = parser.parse_args()
    chosen = {name: GROUPS[name] for name in options.groups or (CHECKED if options.check else GROUPS)}
    rows = measure(chosen, TINY if options.tiny else CHECK if options.check else FULL)
    if options.json:
        write(rows, options.json)
    over = [row for row in rows if not row.nearly_kept]
    for row in over:
        print(f"over its limit: {show(row).strip()}", file=sys.stderr)
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
