"""What the machine of test_agent_machine drives an agent with: tools and replies of every kind, callers, and what is logged."""

import logging
from dataclasses import dataclass, field

import trio
from agent_doubles import Probe
from hypothesis import strategies as st

from providers.faux import faux_assistant_message, faux_fault, faux_text, faux_tool_call
from runtime import AgentToolResult, AssistantMessage, StopReason

TOOLS = ("quick", "slow", "broken", "stubborn", "chatty", "nested", "absent")


@dataclass
class Caller:
    """Somebody who waits for a run, and what came of that."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    reply: AssistantMessage | None = None
    error: Exception | None = None
    done: bool = False


@st.composite
def replies(draw):
    """A reply, with or without calls, whole or with a fault."""
    names = draw(st.lists(st.sampled_from(TOOLS), max_size=3))
    text = draw(st.sampled_from(["", "some words to say " * 2]))
    blocks = [
        *([faux_text(text)] if text else []),
        *(faux_tool_call(name, {"n": n}, id=f"{name}-{n}") for n, name in enumerate(names)),
    ]
    reason = draw(st.sampled_from([StopReason.ToolUse] * 3 + [StopReason.Stop, StopReason.Length]))
    reply = faux_assistant_message(blocks, stop_reason=reason)
    fault = draw(st.sampled_from([None] * 8 + ["fail", "cut", "malformed", "stall"]))
    return faux_fault(reply, fault) if fault else reply


def tools_that(alive):
    """One for each way to behave; what runs is in ``alive``."""

    async def quick(call):
        await trio.lowlevel.checkpoint()

    async def slow(call):
        with _Living(alive, call):
            await trio.sleep(1.5)

    async def broken(call):
        await trio.sleep(0.5)
        raise ValueError("broken")

    async def stubborn(call):
        with _Living(alive, call):
            try:
                await trio.sleep(3)
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.5)
        return AgentToolResult.text("anyway")

    async def chatty(call):
        for number in range(20):
            await call.update(str(number))

    async def nested(call):
        with _Living(alive, call):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 2)
                nursery.start_soon(trio.sleep, 1)

    return [Probe(work.__name__, work) for work in (quick, slow, broken, stubborn, chatty, nested)]


class _Living:
    def __init__(self, alive, call):
        self._alive, self._key = alive, (call.id, object())

    def __enter__(self):
        self._alive.add(self._key)

    def __exit__(self, *_):
        self._alive.discard(self._key)


class Lines(logging.Handler):
    def __init__(self, lines):
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record):
        self._lines.append(f"{record.getMessage()} {record.__dict__}")
