"""The engine and its neighbours: many small chunks at a time, and everybody else has a turn."""

import itertools

import trio

from runtime.streams.channel import open_message_stream
from runtime.values.message import StopReason
from tests.providers.loopback import SSE_HEAD, chunk, raw, serve
from tests.providers.test_exchange import DONE, MODEL, calling, say

EVENTS = 20_000
SMALL = b"".join(
    [
        SSE_HEAD,
        *(chunk(say(f"{number} ").encode()) for number in range(EVENTS)),
        chunk(DONE.encode()),
        chunk(b""),
    ]
)
WHOLE = "".join(f"{number} " for number in range(EVENTS))


class Steps(trio.abc.Instrument):
    """Counts the steps of one task."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self._task = task
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self._task


async def test_small_chunks_that_come_together_cost_no_task_switch_each():
    """A server that sends a chunk for every event wakes the reader for many of them at a time."""
    steps = Steps(trio.lowlevel.current_task())
    async with serve(raw(SMALL)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream:
            trio.lowlevel.add_instrument(steps)
            message = await stream.result()
            trio.lowlevel.remove_instrument(steps)
    assert (message.stop_reason, message.text) == (StopReason.Stop, WHOLE)
    assert steps.count < EVENTS / 8


async def test_a_flood_of_events_lets_others_run():
    """Chunks that are here already, and a reader that is fast, do not keep other tasks from their turns."""
    turns = itertools.count()
    async with serve(raw(SMALL)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def other() -> None:
                while True:
                    next(turns)
                    await trio.lowlevel.checkpoint()

            assert (await stream.result()).text == WHOLE
            nursery.cancel_scope.cancel()
    assert next(turns) > len(SMALL) / (64 * 1024)
