"""The door of the demo: nothing from ``providers`` or ``tools`` is imported before it is sure that they are ours."""

import os
import sys

from .interrupts import INTERRUPTED
from .shadowing import explain_strangers


def main() -> int:
    """Run the demo; the exit status."""
    if strangers := explain_strangers():
        print(strangers, file=sys.stderr)
        return 2
    status = 1
    try:
        status = _run()
    except* KeyboardInterrupt:  # before, or after, there is somebody who watches for it
        status = INTERRUPTED
    except* BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _run() -> int:
    from .program import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
