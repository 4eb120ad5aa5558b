"""How thinking is asked for: with a budget of tokens, or, from Claude 4.6 on, with an effort."""

from typing import Any, get_args

from providers.levels import clamped_level
from runtime.values.context import Context
from runtime.values.limits import (
    ANSWER_TOKENS,
    adjust_max_tokens_for_thinking,
    clamp_max_tokens_to_context,
    simple_max_tokens,
)
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions
from runtime.values.thinking import ThinkingLevel

from .claude import at_anthropic, claude_of
from .compat import MessagesCompat, messages_compat
from .options import AnthropicOptions, Effort

SMALLEST_BUDGET = 1024
"""What the provider accepts."""
_EFFORTS: dict[ThinkingLevel, Effort] = {
    ThinkingLevel.Minimal: "low",
    ThinkingLevel.Low: "low",
    ThinkingLevel.Medium: "medium",
}


def thinking_fields(model: Model, options: AnthropicOptions, compat: MessagesCompat) -> dict[str, Any]:
    """The fields of a request that ask for thinking, or for none; nothing for a model that does not reason."""
    if model.reasoning is False or options.thinking_enabled is None:
        return {}
    if not thinks(model, options, compat):
        return _without_thinking(model)
    display = options.thinking_display or "summarized"
    if not compat.force_adaptive_thinking:
        return {"thinking": {"type": "enabled", "budget_tokens": _budget(options), "display": display}}
    effort = {"output_config": {"effort": options.effort}} if options.effort else {}
    return {"thinking": {"type": "adaptive", "display": display}, **effort}


def thinks(model: Model, options: AnthropicOptions, compat: MessagesCompat) -> bool:
    """Whether a request asks for thinking; a budget that the provider would refuse asks for none."""
    wanted = model.reasoning is not False and bool(options.thinking_enabled)
    return wanted and (compat.force_adaptive_thinking or _budget(options) >= SMALLEST_BUDGET)


def thinks_with_budget(model: Model, options: AnthropicOptions, compat: MessagesCompat) -> bool:
    """Whether it asks for thinking with a budget."""
    return not compat.force_adaptive_thinking and thinks(model, options, compat)


def _budget(options: AnthropicOptions) -> int:
    given = options.thinking_budget_tokens
    return SMALLEST_BUDGET if given is None else given


def _without_thinking(model: Model) -> dict[str, Any]:
    """No thinking has to be asked for, too; but some models refuse to be asked."""
    if model.thinking_level_map.get(ThinkingLevel.Off, "") is None:
        return {}
    claude = claude_of(model.id) if at_anthropic(model) else None
    kind = claude.without_thinking if claude else "disabled"
    return {"thinking": {"type": kind}} if kind else {}


def simple_thinking(model: Model, context: Context, options: SimpleStreamOptions) -> dict[str, Any]:
    """The typed options of a simple call: its thinking level and its limits, fitted to the model."""
    max_tokens = simple_max_tokens(model, context, options)
    level = clamped_level(model, options.reasoning)
    if level is None:
        unsaid = options.reasoning is None and model.reasoning is None
        return {"max_tokens": max_tokens, "thinking_enabled": None if unsaid else False}
    if messages_compat(model).force_adaptive_thinking:
        return {"max_tokens": max_tokens, "thinking_enabled": True, "effort": _effort(model, level)}
    wanted, budget = adjust_max_tokens_for_thinking(
        max_tokens, model.max_tokens, level, options.thinking_budgets
    )
    fitted = clamp_max_tokens_to_context(model, context, wanted) or wanted
    budget = min(budget, max(0, fitted - ANSWER_TOKENS))
    if budget < SMALLEST_BUDGET:
        return {"max_tokens": max_tokens, "thinking_enabled": False}
    return {"max_tokens": fitted, "thinking_enabled": True, "thinking_budget_tokens": budget}


def _effort(model: Model, level: ThinkingLevel) -> Effort:
    """The model's word for a level; high for levels without one, and for words that the provider does not know."""
    word = model.thinking_level_map.get(level)
    if word is not None:
        return next((effort for effort in get_args(Effort) if effort == word), "high")
    return _EFFORTS.get(level, "high")
