"""The example of a tested application: its suite passes, and finds the bug that it is there to find."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "testing_an_agent"


@pytest.fixture
def suite(tmp_path):
    """A copy of it, and a run of pytest there."""
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)

    def run(*options):
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        env = {
            **os.environ,
            "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),
        }  # with tables that take seconds to make
        env["HYPOTHESIS_PROFILE"] = "default"
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300
        )

    return tmp_path, run


def test_it_is_small_and_says_what_it_is():
    """An application, its tests, and a line of configuration."""
    assert sorted(path.name for path in EXAMPLE.iterdir() if path.is_file()) == [
        "hotel.py",
        "pytest.ini",
        "test_hotel.py",
    ]
    for name, most in (("hotel.py", 60), ("test_hotel.py", 150)):
        text = (EXAMPLE / name).read_text()
        assert text.count("\n") < most
        assert ast.get_docstring(ast.parse(text))


def test_it_passes(suite):
    """As it stands."""
    _, run = suite
    done = run()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "5 passed" in done.stdout


def test_it_finds_a_tool_that_does_not_clean_up(suite):
    """A room that is held for ever when the bank's answer is not waited for: the sweep says at which step."""
    folder, run = suite
    source = (folder / "hotel.py").read_text()
    (folder / "hotel.py").write_text(source.replace("            self.free += 1\n", ""))
    done = run("-k", "guest or cut")
    assert done.returncode == 1
    assert "FAILED test_hotel.py::test_a_guest_who_hangs_up_pays_nothing" in done.stdout
    assert "FAILED test_hotel.py::test_no_room_is_lost_wherever_the_desk_is_cut" in done.stdout
    assert "cut by 'block' at step " in done.stdout
    assert "2 failed" in done.stdout
