"""One reply on its way: reading, leaving, aborting, cancelling, failing."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.errors import ProviderError
from runtime.streams.channel import BATCHES, MessageWriter, open_message_stream
from runtime.streams.events import StreamDone, StreamError, StreamStart, TextDelta
from runtime.values.message import StopReason
from runtime.values.model import Model

MODEL = Model("m", api="a", provider="p")


async def hello(writer: MessageWriter) -> None:
    assembler = writer.assembler
    assembler.start()
    index = assembler.text_start()
    for word in ("Hel", "lo"):
        assembler.text_delta(index, word)
        await writer.flush()
    assembler.text_end(index)
    assembler.done()


async def hangs_after_text(writer: MessageWriter) -> None:
    writer.assembler.start()
    writer.assembler.text_delta(writer.assembler.text_start(), "part")
    await writer.flush()
    await trio.sleep_forever()


async def test_events_come_in_order_and_the_result_is_the_message():
    """Everything the producer wrote is read in order, and result() is the message of the last event."""
    async with open_message_stream(MODEL, hello) as stream:
        events = [event async for event in stream]
        message = await stream.result()
    assert [type(event).__name__ for event in events] == [
        "StreamStart", "TextStart", "TextDelta", "TextDelta", "TextEnd", "StreamDone"
    ]  # fmt: skip
    assert message is events[-1].message
    assert message.text == "Hello"
    assert (await stream.result()) is message


async def test_result_reads_the_rest():
    """result() needs no iteration."""
    async with open_message_stream(MODEL, hello) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        assert (await stream.result()).text == "Hello"


async def test_an_event_that_is_here_costs_no_checkpoint():
    """The events of one flush are read without giving other tasks a turn."""

    async def one_flush(writer):
        writer.assembler.start()
        index = writer.assembler.text_start()
        for _ in range(50):
            writer.assembler.text_delta(index, "x")
        writer.assembler.text_end(index)
        writer.assembler.done()

    async with open_message_stream(MODEL, one_flush) as stream:
        await stream.__anext__()
        with trio.testing.assert_no_checkpoints():
            for _ in range(53):
                await stream.__anext__()


async def test_leaving_early_aborts_the_reply_and_stops_the_producer():
    """After an early exit result() is the Aborted message, with what had arrived."""
    gone = trio.Event()

    async def produce(writer):
        try:
            await hangs_after_text(writer)
        finally:
            gone.set()

    async with open_message_stream(MODEL, produce) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    assert gone.is_set()
    message = await stream.result()
    assert message.stop_reason is StopReason.Aborted
    assert message.text == "part"
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()


async def test_leaving_before_the_end_was_read_counts_as_aborted_even_if_all_had_arrived():
    """Whether the producer was faster than the reader makes no difference."""
    async with open_message_stream(MODEL, hello) as stream:
        await stream.__anext__()
        await wait_all_tasks_blocked()
    assert (await stream.result()).stop_reason is StopReason.Aborted
    assert (await stream.result()).text == "Hello"


async def test_abort_delivers_what_is_buffered_and_then_the_error():
    """Events already here come before the StreamError, whose message holds what had arrived."""
    async with open_message_stream(MODEL, hangs_after_text) as stream:
        await wait_all_tasks_blocked()
        stream.abort()
        stream.abort()
        events = [event async for event in stream]
    assert isinstance(events[0], StreamStart)
    assert isinstance(events[-1], StreamError)
    assert events[-1].reason is StopReason.Aborted
    assert events[-1].error.error_message == "Request was aborted"
    assert events[-1].error.text == "part"


async def test_abort_loses_no_event_that_waited_for_the_reader():
    """A producer that is cut while the channel is full still delivers everything it had made."""

    async def flood(writer):
        writer.assembler.start()
        index = writer.assembler.text_start()
        for number in range(10_000):
            writer.assembler.text_delta(index, f"{number} ")
            await writer.flush()

    async with open_message_stream(MODEL, flood) as stream:
        await wait_all_tasks_blocked()
        stream.abort()
        deltas = [event.delta async for event in stream if isinstance(event, TextDelta)]
        message = await stream.result()
    assert "".join(deltas) == message.text
    assert BATCHES <= len(deltas) < 10_000


async def test_abort_after_the_end_changes_nothing():
    """A finished reply stays finished."""
    async with open_message_stream(MODEL, hello) as stream:
        message = await stream.result()
        stream.abort()
        assert await stream.result() is message
    assert message.stop_reason is StopReason.Stop


async def test_the_options_signal_aborts_from_afar():
    """Setting the event ends the stream as Aborted."""
    abort = trio.Event()
    async with open_message_stream(MODEL, hangs_after_text, abort=abort) as stream:
        await wait_all_tasks_blocked()
        abort.set()
        assert (await stream.result()).stop_reason is StopReason.Aborted


async def test_a_signal_set_beforehand_gives_one_event():
    """Nothing runs, and there is no start."""
    abort = trio.Event()
    abort.set()
    async with open_message_stream(MODEL, hello, abort=abort) as stream:
        events = [event async for event in stream]
    assert [type(event) for event in events] == [StreamError]
    assert events[0].reason is StopReason.Aborted


async def test_a_provider_error_is_the_last_event():
    """What the provider did wrong is a value."""

    async def fails(writer):
        writer.assembler.start()
        writer.assembler.text_delta(writer.assembler.text_start(), "so far")
        raise ProviderError("no more")

    async with open_message_stream(MODEL, fails) as stream:
        message = await stream.result()
    assert (message.stop_reason, message.error_message, message.text) == (
        StopReason.Error,
        "no more",
        "so far",
    )


@pytest.mark.parametrize("read", [True, False])
async def test_a_broken_producer_raises_where_it_is_read_or_left(read):
    """A bug is not a provider failure: its exception arrives as itself, after the events before it."""

    async def broken(writer):
        writer.assembler.start()
        await writer.flush()
        raise ZeroDivisionError("bug")

    seen = []
    with pytest.raises(ZeroDivisionError, match="bug"):
        async with open_message_stream(MODEL, broken) as stream:
            if read:
                async for event in stream:
                    seen.append(event)
            else:
                await wait_all_tasks_blocked()
    assert len(seen) == read


async def test_a_producer_that_returns_too_early_is_broken():
    """A reply without an end is no reply."""

    async def forgets(writer):
        writer.assembler.start()

    with pytest.raises(RuntimeError, match="before done"):
        async with open_message_stream(MODEL, forgets) as stream:
            await stream.result()


@pytest.mark.parametrize("producer", [hello, hangs_after_text])
async def test_what_the_block_raises_leaves_as_itself(producer):
    """No exception group, whatever the producer was doing."""
    with pytest.raises(KeyError) as caught:
        async with open_message_stream(MODEL, producer) as stream:
            await stream.__anext__()
            raise KeyError("mine")
    assert caught.value.__context__ is None


async def test_an_exception_group_of_the_block_is_left_alone():
    """A group that the user raises is the user's."""
    mine = ExceptionGroup("mine", [KeyError("a")])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_message_stream(MODEL, hangs_after_text):
            raise mine
    assert caught.value is mine


