"""Races: contenders in processes of their own take turns, so that whatever disturbs the machine disturbs all of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
Lap = dict[str, Any]


@dataclass(frozen=True)
class Contender:
    """Who does what: a command, to which the work, the API, the server and the scenario are added."""

    name: str
    command: tuple[str, ...]
    work: str = "read"
    api: str = "chat"
    scenario: str = ""


def bare(work: str = "read", api: str = "chat", scenario: str = "", name: str = "floor") -> Contender:
    """A floor."""
    return Contender(name, (sys.executable, "-m", f"{__package__}.bare"), work, api, scenario)


def ours(work: str = "read", api: str = "chat", scenario: str = "", name: str = "agentrio") -> Contender:
    """A contender of ours."""
    return Contender(name, (sys.executable, "-m", f"{__package__}.ours"), work, api, scenario)


@dataclass
class Racer:
    """A contender that has been started: ``lap`` lets it do its work once."""

    name: str
    process: "subprocess.Popen[str]"
    laps: list[Lap] = field(default_factory=list)

    def lap(self) -> None:
        with suppress(OSError):
            self.process.stdin.write("\n")  # type: ignore[union-attr]  # a pipe
            self.process.stdin.flush()  # type: ignore[union-attr]
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError(f"contender {self.name} ended with status {self.process.wait()}")
        self.laps.append(json.loads(line))

    def median(self, key: str = "cpu") -> float:
        return median(lap[key] for lap in self.laps)

    def least(self, key: str = "cpu") -> float:
        return float(min(lap[key] for lap in self.laps))


@contextmanager
def running(command: Sequence[str]) -> "Iterator[subprocess.Popen[str]]":
    """A child process that ends when its input does."""
    environment = {**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            yield process
        finally:
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]  # a pipe
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def replay_server() -> Iterator[str]:
    """The server of ``replay``, and its address."""
    with running([sys.executable, "-m", f"{__package__}.replay"]) as process:
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"  # type: ignore[union-attr]


def race(
    server: str,
    contenders: Sequence[Contender],
    laps: int,
    enough: "Callable[[Racers], bool] | None" = None,
) -> "Racers":
    """Let the contenders take turns, so many laps each; fewer if their times are good ``enough`` after three of them."""
    with ExitStack() as stack:
        racers = {
            one.name: Racer(
                one.name,
                stack.enter_context(running([*one.command, one.work, one.api, server, one.scenario])),
            )
            for one in contenders
        }
        for lap in range(1, laps + 1):
            for racer in racers.values():
                racer.lap()
            if enough is not None and lap > 2 and enough(racers):
                break
    return racers


Racers = Mapping[str, Racer]


class Enough:
    """The least time of one is at most so many times that of the other."""

    def __init__(self, limit: float, one: str = "agentrio", other: str = "floor") -> None:
        self._limit, self._one, self._other = limit, one, other

    def __call__(self, racers: Racers) -> bool:
        return racers[self._one].least() <= self._limit * racers[self._other].least()


def command_cpu(*command: str) -> Lap:
    """The CPU and wall seconds of a command from its start to its end."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    begin = os.times().elapsed
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": os.times().elapsed - begin}
