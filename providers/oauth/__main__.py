"""The door of ``python -m providers.oauth``."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

import trio

from runtime.nurseries import SingleVoiceNursery

from .line_reader import LineReader
from .terminal import Arguments, Terminal, parse, run

INTERRUPTED = 130
"""The status of a program that Ctrl-C ended, as shells count it."""


def main() -> int:
    """Run the command; the exit status."""
    status = 1
    try:
        status = trio.run(_until_interrupted, parse(sys.argv[1:]))
    except* KeyboardInterrupt:  # before, or after, there is somebody who watches for it
        status = INTERRUPTED
    except* BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


async def _until_interrupted(arguments: Arguments) -> int:
    terminal = Terminal(LineReader(partial(os.read, 0, 4096)), sys.stdout, sys.stderr)
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            status = await run(arguments, terminal)
            nursery.cancel_scope.cancel()
    return status


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


if __name__ == "__main__":
    sys.exit(main())
