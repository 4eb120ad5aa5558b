"""How scripted texts are cut, how long they take, and how aborts cut them short."""

import math
from string import ascii_lowercase, digits

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from providers.faux import (
    faux_assistant_message,
    faux_delayed,
    faux_text,
    faux_thinking,
    faux_tool_call,
    register_faux_provider,
)
from providers.faux.pacing import Pace
from runtime.errors import InvalidOptionError
from runtime.streams.call import complete, stream
from runtime.streams.events import StreamError, StreamStart, TextDelta, TextEnd, ThinkingEnd, ToolCallEnd
from runtime.testing.strategies import texts
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.options import StreamOptions
from runtime.values.text import utf16_units

HELLO = Context(messages=[user("hello")])


@pytest.mark.parametrize(
    ("text", "sizes", "chunks"),
    [
        (ascii_lowercase, (3, 3), ["abcdefghijkl", "mnopqrstuvwx", "yz"]),
        (ascii_lowercase + digits, (1, 3), ["abcd", "efgh", "ijklmnopqrst", "uvwxyz01", "2345", "6789"]),
        ("thinking text", (3, 5), ["thinking tex", "t"]),
        ("😀" * 5, (1, 1), ["😀😀", "😀😀", "😀"]),
        ("abc😀def", (1, 1), ["abc", "😀de", "f"]),
        ("", (3, 5), [""]),
    ],
)
def test_a_text_is_always_cut_alike(text, sizes, chunks):
    """The sizes of chunks come from a generator that is seeded by the length of the text and the bounds."""
    assert Pace(*sizes).chunks(text) == chunks


def test_a_long_text_is_cut_into_chunks_of_several_sizes():
    """The draws of the default bounds differ from chunk to chunk."""
    assert [len(chunk) for chunk in Pace().chunks(ascii_lowercase * 3)] == [16, 12, 20, 12, 12, 6]


@given(texts(60), st.integers(1, 6), st.integers(0, 6))
def test_chunks_join_back_and_keep_to_their_size(text, smallest, more):
    """No chunk is larger than the bound allows, only the last may be smaller, and together they are the text."""
    pace = Pace(smallest, smallest + more)
    chunks = pace.chunks(text)
    assert "".join(chunks) == text
    assert all(utf16_units(chunk) <= pace.largest * 4 for chunk in chunks)
    assert all(utf16_units(chunk) >= pace.smallest * 4 - 1 for chunk in chunks[:-1])


@pytest.mark.parametrize(
    ("given", "bounds"),
    [((3, 5), (3, 5)), ((None, 2), (2, 2)), ((7, None), (5, 5)), ((0, 0), (1, 1)), ((5, 3), (3, 3)), (4, (4, 4)), (-1, (1, 1))],
)  # fmt: skip
def test_token_sizes_are_at_least_one_and_in_order(given, bounds):
    """A missing bound is 3 or 5, the lesser one is the least size, and no size is below 1."""
    pace = Pace.of(given, None)
    assert (pace.smallest, pace.largest) == bounds


@pytest.mark.parametrize("wrong", ["3", True, (1,), (1, 2, 3), (1.5, 2), None])
def test_a_token_size_that_is_none_is_refused(wrong):
    """A wrong token_size is an error at the registration."""
    with pytest.raises(InvalidOptionError, match="token_size"):
        register_faux_provider(token_size=wrong)


@pytest.mark.parametrize("wrong", ["fast", math.nan, math.inf, True])
def test_a_rate_that_is_none_is_refused(wrong):
    """A wrong tokens_per_second is an error at the registration."""
    with pytest.raises(InvalidOptionError, match="tokens_per_second"):
        register_faux_provider(tokens_per_second=wrong)


async def test_a_paced_reply_takes_the_time_of_its_tokens(autojump_clock):
    """26 letters are 7 tokens: 70 ms at 100 tokens a second, and each delta comes in its time."""
    faux = register_faux_provider(tokens_per_second=100, token_size=3)
    faux.set_responses([faux_assistant_message(ascii_lowercase)])
    async with stream(faux.get_model(), HELLO) as reply:
        times = [trio.current_time() async for event in reply if isinstance(event, StreamStart | TextDelta)]
    assert times == pytest.approx([0, 0.03, 0.06, 0.07])


