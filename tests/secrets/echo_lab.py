"""Servers that repeat in their answers what they were asked: headers, address and body, wherever an answer can hold it."""

import gzip
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

from runtime.testing.server.loopback import (
    SSE_HEAD,
    Loopback,
    Received,
    Wire,
    chunk,
    head,
    open_loopback,
    response,
)
from tests.secrets.secrets_lab import spelling

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}


@dataclass(frozen=True)
class Echo:
    """What a request says, for the server that repeats it. ``number`` counts the requests, from 0."""

    secret: str
    request: Received
    number: int = 0

    @cached_property
    def lines(self) -> list[str]:
        """Address, headers and body, beginning with what holds the secret: of long texts, only the beginning is ever shown."""
        said = [f"{self.request.method} {self.request.target}", self.request.body.decode()]
        said += [f"{name}: {value}" for name, value in self.request.headers.items()]
        return sorted(said, key=lambda line: not spelling(self.secret, line))

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    @property
    def line(self) -> str:
        """The same, fit for a header."""
        return "; ".join(self.lines)

    @property
    def middle(self) -> int:
        """A place in ``line`` that is inside of the secret, near its end."""
        spelled = spelling(self.secret, self.line)
        return self.line.find(spelled) + len(spelled) * 4 // 5

    def cut(self) -> str:
        """The line up to the middle of the secret."""
        return self.line[: self.middle]

    def across(self, limit: int, before: int = 0) -> str:
        """The line behind so much else that the secret lies across a limit, counted from ``before`` characters earlier."""
        return "." * (limit - before - self.middle) + self.line + "." * limit


Answer = Callable[[Echo], bytes]


# Failures before a reply begins


def refused(text: str, status: int = 401) -> bytes:
    """As the APIs write a failure."""
    return response(json.dumps({"error": {"message": text, "type": "auth"}}).encode(), status, _JSON)


def escaped_json(text: str) -> str:
    """JSON as PHP and .NET write it."""
    plain = json.dumps(text).replace("/", "\\/")
    return "".join(f"\\u{ord(each):04X}" if each in "<>&'+" else each for each in plain)


def status_line(reason: str, status: int = 400) -> bytes:
    return f"HTTP/1.1 {status} {reason}\r\ncontent-length: 2\r\n\r\nno".encode("latin-1")


def with_header(name: str, status: int = 400, before: str = "") -> Answer:
    """A header that begins as it should, perhaps."""
    return lambda echo: response(b"no", status, {name: before + echo.line})


def page(text: str) -> bytes:
    shown = html.escape(text)
    return (
        f"<html><head><title>Forbidden {shown}</title></head><body><pre>{shown}</pre></body></html>".encode()
    )


def unfinished(body: str, status: int = 401, kind: str = "application/json") -> bytes:
    """A body that is shorter than it was to be."""
    return head(status, {"content-type": kind, "content-length": "999999"}) + body.encode()


REFUSALS: dict[str, Answer] = {
    "JSON": lambda echo: refused(echo.text),
    "JSON with many escapes": lambda echo: response(
        ('{"error":{"message":' + escaped_json(echo.text) + "}}").encode(), 400, _JSON
    ),
    "JSON inside of JSON": lambda echo: refused(
        json.dumps({"headers": echo.request.headers, "at": echo.request.target})
    ),
    "OpenRouter's JSON": lambda echo: response(
        json.dumps(
            {
                "error": {
                    "message": "upstream",
                    "metadata": {"raw": json.dumps({"error": {"message": echo.text}})},
                }
            }
        ).encode(),
        403,
        _JSON,
    ),
    "plain text": lambda echo: response(echo.text.encode(), 400, {"content-type": "text/plain"}),
    "HTML": lambda echo: response(page(echo.text), 403, _HTML),
    "HTML inside of JSON": lambda echo: refused(html.escape(echo.text)),
    "status text": lambda echo: status_line(echo.line),
    "status text of a success": lambda echo: status_line(echo.line, 200),
    "no status line": lambda echo: f"{echo.line}\r\n\r\n".encode(),
    "a status line that is none": lambda echo: f"HTTP/1.1 {echo.line}\r\n\r\n".encode(),
    "a header that is none": lambda echo: (
        b"HTTP/1.1 200 OK\r\n" + f"({echo.line}) : {echo.line}\r\n\r\n".encode()
    ),
    "a header with a zero byte": lambda echo: (
        b"HTTP/1.1 200 OK\r\nx-echo: " + f"{echo.line}\0\r\n\r\n".encode()
    ),
    "content-length": lambda echo: f"HTTP/1.1 200 OK\r\ncontent-length: {echo.line}\r\n\r\n".encode(),
    "transfer-encoding": lambda echo: f"HTTP/1.1 200 OK\r\ntransfer-encoding: {echo.line}\r\n\r\n".encode(),
    "retry-after": with_header("retry-after", 429),
    "retry-after, too long": with_header("retry-after", 429, "9999 "),
    "retry-after-ms": with_header("retry-after-ms", 503, "1 "),
    "x-should-retry": with_header("x-should-retry", 503),
    "content-type": with_header("content-type"),
    "content-type of a success": with_header("content-type", 200),
    "content-encoding": with_header("content-encoding", 200),
    "a charset": with_header("content-type", 401, "application/json; charset="),
    "a redirect": with_header("location", 302, "http://127.0.0.1:1/?said="),
    "a redirect to nowhere": with_header("location", 307, "http://127.0.0.1:"),
    "a redirect of another scheme": with_header("location", 308, "x"),
    "a broken chunk": lambda echo: SSE_HEAD + f"{echo.line}\r\n".encode(),
    "a broken chunk of a failure": lambda echo: (
        head(401, {"transfer-encoding": "chunked"}) + chunk(b"no ") + f"{echo.line}\r\n".encode()
    ),
    "broken gzip": lambda echo: response(echo.text.encode(), 401, {"content-encoding": "gzip"}),
    "gzip": lambda echo: response(gzip.compress(echo.text.encode()), 401, {"content-encoding": "gzip"}),
    "cut": lambda echo: unfinished(echo.cut()),
    "cut JSON": lambda echo: unfinished('{"error":{"message":' + json.dumps(echo.cut())[:-1]),
    "cut HTML": lambda echo: unfinished(f"<p>{html.escape(echo.cut())}", 403, "text/html"),
    "a cut success": lambda echo: unfinished('{"error": "' + echo.cut(), 200),
    "too long": lambda echo: response(echo.across(64 * 1024).encode(), 401),
    "JSON that is too long": lambda echo: refused(echo.across(64 * 1024, 22)),
    "silence after a failure": lambda echo: refused(echo.text, 503) if echo.number == 0 else b"",
    "a failure after a failure": lambda echo: refused(echo.text, 503),
}
"""What every API can answer; the same bytes go to all of them."""


