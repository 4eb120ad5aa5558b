"""The size of the rooms, and what may not stand in them."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path for package in ("runtime", "providers", "tools") for path in (ROOT / package).rglob("*.py")
)


def functions() -> list[tuple[str, int]]:
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(
                    (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)
                )
    return found


def test_functions_are_small():
    """The median has fewer than 10 lines, nine in ten fewer than 35, none more than 80."""
    sizes = sorted(size for _, size in functions())
    assert statistics.median(sizes) < 10
    assert sizes[int(len(sizes) * 0.9)] < 35
    assert [name for name, size in functions() if size > 80] == []


def test_files_are_small():
    """None reaches 400 lines."""
    assert [path.name for path in FILES if path.read_text().count("\n") >= 400] == []


def test_every_file_says_what_it_is_for():
    """The first statement is a docstring."""
    assert [
        str(path)
        for path in FILES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ] == []


@pytest.mark.parametrize("word", ["asyncio", "TODO", "FIXME"])
def test_what_may_not_stand_in_the_code(word):
    """No event loop but trio's, and no unfinished work."""
    assert [str(path.relative_to(ROOT)) for path in FILES if word in path.read_text()] == []


def test_every_room_has_a_name():
    """None is called after what it is not."""
    assert [path.stem for path in FILES if path.stem in ("utils", "helpers", "common", "base", "misc")] == []


def test_importing_the_kernel_is_light():
    """What is heavy is imported where it is used."""
    code = "import sys, runtime; print([n for n in ('httpx', 'jsonschema', 'structlog', 'providers', 'asyncio') if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
