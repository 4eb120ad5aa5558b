"""The stateful agent: a transcript, two mailboxes, and one run at a time in a nursery of its own."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Unpack, cast

import trio

from runtime.errors import AgentBusyError, AgentClosedError, InvalidOptionError, NothingToContinueError
from runtime.values.checks import check_messages
from runtime.values.content import ImageContent, ToolCall
from runtime.values.message import AssistantMessage, Message

from .emitter import Emitter, Listener, Subscription
from .events import AgentEvent
from .feed import EventFeed
from .interruption import Interruption
from .keywords import AgentChanges
from .loop import AgentLoop
from .mailbox import Delivery, Envelope, Mailbox, as_message, give_back
from .opened_only import OpenedOnly
from .outcome import CANCELLED
from .run import RUN_BUFFER, AgentRun, Run, ends_a_run
from .settings import AgentLoopConfig, AgentOptions, loop_fields
from .state import AgentState, AgentStatistics, Transcript, asks_for_a_reply
from .tool import AgentContext

LAST_STEPS = 100
"""So many checkpoints a run has to settle in, when its last readers were given up."""
_UPDATABLE = AgentChanges.__annotations__.keys()


class Agent(metaclass=OpenedOnly):
    """A conversation with a model that uses tools. ``open_agent`` makes one.

    One run at a time: ``prompt``, ``prompt_messages``, ``continue_run`` and ``stream`` start one, and raise AgentBusyError
    while another is active. Cancelling the task that waits for a run aborts the run; the caller then waits for it to
    settle, shielded, for at most ``abort_grace`` seconds. After the block is left, everything raises AgentClosedError.
    """

    def __init__(self, options: AgentOptions, nursery: trio.Nursery) -> None:
        self._options = options
        self._nursery = nursery
        self._transcript = Transcript(options.messages)
        self._steering = Mailbox(options.max_queued, options.steering_mode)
        self._follow_up = Mailbox(options.max_queued, options.follow_up_mode)
        self._subscriptions: dict[Subscription, None] = {}
        self._feeds: list[EventFeed] = []
        self._run: Run | None = None
        self._runs = 0
        self._closed = False

    # Runs

    async def prompt(self, text: str, images: Sequence[ImageContent] = ()) -> AssistantMessage:
        """Say something, and wait until the agent has settled; the final reply.

        Provider failures and aborts are in the reply's ``stop_reason``. What a hook or a listener raised is raised.
        """
        return await self._wait(self._start([as_message(text, images)]))

    async def prompt_messages(self, messages: Sequence[Message]) -> AssistantMessage:
        """The same with messages of any role."""
        checked = check_messages("messages", messages)
        if not checked:
            raise InvalidOptionError(
                "messages must hold at least one; use continue_run() to go on without one"
            )
        return await self._wait(self._start(checked))

    async def continue_run(self) -> AssistantMessage:
        """Run without a new message: from a user message, a tool result, or after a reply that was aborted or failed.

        After a finished reply it takes queued steering, else queued follow-up messages, as prompts; NothingToContinueError
        if there is neither, or no message at all.
        """
        return await self._wait(self._continue())

    @asynccontextmanager
    async def stream(self, text: str, images: Sequence[ImageContent] = ()) -> "AsyncIterator[AgentRun]":
        """Prompt and read the events in the same task: ``async for event in run``, then ``await run.result()``.

        Leaving the block before the last event was read aborts the run and waits for it to settle.
        """
        message = as_message(text, images)
        self._check_free()
        with self._feed(RUN_BUFFER, ends_a_run) as feed:
            run = self._start([message])
            try:
                yield AgentRun(run, feed)
            except BaseException as error:  # noqa: BLE001 - it is raised again, over what leaving raises
                feed.leave()
                try:
                    await self._leave(run)  # noqa: ASYNC102 - shielded in there, once cancelled
                finally:
                    run.abandon()
                    raise error  # the block's own wins
            feed.leave()
            await self._leave(run)
        run.raise_unheard_failure()

    def abort(self) -> None:
        """End the present run as ``Aborted``; without one, nothing happens.

        Returns at once: ``wait_for_idle`` waits until nothing of the run is left.
        """
        if self._run is not None:
            self._run.abort()

    def cancel_tool_call(self, tool_call_id: str) -> bool:
        """Cancel one tool call of the present run: the model reads that, and the run goes on.

        False if there is no such call, or if its tool has returned already; then its own result stays, and a hook that
        looks at it is waited for (``abort`` cuts that, too).
        """
        return self._run is not None and self._run.loop.cut_call(tool_call_id, CANCELLED)

    async def wait_for_idle(self) -> None:
        """Wait until the present run, if any, has settled: nothing of it runs, and its listeners have returned."""
        if self._run is None:
            await trio.lowlevel.checkpoint()
            return
        self._run.refuse_own_tasks()
        await self._run.settled.wait()

    # Messages on their way in

    def steer(self, message: str | Message) -> Delivery:
        """Queue a message that joins the run at its next turn, or the next run; raises QueueFullError when full."""
        self._check_open()
        return self._steering.post(as_message(message))

    def follow_up(self, message: str | Message) -> Delivery:
        """Queue a message that joins when the run would otherwise end; raises QueueFullError when full."""
        self._check_open()
        return self._follow_up.post(as_message(message))

    def clear_steering(self) -> None:
        """Return all steering messages.

        What a turn that begins has taken joins if the turn goes on; if the run is cut before that, it is returned, too.
        """
        self._steering.clear()

    def clear_follow_up(self) -> None:
        """Return all follow-up messages; those that a turn has taken as ``clear_steering`` says."""
        self._follow_up.clear()

    def clear_queues(self) -> None:
        """Return all queued messages; those that a turn has taken as ``clear_steering`` says."""
        self.clear_steering()
        self.clear_follow_up()

    @property
    def has_queued_messages(self) -> bool:
        """Whether anything waits to be taken; what a turn that begins has taken is on its way, and does not count."""
        return bool(len(self._steering) or len(self._follow_up))

    def push_message(self, message: Message) -> None:
        """Append a message to the transcript without a run; AgentBusyError while one is active."""
        self._check_free()
        self._transcript.messages.extend(check_messages("message", [message]))

    # State

    @property
    def name(self) -> str:
        """Names the agent in logs and in ``repr``."""
        return self._options.name

    @property
    def state(self) -> AgentState:
        """A snapshot of what the agent is now."""
        options, transcript = self._options, self._transcript
        return AgentState(
            system_prompt=options.system_prompt,
            model=options.model,
            thinking_level=options.thinking_level,
            tools=options.tools,
            messages=tuple(transcript.messages),
            is_streaming=self.is_running,
            streaming_message=transcript.streaming_message,
            pending_tool_calls=frozenset(+transcript.pending),
            error_message=transcript.error_message,
        )

    @property
    def is_running(self) -> bool:
        """Whether a run is active; it is until it has settled."""
        return self._run is not None

    def statistics(self) -> AgentStatistics:
        """Figures for monitoring."""
        loop = self._run.loop if self._run else None
        return AgentStatistics(
            runs=self._runs,
            turn=loop.turn if loop else 0,
            messages=len(self._transcript.messages),
            running_tools=len(loop.running) if loop else 0,
            queued_steering=len(self._steering),
            queued_follow_up=len(self._follow_up),
            listeners=len(self._subscriptions),
            feeds=len(self._feeds),
        )

    def update(self, **changes: Unpack[AgentChanges]) -> None:
        """Change the model, tools, prompt and so on; a change while a run is active holds from the next run on.

        Takes ``model``, ``system_prompt``, ``thinking_level``, ``tools``, ``messages`` (AgentBusyError while a run is
        active), ``session_id``, ``options``, ``steering_mode``, ``follow_up_mode``, ``steering_policy``, ``tool_execution``.
        """
        self._check_open()
        if unknown := changes.keys() - _UPDATABLE:
            raise InvalidOptionError(
                f"update() does not take {', '.join(sorted(unknown))}; it takes {', '.join(sorted(_UPDATABLE))}"
            )
        if "messages" in changes:
            self._check_free()
        self._options = replace(self._options, **cast("dict[str, Any]", changes))
        if "messages" in changes:
            self._transcript.messages = list(self._options.messages)

    def reset(self) -> None:
        """Empty the transcript, the queues and the error; keep prompt, model and tools."""
        self._check_free()
        self._transcript.clear()
        self.clear_queues()

    # Readers

    def subscribe(self, listener: Listener) -> Subscription:
        """Have an async function called with every event, in order; the agent goes on only when it has returned.

        Listeners are awaited one after another. An exception of one ends the run with it, and leaves ``prompt``. An abort
        cuts none; who is late when the agent's block is left is cancelled ``abort_grace`` seconds after the abort.
        """
        self._check_open()
        if not callable(listener):
            raise InvalidOptionError(f"a listener is an async function, not {type(listener).__name__}")
        return Subscription(listener, self._subscriptions)

    @asynccontextmanager
    async def events(self, max_buffer: int = 256) -> AsyncIterator[EventFeed]:
        """Events for a reader in another task: the agent waits when ``max_buffer`` of them are unread.

        They end when the agent's block is left; a reader inside of it returns by itself, for example at AgentEnd.
        After an abort it waits for ``abort_grace`` seconds at most; a reader that is later gets EventsLostError.
        """
        self._check_open()
        with self._feed(max_buffer) as feed:
            yield feed

    @contextmanager
    def _feed(
        self, max_buffer: int, is_last: Callable[[AgentEvent], bool] | None = None
    ) -> Iterator[EventFeed]:
        feed = EventFeed(max_buffer, is_last)
        self._feeds.append(feed)
        try:
            yield feed
        finally:
            feed.leave()
            if feed in self._feeds:
                self._feeds.remove(feed)

    # Underneath

    def _running_tasks(self) -> tuple[trio.lowlevel.Task | None, dict[trio.lowlevel.Task, ToolCall]]:
        """The task of the run, and those of its tools."""
        if (run := self._run) is None:
            return None, {}
        return run.task, {slot.task: slot.call for slot in run.loop.running if slot.task is not None}

    def _refuse_below(self) -> None:
        if self._run is not None and self._run.is_mine:
            raise AgentBusyError(
                "a tool cannot follow an agent that called it: its events would follow themselves"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise AgentClosedError(f"the block of agent {self.name!r} was left")

    def _check_free(self) -> None:
        self._check_open()
        if self._run is not None:
            raise AgentBusyError(
                f"agent {self.name!r} is in a run; steer() or follow_up() to say more, abort() or wait_for_idle() to end it"
            )

    def _continue(self) -> Run:
        self._check_free()
        asks = asks_for_a_reply(self._transcript.messages)
        if asks is None:
            raise NothingToContinueError("the transcript is empty; use prompt()")
        if asks:
            return self._start([])
        self._set_modes()
        for box in (self._steering, self._follow_up):
            if envelopes := box.take_nowait():
                return self._start_with(envelopes)
        raise NothingToContinueError(
            "the last message is a reply, and nothing is queued; use prompt(), or queue a message"
        )

    def _start_with(self, envelopes: list[Envelope]) -> Run:
        try:
            return self._start(envelopes, poll_first=False)
        except BaseException:  # a tool whose definition cannot be read, for example
            give_back(envelopes)
            raise

    def _set_modes(self) -> None:
        self._steering.mode = self._options.steering_mode
        self._follow_up.mode = self._options.follow_up_mode

    def _start(self, prompts: Iterable[Message | Envelope], *, poll_first: bool = True) -> Run:
        self._check_free()
        self._set_modes()
        options = self._options
        config = AgentLoopConfig(**loop_fields(options))
        if options.session_id is not None:
            config = replace(config, options=replace(options.options, session_id=options.session_id))
        cut = Interruption()
        emitter = Emitter(self._transcript, self._subscriptions, self._feeds, cut, options.abort_grace)
        context = AgentContext(
            system_prompt=options.system_prompt,
            messages=tuple(self._transcript.messages),
            tools=options.tools,
        )
        loop = AgentLoop(
            config,
            context,
            emitter,
            cut,
            steering=self._steering,
            follow_up=self._follow_up,
            steering_policy=options.steering_policy,
            number=self._runs + 1,
        )
        self._runs += 1
        self._run = run = Run(loop, cut, emitter, config, agent=self.name)
        self._nursery.start_soon(
            run.execute, prompts, poll_first, self._settle, name=f"agent {self.name} run {self._runs}"
        )
        return run

    def _settle(self) -> None:
        self._run = None

    async def _wait(self, run: Run) -> AssistantMessage:
        await self._settled(run)
        return run.outcome()

    async def _settled(self, run: Run) -> None:
        try:
            await run.settled.wait()
        except trio.Cancelled:
            run.abort()
            with trio.CancelScope(shield=True):
                with trio.move_on_after(self._options.abort_grace):
                    await run.settled.wait()
                for _ in range(LAST_STEPS):  # readers are given up at this same moment: no time passes here
                    if not run.settled.is_set():
                        await trio.lowlevel.checkpoint()
            run.abandon()
            raise

    async def _leave(self, run: Run) -> None:
        if not run.settled.is_set():
            run.abort()
            await self._settled(run)

    def _close(self) -> None:
        self._closed = True
        if self._run is not None:
            self._run.close()
        self._steering.close()
        self._follow_up.close()

    def _end_feeds(self) -> None:
        for feed in self._feeds:
            feed.end()
        self._feeds.clear()

    def __repr__(self) -> str:
        figures = self.statistics()
        state = "closed" if self._closed else "idle" if self._run is None else f"turn {figures.turn}"
        parts = [
            state,
            f"{figures.running_tools} tools running" if figures.running_tools else "",
            f"{figures.queued_steering} steering waiting" if figures.queued_steering else "",
            f"{figures.queued_follow_up} follow-up waiting" if figures.queued_follow_up else "",
        ]
        return f"<Agent {self.name!r} {', '.join(part for part in parts if part)}>"