# A stream that fails


def stream(*events: str, end: bool = True) -> bytes:
    pieces = [chunk(event.encode()) for event in events]
    return SSE_HEAD + b"".join(pieces) + (chunk(b"") if end else b"")


def event(data: str, name: str = "") -> str:
    """One event; lines of its own for lines of the data."""
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return (f"event: {name}\n" if name else "") + lines + "\n"


def _said(echo: Echo) -> str:
    return json.dumps({"message": echo.text, "code": echo.line, "type": echo.line, "param": echo.line})


STREAMS: dict[str, Answer] = {
    "a named error": lambda echo: stream(event(_said(echo), "error")),
    "an error": lambda echo: stream(event(f'{{"error": {_said(echo)}}}')),
    "an error of type error": lambda echo: stream(
        event(f'{{"type": "error", "error": {_said(echo)}}}', "error")
    ),
    "an error in words": lambda echo: stream(event(echo.text, "error")),
    "an error with many escapes": lambda echo: stream(
        event('{"error":{"message":' + escaped_json(echo.text) + "}}")
    ),
    "a failed response": lambda echo: stream(
        event(f'{{"type": "response.failed", "response": {{"status": "failed", "error": {_said(echo)}}}}}')
    ),
    "an incomplete response": lambda echo: stream(
        event(
            json.dumps(
                {
                    "type": "response.incomplete",
                    "response": {"status": "incomplete", "incomplete_details": {"reason": echo.line}},
                }
            )
        )
    ),
    "a response with a status of its own": lambda echo: stream(
        event(json.dumps({"type": "response.completed", "response": {"status": echo.line}}))
    ),
    "a finish reason": lambda echo: stream(
        event(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": echo.line}]})),
        event("[DONE]"),
    ),
    "a stop reason": lambda echo: stream(
        event(json.dumps({"type": "message_start", "message": {}})),
        event(json.dumps({"type": "message_delta", "delta": {"stop_reason": echo.line}})),
        event(json.dumps({"type": "message_stop"})),
    ),
    "garbage": lambda echo: stream(event(echo.text)),
    "broken JSON": lambda echo: stream(event('{"x": ' + json.dumps(echo.text)[:-1])),
    "JSON with rubbish behind it": lambda echo: stream(event(json.dumps(echo.text) + echo.line)),
    "a long event": lambda echo: stream(event("{" + echo.across(300, 1))),
    "another content": lambda echo: response(page(echo.text)),
    "another long content": lambda echo: response(("<" + echo.across(2048, 1)).encode()),
    "another content of just so many bytes": lambda echo: unfinished(
        "<" + echo.across(2048, 1)[:2047], 200, "text/html"
    ),
    "a cut event": lambda echo: stream(event(echo.cut())[:-1], end=False),
    "a cut event of JSON": lambda echo: stream('data: {"error": ' + json.dumps(echo.cut())[:-1], end=False),
    "an odd event name": lambda echo: stream(event("{}", echo.line), event("nonsense", echo.line)),
    "an event that is too long": lambda echo: stream(event(json.dumps(echo.across(1 << 16)))),
    "comments": lambda echo: stream(f": {echo.line}\n\n"),
    "silence after comments": lambda echo: stream(f": {echo.line}\n\n", end=False),
}
"""What a chat API can answer besides."""

SILENT = ("silence after comments", "silence after a failure")
_GIVEN_UP = re.compile(r"within (?:\w+=)?[\d.]+ seconds")


def patience(name: str) -> float:
    """How many seconds to wait for an answer of that name: all but silence is here before."""
    return 0.05 if name in SILENT else 5.0


def check_answered(name: str, *shown: object) -> None:
    """Fail where somebody gave a server up that was to say something."""
    assert name in SILENT or not _GIVEN_UP.search(repr(shown)), shown


@asynccontextmanager
async def echoing(secret: str, answer: Answer) -> AsyncIterator[Loopback]:
    """Run a server that answers all requests so, then closes the connection, unless it is to be silent."""
    silent = answer is STREAMS["silence after comments"]

    async def respond(wire: Wire, request: Received) -> None:
        echo = Echo(secret, request, len(server.requests) - 1)
        data = answer(echo)
        await wire.send(data)
        if silent or not data:
            await wire.wait_closed()
        await wire.close()

    async with open_loopback(respond) as server:
        yield server
