"""Chunked bodies (RFC 9112, 7.1), without I/O.

h11 makes an event of each chunk and checks its state machine around it, which takes as long as all that we do with the token
inside. Model servers send a chunk for every token; so here is the same without events, and as strict.
"""

import re

from h11 import RemoteProtocolError

MAX_LINE_BYTES = 16 * 1024
"""What a server may write between two chunks, and behind the last one."""
_HEAD = re.compile(rb"([0-9a-fA-F]{1,15})\r\n")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")


class ChunkedReader:
    """Takes a body apart as it comes. ``finished`` is set at its end; ``unread`` is what came behind that.

    Raises RemoteProtocolError for what is no such body, once what came before the fault was returned.
    """

    def __init__(self, here: bytes = b"") -> None:
        self.finished = False
        self.unread = here  # until the end, the beginning of a line
        self._left = 0  # bytes of the present chunk
        self._line = (
            ChunkedReader._size
        )  # no method of its own: that would be a cycle, for the garbage collector
        self._trailer = 0
        self._failure: RemoteProtocolError | None = None

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, empty when there are no more; return what of them belongs to the body."""
        if data or self.finished or self._failure is not None:
            self.unread += data
            return self.take()
        raise RemoteProtocolError(
            "peer closed connection without sending complete message body (incomplete chunked read)"
        )

    def take(self) -> bytes:
        """The same with what is here already."""
        if self._failure is not None:
            raise self._failure
        parts: list[bytes] = []
        try:
            self._read(self.unread, parts)
        except RemoteProtocolError as error:
            self._failure = error
            if not parts:
                raise
        return b"".join(parts)

    def _read(self, data: bytes, parts: list[bytes]) -> None:
        place = self._whole_chunks(data, parts) if self._line is ChunkedReader._size and not self._left else 0
        while not self.finished:
            if self._left:
                part = data[place : place + self._left]
                if not part:
                    break
                parts.append(part)
                place += len(part)
                self._left -= len(part)
                continue
            end = data.find(b"\r\n", place)
            if end < 0:
                break
            self._line(self, data[place:end])
            place = end + 2
        self.unread = data[place:]
        if not self.finished and len(self.unread) > MAX_LINE_BYTES:
            raise RemoteProtocolError(f"a line between chunks is longer than {MAX_LINE_BYTES} bytes")

    @staticmethod
    def _whole_chunks(data: bytes, parts: list[bytes]) -> int:
        """Take the chunks that are here whole, which are nearly all of them; where they end. The rest is read line by line."""
        place = 0
        while (head := _HEAD.match(data, place)) is not None:
            end = head.end() + int(head[1], 16)
            if end == head.end() or data[end : end + 2] != b"\r\n":
                break
            parts.append(data[head.end() : end])
            place = end + 2
        return place

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise RemoteProtocolError(f"illegal chunk header: {line!r}")
        self._left = int(found[1], 16)
        self._line = ChunkedReader._end if self._left else ChunkedReader._behind

    def _end(self, line: bytes) -> None:
        if line:
            raise RemoteProtocolError(f"malformed chunk footer: {line!r} (expected b'\\r\\n')")
        self._line = ChunkedReader._size

    def _behind(self, line: bytes) -> None:
        """Header fields behind the body; nobody wants them."""
        self.finished = not line
        self._trailer += len(line)
        if self._trailer > MAX_LINE_BYTES:
            raise RemoteProtocolError(f"more than {MAX_LINE_BYTES} bytes behind the last chunk")
