"""Token counts as the Messages API reports them: absolute numbers, some at the start of a reply and some at its end."""

from typing import Any

from providers.token_counts import told_count
from runtime.values.model import Model, calculate_cost
from runtime.values.usage import Usage

_PATHS = {
    "input": ("input_tokens",),
    "output": ("output_tokens",),
    "cache_read": ("cache_read_input_tokens",),
    "cache_write": ("cache_creation_input_tokens",),
    "cache_write_1h": ("cache_creation", "ephemeral_1h_input_tokens"),
    "reasoning": ("output_tokens_details", "thinking_tokens"),
}


class UsageReader:
    """Collects the counts of one reply: what is reported again replaces what was there, what is left out stays."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._counts: dict[str, int] = {}

    def take(self, raw: Any, *, at_start: bool = False) -> Usage | None:
        """The usage so far with its cost at the model's rates; None for what is no usage.

        Once a reply has begun, nothing is known to be cached for an hour unless the server says so.
        """
        if not isinstance(raw, dict):
            return None
        if at_start:
            self._counts["cache_write_1h"] = 0
        for name, path in _PATHS.items():
            if (count := _count(raw, path)) is not None:
                self._counts[name] = count
        total = sum(self._counts.get(name, 0) for name in ("input", "output", "cache_read", "cache_write"))
        values: dict[str, Any] = {**self._counts, "total_tokens": total}
        return calculate_cost(self._model, Usage(**values))


def _count(raw: dict[str, Any], path: tuple[str, ...]) -> int | None:
    value: Any = raw
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return told_count(value)
