"""The loop between a model and its tools: one run, from ``AgentStart`` to ``AgentEnd``.

What the loop decides is in plain functions; what it waits for is either cut with the run (hooks, streams, tools: each
in a scope of the interruption) or never cut (emitting). So every start gets its end without any cleanup code.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from runtime import log
from runtime.nurseries import explain, is_cancellation, without_cancellation
from runtime.streams.assembler import ABORTED
from runtime.streams.channel import MessageStream
from runtime.values.checks import check_messages, check_type
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, CustomMessage, Message, StopReason, ToolResultMessage
from runtime.values.model import clamp_thinking_level, empty_message
from runtime.values.options import SimpleStreamOptions
from runtime.values.thinking import ThinkingLevel

from .batch import Batch
from .events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    MessageEnd,
    MessageStart,
    TurnEnd,
    TurnStart,
)
from .hooks import TurnInfo, TurnUpdate, ask
from .interruption import CutScope, Interruption
from .mailbox import Envelope, Inbox, Mailbox, give_back
from .outcome import TRUNCATED
from .reading import Reading, Sink
from .settings import AgentLoopConfig, SteeringPolicy
from .slot import Slot
from .tool import AgentContext
from .toolbox import Toolbox

MAX_TRUNCATED = 3
"""So many turns in a row may end in tool calls that the output limit cut; then the run gives up."""

T = TypeVar("T")


class _CutError(Exception):
    """The run was cut while a hook was awaited; never leaves the loop."""


class AgentLoop:
    """One run. ``run`` returns the messages that it added and never raises; ``cut.failure`` is what went wrong."""

    def __init__(
        self,
        config: AgentLoopConfig,
        context: AgentContext,
        sink: Sink,
        cut: Interruption,
        *,
        steering: Inbox,
        follow_up: Inbox,
        steering_policy: SteeringPolicy = SteeringPolicy.FinishBatch,
        number: int = 1,
    ) -> None:
        self._config = config
        self._system_prompt = context.system_prompt
        self._toolbox = Toolbox(context.tools)
        self._messages = list(context.messages)
        self._sink = sink
        self._cut = cut
        self._steering = steering
        self._follow_up = follow_up
        self._steering_policy = steering_policy
        self._batch: Batch | None = None
        self._pending: list[Envelope] = []
        self._truncated = 0
        self._gave_up: str | None = None
        self._said_cut = False
        self.number = number
        self.turn = 0
        self.added: list[Message] = []
        self.reply: AssistantMessage | None = None

    async def run(self, prompts: Iterable[Message | Envelope], *, poll_first: bool = True) -> list[Message]:
        """Run to the end: prompts first, then turns until nothing is left to do."""
        self._pending = [item if isinstance(item, Envelope) else Envelope(item) for item in prompts]
        try:
            await self._emit(AgentStart())
            if poll_first:
                await self._poll(self._steering)
            while await self._turn_and_more():
                pass
            if self._needs_closing():
                await self._closing_turn()
        finally:
            give_back(self._pending)
        await self._emit(AgentEnd(tuple(self.added)))
        return self.added

    @property
    def running(self) -> list[Slot]:
        """The calls whose tools run now."""
        return self._batch.running if self._batch is not None else []

    def cut_call(self, call_id: str, reason: str) -> bool:
        """End one tool call of the present batch alone; False if there is none that could be."""
        return self._batch is not None and self._batch.cut_call(call_id, reason)

    # One turn

    async def _turn_and_more(self) -> bool:
        """One turn; whether another one follows."""
        await self._begin_turn()
        reply = await self._reply()
        self._batch = batch = self._new_batch(reply)
        results = await self._run_batch(batch)
        self._batch = None
        await self._emit(TurnEnd(reply, tuple(results)))
        if reply.failed:
            return False
        try:
            return await self._goes_on(reply, results, batch.terminate)
        except _CutError:
            return False

    async def _begin_turn(self) -> None:
        self.turn += 1
        log.bind(turn=self.turn)
        log.debug("turn started")
        await self._emit(TurnStart())
        for envelope in tuple(self._pending):
            if self._is_ending() and envelope.origin is not None:
                continue  # it goes back to where it came from
            await self._emit(MessageStart(envelope.message))
            if envelope.delivery is not None:  # it is in the transcript now, before anybody is told
                envelope.delivery.deliver(self.number, self.turn)
            self._pending.remove(envelope)
            await self._emit(MessageEnd(envelope.message))

    def _is_ending(self) -> bool:
        return self._cut.is_set() or self._gave_up is not None

    def _new_batch(self, reply: AssistantMessage) -> Batch:
        return Batch(
            reply,
            self._toolbox,
            self._context(),
            self._config,
            self._emit,
            self._cut,
            self._steering,
            self._steering_policy,
        )

    async def _run_batch(self, batch: Batch) -> list[ToolResultMessage]:
        if batch.reply.failed:
            return []
        if batch.reply.stop_reason is StopReason.Length and batch.reply.tool_calls:
            self._truncated += 1
            return await batch.refuse(TRUNCATED)
        self._truncated = 0
        return await batch.run()

    async def _goes_on(
        self, reply: AssistantMessage, results: list[ToolResultMessage], terminate: bool
    ) -> bool:
        if self._cut.is_set():
            return False
        if self._config.prepare_next_turn is not None or self._config.should_stop_after_turn is not None:
            info = TurnInfo(self.turn, reply, tuple(results), self._context(), tuple(self.added))
            self._apply(await self._ask("prepare_next_turn", info))
            if await self._ask("should_stop_after_turn", info):
                return False
        await self._poll(self._steering)
        calls_answered = bool(results) and not terminate
        if not calls_answered and not self._pending:
            await self._poll(self._follow_up)
        if self._cut.is_set() or not (calls_answered or self._pending):
            return False
        self._gave_up = self._limit_reached()
        return self._gave_up is None

    def _limit_reached(self) -> str | None:
        if self._truncated >= MAX_TRUNCATED:
            return f"The model's tool calls were cut by the output limit {MAX_TRUNCATED} turns in a row; raise max_tokens"
        if self._config.max_turns is not None and self.turn >= self._config.max_turns:
            return f"The run reached its limit of {self._config.max_turns} turns (max_turns)"
        return None

    def _apply(self, update: object) -> None:
        if update is None:
            return
        try:
            check_type("what prepare_next_turn returned", update, TurnUpdate | None)
            assert isinstance(update, TurnUpdate)  # noqa: S101 - just checked
            config = self._config
            self._config = replace(
                config,
                model=config.model if update.model is None else update.model,
                thinking_level=config.thinking_level
                if update.thinking_level is None
                else update.thinking_level,
            )
            if update.context is not None:
                self._system_prompt = update.context.system_prompt
                self._toolbox = Toolbox(update.context.tools)
                self._messages = list(check_messages("context.messages", update.context.messages))
        except Exception as failure:
            self._cut.fail(failure)
            raise _CutError from failure

    # The end

    def _needs_closing(self) -> bool:
        if self._cut.is_set():
            return not self._said_cut
        return self._gave_up is not None

    async def _closing_turn(self) -> None:
        """A turn that holds nothing but an empty reply which says why the run ended."""
        await self._begin_turn()
        message = (
            self._cut_reply(None)
            if self._cut.is_set()
            else empty_message(self._config.model, StopReason.Error, self._gave_up)
        )
        await self._emit(MessageStart(message))
        await self._end_reply(message)
        await self._emit(TurnEnd(message))

    # The reply

    async def _reply(self) -> AssistantMessage:
        reading = Reading(self._emit)
        if not self._cut.is_set():
            try:
                await self._read(reading)
            except BaseException as failure:  # noqa: ASYNC103 - what holds a cancellation is raised
                if is_cancellation(failure):
                    raise
                self._cut.fail(without_cancellation(failure))
        message = self._final(reading)
        if not reading.started:
            await self._emit(MessageStart(message))
        await self._end_reply(message)
        return message

    async def _read(self, reading: Reading) -> None:
        with self._cut.scope() as entry:
            context, options = await self._model_input()
            async with self._config.stream_fn(self._config.model, context, options) as stream:
                entry.spare()  # from here on an abort ends the stream, and the events that are here are still read
                with self._cut.calls(partial(self._abort, stream, entry)):
                    async for event in stream:
                        await reading.take(event)
                    reading.end(await stream.result())
                entry.resume()  # leaving the stream may take time, too

    def _abort(self, stream: MessageStream, entry: CutScope) -> None:
        """End a stream as ``Aborted``; one of the application's own that raises then is cut like a hook."""
        try:
            stream.abort()
        except Exception as failure:  # noqa: BLE001 - prompt() raises it
            self._cut.fail(failure)
            entry.cancel()

    def _final(self, reading: Reading) -> AssistantMessage:
        if reading.final is None or (
            reading.final.stop_reason is StopReason.Aborted and self._cut.failed_first
        ):
            return self._cut_reply(reading.final or reading.partial)
        self._said_cut = self._cut.is_set() and reading.final.stop_reason is StopReason.Aborted
        return reading.final

    def _cut_reply(self, partial: AssistantMessage | None) -> AssistantMessage:
        """The reply that says that the run was cut, with what had arrived."""
        self._said_cut = True
        if self._cut.failed_first and self._cut.failure is not None:
            reason, text = StopReason.Error, explain(self._cut.failure)
        else:
            reason, text = StopReason.Aborted, ABORTED
        if partial is None:
            return empty_message(self._config.model, reason, text)
        return partial.model_copy(update={"stop_reason": reason, "error_message": text})

    async def _end_reply(self, message: AssistantMessage) -> None:
        self.reply = message
        log.debug("reply ended", stop_reason=str(message.stop_reason), error=message.error_message)
        await self._emit(MessageEnd(message))

    async def _model_input(self) -> tuple[Context, SimpleStreamOptions]:
        config = self._config
        messages: Sequence[Message] = self._messages
        for name in ("transform_context", "convert_to_llm"):
            if (hook := getattr(config, name)) is not None:
                messages = check_messages(f"what {name} returned", await ask(name, hook, list(messages)))
        if config.convert_to_llm is None:
            # spelled out, because a call for each message of a long transcript is what a late turn would cost most
            messages = [message for message in messages if not isinstance(message, CustomMessage)]
        # all of it is validated already, and a transcript is long: checking it again would cost more with every turn
        context = Context.model_construct(
            system_prompt=self._system_prompt, messages=list(messages), tools=self._toolbox.definitions
        )
        return context, await self._call_options()

    async def _call_options(self) -> SimpleStreamOptions:
        config = self._config
        level = clamp_thinking_level(config.model, config.thinking_level)
        reasoning = None if level is ThinkingLevel.Off else level
        changes: dict[str, Any] = {} if config.options.reasoning is reasoning else {"reasoning": reasoning}
        if config.get_api_key is not None and (
            key := await ask("get_api_key", config.get_api_key, config.model.provider)
        ):
            changes["api_key"] = key
        return replace(config.options, **changes) if changes else config.options

    # Underneath

    def _context(self) -> AgentContext:
        return AgentContext(
            system_prompt=self._system_prompt, messages=tuple(self._messages), tools=self._toolbox.tools
        )

    async def _poll(self, inbox: Inbox) -> None:
        if self._cut.is_set():
            return
        if isinstance(inbox, Mailbox):  # nothing to wait for, and nobody's code that might raise
            self._pending += inbox.take_nowait()
            return
        attempt = await self._cut.attempt(inbox.take)
        self._pending.extend(attempt.value or ())  # kept even if the run was cut meanwhile
        if attempt.failure is not None and not attempt.was_cut:
            self._cut.fail(attempt.failure)

    async def _ask(self, name: str, *args: Any) -> Any:
        """Ask a hook of the application, if there is one; if it raises, or the run is cut meanwhile, the run is over."""
        hook = getattr(self._config, name)
        if hook is None:
            return None
        attempt = await self._cut.attempt(ask, name, hook, *args)
        if attempt.failure is not None and not attempt.was_cut:
            self._cut.fail(attempt.failure)
        if self._cut.is_set():
            raise _CutError
        return attempt.value

    async def _emit(self, event: AgentEvent) -> None:
        if isinstance(event, MessageEnd):
            self._messages.append(event.message)
            self.added.append(event.message)
        await self._sink(event)