@pytest.mark.parametrize("rate", [None, 0, -1])
async def test_without_a_rate_a_reply_takes_no_time(rate, autojump_clock):
    """Unpaced replies come as fast as they are read."""
    faux = register_faux_provider(tokens_per_second=rate)
    faux.set_responses([faux_assistant_message(ascii_lowercase * 40)])
    await complete(faux.get_model(), HELLO)
    assert trio.current_time() == 0


async def test_an_unpaced_reply_lets_other_tasks_run():
    """Each chunk is a checkpoint, so that an abort from another task finds a long reply unfinished."""
    faux = register_faux_provider(token_size=1)
    faux.set_responses([faux_assistant_message("word" * 10_000)])
    abort = trio.Event()

    async def later():
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        abort.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        message = await complete(faux.get_model(), HELLO, StreamOptions(abort=abort))
    assert message.stop_reason is StopReason.Aborted
    assert 0 < len(message.text) < 40_000


@pytest.mark.parametrize("by", ["stream", "options"])
@pytest.mark.parametrize(
    "block", [faux_text(ascii_lowercase), faux_thinking(ascii_lowercase), faux_tool_call("t", {"a": ascii_lowercase})]
)  # fmt: skip
async def test_an_abort_on_the_first_delta_is_the_end(block, by, autojump_clock):
    """A paced reply that is aborted on its first delta has exactly one, no end of its block, and its usage."""
    faux = register_faux_provider(tokens_per_second=100, token_size=3)
    faux.set_responses([faux_assistant_message(block)])
    abort, events = trio.Event(), []
    async with stream(faux.get_model(), HELLO, StreamOptions(abort=abort)) as reply:
        async for event in reply:
            events.append(event)
            if event.type.endswith("_delta"):
                abort.set() if by == "options" else reply.abort()
    assert [event.type for event in events][2:] == [events[2].type, "error"]
    error = events[-1].error
    assert (error.stop_reason, error.error_message) == (StopReason.Aborted, "Request was aborted")
    assert not any(isinstance(event, TextEnd | ThinkingEnd | ToolCallEnd) for event in events)
    assert error.usage.output == 7 if block.type != "toolCall" else error.usage.output > 7
    assert faux.get_pending_response_count() == 0


@given(st.text(ascii_lowercase, min_size=1, max_size=120), st.floats(0, 0.4))
@settings(max_examples=30)
def test_what_had_arrived_before_an_abort_is_in_the_message(text, moment):
    """Whenever a paced reply is aborted, its text is what the deltas said, and a prefix of the script."""

    async def main():
        faux = register_faux_provider(tokens_per_second=100)
        faux.set_responses([faux_assistant_message(text)])
        async with trio.open_nursery() as nursery, stream(faux.get_model(), HELLO) as reply:

            async def abort():
                await trio.sleep(moment)
                reply.abort()

            nursery.start_soon(abort)
            events = [event async for event in reply]
            nursery.cancel_scope.cancel()
        said = "".join(event.delta for event in events if isinstance(event, TextDelta))
        assert events[-1].message.text == said
        assert text.startswith(said)
        assert isinstance(events[-1], StreamError) or said == text

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_a_surrounding_cancellation_is_raised(autojump_clock):
    """A time-out around a paced call is trio's own business: no message is made of it."""
    faux = register_faux_provider(tokens_per_second=1)
    faux.set_responses([faux_assistant_message("slow as a snail")])
    with trio.move_on_after(1.5) as scope:
        await complete(faux.get_model(), HELLO)
    assert scope.cancelled_caught


async def test_a_delayed_reply_starts_late(autojump_clock):
    """faux_delayed keeps the start back."""
    faux = register_faux_provider()
    faux.set_responses([faux_delayed(faux_assistant_message("at last"), 5)])
    async with stream(faux.get_model(), HELLO) as reply:
        assert isinstance(await reply.__anext__(), StreamStart)
        assert trio.current_time() == pytest.approx(5)
        assert (await reply.result()).text == "at last"


async def test_a_reply_may_be_delayed_for_ever(autojump_clock):
    """An infinite delay is a provider that does not answer: the abort's error is all that comes."""
    faux = register_faux_provider()
    faux.set_responses([faux_delayed(faux_assistant_message("never"), math.inf)])
    async with stream(faux.get_model(), HELLO) as reply:
        with trio.move_on_after(1000):
            await reply.__anext__()
        reply.abort()
        events = [event async for event in reply]
    assert [event.type for event in events] == ["error"]
    assert events[0].reason is StopReason.Aborted
