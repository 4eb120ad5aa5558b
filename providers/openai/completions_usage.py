"""Token counts as Chat Completions servers report them."""

from typing import Any

from providers.token_counts import count, details
from runtime.values.model import Model, calculate_cost
from runtime.values.usage import Usage

_TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")


def read_usage(raw: Any, model: Model) -> Usage | None:
    """The usage with its cost at the model's rates; None for what is no usage. What is no count counts as 0.

    Cached tokens are part of the server's prompt tokens, but not of ``input``; reasoning tokens stay part of ``output``.
    """
    if not isinstance(raw, dict) or all(raw.get(name) is None for name in _TOTALS):
        return None
    prompt, of_prompt = count(raw, "prompt_tokens"), details(raw, "prompt_tokens_details")
    cache_read = next(
        (
            count(where, name)
            for where, name in (
                (of_prompt, "cached_tokens"),
                (raw, "prompt_cache_hit_tokens"),  # DeepSeek
                (raw, "cached_tokens"),  # Kimi
            )
            if where.get(name) is not None
        ),
        0,
    )
    cache_write = count(of_prompt, "cache_write_tokens")
    fresh, output = max(0, prompt - cache_read - cache_write), count(raw, "completion_tokens")
    usage = Usage(
        input=fresh,
        output=output,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=count(details(raw, "completion_tokens_details"), "reasoning_tokens"),
        total_tokens=fresh + output + cache_read + cache_write,
    )
    return calculate_cost(model, usage)
