"""Token counts as Chat Completions servers report them."""

from typing import Any

from runtime.values.model import Model, calculate_cost
from runtime.values.usage import Usage

_LARGEST = 2**53 - 1
_TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")


def read_usage(raw: Any, model: Model) -> Usage | None:
    """The usage with its cost at the model's rates; None for what is no usage. What is no count counts as 0.

    Cached tokens are part of the server's prompt tokens, but not of ``input``; reasoning tokens stay part of ``output``.
    """
    if not isinstance(raw, dict) or all(raw.get(name) is None for name in _TOTALS):
        return None
    prompt, details = _count(raw, "prompt_tokens"), _details(raw, "prompt_tokens_details")
    cache_read = next(
        (
            _count(where, name)
            for where, name in (
                (details, "cached_tokens"),
                (raw, "prompt_cache_hit_tokens"),  # DeepSeek
                (raw, "cached_tokens"),  # Kimi
            )
            if where.get(name) is not None
        ),
        0,
    )
    cache_write = _count(details, "cache_write_tokens")
    fresh, output = max(0, prompt - cache_read - cache_write), _count(raw, "completion_tokens")
    usage = Usage(
        input=fresh,
        output=output,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=_count(_details(raw, "completion_tokens_details"), "reasoning_tokens"),
        total_tokens=fresh + output + cache_read + cache_write,
    )
    return calculate_cost(model, usage)


def _details(raw: dict[str, Any], name: str) -> dict[str, Any]:
    details = raw.get(name)
    return details if isinstance(details, dict) else {}


def _count(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST else 0
