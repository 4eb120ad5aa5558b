"""The scenes: one prompt or two each, played by one agent, so that they leave one transcript."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

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
    parse_message,
)
from runtime.testing.invariants import EventRecorder, assert_event_grammar, assert_transcript_valid

from .screen import Screen, Style
from .stage import Scene, Stage, living_tasks, open_stage

_LOOKUPS = ["flights", "hotels", "weather"]
_PORTO = "Make it Porto instead."
_HISTORY = (
    "Porto was Portus Cale, a Roman harbour. Its bridges came late: for centuries people crossed the Douro on boats, "
    "until the first of iron was opened in 1843, and then"
)


def _calls(text: str, *names: str, city: str = "Lisbon") -> AssistantMessage:
    """A reply that calls these tools."""
    calls = [faux_tool_call(name, {"city": city}) for name in names]
    return faux_assistant_message([faux_text(text), *calls], stop_reason=StopReason.ToolUse)


# A reply


async def _text_streams_in(stage: Stage) -> None:
    stage.script(
        faux_assistant_message("A city with a river, I would say. Lisbon comes to mind,\nand Porto.")
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
        f"the reply came in {len(pieces)} pieces, over time, and is what they make together",
        "".join(delta for _, delta in pieces) == reply.text and times[0] < times[len(times) // 2] < times[-1],
    )


# Tools


async def _three_tools_at_once(stage: Stage) -> None:
    stage.script(
        _calls("I am asking for all three.", *_LOOKUPS),
        faux_assistant_message("Fly on Friday, sleep above the river, leave the umbrella at home."),
    )
    seen = EventRecorder()
    with stage.agent.subscribe(seen):
        await stage.agent.prompt("Flight, hotel and weather for Lisbon?")
    ended = [event.tool_name for event in seen.of(ToolExecutionEnd)]
    stage.checks.that(
        "three tools ran side by side: each had reported before one ended", _overlap(seen.events)
    )
    stage.checks.that(
        f"they ended as {', '.join(ended)}; the results are in the order of the calls",
        ended != _LOOKUPS and _result_names(stage)[-3:] == _LOOKUPS,
    )


def _overlap(events: Sequence[AgentEvent]) -> bool:
    together = list(takewhile(lambda event: not isinstance(event, ToolExecutionEnd), events))
    started = [event.tool_name for event in together if isinstance(event, ToolExecutionStart)]
    reported = {event.tool_name for event in together if isinstance(event, ToolExecutionUpdate)}
    return started == _LOOKUPS and reported == set(_LOOKUPS)


def _result_names(stage: Stage) -> list[str]:
    return [
        message.tool_name for message in stage.agent.state.messages if isinstance(message, ToolResultMessage)
    ]


# Steering


async def _steering_joins(stage: Stage) -> None:
    stage.script(_calls("Looking for a flight.", "flights"), _answer_the_last)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_change_mind, stage)
        reply = await stage.agent.prompt("Book me a flight to Lisbon.")
    stage.checks.that("the run that was on its way answered the steering message", "Porto" in reply.text)


async def _change_mind(stage: Stage) -> None:
    await stage.first(ToolExecutionUpdate)
    receipt = stage.agent.steer(_PORTO)
    stage.note(f"another task steers: {_PORTO}")
    status = await receipt.wait()
    stage.checks.that(
        f"its receipt says: {status}, in turn {receipt.turn}", status is DeliveryStatus.Delivered
    )


def _answer_the_last(context: Context, *_: object) -> AssistantMessage:
    """What the model says depends on what it was sent."""
    asked = [message.content for message in context.messages if isinstance(message, UserMessage)]
    return faux_assistant_message(
        "Porto it is; nothing was booked for Lisbon." if asked[-1] == _PORTO else "Lisbon is booked."
    )


# Aborts


async def _abort_cuts_a_tool(stage: Stage) -> None:
    stage.script(_calls("Printing. This takes an hour.", "print_guide", city="Porto"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_abort_after, stage, ToolExecutionUpdate, 1.3)
        reply = await stage.agent.prompt("Print me a guidebook.")
    result = stage.agent.state.messages[-2]
    stage.checks.that("the tool tidied up before prompt() returned", stage.guidebook.tidied_up)
    stage.checks.that(
        "its call has one result, an error, and the run ended as aborted",
        isinstance(result, ToolResultMessage) and result.is_error and reply.stop_reason is StopReason.Aborted,
    )


async def _abort_cuts_a_stream(stage: Stage) -> None:
    stage.script(faux_assistant_message(_HISTORY))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_abort_after, stage, MessageUpdate, 0.5)
        reply = await stage.agent.prompt("Tell me about Porto's history.")
    stage.checks.that(
        f"of {len(_HISTORY)} characters the {len(reply.text)} that had arrived are kept, marked as aborted",
        reply.stop_reason is StopReason.Aborted
        and 0 < len(reply.text) < len(_HISTORY)
        and _HISTORY.startswith(reply.text)
        and stage.agent.state.messages[-1] == reply,
    )


async def _abort_after(stage: Stage, kind: type[AgentEvent], seconds: float) -> None:
    await stage.first(kind)
    await trio.sleep(seconds)
    stage.note("another task aborts")
    stage.agent.abort()


# A time-out


async def _a_timeout_goes_around(stage: Stage) -> None:
    stage.script(faux_fault(faux_assistant_message("One moment, I am"), "stall", after=4))
    with trio.move_on_after(1) as patience:
        await stage.agent.prompt("Where is the river?")
    stage.note("a second is over")
    stage.checks.that(
        "the time-out of one second cut a model that had stopped talking, and the agent was free at once",
        patience.cancelled_caught and not stage.agent.state.is_streaming,
    )
    stage.script(faux_assistant_message("Down the hill."))
    reply = await stage.agent.prompt("Still there?")
    stage.checks.that(
        "after all that the agent answers as ever",
        reply.text == "Down the hill." and reply.stop_reason is StopReason.Stop,
    )


# The end


async def _nothing_is_left(stage: Stage) -> None:
    await stage.agent.wait_for_idle()
    state, events = stage.agent.state, stage.recorder.events
    roles = Counter(message.role for message in state.messages)
    cut = sum(isinstance(message, AssistantMessage) and message.failed for message in state.messages)
    stage.screen.line(
        f"  {len(state.messages)} messages: {roles['user']} from the user, {roles['assistant']} replies "
        f"({cut} of them cut), {roles['toolResult']} tool results; {len(events)} events\n"
    )
    checks = stage.checks
    checks.passes("every start has its end, in the right order", lambda: assert_event_grammar(events))
    checks.passes("every tool call has one result", lambda: assert_transcript_valid(state.messages))
    checks.that(
        "the transcript is the same after a journey through JSON",
        [parse_message(message.model_dump_json()) for message in state.messages] == list(state.messages),
    )
    checks.that("the agent is idle", not (state.is_streaming or state.pending_tool_calls))
    checks.that(f"{stage.agent!r} has no task left", living_tasks() == stage.tasks_before)
    checks.show(stage.screen)


SCENES = (
    Scene(
        "Text streams in",
        "The agent waits for whoever prints this. With callbacks and a queue, a slow reader fills the memory.",
        _text_streams_in,
    ),
    Scene(
        "Three tools at once",
        "Each is a task that reports and ends as it likes; results wait for each other, so no race shows.",
        _three_tools_at_once,
    ),
    Scene(
        "A steering message joins",
        "It gets in between two turns, with a receipt. Without one, it may be lost when the run is just ending.",
        _steering_joins,
    ),
    Scene(
        "An abort cuts a long tool",
        "The tool is cancelled where it waits, tidies up, and only then the run is over. A flag is polled, or not.",
        _abort_cuts_a_tool,
    ),
    Scene(
        "An abort cuts a reply in the middle",
        "The connection goes, the words that had arrived stay: a value, where an exception would lose them.",
        _abort_cuts_a_stream,
    ),
    Scene(
        "A time-out goes around a prompt",
        "It is trio's own move_on_after, and knows nothing of agents. Detached tasks would go on behind its back.",
        _a_timeout_goes_around,
    ),
    Scene(
        "What is left: a transcript, and nothing else",
        "Two aborts and a time-out later it has to be valid for every provider, and no task may be alive.",
        _nothing_is_left,
    ),
)


async def play(screen: Screen) -> int:
    """Play all scenes; 0 if every check holds."""
    screen.line("agentrio: one agent, a scripted model, no key, no network", Style.Title)
    async with open_stage(screen) as stage:
        for scene in SCENES:
            await scene.perform(stage)
    return 0 if stage.checks.all_hold else 1
