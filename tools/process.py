"""Child processes for tools: a whole session that ends with the call, whatever cuts it."""

import math
import os
import signal
import subprocess
from codecs import getincrementaldecoder
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import trio
from pydantic import BaseModel, ConfigDict

from runtime import log
from runtime.errors import InvalidOptionError, ToolError
from runtime.nurseries import SingleVoiceNursery, is_cancellation, without_cancellation
from runtime.values.checks import check_at_least
from runtime.values.text import clean_text

MEBIBYTE = 1 << 20
KILL_SECONDS = 5.0
"""So long a killed session is waited for; only a process that hangs in the kernel needs more."""
DRAIN_SECONDS = 1.0
_LOOK_AGAIN = 0.02

OnOutput = Callable[[str], Awaitable[object]]


class CommandResult(BaseModel):
    """How a command ended. ``exit_code`` is negative for a signal; ``dropped`` counts the bytes beyond ``max_output``."""

    model_config = ConfigDict(frozen=True)

    exit_code: int
    stdout: str
    stderr: str
    dropped: int = 0


async def run_command(
    command: Sequence[str],
    *,
    input: str | bytes = b"",  # noqa: A002 - its name
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    grace: float = 5.0,
    max_output: int = MEBIBYTE,
    on_output: OnOutput | None = None,
) -> CommandResult:
    """Run a program, and leave nothing of it behind: it leads a session of its own, which ends with this call.

    When this is cancelled, when ``on_output`` raises, and when the program ends and leaves children behind, every process group
    of the session gets SIGTERM, also one that comes up meanwhile, after ``grace`` seconds SIGKILL, and is waited for; until
    then its pipes are read. Only what has moved to another session gets away; where there is no ``/proc`` (macOS), so does
    what has moved to another group.

    The output is decoded as UTF-8, what is invalid replaced. ``max_output`` bytes of each stream are kept, the rest is
    read and dropped. ``on_output`` is awaited with each piece of either stream as it comes, such as ``call.update``; a slow
    one slows the program down.

    Without ``env`` the program gets the application's whole environment, the keys in it, too: for a command that a model may
    choose or shape, give one that holds what it needs, such as ``{"PATH": os.environ["PATH"]}``.

    Raises ToolError if the program cannot be started, InvalidOptionError for a command that is none, and what ``on_output``
    raised first. A program that fails is a result: look at ``exit_code``. POSIX only.
    """
    check_at_least("grace", grace, 0)
    check_at_least("max_output", max_output, 0, whole=True)
    data = (
        clean_text(input).encode() if isinstance(input, str) else input
    )  # half a surrogate cannot be written
    process = await _start(command, cwd, env)
    failures: list[BaseException] = []
    outputs = [_Output(max_output, on_output, failures) for _ in range(2)]
    await _attend(process, data, outputs, grace)
    assert process.returncode is not None  # noqa: S101 - it was waited for
    return CommandResult(
        exit_code=process.returncode,
        stdout=outputs[0].text,
        stderr=outputs[1].text,
        dropped=sum(output.dropped for output in outputs),
    )


async def _attend(process: trio.Process, data: bytes, outputs: "Sequence[_Output]", grace: float) -> None:
    """Feed and read a program until it has ended, or this is cut; nothing of its session runs afterwards."""
    feeding = trio.CancelScope()
    async with SingleVoiceNursery() as nursery:
        try:
            nursery.start_soon(_feed, process, data, feeding)
            for output, pipe in zip(outputs, (process.stdout, process.stderr), strict=True):
                assert pipe is not None  # noqa: S101 - it was asked for
                nursery.start_soon(output.read, pipe, nursery.cancel_scope)
            await process.wait()
        finally:
            try:
                with trio.CancelScope(shield=True):
                    await _end_session(process, grace)
            finally:  # whatever becomes of that: the readers rely on it
                feeding.cancel()
                for output in outputs:
                    output.hurry()


