"""Sockets, by the file descriptors of this process. Not counted: idle connections of the HTTP pool, and their other ends."""

import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .leftover import Leftover
from .pooled import Ends, idle_connections

_DESCRIPTORS = {"linux": Path("/proc/self/fd"), "darwin": Path("/dev/fd")}
_Key = tuple[int, int, int]


class SocketWatch:
    """The sockets that are open."""

    def __init__(self, descriptors: Path | None = _DESCRIPTORS.get(sys.platform)) -> None:  # noqa: B008 - a constant
        self._descriptors = descriptors
        self._before: set[_Key] = set()

    @property
    def unchecked(self) -> str:
        """Where the system does not list descriptors, all of them."""
        return "" if self._descriptors is not None and self._descriptors.is_dir() else "sockets"

    def begin(self) -> None:
        """Remember those that are open."""
        self._before = set(self._open())

    def left(self) -> list[Leftover]:
        """Those that were opened since, and are in use."""
        new = [number for number, *_ in sorted(set(self._open()) - self._before)]
        idle = idle_connections() if new else set()
        named = [(number, ends) for number in new if (ends := _ends(number)) is not None]
        return [
            Leftover("socket", _name(number, *ends))
            for number, ends in named
            if ends not in idle and ends[::-1] not in idle
        ]

    def end(self) -> None:
        """Forget them."""
        self._before.clear()

    def _open(self) -> Iterator[_Key]:
        if self._descriptors is None or self.unchecked:
            return
        for entry in self._descriptors.iterdir():
            with suppress(OSError):  # it was the one that listed them
                status = os.fstat(number := int(entry.name))
                if stat.S_ISSOCK(status.st_mode):
                    yield number, status.st_dev, status.st_ino


def _ends(number: int) -> Ends | None:
    """The addresses of a socket; None if it was closed at this moment."""
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            return _address(copy.getsockname), _address(copy.getpeername)
    except OSError:
        return None


def _address(ask: Any) -> Any:
    try:
        return ask()
    except OSError:
        return None


def _name(number: int, ours: Any, theirs: Any) -> str:
    if theirs is None:
        return f"{_shown(ours)} (descriptor {number}, not connected)"
    return f"{_shown(ours)} to {_shown(theirs)} (descriptor {number})"


def _shown(address: Any) -> str:
    match address:
        case (host, port, *_):
            return f"{host}:{port}"
        case str() | bytes() if address:
            return os.fsdecode(address)
    return "unnamed"
