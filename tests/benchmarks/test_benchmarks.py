"""Every benchmark runs, on a tiny size; nothing is timed here."""

import json
import os
import sys

import httpx
import pytest

from tests.benchmarks import bare, ours, startup
from tests.benchmarks.__main__ import measure
from tests.benchmarks.agents import idle_agents, late_turn
from tests.benchmarks.race import Contender, Enough, Racer, command_cpu, race, replay_server
from tests.benchmarks.report import MARGIN, Row, compared, show, write
from tests.benchmarks.sizes import TINY
from tests.benchmarks.wire import APIS, DELTA, WORD, arguments, pieces, render, small


@pytest.fixture(scope="module")
def server():
    with replay_server() as url:
        yield url


async def done(module, work, api, url):
    """The costs that a work tells."""
    async with module.WORKS[work](api) as run:
        return await run(url)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("framing", ["bulk", "each", "packets"])
async def test_a_text_is_read(server, api, framing):
    """Floor and contender read the same reply of each API, however it is framed."""
    for module, work in ((bare, "read"), (ours, "read"), (ours, "read-client")):
        await done(module, work, api, f"{server}/text:30:{framing}/v1")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("kind", ["plain", "escaped"])
async def test_arguments_are_read(server, api, kind):
    """A tool call's arguments arrive, and can be looked at on their way."""
    for module, work in ((bare, "read"), (ours, "read"), (ours, "partials")):
        await done(module, work, api, f"{server}/args:{kind}:600:bulk/v1")


@pytest.mark.parametrize(
    ("module", "work", "scenario"),
    [
        (bare, "turns", "turns:3"), (ours, "turns", "turns:3"),
        (bare, "crowd-each", "crowd:3:2"), (bare, "crowd-shared", "crowd:3:2"), (ours, "crowd", "crowd:3:2"),
        (bare, "idle", "idle:3"), (ours, "idle", "idle:3"),
        (ours, "subscribers", "fan:3"), (ours, "feeds", "fan:3"),
    ],
)  # fmt: skip
async def test_agents_and_loops_run(server, module, work, scenario):
    """Each work of turns, crowds, waiting and many readers comes to its end; turns tell their times."""
    costs = await done(module, work, "chat", f"{server}/{scenario}/v1")
    assert len(costs["clock"]) == 3 if work == "turns" else costs is None


def test_contenders_take_turns(server):
    """A race starts each contender once, and asks them for their laps one after the other, until it is enough."""
    scenario = "text:5:bulk"
    racers = race(
        server,
        [Contender("floor", (sys.executable, "-m", bare.__name__), scenario=scenario),
         Contender("agentrio", (sys.executable, "-m", ours.__name__), scenario=scenario)],
        laps=9,
        enough=Enough(1000),
    )  # fmt: skip
    assert [len(racer.laps) for racer in racers.values()] == [3, 3]
    row = compared(1, "text", racers, 1000)
    assert row.kept
    assert "ok" in show(row)


def test_a_contender_that_fails_says_so(server):
    """What ends before its lap is named."""
    with pytest.raises(RuntimeError, match="contender odd ended with status 3"):
        race(server, [Contender("odd", (sys.executable, "-c", "raise SystemExit(3)"))], 1)


def test_a_group_is_measured_and_written(tmp_path, capsys):
    """Rows are shown as they come, and their laps go into the file."""
    rows = measure({"idle": idle_agents}, TINY)
    assert "idle agent" in capsys.readouterr().out
    write(rows, tmp_path / "rows.json")
    (row,) = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert row["ratio"] == rows[0].ratio


def test_limits_have_a_margin_in_the_check():
    """A goal that is passed by a little is told, but fails nothing."""
    over = Row(1, "x", ratio=2 * MARGIN, least=2 * MARGIN - 0.01, limit=2)
    assert (over.kept, over.nearly_kept) == (False, True)
    assert "OVER" in show(over)


def test_a_late_turn_is_told_without_its_bytes():
    """What the floor's late turns cost more is taken off."""
    own, floor = (
        Racer(name, None, [{"clock": [sum(costs[:end]) for end in range(len(costs) + 1)]}])
        for name, costs in (("agentrio", [2.0] * 20 + [5.0] * 4), ("floor", [1.0] * 20 + [3.0] * 4))
    )
    assert late_turn(own, floor, TINY).ratio == pytest.approx(1.5)


def test_commands_are_measured():
    """Imports and the demo are children whose CPU time is told when they have ended."""
    assert command_cpu(sys.executable, "-c", "pass")["cpu"] > 0
    with pytest.raises(RuntimeError, match="status 2"):
        command_cpu(sys.executable, "-c", "raise SystemExit(2)")
    assert startup.IMPORT > 1


@pytest.mark.parametrize("api", APIS)
def test_replies_say_what_their_scenario_asks_for(server, api):
    """Sizes are exact, deltas are small, and the same in small is small."""
    assert len(arguments("escaped", 1000)) == len(arguments("plain", 1000)) == 1000
    assert max(map(len, pieces(arguments("plain", 1000)))) == DELTA
    assert b"".join(render(api, "text:7:bulk")).count(WORD.encode()) >= 7
    assert small("crowd:1000:2") == "crowd:1:1"
    with pytest.raises(ValueError, match="nonsense"):
        render(api, "nonsense")
    path = bare.PATHS[api]
    with httpx.Client(trust_env=False) as client:
        sent = client.post(f"{server}/text:7:each/v1{path}", json={})
    assert sent.content == b"".join(render(api, "text:7:each"))
    assert os.cpu_count()
