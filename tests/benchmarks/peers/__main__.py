"""Ours, the floors and other frameworks side by side: ``python -m tests.benchmarks.peers [--peers DIR] [--json FILE]``.

CPU seconds of the contender's process; the server has a process of its own. Whoever needs more than ``--limit`` of them for one lap is out.
The others' versions stand in ``requirements.txt`` and ``npm.txt``; what is not installed below DIR is left out.
"""

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.benchmarks.race import ROOT, Contender, Racer, replay_server, running

HERE = Path(__file__).parent
CLIENT, AGENT = "agentrio", "agentrio agent"
OVER, FAILED = "over", "failed"
PATIENCE = 10
"""Who shares the machine needs more seconds of the clock than of the CPU; who hangs needs no CPU."""

SCRIPTS = {
    "5,000 text deltas": ("read", "text:5000:each"),
    "tool call of 200 KB in 16-byte deltas": ("read", "args:plain:200000:each"),
    "tool call of 1 MB in 16-byte deltas": ("read", "args:plain:1000000:each"),
    "1 agent, 50 turns": ("turns", "turns:50"),
    "1 agent, 200 turns": ("turns", "turns:200"),
    "1,000 agents, 2 turns each": ("crowd", "crowd:1000:2"),
}
TINY = {
    "text": ("read", "text:20:each"),
    "tool call": ("read", "args:plain:500:each"),
    "turns": ("turns", "turns:3"),
    "crowd": ("crowd", "crowd:3:2"),
}


@dataclass(frozen=True)
class Peer:
    """A way to work with a framework: what it calls each kind of work, and which of ours does the same."""

    name: str
    command: tuple[str, ...]
    works: Mapping[str, str]
    like: str = CLIENT
    package: str | None = None


def everybody(installed: Path) -> list[Peer]:
    def ours(module: str) -> tuple[str, ...]:
        return (sys.executable, "-m", f"tests.benchmarks.{module}")

    def theirs(module: str) -> tuple[str, ...]:
        return (str(installed / "bin" / "python"), "-m", f"{__package__}.{module}")

    pi = ("node", str((HERE / "with_pi.mjs").relative_to(ROOT)))
    agent = {"read": "agent", "turns": "turns", "crowd": "crowd"}
    peers = [
        Peer("floor", ours("bare"), {"read": "read", "turns": "turns", "crowd": "crowd-each"}),
        Peer("floor, one client", ours("bare"), {"crowd": "crowd-shared"}),
        Peer(CLIENT, ours("ours"), {"read": "read"}),
        Peer(AGENT, ours("peers.with_agentrio"), agent, AGENT),
        Peer("openai chunks", theirs("with_openai"), {"read": "chunks"}, package="openai"),
        Peer("openai stream helper", theirs("with_openai"), {"read": "helper"}, package="openai"),
        Peer("litellm chunks", theirs("with_litellm"), {"read": "read"}, package="litellm"),
        Peer(
            "pydantic-ai direct", theirs("with_pydantic_ai"), {"read": "direct"}, package="pydantic-ai-slim"
        ),
        Peer("pydantic-ai agent", theirs("with_pydantic_ai"), agent, AGENT, "pydantic-ai-slim"),
        Peer("openai-agents", theirs("with_openai_agents"), agent, AGENT, "openai-agents"),
        Peer("pi-ai (Node)", pi, {"read": "read"}, package="@earendil-works/pi-ai"),
        Peer("pi agent (Node)", pi, agent, AGENT, "@earendil-works/pi-agent-core"),
    ]
    there = {"node": bool(shutil.which("node")) and (installed / "npm").exists()}
    return [peer for peer in peers if there.get(peer.command[0], Path(peer.command[0]).exists())]


def measure(
    server: str, peers: Sequence[Peer], scripts: Mapping[str, tuple[str, str]], laps: int, limit: float
) -> Iterator[dict[str, Any]]:
    """A row for each script."""
    for name, (kind, scenario) in scripts.items():
        chosen = [peer for peer in peers if kind in peer.works]
        results = race(server, [entered(peer, kind, scenario) for peer in chosen], laps, limit)
        yield {"name": name, "scenario": scenario, "contenders": list(compared(chosen, results))}


def entered(peer: Peer, kind: str, scenario: str) -> Contender:
    return Contender(peer.name, peer.command, peer.works[kind], "chat", scenario)


