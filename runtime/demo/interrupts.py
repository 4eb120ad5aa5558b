"""Ctrl-C, as something that happens instead of an exception that strikes anywhere."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

INTERRUPTED = 130
"""The status of a program that Ctrl-C ended, as shells count it."""


async def until_interrupted(work: Callable[[], Awaitable[int]]) -> int:
    """The status of the work, unless Ctrl-C comes first: then the work is cancelled, and everything in it has ended."""
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            status = await work()
            nursery.cancel_scope.cancel()
    return status


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
