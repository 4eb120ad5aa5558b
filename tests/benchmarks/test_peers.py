"""Other frameworks: their contenders can be read, and what they cost is told and drawn. None of them runs here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.peers import with_agentrio
from tests.benchmarks.peers.__main__ import (
    AGENT,
    CLIENT,
    FAILED,
    OVER,
    Peer,
    everybody,
    measure,
    show,
    versions,
)
from tests.benchmarks.peers.entry import check
from tests.benchmarks.race import replay_server

PEERS = Path(__file__).parent / "peers"
ANSWERS = "import json\nwhile input() == '': print(json.dumps({'cpu': %s, 'wall': 1}), flush=True)"


def says(seconds):
    """The command of a contender that tells so many CPU seconds whenever it is asked."""
    return (sys.executable, "-c", ANSWERS % seconds)


@pytest.fixture
def document():
    def told(name, **fields):
        return {"name": name, **fields}

    row = {
        "name": "words",
        "contenders": [
            told("floor", median=0.1, beside_ours=0.5), told(CLIENT, median=0.2, beside_ours=1.0),
            told("peer", median=30, beside_ours=150.0), told("late", outcome=OVER), told("broken", outcome=FAILED),
        ],
    }  # fmt: skip
    machine = {"cpu": "A CPU", "cores": 2, "python": "3.11.7"}
    return {
        "date": "2026-01-02",
        "machine": machine,
        "limit": 60,
        "versions": {"peer": "1.2"},
        "note": "made up",
        "rows": [row],
    }


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.py")), ids=lambda path: path.name)
def test_contenders_compile(path):
    """They are Python, also where what they import is not installed."""
    compile(path.read_text(), path.name, "exec")


@pytest.mark.skipif(not shutil.which("node"), reason="no Node here")
def test_the_contender_on_node_parses():
    """It is JavaScript."""
    subprocess.run(["node", "--check", PEERS / "with_pi.mjs"], check=True)


def test_requirements_are_names_and_versions(tmp_path):
    """Nothing but pins, one for each package that is raced; without what is not installed, ours and the floors race."""
    pins = [line for name in ("requirements.txt", "npm.txt") for line in (PEERS / name).read_text().split()]
    assert all(pin.replace("==", "@").rsplit("@", 1)[1][0].isdigit() for pin in pins)
    assert {peer.name for peer in everybody(tmp_path)} == {"floor", "floor, one client", CLIENT, AGENT}
    assert versions([Peer("x", (), {}, package="openai")]).keys() == {"openai"}


@pytest.mark.parametrize(
    ("work", "scenario"),
    [
        ("agent", "text:20:each"),
        ("agent", "args:escaped:400:each"),
        ("turns", "turns:3"),
        ("crowd", "crowd:3:2"),
    ],
)
async def test_our_agent_does_what_others_do(work, scenario):
    """It gets what the scenario says, or its work would raise."""
    with replay_server() as server:
        await with_agentrio.WORKS[work]()(f"{server}/{scenario}/v1")


def test_a_contender_that_got_less_is_found_out():
    """Characters of a text, characters of arguments, calls of a loop."""
    for scenario, amount in (("text:10:each", 70), ("args:plain:200:each", 200), ("crowd:5:2", 2)):
        check(f"http://x/{scenario}/v1", amount)
        with pytest.raises(RuntimeError, match="instead of"):
            check(f"http://x/{scenario}/v1", amount - 1)


def test_who_is_late_or_fails_is_out(capfd):
    """The others are measured none the less, each beside ours."""
    peers = [
        Peer(AGENT, says(0.02), {"read": "read"}, AGENT),
        Peer("slow", says(0.05), {"read": "read"}, AGENT),
        Peer("late", (sys.executable, "-c", "while True: pass"), {"read": "read"}),
        Peer("broken", (sys.executable, "-c", "raise SystemExit(3)"), {"read": "read"}),
        Peer("elsewhere", says(1), {"turns": "turns"}),
    ]
    (row,) = measure("http://x", peers, {"words": ("read", "text:1:each")}, laps=2, limit=1)
    told = {one["name"]: one for one in row["contenders"]}
    costs = {"first": 0.05, "median": 0.05, "least": 0.05, "laps": 2, "beside_ours": 2.5}
    assert told["slow"] == {"name": "slow", **costs}
    assert (told["late"]["outcome"], told["broken"]["outcome"]) == (OVER, FAILED)
    assert "elsewhere" not in told
    assert "over 1 s" in show(row, 1)
    assert "broken ended with status 3" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_picture_is_drawn(document, tmp_path, kind):
    """Small, with every contender, also of a file of our own races; the same numbers give the same file."""
    pytest.importorskip("matplotlib")
    from tests.benchmarks.picture import draw

    laps = {"floor": [{"cpu": 1}], "agentrio": [{"cpu": 2}]}
    plain = {"machine": {"cpus": 2, "python": "3.11.7"}, "rows": [{"name": "race", "laps": laps}]}
    first, second = (tmp_path / f"{name}.{kind}" for name in "ab")
    for path in (first, second):
        draw([document, plain], path)
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) < 100_000
    if kind == "svg":
        shown = first.read_text()
        assert all(
            text in shown
            for text in ("over 60 s", "failed", "150×", "race", "A CPU", "2026-01-02", "made up")
        )


def test_the_results_beside_the_picture_name_no_place():
    """Numbers, machine, date: no path, no host."""
    results = Path(__file__).with_name("results.json").read_text()
    assert json.loads(results)["rows"]
    assert [
        place for place in ("/home", "/root", "/work", "localhost", "127.0.0.1") if place in results
    ] == []
