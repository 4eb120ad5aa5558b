"""Memory channels that are still of consequence: open at both ends, with items that nobody took or tasks that wait.

trio keeps no list of them, so what is looked at are those that were opened through ``trio.open_memory_channel`` while the
block ran, by its tasks (inside of a run) or by anybody (around one). A name that was imported before
(``from trio import open_memory_channel``) is not seen. What is empty, closed at one end or held by nobody is no leftover: by
trio's documentation, memory channels need not be closed.
"""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any
from weakref import ref

import trio

from .leftover import Leftover, place_of


class _Opener:
    """Stands where ``trio.open_memory_channel`` stood, as long as somebody watches."""

    def __init__(self) -> None:
        self.original: Any = None
        self.watches: list[ChannelWatch] = []

    def __getitem__(self, _: Any) -> "_Opener":
        return self

    def __call__(self, max_buffer_size: float) -> Any:
        pair = self.original(max_buffer_size)
        for watch in self.watches:
            watch.take(pair, sys._getframe(1))  # noqa: SLF001 - documented, in spite of its name
        return pair

    def add(self, watch: "ChannelWatch") -> None:
        if not self.watches:
            self.original = trio.open_memory_channel
            trio.open_memory_channel = self  # type: ignore[misc, assignment]
        self.watches.append(watch)

    def remove(self, watch: "ChannelWatch") -> None:
        self.watches.remove(watch)
        if not self.watches:
            trio.open_memory_channel = self.original  # type: ignore[misc]


_OPENER = _Opener()


class ChannelWatch:
    """The channels that are opened while ``counts()`` is true."""

    unchecked = ""

    def __init__(self, counts: Callable[[], bool]) -> None:
        self._counts = counts
        self._opened: list[_Opened] = []

    def begin(self) -> None:
        """Have each new channel shown."""
        _OPENER.add(self)

    def end(self) -> None:
        """Have none shown any more."""
        _OPENER.remove(self)

    def take(self, ends: tuple[Any, Any], frame: FrameType) -> None:
        """Remember a channel, if it counts, and where it was opened."""
        if self._counts():
            self._opened.append(_Opened(ref(ends[0]), ref(ends[1]), place_of([(frame, frame.f_lineno)])))

    def left(self) -> list[Leftover]:
        """Those that somebody still holds, open at both ends, with items or with tasks that wait."""
        if any(channel.describe() for channel in self._opened):
            gc.collect()  # those that only hold each other go
        named = [(channel.describe(), channel.place) for channel in self._opened]
        return [
            Leftover("memory channel", name, f"opened at {place}", lasting=True)
            for name, place in named
            if name
        ]


@dataclass(frozen=True)
class _Opened:
    send: ref[Any]
    receive: ref[Any]
    place: str

    def describe(self) -> str:
        """What the channel is doing; empty if it is none that was left."""
        end = self.send() or self.receive()
        now = None if end is None else end.statistics()
        if now is None or not (now.open_send_channels and now.open_receive_channels):
            return ""
        items, waiting = now.current_buffer_used, now.tasks_waiting_send + now.tasks_waiting_receive
        return (
            f"with {items} of {now.max_buffer_size} items, {waiting} tasks waiting"
            if items or waiting
            else ""
        )
