"""Which demo it is, and with which model."""

import sys
from collections.abc import Sequence

import trio
from trio.testing import MockClock

from runtime import AgentrioError
from runtime.terminal import until_interrupted

from .chat import chat
from .command_line import Arguments, parse
from .endpoint import ask, endpoint_agent, failed
from .responder import scripted_agent
from .scenes import play
from .screen import Screen


def run(argv: Sequence[str]) -> int:
    """Run what the command line asks for; the exit status."""
    arguments = parse(argv)
    clock = MockClock(autojump_threshold=0) if arguments.fast else None
    return trio.run(_main, arguments, Screen.on(sys.stdout), clock=clock)


async def _main(arguments: Arguments, screen: Screen) -> int:
    if not (arguments.provider or arguments.interactive):
        return await until_interrupted(lambda: play(screen))
    try:
        options = endpoint_agent(arguments) if arguments.provider else scripted_agent()
    except AgentrioError as error:
        return failed(str(error))
    if arguments.interactive:
        return await chat(options, screen)
    return await until_interrupted(lambda: ask(options, arguments.prompt, screen))
