"""The wall clock, for time stamps only; whatever waits uses trio's clock."""

import time


def now_ms() -> int:
    """The present as Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
