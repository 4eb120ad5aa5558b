"""What the three APIs have in common: a reply is a start, blocks of deltas, and an end."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from providers.faux.script import Block, Place
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage
from runtime.values.text import compact_json
from runtime.values.usage import Usage

Cut = Callable[[str], list[str]]
"""Cuts a text into the deltas that it arrives in; an empty one into one empty delta."""


class Dialect(Protocol):
    """One API, as a server speaks it for the length of one reply: each method gives the bytes that say so."""

    def start(self) -> bytes:
        """The reply begins."""

    def open(self, index: int, block: Block) -> bytes:
        """A block begins."""

    def delta(self, index: int, block: Block, text: str) -> bytes:
        """More of it."""

    def close(self, index: int, block: Block) -> bytes:
        """It is complete."""

    def end(self, message: AssistantMessage, usage: Usage) -> bytes:
        """The reply is complete, and has cost that much."""

    def failure(self, text: str) -> bytes:
        """The reply ends here, with an error."""


def play(dialect: Dialect, message: AssistantMessage, cut: Cut) -> Iterator[tuple[bytes, Place]]:
    """A reply up to its end: bytes, each with the place that they lead to. Faults strike at places."""
    yield b"", Place()
    due, written = dialect.start(), 0
    yield due, Place(written)
    due = b""
    for index, block in enumerate(message.content):
        due += dialect.open(index, block)
        chunks = cut(text_of(block))
        for count, chunk in enumerate(chunks):
            yield due, Place(written + count, index, count, chunk)
            due = dialect.delta(index, block, chunk)
        written += len(chunks)
        yield due, Place(written, index, len(chunks))
        due = dialect.close(index, block)
    yield due, Place(written)


def whole(dialect: Dialect, message: AssistantMessage, usage: Usage, cut: Cut) -> bytes:
    """All bytes of a reply that goes well."""
    return b"".join([*(data for data, _ in play(dialect, message, cut)), dialect.end(message, usage)])


def text_of(block: Block) -> str:
    """What is streamed of a block: its text, or the JSON of its arguments."""
    match block:
        case TextContent():
            return block.text
        case ThinkingContent():
            return block.thinking
        case ToolCall():
            return compact_json(block.arguments)


def framed(data: Any, name: str | None = None) -> bytes:
    """A server-sent event with JSON, and with a name where the API gives it one."""
    prefix = "" if name is None else f"event: {name}\n"
    return f"{prefix}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
