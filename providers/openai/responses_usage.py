"""Token counts as the Responses API reports them, and what they cost at the tier that served the call."""

from collections.abc import Mapping
from typing import Any

from providers.token_counts import count, details
from runtime.values.model import Model, calculate_cost
from runtime.values.usage import Usage, UsageCost

_FACTORS: Mapping[str, float] = {"flex": 0.5, "priority": 2.0}
_PRIORITY_FACTORS: Mapping[str, float] = {"gpt-5.5": 2.5}


def read_response_usage(raw: Any, model: Model, tier: Any, requested_tier: str | None) -> Usage | None:
    """The usage with its cost; None for what is no usage. What is no count counts as 0.

    The tier that the server reports counts, else the one that was asked for.
    """
    if not isinstance(raw, dict):
        return None
    sent, of_input = count(raw, "input_tokens"), details(raw, "input_tokens_details")
    cache_read, cache_write = count(of_input, "cached_tokens"), count(of_input, "cache_write_tokens")
    usage = Usage(
        input=max(0, sent - cache_read - cache_write),
        output=count(raw, "output_tokens"),
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=count(details(raw, "output_tokens_details"), "reasoning_tokens"),
        total_tokens=count(raw, "total_tokens"),
    )
    return _scaled(
        calculate_cost(model, usage), _factor(tier if isinstance(tier, str) else requested_tier, model.id)
    )


def _factor(tier: str | None, model_id: str) -> float:
    if tier == "priority":
        return _PRIORITY_FACTORS.get(model_id, _FACTORS["priority"])
    return _FACTORS.get(tier or "", 1.0)


def _scaled(usage: Usage, factor: float) -> Usage:
    if factor == 1:
        return usage
    cost = usage.cost
    parts = {name: getattr(cost, name) * factor for name in ("input", "output", "cache_read", "cache_write")}
    return usage.model_copy(update={"cost": UsageCost(**parts, total=sum(parts.values()))})
