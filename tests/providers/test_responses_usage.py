"""What a response consumed and what it cost."""

import pytest

from runtime.values.model import ModelCost, ModelCostTier
from runtime.values.usage import Usage
from tests.providers.responses_lab import completed, decode, model_of

MILLION = 1_000_000
USAGE = {"input_tokens": MILLION, "output_tokens": MILLION, "total_tokens": 2 * MILLION}


def usage_of(usage, name="m", requested=None, cost=None, **response):
    model = model_of(name, cost=cost)
    return decode(completed(usage=usage, **response), model=model, service_tier=requested).message.usage


def test_tokens_are_counted_once():
    """Cached and written ones are no input; the thinking stays part of the output."""
    assert usage_of(
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 30},
            "output_tokens": 33,
            "output_tokens_details": {"reasoning_tokens": 21},
            "total_tokens": 133,
        }
    ) == Usage(input=20, output=33, cache_read=50, cache_write=30, reasoning=21, total_tokens=133)


@pytest.mark.parametrize(
    "raw",
    [
        {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 9}, "output_tokens": None},
        {"input_tokens": "7", "input_tokens_details": [], "output_tokens_details": 3, "total_tokens": -1},
        {"input_tokens": True, "output_tokens": 1e300, "total_tokens": 2.5},
        {},
    ],
)
def test_what_is_no_count_counts_as_0(raw):
    """And nothing is below 0; the total is not made up."""
    usage = usage_of(raw)
    assert (usage.input, usage.output, usage.reasoning, usage.total_tokens) == (0, 0, 0, 0)


@pytest.mark.parametrize("raw", [None, [], 7, "absent"])
def test_without_usage_nothing_is_known(raw):
    """Not even that nobody thought."""
    response = {} if raw == "absent" else {"usage": raw}
    assert decode(completed(**response)).message.usage == Usage()


@pytest.mark.parametrize(
    ("name", "requested", "reported", "factor"),
    [
        ("m", "priority", "flex", 0.5),
        ("m", "priority", "default", 1),
        ("m", "priority", None, 2),
        ("gpt-5.4", None, "priority", 2),
        ("gpt-5.5", None, "priority", 2.5),
        ("gpt-5.5-pro", None, "priority", 2),
        ("gpt-5.5", None, "flex", 0.5),
        ("m", "flex", None, 0.5),
        ("m", "flex", 7, 0.5),
        ("m", None, "auto", 1),
        ("m", None, None, 1),
    ],
)
def test_the_tier_that_served_the_call_sets_its_price(name, requested, reported, factor):
    """All parts and their sum; what was asked for counts only where the server does not say."""
    details = {"cached_tokens": 250_000, "cache_write_tokens": 250_000}
    cost = ModelCost(input=2, output=4, cache_read=8, cache_write=16)
    usage = usage_of({**USAGE, "input_tokens_details": details}, name, requested, cost, service_tier=reported)
    parts = (usage.cost.input, usage.cost.output, usage.cost.cache_read, usage.cost.cache_write)
    assert parts == (1 * factor, 4 * factor, 2 * factor, 4 * factor)
    assert usage.cost.total == 11 * factor


def test_flex_halves_the_price():
    """A million in and out at 2 and 4 dollars."""
    usage = usage_of(USAGE, requested="priority", cost=ModelCost(input=2, output=4), service_tier="flex")
    assert (usage.cost.input, usage.cost.output, usage.cost.total) == (1, 2, 3)


def test_large_requests_have_rates_of_their_own():
    """Before the tier counts."""
    cost = ModelCost(input=1, output=1, tiers=(ModelCostTier(200_000, 2, 3, 0, 0),))
    assert usage_of(USAGE, cost=cost, service_tier="priority").cost.total == 10


def test_an_incomplete_response_has_usage_too():
    """It is the end of a response like any other."""
    assert usage_of(USAGE, status="incomplete").output == MILLION
