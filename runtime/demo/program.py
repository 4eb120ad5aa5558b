"""Which demo it is, and how it ends."""

import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

import trio
from trio.testing import MockClock

from .command_line import Arguments, parse
from .screen import Screen, Style
from .scenes import SCENES
from .stage import open_stage

INTERRUPTED = 130


def run(argv: Sequence[str]) -> int:
    """Run what the command line asks for; the exit status."""
    arguments = parse(argv)
    clock = MockClock(autojump_threshold=0) if arguments.fast else None
    return trio.run(_main, arguments, Screen.on(sys.stdout), clock=clock)


async def _main(arguments: Arguments, screen: Screen) -> int:
    return await until_interrupted(lambda: play(screen))


async def until_interrupted(work: Callable[[], Awaitable[int]]) -> int:
    """The status of the work, unless Ctrl-C comes first: then the work is cancelled, and everything in it ends."""
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            status = await work()
            nursery.cancel_scope.cancel()
    return status


async def play(screen: Screen) -> int:
    screen.line("agentrio: one agent, a scripted model, no key, no network", Style.Title)
    async with open_stage(screen) as stage:
        for scene in SCENES:
            await scene.perform(stage)
    return 0 if stage.checks.all_hold else 1
