"""Running a loop to its end, whatever becomes of the task that it runs in.

The loop is shielded: an outer cancellation does not cut it in the middle, a warden beside it turns that into an abort.
So the run always says how it ended; only its readers have a deadline then.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Self

import trio

from runtime import log
from runtime.errors import AgentBusyError, EventsLostError
from runtime.nurseries import SingleVoiceNursery, holds_cancellation, when_set
from runtime.values.message import AssistantMessage, Message
from runtime.values.text import printable

from .emitter import Emitter
from .events import AgentEnd, AgentEvent
from .feed import EventFeed
from .interruption import Interruption
from .loop import AgentLoop
from .mailbox import Envelope
from .settings import AgentLoopConfig

RUN_BUFFER = 256
"""How many events of a run may wait for the reader that started it."""


async def run_shielded(
    main: Callable[[], Awaitable[object]],
    cut: Interruption,
    *,
    grace: float,
    abort: trio.Event | None = None,
    on_outer_cancel: Callable[[], None],
    warn: Callable[[], None],
) -> None:
    """Await ``main`` to its end. A cancellation from outside, or ``abort``, cuts it; the cancellation goes on afterwards.

    What still runs after ``grace`` seconds is warned of; it is waited for all the same.
    """
    done = trio.Event()
    if abort is not None and abort.is_set():
        cut.abort()
    async with SingleVoiceNursery() as nursery:
        nursery.start_soon(_warden, cut, done, grace, on_outer_cancel, warn)
        if abort is not None:
            nursery.start_soon(when_set, abort, cut.abort)
        with trio.CancelScope(shield=True):
            try:
                await main()
            finally:
                done.set()
        nursery.cancel_scope.cancel()


async def _warden(
    cut: Interruption,
    done: trio.Event,
    grace: float,
    on_outer_cancel: Callable[[], None],
    warn: Callable[[], None],
) -> None:
    try:
        await cut.wait()
        with trio.move_on_after(grace):
            await trio.sleep_forever()
        warn()
        await trio.sleep_forever()
    except trio.Cancelled:
        if not done.is_set():
            cut.abort()
            on_outer_cancel()
            with trio.move_on_after(grace, shield=True):
                await done.wait()
            if not done.is_set():
                warn()
        raise


class Run:
    """One run of an agent: its loop, its readers, and its outcome."""

    def __init__(
        self, loop: AgentLoop, cut: Interruption, emitter: Emitter, config: AgentLoopConfig, *, agent: str
    ) -> None:
        self.number = loop.number
        self.loop = loop
        self._agent = agent
        self.settled = trio.Event()
        self._cut = cut
        self._emitter = emitter
        self._config = config
        self._fields: Mapping[str, Any] = {}
        self._failure_told = False
        self._abandoned = False
        self.task: trio.lowlevel.Task | None = None

    @property
    def reply(self) -> AssistantMessage | None:
        """The last reply."""
        return self.loop.reply

    def abort(self) -> None:
        """End it as ``Aborted``."""
        self._cut.abort()

    def close(self) -> None:
        """The same, and its listeners share the grace, too: nobody waits longer than that for them."""
        self.abort()
        self._emitter.hurry_listeners()

    async def execute(
        self, prompts: Iterable[Message | Envelope], poll_first: bool, finish: Callable[[], None]
    ) -> None:
        """Run to the end and settle; what went wrong is kept for ``outcome``, and raised by nothing else."""
        self.task = trio.lowlevel.current_task()
        bound = log.bind_run(self._agent, self.number)
        self._fields = log.bound_fields()
        log.debug("run started")
        try:
            with self._cut.calls(self._emitter.hurry_feeds):
                await run_shielded(
                    lambda: self.loop.run(prompts, poll_first=poll_first),
                    self._cut,
                    grace=self._config.abort_grace,
                    abort=self._config.options.abort,
                    on_outer_cancel=self._emitter.hurry_listeners,
                    warn=self._warn,
                )
        except BaseException as bug:  # noqa: ASYNC103 - what holds a cancellation is raised
            if holds_cancellation(bug):
                raise
            self._cut.fail(bug)
        finally:
            self.task = None
            log.debug("run ended", turns=self.loop.turn, **self._ending())
            finish()
            self.settled.set()
            if self._abandoned:
                self._log_unheard_failure()
            log.unbind(bound)

    def outcome(self) -> AssistantMessage:
        """The last reply; raises what application code raised."""
        if self._cut.failure is not None:
            self._failure_told = True
            raise self._cut.failure
        assert self.loop.reply is not None  # noqa: S101 - a run has a reply
        return self.loop.reply

    def raise_unheard_failure(self) -> None:
        """Raise what application code raised, unless it was raised somewhere already."""
        if not self._failure_told:
            self.outcome()

    def abandon(self) -> None:
        """Nobody waits for the outcome: what application code raised is logged."""
        self._abandoned = True
        if self.settled.is_set():
            self._log_unheard_failure()

    def _log_unheard_failure(self) -> None:
        if self._cut.failure is not None and not self._failure_told:
            self._failure_told = True
            with log.bound_to(self._bound):  # who gave it up may be a task of another run
                log.error(
                    "application code failed in a run that nobody waits for", exc_info=self._cut.failure
                )

    def _ending(self) -> dict[str, str]:
        if self._cut.failure is not None:
            return {"outcome": type(self._cut.failure).__name__}
        return {"outcome": str(self.reply.stop_reason)} if self.reply else {}

    @property
    def _bound(self) -> dict[str, Any]:
        """What the lines of the run's own task carry, for those that another task writes."""
        turn = {"turn": self.loop.turn} if self.loop.turn else {}
        return {**self._fields, **turn}

    def _warn(self) -> None:
        tools = [f"{printable(slot.call.name)} ({printable(slot.call.id)})" for slot in self.loop.running]
        still = ", ".join(tools) or "a hook or a reader of events"
        grace = self._config.abort_grace
        with log.bound_to(self._bound):
            log.warn(f"aborted {grace} s ago, but still running: {still}", resisting=still, seconds=grace)

    @property
    def is_mine(self) -> bool:
        """Whether the present task is one of this run: it must not wait for it."""
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        while task is not None and task is not self.task:
            task = task.parent_nursery.parent_task if task.parent_nursery else None
        return task is not None

    def refuse_own_tasks(self) -> None:
        """Raise AgentBusyError where waiting for this run would last for ever."""
        if self.is_mine:
            raise AgentBusyError("a hook, a listener or a tool of a run cannot wait for that run to end")

    def __repr__(self) -> str:
        return f"<Run {self.number}, turn {self.loop.turn}, {len(self.loop.running)} tools running>"


class RunEvents:
    """The events of one run, for one reader: ``async for event in run``."""

    def __init__(self, run: Run, feed: EventFeed) -> None:
        self._run = run
        self._feed = feed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AgentEvent:
        return await anext(self._feed)

    async def _end(self) -> Run:
        """Read what is left, and wait until the run has settled; raises what application code raised."""
        self._run.refuse_own_tasks()
        if not self._feed.was_left:
            with suppress(EventsLostError):  # what ended is known all the same
                async for _ in self._feed:
                    pass
        await self._run.settled.wait()
        self._run.outcome()
        return self._run

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._run!r} {self._feed!r}>"


class AgentRun(RunEvents):
    """One run with its events, for the task that started it."""

    async def result(self) -> AssistantMessage:
        """The final reply; reads what is left of the events, if they are not lost. Raises what a hook or a listener raised.

        A reader that was too late after an abort, and so lost events, is told by iterating, not here: the reply is there.
        """
        return (await self._end()).outcome()

    def abort(self) -> None:
        """End the run as ``Aborted``."""
        self._run.abort()


def ends_a_run(event: AgentEvent) -> bool:
    """Whether nothing of that run follows."""
    return isinstance(event, AgentEnd)
