"""The engine: response, framing, decoder and stream joined; time-outs, odd answers, aborts."""

import itertools
from collections.abc import Awaitable, Callable

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.exchange import exchange
from providers.pool import current_pool, limit_requests
from providers.sse import SseEvent
from providers.transport import Request
from runtime.errors import ProviderError
from runtime.streams.assembler import MessageAssembler
from runtime.streams.channel import MessageWriter, open_message_stream
from runtime.streams.events import StreamDone, StreamError, StreamStart, TextDelta
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from tests.providers.loopback import SSE_HEAD, Script, Wire, chunk, raw, reply, serve, sse

MODEL = Model("m", api="a", provider="p")
KEY = "sk-0123456789"
DONE = "data: [DONE]\n\n"


class Words:
    """A wire whose events are JSON strings, pings, and [DONE]."""

    def __init__(self, assembler: MessageAssembler) -> None:
        self.finished = False
        self._assembler = assembler
        self._index: int | None = None

    def feed(self, event: SseEvent) -> bool:
        if event.event == "ping":
            return False
        if event.data == b"[DONE]":
            self.finished = True
            return True
        value = from_json(event.data)
        if isinstance(value, dict):
            raise ProviderError(value["error"])
        if self._index is None:
            self._index = self._assembler.text_start()
        self._assembler.text_delta(self._index, value)
        return True

    def finish(self) -> None:
        if not self.finished:
            raise ProviderError("Stream ended without [DONE]")
        self._assembler.close_open_blocks()
        self._assembler.done()


def calling(
    url: str, options: StreamOptions = StreamOptions(max_retries=0)
) -> Callable[[MessageWriter], Awaitable[None]]:
    request = Request(url + "/v1", {"Authorization": f"Bearer {KEY}"}, b"{}")
    return lambda writer: exchange(request, Words(writer.assembler), writer, options, MODEL)


async def complete(url: str, options: StreamOptions = StreamOptions(max_retries=0)) -> AssistantMessage:
    async with open_message_stream(MODEL, calling(url, options), abort=options.abort) as stream:
        return await stream.result()


async def failure(url: str, options: StreamOptions = StreamOptions(max_retries=0)) -> str:
    message = await complete(url, options)
    assert message.stop_reason is StopReason.Error
    return message.error_message


def say(*words: str) -> str:
    return "".join(f'data: "{word}"\n\n' for word in words)


