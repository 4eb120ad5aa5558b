"""The door of ``python -m providers``."""

import os
import sys

import trio

from runtime.terminal import exit_status

from .inspection import inspect, parse


def main() -> int:
    """Run the command; the exit status."""
    return exit_status(lambda: trio.run(inspect, parse(sys.argv[1:]), os.environ))


if __name__ == "__main__":
    sys.exit(main())
