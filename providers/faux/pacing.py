"""How a scripted text is cut into chunks, and how fast they come. Four UTF-16 units count as a token."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import trio

from runtime.errors import InvalidOptionError
from runtime.values.text import utf16_units
from runtime.values.tokens import UNITS_PER_TOKEN, estimate_text_tokens

SMALLEST, LARGEST = 3, 5
_MULTIPLIER = 6364136223846793005
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Pace:
    """Chunks of ``smallest`` to ``largest`` tokens, at a rate; without a rate, as fast as they are read."""

    smallest: int = SMALLEST
    largest: int = LARGEST
    tokens_per_second: float | None = None

    @classmethod
    def of(cls, token_size: object, tokens_per_second: object) -> "Pace":
        """Read the options of a faux provider; InvalidOptionError for what they cannot be."""
        smallest, largest = _bounds(token_size)
        return cls(smallest, largest, _rate(tokens_per_second))

    def chunks(self, text: str) -> list[str]:
        """The text in pieces; one empty piece for an empty text. The same text is always cut alike."""
        return list(_cut(text, self.smallest, self.largest)) or [""]

    async def wait(self, chunk: str) -> None:
        """Take the time that the chunk needs; without a rate none, and then no checkpoint either."""
        if self.tokens_per_second:
            await trio.sleep(estimate_text_tokens(chunk) / self.tokens_per_second)


def _cut(text: str, smallest: int, largest: int) -> Iterator[str]:
    """Cut between characters, never inside one; a chunk of one token has room for any."""
    sizes = _sizes(utf16_units(text), smallest, largest)
    start = end = 0
    while end < len(text):
        room = next(sizes) * UNITS_PER_TOKEN
        while end < len(text) and (units := 1 + (text[end] > "\uffff")) <= room:
            room -= units
            end += 1
        yield text[start:end]
        start = end


def _sizes(units: int, smallest: int, largest: int) -> Iterator[int]:
    """Sizes in tokens, from a 64-bit linear congruential generator that every run seeds alike."""
    seed = (units ^ (smallest << 21) ^ (largest << 42)) & _MASK
    spread = largest - smallest + 1
    while True:
        if spread > 1:
            seed = (seed * _MULTIPLIER + 1) & _MASK
        yield smallest + ((seed >> 32) % spread)


def _bounds(token_size: object) -> tuple[int, int]:
    """The least and the greatest size: at least 1, and in order."""
    match token_size:
        case bool():
            pass
        case int():
            return max(1, token_size), max(1, token_size)
        case [int() | None as least, int() | None as greatest]:
            least, greatest = SMALLEST if least is None else least, LARGEST if greatest is None else greatest
            smallest = max(1, min(least, greatest))
            return smallest, max(smallest, greatest)
    raise InvalidOptionError(
        f"token_size must be a number of tokens, or the least and the greatest one, not {token_size!r}"
    )


def _rate(tokens_per_second: object) -> float | None:
    match tokens_per_second:
        case None:
            return None
        case bool():
            pass
        case int() | float() if math.isfinite(tokens_per_second):
            return float(tokens_per_second) if tokens_per_second > 0 else None
    raise InvalidOptionError(f"tokens_per_second must be a finite number, not {tokens_per_second!r}")
