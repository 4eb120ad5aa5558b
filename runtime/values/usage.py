"""What a reply consumed, and what that cost."""

from typing import Any, ClassVar

from pydantic import Field

from .value import Count, Number, Value, is_none


class UsageCost(Value):
    """Money in US dollars; ``total`` is the sum of the other four."""

    required_on_read: ClassVar = ("input", "output", "cache_read", "cache_write", "total")

    input: Number = 0.0
    output: Number = 0.0
    cache_read: Number = 0.0
    cache_write: Number = 0.0
    total: Number = 0.0

    def __add__(self, other: "UsageCost") -> "UsageCost":
        """Both together."""
        return UsageCost(**_sums(self, other))


class Usage(Value):
    """Token counts. ``input`` excludes what was read from or written to the provider's cache.

    ``cache_write_1h`` is the part of ``cache_write`` that is kept for an hour, ``reasoning`` the part of
    ``output`` that nobody sees; both are None where the provider does not say.
    """

    required_on_read: ClassVar = ("input", "output", "cache_read", "cache_write", "total_tokens", "cost")

    input: Count = 0
    output: Count = 0
    cache_read: Count = 0
    cache_write: Count = 0
    cache_write_1h: Count | None = Field(default=None, alias="cacheWrite1h", exclude_if=is_none)
    reasoning: Count | None = Field(default=None, exclude_if=is_none)
    total_tokens: Count = 0
    cost: UsageCost = Field(default=UsageCost())

    @property
    def context_tokens(self) -> int:
        """How much of the context window this reply and what led to it take."""
        return self.total_tokens or self.input + self.output + self.cache_read + self.cache_write

    def __add__(self, other: "Usage") -> "Usage":
        """Both together; what only one of them knows is as much as that one says."""
        return Usage(**_sums(self, other))


def _sums(one: Value, other: Value) -> dict[str, Any]:
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in type(one).model_fields}
    return {
        name: (left if right is None else right if left is None else left + right)
        for name, (left, right) in pairs.items()
    }
