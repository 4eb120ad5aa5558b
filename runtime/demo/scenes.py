"""The scenes: one prompt or two each, played by one agent, so that they leave one transcript."""

from collections.abc import Sequence

import trio

from providers.faux import faux_assistant_message, faux_fault, faux_text, faux_tool_call
from runtime import (
    AgentEvent,
    AssistantMessage,
    Context,
    DeliveryStatus,
    MessageUpdate,
    StopReason,
    TextDelta,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    UserMessage,
)
from runtime.testing.invariants import EventRecorder

from .stage import Scene, Stage
from .travel import flights, hotels, weather

_PORTO = "Porto instead, please."


def _calls(text: str, *names: str, city: str) -> AssistantMessage:
    """A reply that calls these tools."""
    calls = [faux_tool_call(name, {"city": city}) for name in names]
    return faux_assistant_message([faux_text(text), *calls], stop_reason=StopReason.ToolUse)


# 1


async def _text_streams_in(stage: Stage) -> None:
    stage.script(
        faux_assistant_message(
            "Somewhere with a river, I would say. Let us look at Lisbon first,\n"
            "and if that does not work out, at Porto."
        )
    )
    pieces: list[tuple[float, str]] = []
    async with stage.agent.stream("Where shall we go this weekend?") as run:
        async for event in run:
            match event:
                case MessageUpdate(TextDelta(delta=delta)):
                    pieces.append((trio.current_time(), delta))
        reply = await run.result()
    times = [time for time, _ in pieces]
    stage.checks.that(
        f"the reply came in {len(pieces)} pieces, one after another, and is what they make together",
        "".join(delta for _, delta in pieces) == reply.text and times[0] < times[len(times) // 2] < times[-1],
    )


# 2


async def _three_tools_at_once(stage: Stage) -> None:
    names = [made.definition.name for made in (flights, hotels, weather)]
    stage.script(
        _calls("I am asking for all three.", *names, city="Lisbon"),
        faux_assistant_message("Fly on Friday, sleep above the river, leave the umbrella at home."),
    )
    seen = EventRecorder()
    with stage.agent.subscribe(seen):
        await stage.agent.prompt("Flight, hotel and weather for Lisbon?")
    ended = [event.tool_name for event in seen.of(ToolExecutionEnd)]
    stage.checks.that("three tools ran at the same time", _overlap(seen.events))
    stage.checks.that(
        f"they ended as {', '.join(ended)}; their results are in the order of the calls",
        ended != names and _result_names(stage)[-3:] == names,
    )


def _overlap(events: Sequence[AgentEvent]) -> bool:
    """Whether the last tool started, and said something, before the first one ended."""
    kinds = [type(event) for event in events]
    updated = {event.tool_name for event in events[: kinds.index(ToolExecutionEnd)] if _is_update(event)}
    last_start = len(kinds) - kinds[::-1].index(ToolExecutionStart)
    return last_start < kinds.index(ToolExecutionEnd) and len(updated) == kinds.count(ToolExecutionStart)


def _is_update(event: AgentEvent) -> bool:
    return isinstance(event, ToolExecutionUpdate)


def _result_names(stage: Stage) -> list[str]:
    return [
        message.tool_name for message in stage.agent.state.messages if isinstance(message, ToolResultMessage)
    ]


# 3


async def _steering_joins(stage: Stage) -> None:
    stage.script(_calls("Looking for a flight.", "flights", city="Lisbon"), _answer_last_user)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_change_mind, stage)
        reply = await stage.agent.prompt("Book the flight to Lisbon.")
    stage.checks.that(
        "the steering message joined the run that it was meant for, and was answered in it",
        "Porto" in reply.text,
    )


async def _change_mind(stage: Stage) -> None:
    await stage.first(_is_update)
    delivery = stage.agent.steer(_PORTO)
    stage.checks.that("it has a receipt", await delivery.wait() is DeliveryStatus.Delivered)


def _answer_last_user(context: Context, *_: object) -> AssistantMessage:
    """What the model says depends on what it was sent."""
    asked = [message.content for message in context.messages if isinstance(message, UserMessage)]
    city = "Porto, then. Nothing was booked in Lisbon" if asked[-1] == _PORTO else "Booked: Lisbon"
    return faux_assistant_message(f"{city}.")
