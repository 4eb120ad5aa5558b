"""How long a reply may be: what was asked for, within the model's limits and what is left of its context window.

A limit of 0 is not known, and then nothing is sent in its place: the provider has a default of its own.
"""

from .context import Context
from .model import Model
from .options import StreamOptions, ThinkingBudgets
from .thinking import ThinkingLevel
from .tokens import estimate_context_tokens

CONTEXT_MARGIN = 4096
"""Tokens of the window that are left alone, because the estimate of the rest is one; never more than half of it,
so that models with a small window can still answer."""
ANSWER_TOKENS = 1024
"""Tokens that thinking leaves for the answer."""
_BUDGETS = {ThinkingLevel.Minimal: 1024, ThinkingLevel.Low: 2048, ThinkingLevel.Medium: 8192}
_HIGH_BUDGET = 16_384


def clamp_max_tokens_to_context(model: Model, context: Context, requested: int | None) -> int | None:
    """The requested tokens, or what the context leaves of the model's window if that is less (at least 1).

    None when none are requested (None or 0); the request as it is when the window is not known.
    """
    if not requested:
        return None
    if not model.context_window:
        return requested
    used = estimate_context_tokens(context).tokens
    margin = min(CONTEXT_MARGIN, model.context_window // 2)
    return min(requested, max(1, model.context_window - used - margin))


def simple_max_tokens(model: Model, context: Context, options: StreamOptions) -> int | None:
    """The ``max_tokens`` of a simple call: the option, else the model's limit, clamped to the context window.

    None, to be left out of the request, when neither is known.
    """
    return clamp_max_tokens_to_context(model, context, options.max_tokens or model.max_tokens)


def adjust_max_tokens_for_thinking(
    requested: int | None, model_max: int, level: ThinkingLevel | None, budgets: ThinkingBudgets | None
) -> tuple[int, int]:
    """Make room to think: ``(max_tokens, thinking budget)``, for providers that count thinking as output.

    The budget comes on top of what was requested, up to the model's limit (no limit where it is 0); where the
    two leave no room, the budget shrinks so that 1024 tokens remain for the answer, down to 0. Nothing requested
    takes the model's limit; when that is not known either, the answer gets its 1024 tokens on top of the budget.
    """
    budget = _budget(level, budgets)
    wanted = (requested if requested is not None else model_max or ANSWER_TOKENS) + budget
    max_tokens = min(wanted, model_max or wanted)
    if max_tokens <= budget:
        budget = max(0, max_tokens - ANSWER_TOKENS)
    return max_tokens, budget


def _budget(level: ThinkingLevel | None, budgets: ThinkingBudgets | None) -> int:
    if level in (None, ThinkingLevel.Off):
        return ANSWER_TOKENS
    key = level if level in _BUDGETS else ThinkingLevel.High
    custom = getattr(budgets, key.value) if budgets else None
    return custom if custom is not None else _BUDGETS.get(key, _HIGH_BUDGET)