async def test_a_reply_is_streamed():
    """Start, deltas and end come in order, and the message is what was said."""
    async with serve(sse(say("Hel"), say("lo"), DONE)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream:
            events = [event async for event in stream]
    assert [type(event).__name__ for event in events] == [
        "StreamStart", "TextStart", "TextDelta", "TextDelta", "TextEnd", "StreamDone"
    ]  # fmt: skip
    assert events[-1].message.text == "Hello"


async def test_the_start_comes_with_the_status():
    """A success is told before the first byte of its body."""
    async with serve(raw(SSE_HEAD, hang=True)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream:
            assert isinstance(await anext(stream), StreamStart)


async def test_a_failure_before_the_start_stands_alone():
    """A status that is no success is the only event."""
    async with serve(reply("no", 400)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream:
            (event,) = [event async for event in stream]
    assert isinstance(event, StreamError)
    assert event.message.error_message.startswith("provider returned HTTP 400 Bad Request: no")


async def test_the_events_of_a_chunk_are_read_without_a_pause():
    """No other task runs between two events of one network chunk."""
    async with serve(sse(say(*"abcdef") + DONE)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream:
            while not isinstance(await anext(stream), TextDelta):
                pass
            async with trio.open_nursery() as nursery:
                others: list[int] = []
                nursery.start_soon(trio.lowlevel.checkpoint)
                nursery.start_soon(lambda: _note(others))
                rest = [event async for event in stream if not others]
    assert len(rest) == 7


async def _note(others: list[int]) -> None:
    others.append(1)


# The end


async def test_the_reply_ends_with_its_last_event_not_with_the_socket():
    """After the API's own last event the connection is given up, whatever the server still holds open."""
    async with serve(sse(say("x"), DONE, end=False, hang=True)) as server:
        with trio.fail_after(5):
            message = await complete(server.url, StreamOptions(max_retries=0))
            await server.wires[0].closed.wait()
    assert (message.stop_reason, message.text) == (StopReason.Stop, "x")


async def test_what_follows_the_last_event_does_not_matter():
    """Neither more events nor damage after the end change the reply."""
    for rest in (say("more") + '{"', '\x00data: {"error": "late"}\n\n'):
        async with serve(sse(say("x") + DONE + rest, end=False, close=True)) as server:
            message = await complete(server.url)
        assert (message.stop_reason, message.text) == (StopReason.Stop, "x")


async def test_the_connection_is_used_again():
    """A reply whose body ends properly leaves its connection to the next one."""
    async with serve(sse(say("x"), DONE), sse(say("y") + DONE)) as server:
        assert [(await complete(server.url, StreamOptions())).text for _ in range(2)] == ["x", "y"]
        assert len(server.wires) == 1


async def test_the_rest_of_the_body_is_awaited_for_a_moment(mock_clock):
    """An end of the body that comes a little after the last event still saves the connection."""

    async def in_two_parts(wire: Wire) -> None:
        await wire.send(SSE_HEAD + chunk((say("x") + DONE).encode()))
        await wait_all_tasks_blocked(0.02)
        await wire.send(chunk(b""))

    async with serve(in_two_parts, sse(say("y") + DONE)) as server:
        assert [(await complete(server.url, StreamOptions())).text for _ in range(2)] == ["x", "y"]
        assert len(server.wires) == 1


async def test_a_time_out_after_the_end_is_none(mock_clock):
    """A reply that is complete stays so, although its connection outlasts a time-out."""
    options = StreamOptions(max_retries=0, timeout=0.005)
    returned: list[None] = []

    async def produce(writer: MessageWriter) -> None:
        returned.append(await calling(server.url, options)(writer))

    async with serve(sse(say("x") + DONE, end=False, hang=True)) as server:
        async with open_message_stream(MODEL, produce) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(advance, mock_clock, 0.007)
            assert (await stream.result()).stop_reason is StopReason.Stop
    assert returned == [None]


async def test_a_last_event_without_its_blank_line_counts():
    """The end of input completes it."""
    async with serve(sse(say("x") + "data: [DONE]")) as server:
        assert (await complete(server.url)).stop_reason is StopReason.Stop


@pytest.mark.parametrize("body", ["", ": ping\n\n", say("x")])
async def test_a_stream_that_just_ends_is_the_decoders_to_judge(body):
    """Empty, with comments only, or cut after an event: the decoder says what is missing."""
    async with serve(sse(body)) as server:
        assert (await failure(server.url)).startswith("Stream ended without [DONE] (POST http://127.0.0.1")


async def test_a_connection_that_breaks_keeps_what_had_come():
    """The reply is an Error with its text so far."""
    async with serve(sse(say("so ") + say("far"), end=False, close=True)) as server:
        message = await complete(server.url)
    assert message.stop_reason is StopReason.Error
    assert message.text == "so far"
    assert "did not keep to HTTP" in message.error_message


# Time-outs


async def advance(clock: MockClock, *seconds: float) -> None:
    for step in seconds:
        await wait_all_tasks_blocked(0.02)
        clock.jump(step)
    await wait_all_tasks_blocked(0.02)


async def say_late(wire: Wire, *pieces: tuple[float, str]) -> None:
    await wire.send(SSE_HEAD)
    for seconds, piece in pieces:
        await trio.sleep(seconds)
        await wire.send(chunk(piece.encode()))
    await wire.wait_closed()


def late(*pieces: tuple[float, str]) -> Script:
    return lambda wire: say_late(wire, *pieces)


TIMES = StreamOptions(max_retries=0, first_event_timeout=10, event_timeout=5)


@pytest.mark.parametrize(
    ("script", "steps", "text"),
    [
        (raw(b"", hang=True), (9, 1), "no event from {} within first_event_timeout=10 seconds"),
        (late(), (9, 1), "no event from {} within first_event_timeout=10 seconds"),
        (late((6, ": ping\n\n"), (3, "event: ping\ndata: {}\n\n")), (6, 3, 1),
         "no event from {} within first_event_timeout=10 seconds"),
        (late((9, say("x"))), (9, 4, 1), "no further event from {} within event_timeout=5 seconds"),
        (late((1, say("x")), (3, ": ping\n\n"), (1, "event: ping\n\n"), (0.5, "data: half")), (1, 3, 1, 0.5, 0.5),
         "no further event from {} within event_timeout=5 seconds"),
    ],
)  # fmt: skip
async def test_a_server_that_falls_silent(mock_clock, script, steps, text):
    """Before the first event and between events each time-out counts what is an event, and says its name."""
    async with serve(script) as server, open_message_stream(MODEL, calling(server.url, TIMES)) as stream:
        async with trio.open_nursery() as nursery:
            texts: list[str] = []

            @nursery.start_soon
            async def read() -> None:
                texts.append((await stream.result()).error_message)

            await server.wait_requests()
            await advance(mock_clock, *steps[:-1])
            assert not texts
            await advance(mock_clock, steps[-1])
            assert texts == [text.format(server.url + "/v1")]
        await server.wait_closed()


async def test_events_in_time_keep_a_reply_alive(mock_clock):
    """Each event starts the time-out anew, however long the whole takes."""
    pieces = [(4.9, say(letter)) for letter in "abc"]
    async with serve(late(*pieces, (4.9, DONE))) as server, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            assert (await complete(server.url, TIMES)).text == "abc"

        await server.wait_requests()
        await advance(mock_clock, 4.9, 4.9, 4.9, 4.9, 0.1)  # the last for the rest of the body


async def test_the_whole_call_has_a_time_out_of_its_own(mock_clock):
    """``timeout`` ends a reply that goes on and on."""
    options = StreamOptions(max_retries=0, event_timeout=5, timeout=12)
    async with serve(late(*[(4, say("x"))] * 4)) as server, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            message = await complete(server.url, options)
            assert (
                message.error_message == f"no end of the reply from {server.url}/v1 within timeout=12 seconds"
            )
            assert message.text == "xx"

        await server.wait_requests()
        await advance(mock_clock, 4, 4, 3.9, 0.1)


async def test_a_slow_reader_is_not_held_against_the_server(mock_clock):
    """While events wait to be read, no time-out between events runs."""
    pieces = [say("x")] * 100 + [DONE]

    async def one_by_one(wire: Wire) -> None:
        await wire.send(SSE_HEAD)
        for piece in pieces:
            await wire.send(chunk(piece.encode()))
            await wait_all_tasks_blocked()
        await wire.send(chunk(b""))

    async with serve(one_by_one) as server:
        async with open_message_stream(MODEL, calling(server.url, TIMES)) as stream:
            await anext(stream)
            await advance(mock_clock, 1000, 1000)
            assert (await stream.result()).text == "x" * 100


async def test_waiting_for_the_limit_is_not_held_against_the_server(mock_clock):
    """A call that waits for its turn has its whole first_event_timeout left."""
    limit_requests(1)
    async with serve(sse(say("x"), DONE)) as server, trio.open_nursery() as nursery:
        async with current_pool().lease():

            @nursery.start_soon
            async def read() -> None:
                assert (await complete(server.url, TIMES)).text == "x"

            await advance(mock_clock, 1000, 1000)
            assert not server.requests


async def test_a_time_out_tells_of_the_attempt_before(mock_clock):
    """A call that runs out of time while it waits to try again says why it had to."""
    options = StreamOptions(first_event_timeout=10)
    async with serve(reply("busy", 503, retry_after="30")) as server, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            text = await failure(server.url, options)
            assert text.endswith("within first_event_timeout=10 seconds (the attempt before: HTTP 503)")

        await server.wait_requests()
        await advance(mock_clock, 10)


async def test_a_flood_of_comments_ends_and_lets_others_run():
    """Endless keep-alives take neither the loop nor memory; the time-out ends them."""

    async def flood(wire: Wire) -> None:
        await wire.send(SSE_HEAD)
        while not wire.closed.is_set():
            await wire.send(chunk(b": ping\n\n") * 2000)

    async with serve(flood) as server, trio.open_nursery() as nursery:
        turns = itertools.count()

        @nursery.start_soon
        async def other() -> None:
            while True:
                next(turns)
                await trio.sleep(0.001)

        text = await failure(server.url, StreamOptions(max_retries=0, first_event_timeout=0.5))
        nursery.cancel_scope.cancel()
    assert "first_event_timeout=0.5" in text
    assert next(turns) > 20


# Odd answers


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("application/json", '{"error":{"message":"caf\\u00e9"}}', 'application/json came: {"error":{"message":"caf\\u00e9"}} [café]'),
        ("text/html", "<html>Login</html>", "text/html came: <html>Login</html>"),
        ("text/event-stream", '{"error":"x"}', 'text/event-stream came: {"error":"x"}'),
        ("text/plain", "Bad Gateway", "text/plain came: Bad Gateway"),
    ],
)  # fmt: skip
async def test_another_document_behind_a_200_is_quoted(kind, body, text):
    """What is no event stream is an Error that shows how it begins."""
    async with serve(reply(body, content_type=kind)) as server:
        assert (await failure(server.url)).startswith(
            f"invalid provider response: server-sent events were expected, {text} (POST {server.url}"
        )


async def test_a_long_document_is_cut_and_its_credentials_masked():
    """At most two KiB of it are shown."""
    async with serve(reply(f"<p>Bearer {KEY}</p>" + "x" * 10_000, content_type="text/html")) as server:
        text = await failure(server.url)
    assert len(text) < 2300
    assert KEY not in text


async def test_events_without_a_content_type_are_read():
    """Servers that name no type, or another, but send events, are understood."""
    async with serve(reply(say("x") + DONE), reply(say("y") + DONE, content_type="text/plain")) as server:
        assert [(await complete(server.url)).text for _ in range(2)] == ["x", "y"]


async def test_an_event_that_cannot_be_decoded_is_shown():
    """The decoder's exception and the event that caused it are in the text, credentials are not."""
    async with serve(sse(say("x") + f'data: {{"key": "{KEY}" oops\n\n')) as server:
        message = await complete(server.url)
    assert message.text == "x"
    assert message.error_message.startswith("invalid provider response: could not be decoded: expected")
    assert 'in the event \'{"key": "***" oops\'' in message.error_message


async def test_an_error_event_that_echoes_the_key_is_masked():
    """What a decoder quotes of the server holds no credential."""
    async with serve(sse(f'data: {{"error": "bad key {KEY}"}}\n\n')) as server:
        assert (await failure(server.url)).startswith("bad key *** (POST")


async def test_the_limit_of_an_event():
    """A line over ``max_event_bytes`` ends the reply; the events before it are kept."""
    options = StreamOptions(max_retries=0, max_event_bytes=100)
    async with serve(sse(say("x") + "data: " + "y" * 100, end=False, hang=True)) as server:
        message = await complete(server.url, options)
    assert message.text == "x"
    assert message.error_message.startswith("SSE line exceeded 100 bytes")


# Stopping


@pytest.mark.parametrize("script", [raw(b"", hang=True), raw(SSE_HEAD, hang=True), sse(say("x"), end=False, hang=True),
                                    reply("busy", 503, retry_after="50")])  # fmt: skip
async def test_an_abort_ends_the_call_and_closes_the_connection(script):
    """Before the answer, before the first event, in the middle, and while it waits to try again."""
    options = StreamOptions(abort=trio.Event())
    async with serve(script) as server, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            assert (await complete(server.url, options)).stop_reason is StopReason.Aborted
            idle = sum(
                c.is_idle()
                for shard in current_pool()._shards
                for c in shard.client._transport._pool.connections
            )
            await server.wait_closed(but=idle)

        await server.wait_requests()
        await wait_all_tasks_blocked(0.02)
        options.abort.set()


async def test_leaving_the_stream_closes_the_connection():
    """A reader that has enough leaves nothing behind."""
    async with serve(sse(say("x"), end=False, hang=True)) as server:
        async with open_message_stream(MODEL, calling(server.url)) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
        await server.wait_closed()
        assert current_pool().statistics().in_flight == 0


# Properties


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def outcome(pieces: list[bytes]) -> tuple[list[str], str]:
    """The events of a body that comes in these pieces, and the last message without its time."""

    async def main() -> tuple[list[str], str]:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Pieces(pieces)))
        async with httpx.AsyncClient(transport=transport) as client:
            options = StreamOptions(max_retries=0, http_client=client, max_event_bytes=1000)
            async with open_message_stream(MODEL, calling("http://h", options)) as stream:
                events = [event async for event in stream]
        assert isinstance(events[0], StreamStart)
        assert isinstance(events[-1], StreamDone | StreamError)
        assert sum(isinstance(event, StreamDone | StreamError) for event in events) == 1
        names = [type(event).__name__ for event in events]
        return names, events[-1].message.model_dump_json(exclude={"timestamp"})

    return trio.run(main, clock=MockClock(autojump_threshold=0))


WIRES = st.lists(
    st.sampled_from([say("a"), say("é😀"), "event: ping\n\n", ": c\r\n\r\n", "data: \r", '"b"\n\n', DONE, "data: {\n\n",
                     'data: {"error":"e"}\n\n', "data: x" * 200, "{", "\n"]), max_size=6
).map(lambda parts: "".join(parts).encode()) | st.binary(max_size=40)  # fmt: skip


@settings(max_examples=60)
@given(WIRES, st.lists(st.integers(0, 2000), max_size=6))
def test_arbitrary_bytes_give_one_reply_however_they_are_cut(wire, places):
    """Any body ends in one terminal event, and cutting it into other chunks changes nothing but time."""
    bounds = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    pieces = [wire[start:end] for start, end in itertools.pairwise(bounds)]
    assert outcome(pieces) == outcome([wire])
