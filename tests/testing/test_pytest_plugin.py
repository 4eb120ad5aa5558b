"""The fixtures, as the tests of an application meet them: in runs of pytest of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "runtime.testing.pytest_plugin"
SCRIPT = """
import socket
import pytest
import trio
from providers.faux import faux_assistant_message
from runtime import open_agent

SAYS = [faux_assistant_message("hello")]
kept = []

async def ask(model, recorder=None):
    async with open_agent(model) as agent:
        if recorder is not None:
            agent.subscribe(recorder)
        return (await agent.prompt("hi")).text
"""


def run(tmp_path, source, *options, **files):
    """A run of pytest over one file: its exit code, how many tests ended how, and all it said."""
    (tmp_path / "test_it.py").write_text(SCRIPT + source)
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    said = done.stdout + done.stderr
    return {kind: int(count) for count, kind in re.findall(r"(\d+) (passed|failed|error)", said)}, said


def test_an_agent_is_tested_with_the_fixtures(tmp_path):
    """Sync and async ones; with trio_mode, or with a mark."""
    counts, said = run(
        tmp_path,
        """
@pytest.mark.trio
async def test_in_memory(nothing_left, faux, faux_model, event_recorder):
    faux.set_responses(SAYS)
    assert await ask(faux_model, event_recorder) == "hello"
    assert event_recorder.types[-1] == "agent_end"

@pytest.mark.trio
async def test_over_http(nothing_left, fake_server):
    fake_server.set_responses(SAYS)
    assert await ask(fake_server.messages.model("any")) == "hello"

def test_without_pytest_trio(nothing_left, faux, faux_model):
    faux.set_responses(SAYS)
    assert trio.run(ask, faux_model) == "hello"
""",
    )
    assert counts == {"passed": 3}, said


def test_the_fixtures_find_what_is_wrong(tmp_path):
    """Steps that were not used, and what was left behind: after the test, because it itself has passed."""
    counts, said = run(
        tmp_path,
        """
def test_unused(faux):
    faux.set_responses(SAYS)

@pytest.mark.trio
async def test_unused_over_http(fake_server):
    fake_server.set_responses(SAYS)

def test_leak(nothing_left):
    kept.append(socket.socket())
""",
    )
    assert counts == {"passed": 3, "error": 3}, said
    assert "1 faux response not used: reply 'hello'" in said
    assert "1 fake responses not used: reply 'hello'" in said
    assert "left behind:\nE             socket 0.0.0.0:0 (descriptor " in said


def test_a_test_that_failed_is_not_blamed_twice(tmp_path):
    """The fixtures keep quiet; what the agent said is shown."""
    counts, said = run(
        tmp_path,
        """
@pytest.mark.trio
async def test_fails(nothing_left, faux, faux_model, fake_server, event_recorder):
    fake_server.set_responses(SAYS)
    faux.set_responses(SAYS * 2)
    kept.append(socket.socket())
    assert await ask(faux_model, event_recorder) == "goodbye"
""",
    )
    assert counts == {"failed": 1}, said
    assert re.search(r"-+ Agent events -+\n +0 agent_start\n", said)
    assert "message_end assistant 'hello'" in said


ASKS_FOR_A_SERVER = """
def test_sync(fake_server):
    pass

async def test_async(fake_server):
    pass
"""


def test_without_pytest_trio_an_async_fixture_says_so(tmp_path):
    """In a sentence; the others work."""
    source = ASKS_FOR_A_SERVER + "\ndef test_faux(faux):\n    pass\n"
    counts, said = run(tmp_path, source, "-p", "no:trio", "-p", "no:anyio", "--noconftest")
    assert counts["passed"] == 1
    assert "fake_server is an async fixture: install pytest-trio, which runs it" in said


def test_a_test_that_is_not_async_is_told_so(tmp_path):
    """And one that nobody marked."""
    _, said = run(tmp_path, ASKS_FOR_A_SERVER)
    assert said.count("mark the test with @pytest.mark.trio, or set trio_mode = true for all") >= 2


def test_it_can_be_left_out(tmp_path):
    """By the name that pytest shows."""
    counts, said = run(tmp_path, "def test_faux(faux):\n    pass\n", "-p", "no:agentrio")
    assert counts == {"error": 1}
    assert "fixture 'faux' not found" in said


@pytest.mark.parametrize("missing", ["hypothesis", "pytest_trio"])
def test_it_needs_nothing_but_pytest(tmp_path, missing):
    """Neither Hypothesis nor pytest-trio has to be there."""
    blocked = f"raise ImportError('no {missing}')"
    options = ["-p", "no:trio", "-p", "no:hypothesispytest", "-p", "no:anyio"]
    source = "def test_faux(faux, faux_model, event_recorder, nothing_left):\n    pass\n"
    counts, said = run(tmp_path, source, *options, **{missing: blocked})
    assert counts == {"passed": 1}, said


def test_it_is_light():
    """Every run of pytest imports it, also where nobody tests an agent."""
    heavy = (
        "trio",
        "pydantic",
        "httpx",
        "hypothesis",
        "providers",
        "runtime.agents",
        "runtime.testing.sweep",
    )
    code = f"import sys, {PLUGIN}; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
