"""Who leaves a proxied reply, and what becomes of it on the other side; and the server's half under a virtual clock."""

import pytest
import trio
from trio.testing import MockClock

from providers import faux
from providers.proxy import encode_stream
from providers.proxy.encode import HEARTBEAT
from runtime.streams.channel import open_message_stream
from runtime.streams.events import TextDelta
from runtime.testing.invariants import assert_stream_grammar
from runtime.testing.sweep import cancel_everywhere
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.options import SimpleStreamOptions
from tests.providers.proxy_lab import MODEL, named, proxied

HELLO = Context(messages=[user("hello")])
ONCE = SimpleStreamOptions(max_retries=0)


# Aborts: the server's stream ends with the client's


@pytest.mark.parametrize("way", ["abort", "break", "cancel"])
async def test_who_leaves_a_reply_ends_it_on_the_server(way):
    """abort(), leaving the block and a cancellation close the connection, and the server its stream to the model."""

    def leave(stream, scope):
        match way:
            case "abort":
                stream.abort()
            case "cancel":
                scope.cancel()
        return way == "break"

    provider = faux.register_faux_provider(token_size=1)
    provider.set_responses([faux.faux_fault(faux.faux_assistant_message("one two three"), "stall", after=2)])
    left, message = [], None
    async with proxied(provider, left=left) as (server, call):
        with trio.CancelScope() as scope:
            async with call(named(provider), HELLO, ONCE) as stream:
                async for event in stream:
                    if isinstance(event, TextDelta) and leave(stream, scope):
                        break
            message = await stream.result()
        await server.wait_closed()
        with trio.fail_after(5):
            while not left:
                await trio.lowlevel.checkpoint()
    assert "ended as aborted" in left[0]
    if way == "cancel":
        assert message is None
    else:
        assert message.stop_reason is StopReason.Aborted
        assert message.text.startswith("one")


def test_a_call_through_a_proxy_can_be_cut_anywhere():
    """By abort or from outside, at every checkpoint of the client: the grammar holds, and the server's stream is left."""

    async def scenario(cutter):
        provider = faux.register_faux_provider(token_size=2)
        provider.set_responses([faux.faux_assistant_message("one two three four")])
        left, events, started = [], [], []
        async with proxied(provider, left=left) as (server, call):
            with trio.CancelScope() as outside:
                async with call(named(provider), HELLO, ONCE) as stream:
                    cutter.arm(abort=stream.abort, outside=outside.cancel)
                    async for event in stream:
                        events.append(event)
                cutter.disarm()
            cutter.disarm()
            await server.wait_closed(but=1)
            with trio.fail_after(5):
                while len(left) < len(server.requests):
                    await trio.lowlevel.checkpoint()
            started.append(len(server.requests))
        return await stream.result(), events, left, started

    def check(result):
        message, events, left, started = result
        assert message.stop_reason in (StopReason.Stop, StopReason.Aborted)
        assert len(left) == started[0] <= 1
        if message.stop_reason is StopReason.Stop:
            assert_stream_grammar(events)
            assert message.text == "one two three four"

    report = cancel_everywhere(scenario, check, clock=lambda: None)
    assert min(report.cuts.values()) > 5


# The server's half alone


def scripted(*batches, crash=None):
    """A stream whose producer writes texts, a flush and a pause between them."""

    async def produce(writer):
        writer.assembler.start()
        index = writer.assembler.text_start()
        for batch in batches:
            for text in batch:
                writer.assembler.text_delta(index, text)
            await writer.flush()
            await trio.sleep(40)
        if crash:
            raise crash
        writer.assembler.text_end(index)
        writer.assembler.done()

    return open_message_stream(MODEL, produce)


def test_a_chunk_of_the_model_is_a_chunk_of_the_proxy():
    """What came together goes together; in a silence there are comments, and the end ends the iteration."""

    async def run():
        async with scripted("ab", "c") as stream:
            return [piece async for piece in encode_stream(stream, heartbeat=15)]

    first, *beats, last = trio.run(run, clock=MockClock(autojump_threshold=0))
    assert first.count(b"data: ") == 4
    assert beats[:2] == [HEARTBEAT, HEARTBEAT]
    assert b'"delta":"c"' in beats[2]
    assert beats[3:] == [HEARTBEAT, HEARTBEAT]
    assert [b"text_end" in last, b"done" in last] == [True, True]


def test_without_a_heartbeat_there_are_no_comments():
    """None switches it off."""

    async def run():
        async with scripted("a") as stream:
            return [piece async for piece in encode_stream(stream, heartbeat=None)]

    assert HEARTBEAT not in trio.run(run, clock=MockClock(autojump_threshold=0))


def test_a_broken_program_is_heard():
    """What its producer raised is raised where the server reads, after what had been said."""
    pieces = []

    async def run():
        async with scripted("a", crash=KeyError("bug")) as stream:
            async for piece in encode_stream(stream, heartbeat=None):
                pieces.append(piece)

    with pytest.raises(KeyError, match="bug"):
        trio.run(run, clock=MockClock(autojump_threshold=0))
    assert len(pieces) == 1


def test_a_server_can_be_cut_anywhere():
    """Every event goes out once and in order, whatever was cut, and the block ends."""

    async def scenario(cutter):
        pieces = []
        with trio.CancelScope() as outside:
            async with scripted("ab", "cd", "e") as stream:
                cutter.arm(abort=stream.abort, outside=outside.cancel)
                async for piece in encode_stream(stream):
                    pieces.append(piece)
        return b"".join(pieces)

    def check(body):
        letters = [letter for letter in "abcde" if f'"delta":"{letter}"'.encode() in body]
        assert "abcde".startswith("".join(letters))
        assert all(body.count(f'"delta":"{letter}"'.encode()) == 1 for letter in letters)

    report = cancel_everywhere(scenario, check)
    assert report.total > 10
