"""The device flow (RFC 8628): the user enters a code somewhere else, and the login asks until that has happened.

``Pace`` decides when to ask again and when to give up; ``poll_device_flow`` waits and asks.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import trio

from runtime.errors import OAuthError

from .callbacks import LOGIN_CANCELLED, until_aborted

_T = TypeVar("_T")
_DEFAULT_INTERVAL = 5.0
_SHORTEST_INTERVAL = 1.0
_SLOWER = 5.0
_LONGEST = 86_400.0
"""No server is waited for longer than a day, whatever figures it sends."""
_TIMED_OUT = "Device flow timed out"
_TIMED_OUT_SLOWED = (
    f"{_TIMED_OUT} after one or more slow_down responses. That may come from a clock that drifts, as in WSL or a "
    "virtual machine: set it right and log in again"
)


@dataclass(frozen=True)
class DevicePending:
    """The user has not entered the code yet."""


@dataclass(frozen=True)
class DeviceSlowDown:
    """Not yet, and ask less often: every ``interval`` seconds, or five seconds later than before."""

    interval: float | None = None


@dataclass(frozen=True)
class DeviceComplete(Generic[_T]):
    """The user has agreed, and this is what came of it."""

    value: _T


@dataclass(frozen=True)
class DeviceFailed:
    """It will not happen any more."""

    message: str


DevicePoll: TypeAlias = DevicePending | DeviceSlowDown | DeviceComplete[_T] | DeviceFailed


class Pace:
    """How long to wait before the next question, on a clock that others read. ``expires_in`` None: for ever."""

    def __init__(self, interval: float | None, expires_in: float | None, now: float) -> None:
        self._interval = _clamped(interval or _DEFAULT_INTERVAL)
        self._deadline = None if expires_in is None else now + min(expires_in, _LONGEST)
        self._slowed = False

    def wait(self, now: float) -> float:
        """Seconds to wait: the interval, or what is left if that is less."""
        return (
            self._interval if self._deadline is None else min(self._interval, max(0.0, self._deadline - now))
        )

    def slow_down(self, interval: float | None) -> None:
        """Take the interval that the server asks for, else a longer one, for good."""
        self._slowed = True
        self._interval = _clamped(interval if interval and interval > 0 else self._interval + _SLOWER)

    def check(self, now: float) -> None:
        """Raise OAuthError when the code has expired."""
        if self._deadline is not None and now >= self._deadline:
            raise OAuthError(_TIMED_OUT_SLOWED if self._slowed else _TIMED_OUT)


async def poll_device_flow(
    poll: Callable[[], Awaitable[DevicePoll[_T]]],
    *,
    interval: float | None = None,
    expires_in: float | None = None,
    wait_first: bool = False,
    abort: trio.Event | None = None,
) -> _T:
    """Ask with ``poll`` until the answer is ``DeviceComplete``, and return its value. Times are in seconds of trio's clock.

    Waits ``interval`` between questions (None or 0: five seconds; at least one), with ``wait_first`` before the first one too.
    Raises OAuthError for ``DeviceFailed``, when ``expires_in`` seconds are over, and ``Login cancelled`` when ``abort`` is set;
    what ``poll`` raises ends it as itself.
    """

    async def ask() -> _T:
        pace = Pace(interval, expires_in, trio.current_time())
        if wait_first:
            await trio.sleep(pace.wait(trio.current_time()))
        while True:
            pace.check(trio.current_time())
            match await poll():
                case DeviceComplete(value=value):
                    return value
                case DeviceFailed(message=message):
                    raise OAuthError(message)
                case DeviceSlowDown(interval=asked):
                    pace.slow_down(asked)
            await trio.sleep(pace.wait(trio.current_time()))

    if abort is not None and abort.is_set():
        raise OAuthError(LOGIN_CANCELLED)
    return await until_aborted(abort, ask)


def _clamped(interval: float) -> float:
    return min(max(interval, _SHORTEST_INTERVAL), _LONGEST)
