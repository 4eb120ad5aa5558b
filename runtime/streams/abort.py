"""Calls that return one value, and the event that ends them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from runtime.errors import AbortedError
from runtime.nurseries import SingleVoiceNursery, when_set

_T = TypeVar("_T")


async def or_aborted(abort: trio.Event | None, call: Callable[[], Awaitable[_T]]) -> _T:
    """What a call returns or raises; AbortedError when ``abort`` is set before that, which cancels the call.

    A cancellation from around goes through, and outranks the event.
    """
    if abort is None:
        return await call()
    returned: list[_T] = []
    if not abort.is_set():
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(when_set, abort, nursery.cancel_scope.cancel)
            returned.append(await call())
            nursery.cancel_scope.cancel()
    if returned:
        return returned[0]
    await trio.lowlevel.checkpoint()  # where the scope around is cancelled, too, it wins
    raise AbortedError
