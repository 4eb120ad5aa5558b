"""Every code block of the README runs."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [
    line.split("#")[0].strip() for language, code in BLOCKS if language == "sh" for line in code.splitlines()
]
LOCAL = "http://localhost:11434/v1"
REPLY = b"".join(
    b"data: %s\n\n" % data
    for data in (
        b'{"id":"1","choices":[{"index":0,"delta":{"content":"Hello."}}]}',
        b'{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
        b"[DONE]",
    )
)


VECTORS = b'{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[0.8,0.6]},{"index":2,"embedding":[0,1]}]}'
IMAGES = b'{"data":[{"b64_json":"iVBORw0KGgo="}]}'
ANSWERS = {b"/embeddings ": (b"application/json", VECTORS), b"/images/": (b"application/json", IMAGES)}


async def receive(stream: trio.SocketStream) -> bytes:
    """A whole request: closing with something unread would reset the connection."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += await stream.receive_some(65536)
    head, _, body = asked.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
    while len(body) < length:
        body += await stream.receive_some(65536)
    return head


async def serve(stream: trio.SocketStream) -> None:
    """Answer whatever is asked: with one streamed reply, a picture, or vectors."""
    asked = await receive(stream)
    kind, body = next((ANSWERS[path] for path in ANSWERS if path in asked), (b"text/event-stream", REPLY))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nConnection: close\r\n\r\n"
    await stream.send_all(head + body)
    await stream.aclose()


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
async def test_a_block_runs(code, tmp_path):
    """As it stands; the one that wants a local server gets one on loopback."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        program = code.replace(LOCAL, f"http://127.0.0.1:{port}/v1")
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-W", "error", "-c", program],
                cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=b"", capture_stdout=True, capture_stderr=True, check=False,
            )  # fmt: skip
        nursery.cancel_scope.cancel()
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout
    assert done.stderr == b""
    for promised in re.findall(r"# (True .*|<Delivery .*>)$", code, re.MULTILINE):
        assert promised in done.stdout.decode()


@pytest.mark.parametrize("command", SHELL)
def test_a_command_exists(command):
    """make knows what to do."""
    words = command.split()
    assert shutil.which(words[0])
    assert subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_tests_behind_the_guarantees_exist():
    """Each test that the README names is one of ours."""
    named = set(re.findall(r"\| `(test_\w+)` \|", (ROOT / "README.md").read_text()))
    ours = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in ours} == set()
