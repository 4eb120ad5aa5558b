"""Events for readers in other tasks: bounded, with back-pressure, and a deadline once the run was cut."""

from collections.abc import Callable
from typing import Self

import trio

from runtime import log
from runtime.errors import EventsLostError
from runtime.values.checks import check_at_least

from .events import AgentEvent

WITHOUT_PAUSE = 64
"""So many events that are here already are read without a checkpoint."""


class EventFeed:
    """The events of an agent, for one reader: ``async for event in feed``. It ends when the agent's block is left.

    The agent waits for a reader who is behind by more than the buffer. Only after an abort it does not wait for ever:
    who has not read by the deadline gets what is buffered, and then EventsLostError.
    """

    def __init__(self, max_buffer: int, is_last: Callable[[AgentEvent], bool] | None = None) -> None:
        check_at_least("max_buffer", max_buffer, 0, whole=True)
        self._send, self._receive = trio.open_memory_channel[AgentEvent](max_buffer)
        self._is_last = is_last or (lambda _: False)
        self._lost = False
        self._finished = False
        self._waiting: trio.CancelScope | None = None
        self._max_buffer = max_buffer
        self._unpaused = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AgentEvent:
        if self._finished:
            raise StopAsyncIteration
        try:
            event = await self._next()
        except trio.EndOfChannel:
            self._finished = True
            if self._lost:
                raise EventsLostError(
                    f"this reader was more than {self._max_buffer} events behind when the run was cut; "
                    "what came after the last event it read is lost"
                ) from None
            raise StopAsyncIteration from None
        self._finished = self._is_last(event)
        return event

    async def _next(self) -> AgentEvent:
        if self._unpaused < WITHOUT_PAUSE:
            try:
                event = self._receive.receive_nowait()
            except trio.WouldBlock:
                pass
            else:
                self._unpaused += 1
                return event
        self._unpaused = 0
        return await self._receive.receive()

    @property
    def was_left(self) -> bool:
        """Whether the reader has gone."""
        return self._receive.statistics().open_receive_channels == 0

    @property
    def is_open(self) -> bool:
        """Whether somebody may still read."""
        return not self._lost and not self.was_left

    def put_nowait(self, event: AgentEvent) -> bool:
        """Hand an event over; False if the reader is behind, and has to be waited for."""
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.end()
        return True

    async def put(self, event: AgentEvent, deadline: float) -> None:
        """Hand an event over to a slow reader, who is waited for until the deadline, and then dropped."""
        with trio.CancelScope(deadline=deadline) as self._waiting:
            try:
                await self._send.send(event)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.end()
        if self._waiting.cancelled_caught:
            self._lost = True
            self.end()
            log.warn(
                "an event reader was dropped: it did not read in time after an abort", buffer=self._max_buffer
            )
        self._waiting = None

    def hurry(self, deadline: float) -> None:
        """Let a send that is waiting now end by then."""
        if self._waiting is not None:
            self._waiting.deadline = min(self._waiting.deadline, deadline)

    def end(self) -> None:
        """No more events: the reader gets what is buffered, and then the end."""
        self._send.close()

    def leave(self) -> None:
        """The reader goes; nobody waits for it any more."""
        self._receive.close()

    def __repr__(self) -> str:
        used = self._receive.statistics().current_buffer_used
        return f"<EventFeed {used} of {self._max_buffer} buffered{', events lost' if self._lost else ''}>"
