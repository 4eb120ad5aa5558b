"""The door of ``python -m providers``."""

import os
import sys

import trio

from .inspection import inspect, parse


def main() -> int:
    """Run the command; the exit status."""
    status = 1
    try:
        status = trio.run(inspect, parse(sys.argv[1:]), os.environ)
    except* KeyboardInterrupt:
        status = 130
    except* BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(main())
