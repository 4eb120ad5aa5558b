"""Lines that somebody types, for tasks that may stop waiting for them."""

import threading
from collections.abc import Callable

import trio


class LineReader:
    """Reads lines; a task may be cancelled while it waits for one, and no line is lost by it.

    ``read`` blocks until it has some bytes, and returns none at the end: ``partial(os.read, 0, 4096)`` for standard input,
    be it a terminal, a pipe or a file. A thread that is left behind in it keeps what it reads for the next line; it ends
    with the process.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._turn = threading.Lock()
        self._waiting = b""
        self._ended = False

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
                data = self._read()
            except OSError:  # there is no standard input, or its terminal is gone
                data = b""
            self._waiting += data
            self._ended = not data
