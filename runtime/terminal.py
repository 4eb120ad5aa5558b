"""What a program in a terminal needs: lines that somebody types, Ctrl-C as something that happens, and an exit status."""

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from .nurseries import SingleVoiceNursery

STANDARD_INPUT = 0
INTERRUPTED = 130
"""The status of a program that Ctrl-C ended, as shells count it."""


class LineReader:
    """Reads lines of a file descriptor: a terminal, a pipe or a file. A task may be cancelled while it waits for one.

    A thread waits in ``os.read``, which is the one way that works for all three. Making the descriptor non-blocking instead
    would make standard output so, too, where both are the same terminal. A thread that is left behind by a cancellation
    keeps what it reads for the next line, so that none is lost; it ends with the process.
    """

    def __init__(self, fd: int = STANDARD_INPUT) -> None:
        self._fd = fd
        self._turn = threading.Lock()
        self._waiting = b""
        self._ended = False

    @property
    def is_terminal(self) -> bool:
        """Whether somebody sees what is typed."""
        return os.isatty(self._fd)

    async def line(self) -> str | None:
        """The next line without its end; None at the end of input."""
        while b"\n" not in self._waiting and not self._ended:
            await trio.to_thread.run_sync(self._read_more, abandon_on_cancel=True)
        if not self._waiting:
            return None
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def _read_more(self) -> None:
        with self._turn:  # of one thread at a time: the one left behind comes first
            if b"\n" in self._waiting or self._ended:
                return
            try:
                data = os.read(self._fd, 4096)
            except OSError:  # there is no standard input, or its terminal is gone
                data = b""
            self._waiting += data
            self._ended = not data


async def until_interrupted(work: Callable[[], Awaitable[int]]) -> int:
    """The status of the work, unless Ctrl-C comes first: then the work is cancelled, and everything in it has ended."""
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            status = await work()
            nursery.cancel_scope.cancel()
    return status


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


def exit_status(program: Callable[[], int]) -> int:
    """Run a program. Its status, unless Ctrl-C ends it, or whoever reads its output leaves, as `head` does."""
    status = 1
    try:
        status = program()
    except* KeyboardInterrupt:  # before, or after, there is somebody who watches for it
        status = INTERRUPTED
    except* BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
