"""When a request is sent again, and after how long."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.retry import backoff, leading_number, over_limit, retry_delay, server_delay, should_retry

NOW = 1_700_000_000.0


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529, 599])
def test_statuses_that_may_pass_are_retried(status):
    """Time-outs, conflicts, limits and server errors are worth another attempt."""
    assert should_retry(status, {})


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 413, 422])
def test_other_statuses_are_not(status):
    """A success, a redirect and a fault of the request stay what they are."""
    assert not should_retry(status, {})


def test_the_server_decides():
    """``x-should-retry`` outranks the status, but never turns a success into a failure; other values do not count."""
    assert should_retry(400, {"x-should-retry": "true"})
    assert not should_retry(429, {"x-should-retry": "false"})
    assert not should_retry(200, {"x-should-retry": "true"})
    assert should_retry(429, {"x-should-retry": "maybe"})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("  -1.5e2junk", -150.0),
        ("1e+oops", 1.0),
        (".25 seconds", 0.25),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("junk1.5", None),
        ("0x10", 0.0),
        ("12,5", 12.0),
        ("2 days", 2.0),
        ("5.", 5.0),
        ("1970-01-01", 1970.0),
        ("\u0663", None),
        ("", None),
        (".", None),
        ("nan", None),
    ],
)
def test_numbers_are_read_as_javascript_does(text, number):
    """The number at the beginning counts, the rest does not."""
    assert leading_number(text) == number


def test_milliseconds_outrank_seconds():
    """``retry-after-ms`` is taken before ``retry-after``, with its fraction."""
    headers = {"retry-after-ms": "25", "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}
    assert retry_delay(headers, 0, NOW, 0) == 0.025
    assert retry_delay({"retry-after-ms": "25.1"}, 0, NOW, 0) == 0.0251
    assert retry_delay({"retry-after-ms": "soon", "retry-after": "3"}, 0, NOW, 0) == 3


def test_seconds_may_have_a_fraction():
    """``retry-after: 0.025`` is 25 milliseconds."""
    assert retry_delay({"retry-after": "0.025"}, 0, NOW, 0) == 0.025


@pytest.mark.parametrize(
    "date",
    ["Tue, 14 Nov 2023 22:14:20 GMT", "Tuesday, 14-Nov-23 22:14:20 GMT", "Tue Nov 14 22:14:20 2023"],
)
def test_dates_of_all_three_forms(date):
    """An HTTP date is as far away as it is; also the one without a zone, which is UTC."""
    assert retry_delay({"retry-after": date}, 0, NOW, 0) == 60


def test_far_and_past_dates():
    """A date in 9999 is beyond any limit, one in 1970 is negative and means at once."""
    assert server_delay({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, NOW) > 60
    past = {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert server_delay(past, NOW) < 0
    assert retry_delay(past, 0, NOW, 0) == 0


def test_junk_means_at_once_and_nothing_means_exponential():
    """What cannot be read is NaN and no wait; an empty header is none at all."""
    assert math.isnan(server_delay({"retry-after": "not-a-date"}, NOW))
    assert retry_delay({"retry-after": "not-a-date"}, 3, NOW, 0) == 0
    assert server_delay({"retry-after": ""}, NOW) is None
    assert retry_delay({"retry-after": ""}, 0, NOW, 0) == 0.5


@pytest.mark.parametrize(
    ("attempt", "longest", "shortest"), [(0, 0.5, 0.375), (1, 1, 0.75), (4, 8, 6), (20, 8, 6)]
)
def test_the_exponential_curve(attempt, longest, shortest):
    """Half a second, doubled up to eight, less up to a quarter."""
    assert backoff(attempt, 0) == longest
    assert backoff(attempt, 1) == shortest


def test_a_wait_over_the_limit_is_refused():
    """The refusal names both times in whole seconds; the limit itself is allowed, and 0 allows all."""
    assert over_limit(277403.0, 1) == "Server requested 277403s retry delay (max: 1s)."
    assert over_limit(60.01, 60) == "Server requested 61s retry delay (max: 60s)."
    assert over_limit(math.inf, 60) == "Server requested Infinitys retry delay (max: 60s)."
    for delay in (60.0, -5.0, math.nan, None):
        assert over_limit(delay, 60) is None
    assert over_limit(1e9, 0) is None


HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-should-retry"]),
    st.text(max_size=30) | st.text("0123456789+-.eE:, GMTSunNov", max_size=40),
)


@given(HEADERS, st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.integers(100, 999))
@example({"retry-after": "9" * 400}, 0, 0.0, 503)
@example({"retry-after": "Mon, 99 Nov 99999 99:99:99 +9999"}, 0, 0.0, 503)
def test_delays_have_bounds_whatever_the_headers(headers, attempt, random, status):
    """No header makes the policy raise, or a delay negative or NaN; our own delays stay under eight seconds."""
    should_retry(status, headers)
    delay = retry_delay(headers, attempt, NOW, random)
    assert delay >= 0
    if server_delay(headers, NOW) is None:
        assert 0.375 <= delay <= 8
