import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.testing.strategies import contexts, models
from runtime.values.content import TextContent
from runtime.values.context import Context
from runtime.values.limits import (
    adjust_max_tokens_for_thinking,
    clamp_max_tokens_to_context,
    simple_max_tokens,
)
from runtime.values.message import AssistantMessage, UserMessage
from runtime.values.model import Model
from runtime.values.options import StreamOptions, ThinkingBudgets
from runtime.values.thinking import LEVELS, ThinkingLevel
from runtime.values.usage import Usage

Off, Minimal, Low, Medium, High, Xhigh, Max = LEVELS


def model(window=10_000, most=0):
    return Model("m", context_window=window, max_tokens=most)


def prompt(tokens):
    return Context(messages=[UserMessage("x" * 4 * tokens)])


# The context window


@pytest.mark.parametrize(
    ("window", "used", "requested", "clamped"),
    [
        (10_000, 904, 8000, 5000),
        (10_000, 904, 5000, 5000),
        (10_000, 904, 100, 100),
        (10_000, 5903, 8000, 1),
        (10_000, 5904, 8000, 1),
        (10_000, 50_000, 8000, 1),
        (1, 0, 8000, 1),
        (2048, 24, 8000, 1000),
        (8192, 0, 8000, 4096),
        (0, 50_000, 8000, 8000),
        (10_000, 0, 0, None),
        (0, 0, 0, None),
        (10_000, 0, None, None),
    ],
)
def test_a_request_is_clamped_to_what_the_window_leaves(window, used, requested, clamped):
    """The window less the context less a margin, at least 1; unknown windows clamp nothing, unknown requests stay unknown."""
    assert clamp_max_tokens_to_context(model(window), prompt(used), requested) == clamped


def test_a_stale_usage_does_not_clamp():
    """Usage from before a summary does not use up the window."""
    summary = UserMessage("x" * 12, 200)
    old = AssistantMessage([TextContent("yes")], usage=Usage(total_tokens=9500), timestamp=100)
    context = Context("system", [summary, old, UserMessage("y" * 3996, 300)])
    assert clamp_max_tokens_to_context(model(), context, 8000) == 10_000 - 1005 - 4096 == 4899


@pytest.mark.parametrize(
    ("most", "requested", "window", "expected"),
    [
        (8000, None, 0, 8000),
        (8000, 0, 0, 8000),
        (8000, 500, 0, 500),
        (8000, 9000, 0, 9000),
        (8000, None, 10_000, 5904),
        (0, None, 10_000, None),
        (0, None, 0, None),
        (0, 500, 0, 500),
    ],
)
def test_a_simple_call_asks_for_the_models_limit(most, requested, window, expected):
    """What was asked for, else what the model can, clamped; nothing when neither is known."""
    options = StreamOptions(max_tokens=requested)
    assert simple_max_tokens(model(window, most), Context(), options) == expected


@given(models(), contexts(), st.none() | st.integers(0, 10**7))
def test_a_limit_is_never_zero_and_never_more_than_asked(model, context, requested):
    """The result is None or a number that a provider takes."""
    limit = simple_max_tokens(model, context, StreamOptions(max_tokens=requested))
    wanted = requested or model.max_tokens
    assert (limit is None) == (not wanted)
    assert limit is None or 1 <= limit <= wanted


# Room to think


@pytest.mark.parametrize(
    ("requested", "most", "level", "adjusted"),
    [
        (None, 8000, High, (8000, 6976)),
        (4000, 64_000, Medium, (12_192, 8192)),
        (1000, 1500, Low, (1500, 476)),
        (100, 900, Minimal, (900, 0)),
        (0, 64_000, Minimal, (1024, 0)),
        (1000, 64_000, None, (2024, 1024)),
        (1000, 64_000, Off, (2024, 1024)),
        (1000, 64_000, Xhigh, (17_384, 16_384)),
        (1000, 64_000, Max, (17_384, 16_384)),
        (1000, 0, Low, (3048, 2048)),
        (None, 0, Low, (3072, 2048)),
    ],
)
def test_thinking_is_counted_on_top(requested, most, level, adjusted):
    """The budget is added to the request, within the model's limit, and shrinks where it leaves no answer."""
    assert adjust_max_tokens_for_thinking(requested, most, level, None) == adjusted


def test_budgets_can_be_set_by_level():
    """A custom budget replaces its level's; the levels above high share high's; off has none."""
    budgets = ThinkingBudgets(low=5000, high=30_000)
    of = {level: adjust_max_tokens_for_thinking(1000, 64_000, level, budgets)[1] for level in LEVELS}
    assert of == {Off: 1024, Minimal: 1024, Low: 5000, Medium: 8192, High: 30_000, Xhigh: 30_000, Max: 30_000}


def test_a_budget_of_zero_is_one():
    """Zero is a budget, not the absence of one."""
    assert adjust_max_tokens_for_thinking(1000, 64_000, Low, ThinkingBudgets(low=0)) == (1000, 0)


def test_thinking_in_a_small_window():
    """A request for 7000 of 8000 tokens with high thinking, in a window of 10000 with a prompt of 2000 tokens."""
    small = model(10_000, 8000)
    requested = simple_max_tokens(small, prompt(2000), StreamOptions(max_tokens=7000))
    max_tokens, budget = adjust_max_tokens_for_thinking(requested, small.max_tokens, High, None)
    max_tokens = clamp_max_tokens_to_context(small, prompt(2000), max_tokens)
    assert (max_tokens, min(budget, max(0, max_tokens - 1024))) == (3904, 2880)


@given(st.none() | st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([None, *ThinkingLevel]))
def test_thinking_leaves_room_for_an_answer(requested, most, level):
    """The budget is always below the limit, which is never above the model's."""
    max_tokens, budget = adjust_max_tokens_for_thinking(requested, most, level, None)
    assert 0 <= budget < max_tokens
    assert max_tokens <= most or not most
