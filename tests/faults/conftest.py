"""Mock servers that other people wrote, as child processes on loopback."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from providers import anthropic, openai
from providers.pool import current_pool
from runtime import Model

KEY = "sk-faults-test-key"
START_SECONDS = 30
ROOT = Path(__file__).parents[2]
AIMOCK = Path("node_modules/@copilotkit/aimock/dist/cli.js")


@dataclass(frozen=True)
class Api:
    """One chat API: a handle that speaks it, where each server has it, and what a stream says that ends too early."""

    handle: Callable[..., Any]
    path: str
    llmock_base: str
    cut_short: str
    aimock_base: str = "/v1"
    keeps_order: bool = True
    """Texts and calls come as blocks of their own; otherwise all text is one block."""

    def at(self, base_url: str, **settings: Any) -> Model:
        settings = {"reasoning": True, **settings}
        return self.handle(KEY, base_url=base_url, provider_id="mock").model("gpt-5-mock", **settings)


APIS = {
    "completions": Api(
        openai.chat_completions,
        "/chat/completions",
        "/v1",
        "Stream ended without finish_reason",
        keeps_order=False,
    ),
    "responses": Api(
        openai.responses,
        "/responses",
        "/v1",
        "OpenAI Responses stream ended before a terminal response event",
    ),
    "messages": Api(
        anthropic.messages, "/messages", "/anthropic/v1", "Anthropic stream ended before message_stop"
    ),
}


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    """Each API in turn."""
    return APIS[request.param]


class Server:
    """A running server and its control interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(self.url + path)).raise_for_status().json()

    async def post(self, path: str, **body: Any) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.post(self.url + path, json=body)).raise_for_status().json()


class Llmock(Server):
    """It breaks replies as it is told to, and judges how its client takes that."""

    def model(self, api: Api, **settings: Any) -> Model:
        return api.at(self.url + api.llmock_base, **settings)

    async def script(self, *behaviors: dict[str, Any]) -> None:
        """What is to happen to the next requests."""
        await self.post("/_llmock/scenario", behaviors=list(behaviors))

    async def requests(self) -> list[dict[str, Any]]:
        """What the server saw: every attempt, those that have ended."""
        return (await self.get("/_llmock/requests"))["requests"]

    async def findings(self) -> list[str]:
        """What it holds against the client, mistakes and warnings."""
        return [finding["code"] for finding in (await self.get("/_llmock/verdict"))["findings"]]

    async def unused(self) -> list[dict[str, Any]]:
        return (await self.get("/_llmock/scenario"))["pending"]


class Aimock(Server):
    """It plays fixtures: blocks in any order, at any pace."""

    def model(self, api: Api, **settings: Any) -> Model:
        return api.at(self.url + api.aimock_base, **settings)

    async def script(self, *fixtures: dict[str, Any]) -> None:
        """How requests are answered; the first that matches counts."""
        await self.post("/__aimock/fixtures", fixtures=list(fixtures))

    async def requests(self) -> list[dict[str, Any]]:
        """What it was sent, and how it answered."""
        return await self.get("/__aimock/journal")


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[str]:
    """A server of our own, from when it answers to its end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait_until_it_answers(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args} does not answer: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _aimock_script() -> Path:
    """Where ``make faults`` has put it."""
    for place in (Path(sys.prefix) / "npm", ROOT / ".venv" / "npm"):
        if (place / AIMOCK).exists():
            return place / AIMOCK
    raise RuntimeError("aimock is not installed; run make faults")


@pytest.fixture(scope="session")
def llmock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = Path(sys.executable).with_name("llmock")
    if not program.exists():
        raise RuntimeError("llmock is not installed; run make faults")
    port = _free_port()
    command = [str(program), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, port, tmp_path_factory.mktemp("llmock") / "log") as url:
        yield url


@pytest.fixture(scope="session")
def aimock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("aimock needs node")
    folder, port = tmp_path_factory.mktemp("aimock"), _free_port()
    (folder / "none.json").write_text('{"fixtures": []}')
    command = [node, str(_aimock_script()), "--port", str(port), "--fixtures", str(folder / "none.json")]
    with running([*command, "--log-level", "warn"], port, folder / "log") as url:
        yield url


@pytest.fixture
async def nothing_left() -> Any:
    """After the test, inside its run: no request has a client, none waits for one."""
    yield
    left = current_pool().statistics()
    assert (left.in_flight, left.waiting) == (0, 0)


@pytest.fixture
async def llmock(llmock_url: str, nothing_left: None) -> Any:
    """The server with an empty journal; what was scripted has happened at the end."""
    server = Llmock(llmock_url)
    await server.post("/_llmock/reset")
    yield server
    assert await server.unused() == []


@pytest.fixture
async def aimock(aimock_url: str, nothing_left: None) -> Aimock:
    """The server without fixtures, and with an empty journal."""
    server = Aimock(aimock_url)
    await server.post("/__aimock/reset")
    return server
