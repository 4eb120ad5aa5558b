"""Handing events out: first the state moves, then listeners are awaited in order, then feeds are filled."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import trio

from runtime import log
from runtime.nurseries import explain, is_cancellation, without_cancellation

from .events import AgentEvent
from .feed import EventFeed
from .hooks import ask
from .interruption import Interruption
from .state import Transcript

Listener = Callable[[AgentEvent], Awaitable[None]]


class Subscription:
    """A listener's place. ``unsubscribe()`` gives it up, and so does leaving a ``with`` block over it."""

    def __init__(self, listener: Listener, owner: "dict[Subscription, None]") -> None:
        self._listener = listener
        self._owner = owner
        owner[self] = None

    @property
    def listener(self) -> Listener:
        """What is called."""
        return self._listener

    def unsubscribe(self) -> None:
        """Stop listening; twice does nothing."""
        self._owner.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unsubscribe()

    def __repr__(self) -> str:
        name = getattr(self._listener, "__qualname__", repr(self._listener))
        return f"<Subscription of {name}{'' if self in self._owner else ', ended'}>"


class Emitter:
    """What one run tells its readers.

    An abort does not cut listeners. Feeds get until ``grace`` seconds after the cut; so do all listeners together, once
    the task that runs the agent was cancelled itself, or the agent's block is left.
    """

    def __init__(
        self,
        transcript: Transcript,
        subscriptions: dict[Subscription, None],
        feeds: list[EventFeed],
        cut: Interruption,
        grace: float,
    ) -> None:
        self._transcript = transcript
        self._subscriptions = subscriptions
        self._feeds = feeds
        self._cut = cut
        self._grace = grace
        self._silenced: set[Subscription] = set()
        self._warned = False
        self._listening: trio.CancelScope | None = None
        self._listener_deadline = float("inf")

    async def __call__(self, event: AgentEvent) -> None:
        """Hand out one event; never raises what a listener raises, but fails the run with it."""
        self._transcript.apply(event)
        if self._subscriptions:
            await self._tell(event)
        if self._feeds:
            await self._fill(event)

    async def _tell(self, event: AgentEvent) -> None:
        present: Subscription | None = None
        self._listening = scope = trio.CancelScope(deadline=self._listener_deadline)
        try:
            with scope:
                for present in tuple(self._subscriptions):
                    if present in self._subscriptions and present not in self._silenced:
                        await self._tell_one(present, event)
        except BaseException as failure:  # what is left of a group, when the scope has taken its own out  # noqa: ASYNC103 - what holds a cancellation is raised
            if is_cancellation(failure) or present is None:
                raise
            self._fail(present, without_cancellation(failure))
        if scope.cancelled_caught and not self._warned:
            self._warned = True
            log.warn("listeners were cut: they did not return within the grace", seconds=self._grace)
        self._listening = None

    async def _tell_one(self, subscription: Subscription, event: AgentEvent) -> None:
        try:
            await ask("a listener", subscription.listener, event)
        except BaseException as failure:  # noqa: ASYNC103 - what holds a cancellation is raised
            if is_cancellation(failure):
                raise
            self._fail(subscription, without_cancellation(failure))

    def _fail(self, subscription: Subscription, failure: BaseException) -> None:
        self._silenced.add(subscription)
        self._cut.fail(failure)
        if self._transcript.error_message is None:
            self._transcript.error_message = explain(failure)

    async def _fill(self, event: AgentEvent) -> None:
        for feed in tuple(self._feeds):
            if not feed.put_nowait(event):
                await feed.put(event, self.feed_deadline)
            if not feed.is_open and feed in self._feeds:
                self._feeds.remove(feed)

    @property
    def feed_deadline(self) -> float:
        """Until when feeds are waited for."""
        return float("inf") if self._cut.time is None else self._cut.time + self._grace

    def hurry_feeds(self) -> None:
        """The run was cut: a send that waits now has a deadline, too."""
        for feed in self._feeds:
            feed.hurry(self.feed_deadline)

    def hurry_listeners(self) -> None:
        """The run's task was cancelled, or the agent's block is left: listeners share what is left of the grace."""
        self._listener_deadline = self.feed_deadline
        if self._listening is not None:
            self._listening.deadline = self._listener_deadline
