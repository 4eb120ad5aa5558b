"""The door of ``python -m providers.oauth``."""

import sys
from functools import partial

import trio

from runtime.terminal import LineReader, exit_status, until_interrupted

from .terminal import Terminal, parse, run


def main() -> int:
    """Run the command; the exit status."""
    arguments = parse(sys.argv[1:])
    terminal = Terminal(LineReader(), sys.stdout, sys.stderr)
    return exit_status(lambda: trio.run(until_interrupted, partial(run, arguments, terminal)))


if __name__ == "__main__":
    sys.exit(main())
