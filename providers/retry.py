"""Whether to send a request again, and when. Plain functions; times are in seconds."""

import calendar
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_tz

_RETRYABLE = frozenset({408, 409, 429})
_NUMBER = re.compile(r"[\s\ufeff]*([+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))")


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a response is worth another attempt: what ``x-should-retry`` says, else by its status."""
    if 200 <= status < 300:
        return False
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
    return status in _RETRYABLE or status >= 500


def retry_delay(headers: Mapping[str, str], attempt: int, now: float, random: float) -> float:
    """How long to wait after attempt number ``attempt`` (from 0): what the server asks for, else exponential.

    ``now`` is Unix time, ``random`` a number from 0 up to 1. Dates in the past and junk mean at once. What the
    server asks for has no upper bound here: ``over_limit`` has the say on that.
    """
    asked = server_delay(headers, now)
    return backoff(attempt, random) if asked is None else max(0.0, 0.0 if math.isnan(asked) else asked)


def server_delay(headers: Mapping[str, str], now: float) -> float | None:
    """The delay that the headers ask for, None if they do not; negative for a past date, NaN for what cannot be read."""
    milliseconds = leading_number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    if not text:
        return None
    seconds = leading_number(text)
    return _until(text, now) if seconds is None else seconds


def over_limit(delay: float | None, limit: float) -> str | None:
    """Say that the server asks for a longer wait than ``limit`` allows (0: any is allowed); None if it does not."""
    if delay is None or not limit or not delay > limit:
        return None
    return f"Server requested {_whole(delay)}s retry delay (max: {_whole(limit)}s)."


def backoff(attempt: int, random: float) -> float:
    """Half a second, doubled by each attempt up to eight, less up to a quarter."""
    return float(min(0.5 * 2 ** min(attempt, 4), 8.0) * (1 - 0.25 * random))


def leading_number(text: str) -> float | None:
    """The number that a text begins with, read as JavaScript's ``parseFloat`` does; None if there is none."""
    found = _NUMBER.match(text)
    return float(found[1]) if found else None


def _until(text: str, now: float) -> float:
    """Seconds until an HTTP date in any of its three forms (RFC 9110, 5.6.7)."""
    try:
        parsed = parsedate_tz(text)
        return math.nan if parsed is None else calendar.timegm(parsed[:9]) - (parsed[9] or 0) - now
    except (ValueError, OverflowError, TypeError, IndexError):
        return math.nan


def _whole(seconds: float) -> str:
    return "Infinity" if math.isinf(seconds) else str(math.ceil(seconds))
