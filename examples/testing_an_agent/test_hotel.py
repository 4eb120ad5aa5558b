"""The tests of an application: scripted, over HTTP, cut at every step, and with any script at all."""
# ruff: noqa: S101 - tests assert

from collections.abc import Sequence

import trio
from hotel import Hotel, open_desk
from hypothesis import given, settings
from trio.testing import MockClock

from providers.faux import (
    FauxProvider,
    FauxStep,
    faux_assistant_message,
    faux_tool_call,
    register_faux_provider,
)
from runtime import Agent, AssistantMessage, Model, StopReason, ToolExecutionEnd, ToolExecutionStart
from runtime.testing import (
    Cutter,
    EventRecorder,
    FakeServer,
    assert_event_grammar,
    assert_nothing_left,
    assert_transcript_valid,
    cancel_everywhere,
    fake_status,
)
from runtime.testing.strategies import faux_scripts


def books(*guests: str) -> AssistantMessage:
    """A reply that books rooms, all at the same time."""
    calls = [faux_tool_call("book_room", {"guest": guest}) for guest in guests]
    return faux_assistant_message(calls, stop_reason=StopReason.ToolUse)


def no_room_is_lost(hotel: Hotel, rooms: int) -> bool:
    """What must always hold in this application."""
    return hotel.free + len(hotel.guests) == rooms


# With the faux provider: in memory, in no time


async def test_rooms_are_booked(
    faux: FauxProvider, faux_model: Model, event_recorder: EventRecorder, autojump_clock: MockClock
) -> None:
    """As many as there are; the model reads that there are no more."""
    hotel = Hotel(rooms=1)
    faux.set_responses([books("Ada", "Grace"), faux_assistant_message("I have one room only.")])
    async with assert_nothing_left(), open_desk(hotel, faux_model) as desk:
        desk.subscribe(event_recorder)
        reply = await desk.prompt("Two rooms, for Ada and Grace.")
    assert reply.text == "I have one room only."
    assert (hotel.free, len(hotel.guests)) == (0, 1)
    (refused,) = event_recorder.of(ToolExecutionEnd, is_error=True)
    assert refused.result.plain_text == "no room is free"
    assert_event_grammar(event_recorder)


async def test_a_guest_who_hangs_up_pays_nothing(
    faux: FauxProvider, faux_model: Model, event_recorder: EventRecorder, autojump_clock: MockClock
) -> None:
    """The abort reaches the tool while it waits for the bank."""
    hotel = Hotel(rooms=1)
    faux.set_responses([books("Ada")])
    async with open_desk(hotel, faux_model) as desk, trio.open_nursery() as nursery:
        desk.subscribe(event_recorder)
        nursery.start_soon(desk.prompt, "A room for Ada.")
        await event_recorder.wait_for(ToolExecutionStart)
        await trio.sleep(1)
        desk.abort()
    assert (hotel.free, hotel.guests) == (1, [])


# With the fake server: everything but the model is real


async def test_the_desk_comes_back_after_a_rate_limit(nothing_left: None, fake_server: FakeServer) -> None:
    """And tells the model what its tool has said."""
    calls = faux_assistant_message(faux_tool_call("count_free_rooms", {}), stop_reason=StopReason.ToolUse)
    fake_server.set_responses([fake_status(429, retry_after=0.1), calls, faux_assistant_message("Three.")])
    async with open_desk(Hotel(rooms=3), fake_server.messages.model("any")) as desk:
        assert (await desk.prompt("How many rooms are free?")).text == "Three."
    assert len(fake_server.requests) == 3
    assert "3 rooms are free." in str(fake_server.requests[-1].messages)


# Cut at every step: abort, a tool alone, whoever waits, the whole desk


def test_no_room_is_lost_wherever_the_desk_is_cut() -> None:
    """Nor is anything else: nothing runs on, and the conversation could be continued."""

    async def two_rooms(cutter: Cutter) -> tuple[Hotel, Agent, EventRecorder]:
        hotel, recorder, faux = Hotel(rooms=3), EventRecorder(), register_faux_provider()
        faux.set_responses([books("Ada", "Grace"), faux_assistant_message("Welcome.")])
        async with assert_nothing_left():
            with cutter.scope("block"):
                async with open_desk(hotel, faux.get_model()) as desk:
                    desk.subscribe(recorder)
                    cutter.arm_agent(desk)
                    with cutter.scope("caller"):
                        await desk.prompt("Two rooms, please.")
            cutter.disarm()
        return hotel, desk, recorder

    def check(left: tuple[Hotel, Agent, EventRecorder]) -> None:
        hotel, desk, recorder = left
        assert no_room_is_lost(hotel, 3)
        assert_transcript_valid(desk.state.messages)
        assert_event_grammar(recorder)

    report = cancel_everywhere(two_rooms, check)
    assert set(report.cuts) == {"block", "abort", "tool", "caller"}


# Any script: with calls that make no sense, and with a provider that fails


@given(faux_scripts(["book_room", "count_free_rooms", "burn_down"]))
@settings(deadline=None)
def test_no_room_is_lost_whatever_the_model_says(script: Sequence[FauxStep]) -> None:
    """Hypothesis writes the script."""

    async def talk() -> None:
        hotel, faux = Hotel(rooms=2), register_faux_provider()
        faux.set_responses(script)
        async with assert_nothing_left(), open_desk(hotel, faux.get_model()) as desk:
            await desk.prompt("Hello?")
        assert no_room_is_lost(hotel, 2)
        assert_transcript_valid(desk.state.messages)

    trio.run(talk, clock=MockClock(autojump_threshold=0))
