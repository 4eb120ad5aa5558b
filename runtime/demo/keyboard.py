"""Lines from standard input, for a task that may be cancelled while it waits for one."""

import os

import trio

STANDARD_INPUT = 0


class Keyboard:
    """Reads lines of a file descriptor: a terminal, a pipe or a file.

    A thread waits in ``os.read``, which is the one way that works for all three, and is left behind on cancellation. Making
    the descriptor non-blocking instead would make standard output so, too, where both are the same terminal.
    """

    def __init__(self, fd: int = STANDARD_INPUT) -> None:
        self._fd = fd
        self._read = b""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody sees what is typed."""
        return os.isatty(self._fd)

    async def line(self) -> str | None:
        """The next line without its end; None at the end of input."""
        while b"\n" not in self._read and (data := await self._more()):
            self._read += data
        if not self._read:
            return None
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace")

    async def _more(self) -> bytes:
        try:
            return await trio.to_thread.run_sync(os.read, self._fd, 4096, abandon_on_cancel=True)
        except OSError:  # there is no standard input, or its terminal is gone
            return b""
