"""Real servers on loopback, started and stopped by the tests."""

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

HERE = Path(__file__).parent
KEY = "sk-local-test-key"


@dataclass
class LlamaServer:
    """A running server: its base URL, and the process to end it with."""

    url: str
    process: subprocess.Popen

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    async def busy_slots(self) -> int:
        """How many slots generate now: what an abort looks like from the server's side."""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
            slots = (await client.get(f"{self.url}/slots")).json()
        return sum(slot["is_processing"] for slot in slots)

    async def wait_until_idle(self, seconds: float) -> float:
        """How long it took until no slot generated."""
        begin = trio.current_time()
        with trio.fail_after(seconds):
            while await self.busy_slots():  # noqa: ASYNC110 - the server has no event for us
                await trio.sleep(0.005)
        return trio.current_time() - begin


def start_llama(*more: str) -> LlamaServer:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(HERE / "llama_process.py"), "--port", str(port), "--api-key", KEY]
    process = subprocess.Popen(
        [*command, "--template", str(HERE / "chatml-json.jinja"), *more],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"the model server did not start (exit status {process.wait(10)})")
    return LlamaServer(line, process)


def stop(server: LlamaServer) -> None:
    server.process.terminate()
    try:
        server.process.wait(10)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait(10)
    server.process.stdout.close()


@pytest.fixture(scope="session")
def llama():
    """One server for all tests that leave it alive."""
    server = start_llama()
    yield server
    stop(server)


@pytest.fixture
def mortal_llama():
    """A server of the test's own, to be killed."""
    server = start_llama()
    yield server
    stop(server)
