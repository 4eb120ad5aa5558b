"""The door of the demo: nothing from ``providers`` or ``tools`` is imported before it is sure that they are ours."""

import sys

from runtime.terminal import exit_status

from .shadowing import explain_strangers


def main() -> int:
    """Run the demo; the exit status."""
    if strangers := explain_strangers():
        print(strangers, file=sys.stderr)
        return 2
    return exit_status(_run)


def _run() -> int:
    from .program import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