def test_an_outer_cancellation_passes_through():
    """A time-out around the block ends as a time-out, and the producer is gone."""
    gone = []

    async def produce(writer):
        try:
            await hangs_after_text(writer)
        finally:
            gone.append(True)

    async def main():
        with trio.move_on_after(5) as scope:
            async with open_message_stream(MODEL, produce) as stream:
                await stream.result()
        assert scope.cancelled_caught
        assert gone
        assert (await stream.result()).stop_reason is StopReason.Aborted

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_the_producer_waits_for_a_slow_reader():
    """No more than a bounded number of batches is ever ahead of the reader."""
    made = 0

    async def eager(writer):
        nonlocal made
        writer.assembler.start()
        index = writer.assembler.text_start()
        for made in range(1, 1000):
            writer.assembler.text_delta(index, "x")
            await writer.flush()
        writer.assembler.text_end(index)
        writer.assembler.done()

    async with open_message_stream(MODEL, eager) as stream:
        await wait_all_tasks_blocked()
        assert made <= BATCHES + 1
        assert len((await stream.result()).text) == 999
    assert made == 999


# Without waiting


async def test_small_flushes_cross_together():
    """What is made before the reader has its turn is one batch, read without giving other tasks a turn."""

    async def in_small_pieces(writer):
        writer.assembler.start()
        index = writer.assembler.text_start()
        for _ in range(100):
            writer.assembler.text_delta(index, "x")
            assert writer.flush_nowait()
        writer.assembler.text_end(index)
        writer.assembler.done()
        assert writer.flush_nowait()

    async with open_message_stream(MODEL, in_small_pieces) as stream:
        assert isinstance(await anext(stream), StreamStart)
        with trio.testing.assert_no_checkpoints():
            for _ in range(103):
                await anext(stream)


