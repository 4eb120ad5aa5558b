"""The examples run as they stand, and print what they are about."""

import ast
import json
import os
import sys
from pathlib import Path

import pytest
import trio

from tests.providers.loopback import reply, serve, sse

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHOWN = {
    "quickstart": [
        "[get_weather: sunny in Oslo, 21 degrees]",
        "It is sunny in Oslo, at 21 degrees.",
        "stop after",
    ],
    "use_tools": [
        "book_train has ended, with an error",
        "read_almanac has ended",
        "get_weather has ended",
        '  the model reads: get_weather: {"city":"Oslo","sky":"clear","degrees":21}',
        "  the model reads: read_almanac: May is mild",
        "  the model reads: book_train: no train goes to Oslo",
        "Walk.",
    ],
    "steering": [
        "(steering: delivered in turn 2)",
        "(follow-up: delivered in turn 3)",
        "user: Only those from Vienna, please.",
        "assistant: One of the three is from Vienna.",
        "user: And thank the archivist.",
        "assistant: I have thanked her.",
    ],
    "abort": [
        "abort(), from another task:",
        "connection closed, part file removed",
        "aborted: Request was aborted",
        "connection closed, part file removed",
        "cut: True",
        "leaving the block:",
        "connection closed, part file removed",
        "Nothing is left.",
    ],
    "custom_provider": ["Polly wants a trio. stop"],
    "proxy_server": ["the reply: Somebody who speaks for you.", "the aborted reply: Request was aborted"],
}
LONGER = {"custom_provider": 120, "proxy_server": 120}


async def run_example(name, *arguments, stdin=b"", **env):
    with trio.fail_after(30):
        return await trio.run_process(
            [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments],
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **env},
        )


def test_every_example_is_tested():
    """One that comes gets a test."""
    assert sorted([*SHOWN, "chat"]) == [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_shows(path):
    """Under 60 lines, unless it is a whole provider or server; a docstring first."""
    text = path.read_text()
    assert text.count("\n") < LONGER.get(path.stem, 60)
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", SHOWN)
async def test_an_example_shows_what_it_is_about(name):
    """In this order, and nothing goes wrong."""
    done = await run_example(name)
    assert (done.returncode, done.stderr) == (0, b"")
    rest = done.stdout.decode()
    for text in SHOWN[name]:
        assert text in rest, f"{text!r} is not in what is left: {rest!r}"
        rest = rest[rest.index(text) + len(text) :]


def says(*pieces):
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return sse(*(f"data: {json.dumps(item)}\n\n" for item in chunks), "data: [DONE]\n\n")


def at(server, *more):
    return ["--base-url", f"{server.url}/v1", "--model", "tiny", *more]


async def test_chat_asks_once():
    """With --prompt; the key comes from its own variable."""
    async with serve(says("Hello", " there.")) as server:
        done = await run_example("chat", *at(server, "--prompt", "Hi"), CHAT_API_KEY="secret-key")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Hello there.\n", b"")
    assert server.requests[0].headers["authorization"] == "Bearer secret-key"
    assert server.requests[0].json()["messages"][-1] == {"role": "user", "content": "Hi"}


async def test_chat_says_what_went_wrong():
    """On standard error, and with its status."""
    async with serve(reply("no such model", status=404)) as server:
        done = await run_example("chat", *at(server, "--prompt", "Hi"))
    assert done.returncode == 1
    assert b"404" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_chat_takes_lines_of_standard_input():
    """Each is a turn of the same conversation."""
    async with serve(says("One."), says("Two.")) as server:
        done = await run_example("chat", *at(server), stdin=b"first\nsecond\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"One.\nTwo.\n", b"")
    contents = [message["content"] for message in server.requests[1].json()["messages"]]
    assert [str(content) for content in contents[1:]] == ["first", "One.", "second"]