def race(server: str, contenders: Iterable[Contender], laps: int, limit: float) -> dict[str, Racer | str]:
    """As ``race.race``, but nobody has to arrive: who is late or fails is out, and who is slow does fewer laps."""
    with ExitStack() as stack:
        results: dict[str, Racer | str] = {}
        for one in contenders:
            command = [*one.command, one.work, one.api, server, one.scenario]
            results[one.name] = Racer(one.name, stack.enter_context(running(command)))
        for _ in range(laps):
            for name, racer in results.items():
                if isinstance(racer, Racer) and sum(lap["cpu"] for lap in racer.laps) < limit / 6:
                    results[name] = in_time(racer, limit)
    return results


def in_time(racer: Racer, limit: float) -> Racer | str:
    """One lap more, or why not."""
    arrived, late = Event(), Event()

    def watch() -> None:
        pid, began = racer.process.pid, time.monotonic()
        before = used(pid)
        while not arrived.wait(0.2):
            if used(pid) - before > limit or time.monotonic() - began > PATIENCE * limit:
                late.set()
                racer.process.kill()
                return

    watcher = Thread(target=watch)
    watcher.start()
    try:
        racer.lap()
    except RuntimeError as error:
        if late.is_set():
            return OVER
        print(error, file=sys.stderr)
        return FAILED
    finally:
        arrived.set()
        watcher.join()
    return racer


def used(pid: int) -> float:
    """The CPU seconds of a process where Linux tells them; elsewhere those of the clock."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compared(peers: Sequence[Peer], results: Mapping[str, Racer | str]) -> Iterator[dict[str, Any]]:
    """CPU seconds, and how they compare with those of ours that do the same."""
    for peer in peers:
        racer, own = results[peer.name], results.get(peer.like, results[AGENT])
        told: dict[str, Any] = {"name": peer.name}
        if isinstance(racer, Racer):
            first, median, least = racer.laps[0]["cpu"], racer.median(), racer.least()
            told |= {"first": round(first, 4), "median": round(median, 4), "least": round(least, 4)}
            told["laps"] = len(racer.laps)
            if isinstance(own, Racer):
                told["beside_ours"] = round(racer.median() / own.median(), 2)
        else:
            told["outcome"] = racer
        yield told


def show(row: Mapping[str, Any], limit: float) -> str:
    """A small table."""
    lines = [row["name"]]
    for one in row["contenders"]:
        if "median" in one:
            beside = f"{one['beside_ours']:9.2f} x ours" if "beside_ours" in one else ""
            first = (
                f"first {one['first']:8.3f} s"  # Node compiles while it runs: its first lap is its slowest
            )
            lines.append(f"  {one['name']:24}{one['median']:9.3f} s  {first}{beside}")
        else:
            lines.append(
                f"  {one['name']:24}" + (f"over {limit:g} s" if one["outcome"] == OVER else one["outcome"])
            )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    return {"cpu": processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def processor() -> str:
    """The model as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions(peers: Iterable[Peer]) -> dict[str, str]:
    pins = (HERE / "requirements.txt").read_text().replace("==", "@") + (HERE / "npm.txt").read_text()
    known = dict(pin.rsplit("@", 1) for pin in pins.split())
    found = {peer.package: known[peer.package] for peer in peers if peer.package}
    if any("@" in package for package in found):
        shown = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        found["Node"] = shown.stdout.strip().removeprefix("v")
    return found


def about(peers: Iterable[Peer], limit: float) -> dict[str, Any]:
    """A document without rows."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return {"date": today, "machine": machine(), "limit": limit, "versions": versions(peers), "rows": []}


def main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers", help="where they are installed")
    parser.add_argument("--limit", type=float, default=120, help="CPU seconds for one lap")
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="see whether it runs")
    parser.add_argument("--json", type=Path, help="also write the rows to a file")
    options = parser.parse_args()
    installed = options.peers.absolute()
    os.environ["PI_MODULES"] = str(installed / "npm" / "node_modules")
    peers = everybody(installed)
    document = about(peers, options.limit)
    with replay_server() as server:
        for row in measure(server, peers, TINY if options.tiny else SCRIPTS, options.laps, options.limit):
            print(show(row, options.limit), flush=True)
            document["rows"].append(row)
            if options.json:  # row by row: it takes a while, and may be interrupted
                options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