async def test_a_producer_that_does_not_wait_is_told_when_the_reader_is_behind():
    """Only so much is ahead of the reader, however small the pieces are; what was refused is not lost."""
    made = 0

    async def eager(writer):
        nonlocal made
        writer.assembler.start()
        index = writer.assembler.text_start()
        while writer.flush_nowait():
            made += 1
            writer.assembler.text_delta(index, f"{made} ")
        await writer.flush()
        writer.assembler.text_end(index)
        writer.assembler.done()

    async with open_message_stream(MODEL, eager) as stream:
        await wait_all_tasks_blocked()
        assert BATCHES < made <= BATCHES * 257
        assert (await stream.result()).text == "".join(f"{number} " for number in range(1, made + 1))


async def test_a_producer_that_does_not_wait_is_told_that_the_reader_has_left():
    """It hears of it like of a slow reader, and is cancelled where it waits; the block raises nothing."""
    told, begun = [], trio.Event()

    async def surprised(writer):
        writer.assembler.start()
        await writer.flush()
        writer.assembler.text_start()
        begun.set()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        told.append(writer.flush_nowait())
        await writer.flush()
        told.append("never")

    async with open_message_stream(MODEL, surprised) as stream:
        await anext(stream)
        await begun.wait()
    assert told == [False]
    assert (await stream.result()).stop_reason is StopReason.Aborted


@given(st.lists(st.sampled_from(["nowait", "wait", "give way", "nothing"]), max_size=60), st.booleans())
def test_ways_to_flush_can_be_mixed(steps, reader_is_slow):
    """However a producer flushes, its events are read once each, in order."""

    async def mixed(writer):
        writer.assembler.start()
        index = writer.assembler.text_start()
        for number, step in enumerate(steps):
            writer.assembler.text_delta(index, f"{number} ")
            if step == "wait" or (step == "nowait" and not writer.flush_nowait()):
                await writer.flush()
            elif step == "give way":
                await trio.lowlevel.checkpoint()
        writer.assembler.text_end(index)
        writer.assembler.done()

    async def main():
        deltas = []
        async with open_message_stream(MODEL, mixed) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    deltas.append(event.delta)
                if reader_is_slow:
                    await trio.sleep(1)
        assert deltas == [f"{number} " for number in range(len(steps))]

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_repr_tells_the_state():
    """A stream shows whose reply it is and how far it got."""
    async with open_message_stream(MODEL, hello) as stream:
        assert "p/m streaming" in repr(stream)
        assert isinstance(await anext(stream), StreamStart)
        await stream.result()
        assert "ended as stop, 1 blocks" in repr(stream)
    assert StreamDone.type == "done"
