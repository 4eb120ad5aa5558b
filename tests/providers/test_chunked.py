"""Chunked bodies: whatever the cuts, the same bytes as h11 reads, and a bound for everything around them."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chunked import MAX_LINE_BYTES, ChunkedReader

SIZES = st.sampled_from([b"%x", b"%X", b"00%x", b"%x;name=value", b"%x ;a", b"%x \t"])
CHUNKS = st.lists(st.tuples(SIZES, st.binary(min_size=1, max_size=40)), max_size=8)
TRAILERS = st.lists(st.sampled_from([b"x: y", b"etag: 1"]), max_size=2)


def encoded(chunks: list[tuple[bytes, bytes]], trailers: list[bytes]) -> bytes:
    body = b"".join(size % len(data) + b"\r\n" + data + b"\r\n" for size, data in chunks)
    return body + b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False) if start < end]


def read(pieces: list[bytes]) -> tuple[bytes, ChunkedReader]:
    reader = ChunkedReader()
    return b"".join(reader.feed(piece) for piece in pieces), reader


@given(CHUNKS, TRAILERS, st.binary(max_size=9), st.lists(st.integers(0, 999), max_size=12))
def test_any_cuts_give_the_same_body(chunks, trailers, behind, places):
    """What was put into chunks comes out, however it travels; what follows is kept apart."""
    pieces = cut(encoded(chunks, trailers), places)
    pieces[-1] += behind
    body, reader = read(pieces)
    assert body == b"".join(data for _, data in chunks)
    assert reader.finished
    assert reader.unread == behind


@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from([b"5", b"0", b"a", b"g", b"\r\n", b"\n", b"\r", b";x", b" ", b"hello"]), max_size=12)
        .map(b"".join),
    ),
    st.lists(st.integers(0, 999), max_size=5),
)  # fmt: skip
def test_what_it_takes_h11_takes_too(data, places):
    """Of any bytes, it never makes more of a body than h11 does, and a fault comes after all that was right."""
    body, failed = b"", False
    reader = ChunkedReader()
    for piece in cut(data, places):
        try:
            body += reader.feed(piece)
        except h11.RemoteProtocolError:
            failed = True
            break
    theirs, their_end = by_h11(data)
    assert theirs.startswith(body)
    if reader.finished:
        assert (body, their_end) == (theirs, "finished")
    if their_end == "finished":
        assert reader.finished or failed


def by_h11(data: bytes) -> tuple[bytes, str]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + data)
    body = b""
    try:
        while (event := client.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                body += event.data
            if isinstance(event, h11.EndOfMessage):
                return body, "finished"
    except h11.RemoteProtocolError:
        return body, "failed"
    return body, "open"


@pytest.mark.parametrize(
    "fault",
    [b"x\r\n", b"-1\r\n", b"0x5\r\n", b"\r\n", b" 5\r\n", b"5\n\n", b"1" * 16 + b"\r\n", b"5;\x00\r\n"],
)
def test_what_came_before_a_fault_is_read(fault):
    """The fault is raised by the next call; alone, by its own."""
    reader = ChunkedReader()
    assert reader.feed(b"2\r\nhi\r\n" + fault + b"5\r\n") == b"hi"
    with pytest.raises(h11.RemoteProtocolError, match="illegal chunk header"):
        reader.feed(b"more")
    with pytest.raises(h11.RemoteProtocolError, match="illegal chunk header"):
        ChunkedReader().feed(fault + b"5\r\n")


def test_a_chunk_ends_where_it_says():
    """Bytes between the data and its line end are a fault, not data."""
    reader = ChunkedReader()
    assert reader.feed(b"2\r\nhi!\r\n") == b"hi"
    with pytest.raises(h11.RemoteProtocolError, match="footer"):
        reader.feed(b"0\r\n\r\n")


def test_an_early_end_is_a_fault():
    """A body without its last chunk was cut, wherever that was; after the last chunk nothing is missing."""
    for whole in (b"", b"2\r\nh", b"2\r\nhi\r\n", b"0\r\n"):
        reader = ChunkedReader()
        if whole:
            reader.feed(whole)
        with pytest.raises(h11.RemoteProtocolError, match="incomplete chunked read"):
            reader.feed(b"")
    reader = ChunkedReader()
    reader.feed(b"0\r\n\r\n")
    assert reader.finished


@pytest.mark.parametrize("start", [b"", b"2\r\nhi\r\n", b"0\r\n"])
def test_lines_between_chunks_are_bounded(start):
    """A size line, or fields behind the body, that never end are refused; their memory is bounded."""
    reader = ChunkedReader()
    with pytest.raises(h11.RemoteProtocolError, match="bytes"):
        for _ in range(MAX_LINE_BYTES):
            reader.feed(start + b"1;" + b"x" * 1000)
            start = b""
    reader = ChunkedReader()
    reader.feed(b"0\r\n")
    with pytest.raises(h11.RemoteProtocolError, match="behind the last chunk"):
        for _ in range(MAX_LINE_BYTES):
            reader.feed(b"x: y\r\n")
