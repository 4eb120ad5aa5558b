"""Server-sent events from bytes: the framing, its limits, and that chunks do not matter."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from providers.sse import SseEvent, SseReader
from runtime.errors import TransportError

MEBIBYTE = 1 << 20


def read(*chunks: bytes, limit: int = MEBIBYTE) -> list[SseEvent]:
    reader = SseReader(limit)
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.finish()


def outcome(chunks: list[bytes], limit: int) -> tuple[list[SseEvent], str | None]:
    """The events, and the error that followed them."""
    reader, events = SseReader(limit), []
    try:
        for chunk in chunks:
            events += reader.feed(chunk)
        events += reader.finish()
    except TransportError as error:
        return events, str(error)
    return events, None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]


def test_emoji_split_over_chunks_stays_whole():
    """A character whose bytes come in two chunks arrives intact."""
    data = 'data: {"text":"a😀b"}\n\n'.encode()
    place = data.index("😀".encode()) + 2
    assert read(data[:place], data[place:]) == [SseEvent(None, '{"text":"a😀b"}'.encode())]


def test_crlf_split_over_chunks_is_one_line_end():
    """CR, then LF CR, then LF in three chunks end one line and one event."""
    assert read(b"data: x\r", b"\n\r", b"\n", b"data: y\r\n\r\n") == [
        SseEvent(None, b"x"),
        SseEvent(None, b"y"),
    ]


def test_an_event_ends_with_its_last_cr_at_once():
    """A lone CR ends the event without waiting for what comes next."""
    reader = SseReader(MEBIBYTE)
    assert reader.feed(b"data: x\r\r") == [SseEvent(None, b"x")]
    assert reader.feed(b"\ndata: y\n\n") == [SseEvent(None, b"y")]


def test_escaped_line_ends_inside_json_are_untouched():
    r"""``\r\n`` in a JSON string is four characters, not a line end."""
    assert read(b'data: {"t":"a\\r\\nb"}\r\n\r\n') == [SseEvent(None, b'{"t":"a\\r\\nb"}')]


def test_data_lines_are_joined_by_lf():
    """Two data lines with CRLF ends make one event, joined by LF."""
    assert read(b"data: one\r\ndata: two\r\n\r\n") == [SseEvent(None, b"one\ntwo")]


def test_a_name_may_stand_between_data_lines():
    """The name of an event counts wherever it stands in it."""
    assert read(b"data: one\nevent: error\ndata: two\n\n") == [SseEvent("error", b"one\ntwo")]


def test_the_last_name_wins():
    """An event that is named twice has the second name."""
    assert read(b"event: a\nevent: b\ndata: x\n\n") == [SseEvent("b", b"x")]


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"data:x\n\n", [SseEvent(None, b"x")]),
        (b"data:  x\n\n", [SseEvent(None, b" x")]),
        (b"data\n\n", [SseEvent(None, b"")]),
        (b"data:\n\n", [SseEvent(None, b"")]),
        (b"data: a:b\n\n", [SseEvent(None, b"a:b")]),
        (b"event: ping\n\n", [SseEvent("ping", b"")]),
        (b"id: 1\nretry: 5\nother: x\n\n", []),
        (b"Data: x\n\n", []),
        (b" data: x\n\n", []),
        (b": comment\n\n", []),
        (b": comment\ndata: x\n: more\n\n", [SseEvent(None, b"x")]),
        (b"\n\n\n\ndata: x\n\n\n\ndata: y\n\n\n", [SseEvent(None, b"x"), SseEvent(None, b"y")]),
        (b"\xef\xbb\xbfdata: x\n\n", [SseEvent(None, b"x")]),
        (b"data: x", [SseEvent(None, b"x")]),
        (b"data: x\n", [SseEvent(None, b"x")]),
        (b"data: x\r", [SseEvent(None, b"x")]),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
def test_framing(wire, events):
    """Fields, comments, blank lines, a byte order mark and the end of input are read as the format has them."""
    assert read(wire) == events
    assert read(*(wire[i : i + 1] for i in range(len(wire)))) == events


def test_damaged_utf8_is_replaced_so_that_json_can_be_read():
    """Bytes that are no UTF-8 become U+FFFD, in bulk and line by line."""
    wire = b'data: {"t":"a\xff\xed\xa0\xbdb"}\n\n'
    for events in (read(wire), read(wire[:-1], wire[-1:])):
        assert from_json(events[0].data)["t"].strip("ab") == "\ufffd" * 4


def test_an_unterminated_line_over_the_limit_is_an_error():
    """The limit holds before the end of the line has come."""
    reader = SseReader(16)
    assert reader.feed(b"data: 0123456789") == []
    with pytest.raises(TransportError, match=r"^SSE line exceeded 16 bytes .*max_event_bytes"):
        reader.feed(b"a")


def test_an_event_over_the_limit_is_an_error():
    """Lines that are short enough each may still make too large an event."""
    with pytest.raises(TransportError, match=r"^SSE event exceeded 16 bytes"):
        read(b"data: 0123\ndata: 4567\n\n", limit=16)


def test_events_before_a_limit_are_returned_first():
    """The error comes after the events that preceded it, in every later call."""
    reader = SseReader(16)
    assert reader.feed(b"data: x\n\ndata: 0123456789abcdef") == [SseEvent(None, b"x")]
    assert reader.failure is not None
    for call in (lambda: reader.feed(b"\n\n"), reader.finish):
        with pytest.raises(TransportError, match="^SSE line exceeded"):
            call()


def test_comments_never_count():
    """A keep-alive may be sent for ever, inside an event too, without reaching the limit."""
    reader = SseReader(64)
    reader.feed(b"data: x\n")
    for _ in range(1000):
        assert reader.feed(b": keep-alive\n") == []
    assert reader.feed(b"\n") == [SseEvent(None, b"x")]


def test_a_huge_line_in_small_chunks_takes_linear_time():
    """No byte of an unfinished line is searched again: 8 MiB in chunks of 64 bytes are read in no time."""
    reader = SseReader(16 * MEBIBYTE)
    reader.feed(b"data: ")
    for _ in range(8 * MEBIBYTE // 64):
        reader.feed(b"x" * 64)
    (event,) = reader.feed(b"\n\n")
    assert len(event.data) == 8 * MEBIBYTE


LINES = st.sampled_from(
    [b"data: {}", b"data:x", b"data", b"event: e", b"event", b"", b": c", b"id: 1", b"data: \xf0\x9f\x98\x80\xff",
     b"\xef\xbb\xbf", b"da"]
)  # fmt: skip
WIRES = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\r\r", b""]))).map(
    lambda parts: b"".join(line + end for line, end in parts)
)


@given(
    WIRES | st.binary(max_size=60), st.lists(st.integers(0, 10_000)), st.sampled_from([3, 8, 20, MEBIBYTE])
)
@example(b"\xef\xbb\xbfdata: x\r\n\r\n", [1, 2, 9, 10, 11], MEBIBYTE)
def test_chunks_do_not_matter(wire, places, limit):
    """Any way to cut the bytes gives the same events and the same end; nothing but the limit is ever raised."""
    whole = outcome([wire], limit)
    assert outcome(cut(wire, places), limit) == whole
    assert outcome([wire[i : i + 1] for i in range(len(wire))], limit) == whole
    for event in whole[0]:
        event.data.decode()


@given(st.lists(st.tuples(st.none() | st.text("abc_", min_size=1), st.text(max_size=40)), max_size=8))
def test_what_is_written_is_read(events):
    """Events written as the format asks are read as they were."""
    kept = [(name, "".join(char for char in data if char not in "\r\n")) for name, data in events]
    wire = "".join(f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n" for name, data in kept)
    assert read(wire.encode()) == [SseEvent(name, data.encode()) for name, data in kept]