class _Output:
    """One stream of a program, read to its end, kept as far as there is room."""

    def __init__(self, limit: int, on_output: OnOutput | None, failures: list[BaseException]) -> None:
        self._room = limit
        self._kept = bytearray()
        self._decoder = getincrementaldecoder("utf-8")("replace")  # a piece may end inside of a character
        self._on_output = on_output
        self._failures = failures
        self._deadline = math.inf
        self._receiving: trio.CancelScope | None = None
        self.dropped = 0

    async def read(self, pipe: trio.abc.ReceiveStream, program: trio.CancelScope) -> None:
        """Read to the end; a failure ends the program, and is raised when it has ended."""
        try:
            while chunk := await self._receive(pipe):
                await self._take(chunk)
        except BaseException as error:  # noqa: ASYNC103 - if it is not raised here, the first failure is
            if not is_cancellation(error):
                self._failures.append(without_cancellation(error))
            program.cancel()
            # A program that is asked to end may still say something: a closed pipe would kill it.
            with trio.CancelScope(shield=True):  # until hurry(), which is called in any case
                async with pipe:
                    while await self._receive(pipe):
                        pass
            if not self._failures:
                raise
        else:
            await pipe.aclose()
            return
        raise self._failures[0]  # the streams end in any order, and the first that failed has cut the other

    async def _take(self, chunk: bytes | bytearray) -> None:
        kept = chunk[: self._room]
        self._room -= len(kept)
        self.dropped += len(chunk) - len(kept)
        self._kept += kept
        if self._on_output is not None and (text := self._decoder.decode(kept)):
            began = trio.current_time()
            await self._on_output(text)
            self._deadline += trio.current_time() - began  # only waiting for the pipe counts

    async def _receive(self, pipe: trio.abc.ReceiveStream) -> bytes | bytearray:
        with trio.CancelScope(deadline=self._deadline) as self._receiving:
            return await pipe.receive_some(65_536)
        return b""

    def hurry(self) -> None:
        """The session has ended: what it wrote is here already, and who still holds the pipe has left the session."""
        self._deadline = trio.current_time() + DRAIN_SECONDS
        if self._receiving is not None:
            self._receiving.deadline = self._deadline

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")


def _fault(command: object) -> str | None:
    """What is wrong with a command. Its words are not told, among which there may be a password."""
    match command:
        case str() | bytes():
            return f"one {type(command).__name__}"
        case Sequence() if command:
            kinds = [type(part).__name__ for part in command if not isinstance(part, str)]
            return f"one with {kinds[0]} in it" if kinds else None
        case Sequence():
            return "an empty one"
    return type(command).__name__


async def _start(
    command: Sequence[str], cwd: str | Path | None, env: Mapping[str, str] | None
) -> trio.Process:
    if fault := _fault(command):
        raise InvalidOptionError(
            f"a command is a sequence of strings, program first, not {fault}; for a shell: ['sh', '-c', '...']"
        )
    if not hasattr(os, "killpg"):
        raise ToolError("run_command needs process groups, which this platform does not have")
    try:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ToolError(f"{command[0]!r} could not be started: {error}") from error


async def _feed(process: trio.Process, data: bytes, scope: trio.CancelScope) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with scope, suppress(trio.BrokenResourceError):  # a program need not read what it is given
        async with process.stdin as pipe:
            await pipe.send_all(data)


async def _end_session(process: trio.Process, grace: float) -> None:
    """Called under a shield, and bounded: ``grace``, and then as long as the kernel needs to kill.

    Nothing in here waits for a place among the worker threads: those that were abandoned keep theirs.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        told = await _tell(process, number)  # also when there is no time at all
        with trio.move_on_after(seconds):
            await _gone(process, number, told)
            break
    else:
        log.warn("a program does not end, although it was killed", session=process.pid)


async def _gone(process: trio.Process, number: int, told: set[int]) -> None:
    """Wait until nothing of the session runs; a group that has come up since the last look is signalled, too."""
    pause = _LOOK_AGAIN
    while told:
        await trio.sleep(pause)
        pause = min(
            2 * pause, 10 * _LOOK_AGAIN
        )  # nothing tells when the last one has gone, and looking costs
        told = await _tell(process, number, told if number == signal.SIGTERM else set())
    await process.wait()  # also for one that has ended: somebody has to take note of that


async def _tell(process: trio.Process, number: int, told: Set[int] = frozenset()) -> set[int]:
    """Signal the groups of the session in which anything runs, except those that were told; all of them."""
    process.poll()  # where the kernel does not show processes, a dead one that nobody took note of looks alive
    groups = await _groups(process.pid)
    for group in groups - told:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    return groups


async def _groups(session: int) -> set[int]:
    """The process groups of a session in which anything runs. Dead ones do not count; those that became ours are reaped."""
    every = await trio.to_thread.run_sync(_processes, limiter=trio.CapacityLimiter(1))
    members = [one for one in every if one.session == session]
    if not members:
        return _group_alone(session)
    for one in members:
        if one.state == "Z" and one.parent == os.getpid() and one.pid != session:
            _reap(one.pid)
    return {one.group for one in members if one.state not in "ZX"}


def _reap(pid: int) -> None:
    """Take note that a grandchild has ended that came to us when its parent did; it is dead, so nothing waits here."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _group_alone(group: int) -> set[int]:
    """Where the kernel does not show processes: the group that the program leads, if there is anything in it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return set()
    except PermissionError:
        pass
    return {group}


class _Process(NamedTuple):
    pid: int
    state: str
    parent: int
    group: int
    session: int


def _processes() -> list[_Process]:
    """Every process, where the kernel shows them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = place.read_text(errors="replace").rpartition(")")[2].split()
            found.append(_Process(int(place.parent.name), fields[0], *map(int, fields[1:4])))
    return found
