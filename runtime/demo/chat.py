"""A chat where one may talk in between: lines go to the agent as prompts, or as steering while it works."""

import signal
from collections.abc import AsyncIterator

import trio

from runtime import (
    Agent,
    AgentOptions,
    AgentrioError,
    AssistantMessage,
    Delivery,
    DeliveryStatus,
    StopReason,
    UserMessage,
    open_agent,
)
from runtime.terminal import INTERRUPTED, LineReader

from .narrator import Narrator
from .responder import HINT
from .screen import Screen, Style

RULES = "What you type while the agent works is steering. Ctrl-C aborts the run, twice when idle it leaves; Ctrl-D ends."


async def chat(options: AgentOptions, screen: Screen) -> int:
    """Chat until the end of input, and until what was asked by then is answered."""
    keyboard = LineReader()
    screen.line(f"agentrio: a chat with {options.model.id} ({options.model.provider})", Style.Title)
    screen.line(RULES, Style.Faint)
    if options.model.provider == "faux":
        screen.line(HINT, Style.Faint)
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with open_agent(options) as agent:
            with agent.subscribe(Narrator(screen, echo=not keyboard.is_terminal)):
                return await Chat(agent, screen, keyboard).run(signals)


class Chat:
    """One conversation: somebody types, the agent answers, and neither waits for the other."""

    def __init__(self, agent: Agent, screen: Screen, keyboard: LineReader) -> None:
        self._agent = agent
        self._screen = screen
        self._keyboard = keyboard
        self._working = False
        self._warned = False
        self._receipts: list[Delivery] = []

    async def run(self, signals: AsyncIterator[int]) -> int:
        """Until the end of input, or until somebody insists on leaving; the exit status."""
        status = INTERRUPTED
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heed, signals, nursery.cancel_scope)
            await self._converse()
            status = 0
            nursery.cancel_scope.cancel()
        self._screen.end_flow()
        return status

    async def _converse(self) -> None:
        self._invite()
        async with trio.open_nursery() as answers:  # the last one is waited for
            while (line := await self._keyboard.line()) is not None:
                self._take(line.strip(), answers)
            if self._working:
                self._note("[end of input: leaving when this is done]")

    def _take(self, text: str, answers: trio.Nursery) -> None:
        self._warned = False
        self._screen.typed(by_hand=self._keyboard.is_terminal)
        if not text:
            self._invite()
        elif self._working:
            self._receipts.append(self._agent.steer(text))
            self._note(f"[steering, waits for the next turn: {text}]")
        else:
            self._working = True
            answers.start_soon(self._answer, text)

    async def _answer(self, text: str) -> None:
        try:
            reply = await self._agent.prompt(text)
            while self._agent.has_queued_messages and not reply.failed:
                reply = await self._agent.continue_run()
        except AgentrioError as error:
            self._fail(str(error))
        else:
            self._explain(reply)
        self._return_unread()
        self._working = False
        self._invite()

    def _explain(self, reply: AssistantMessage) -> None:
        if reply.stop_reason is StopReason.Error:
            self._fail(reply.error_message or "")

    def _return_unread(self) -> None:
        """What was waiting when a run was cut does not surprise the next one."""
        self._agent.clear_queues()
        for receipt in self._receipts:
            if receipt.status is DeliveryStatus.Returned:
                self._note(f"[not delivered: {_text(receipt)}]")
        self._receipts.clear()

    async def _heed(self, signals: AsyncIterator[int], leave: trio.CancelScope) -> None:
        async for _ in signals:
            if self._working:
                self._agent.abort()
            elif self._warned:
                leave.cancel()
            else:
                self._warned = True
                self._note("[nothing to abort; Ctrl-C again leaves]")
                self._invite()

    def _invite(self) -> None:
        if self._keyboard.is_terminal:
            self._screen.ask("you")

    def _note(self, text: str) -> None:
        self._screen.labelled("", text, Style.Faint, Style.Faint)

    def _fail(self, reason: str) -> None:
        self._screen.labelled("error", reason, Style.Bad)


def _text(receipt: Delivery) -> str:
    return str(receipt.message.content) if isinstance(receipt.message, UserMessage) else ""
