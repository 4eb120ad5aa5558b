import time

import pytest

from runtime.errors import ApiStatusError
from runtime.streams.overflow import SEARCHED_LENGTH, get_overflow_patterns, is_context_overflow
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.redaction import Redactor
from runtime.values.usage import Usage

OVERFLOWS = [
    "prompt is too long: 213462 tokens > 200000 maximum",
    'provider returned HTTP 413 Request Entity Too Large: {"type":"error","error":{"type":"request_too_large"}}',
    "Input is too long for requested model.",
    "Your input exceeds the context window of this model.",
    "litellm.BadRequestError: prompt exceeds the model's maximum context length of 131072 tokens.",
    "Requested token count (265330) exceeds model's maximum context length (262144).",
    "This request exceeds the maximum context length of 131,072 tokens",
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Please reduce the length of the messages or completion.",
    "This endpoint's maximum context length is 131072 tokens. However, you requested about 400000 tokens",
    "Provider returned error: Input exceeds the maximum allowed input length of 262,144 tokens.",
    "The input (516368 tokens) is longer than the model's context length (262144 tokens).",
    "prompt token count of 197000 exceeds the limit of 128000",
    "the request exceeds the available context size, try increasing it",
    "tokens to keep from the initial prompt is greater than the context length",
    "invalid params, context window exceeds limit",
    "Your request exceeded model token limit: 262144",
    "Prompt contains 140000 tokens, too large for model with 131072 maximum context length",
    "Provider finish_reason: model_context_window_exceeded",
    "`prompt too long; exceeded max context length by 4 tokens`",
    "prompt too long; exceeded context length by 12 tokens",
    "prompt has 1,000,001 tokens, but the configured context size is 1,000,000 tokens",
    "Range of input length should be [1, 98304]",
    "context_length_exceeded",
    "Context length exceeded",
    "too many tokens in the prompt",
    "Token limit exceeded",
    "400 status code (no body)",
    "413 (no body)",
]


def failed(text):
    return AssistantMessage(stop_reason=StopReason.Error, error_message=text)


def ended(reason, **usage):
    return AssistantMessage(stop_reason=reason, usage=Usage(**usage))


@pytest.mark.parametrize("text", OVERFLOWS)
def test_the_words_of_each_provider_are_recognised(text):
    """An error text that says that the context was too long is recognised, in any case."""
    assert is_context_overflow(failed(text))
    assert is_context_overflow(failed(text.upper()))


@pytest.mark.parametrize("text", OVERFLOWS)
def test_redaction_leaves_an_overflow_recognisable(text):
    """What is taken out of an error text, in case it is a credential, is none of these words."""
    assert Redactor(["sk-secret"])(text) == text


@pytest.mark.parametrize("pattern", get_overflow_patterns(), ids=lambda pattern: pattern.pattern[:30])
def test_every_pattern_has_an_example(pattern):
    """No pattern is there without a text that it recognises."""
    assert any(pattern.search(text) for text in OVERFLOWS)


def test_the_patterns_can_be_read():
    """Applications get all 25 patterns and can search with them."""
    assert len(get_overflow_patterns()) == 25


@pytest.mark.parametrize(
    "text",
    [
        "model runner has unexpectedly stopped",
        "Throttling error: Too many tokens, please wait before trying again.",
        "Service unavailable: too many tokens in flight",
        "Rate limit exceeded: too many tokens per minute",
        "Too many requests: token limit exceeded",
        "the log says: 413 status code (no body)",
        "",
        None,
    ],
)
def test_other_errors_are_no_overflow(text):
    """Throttling, outages and unrelated errors are not taken for an overflow, whatever words they share with one."""
    assert not is_context_overflow(failed(text))


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("where", ["", " (POST https://api.cerebras.ai/v1/chat/completions)"])
def test_an_empty_answer_of_400_or_413_is_an_overflow(status, where):
    """A bare status, which is all that Cerebras says, is recognised in the words of our own error."""
    assert is_context_overflow(failed(str(ApiStatusError(status, "", where))))
    assert not is_context_overflow(failed(str(ApiStatusError(status, "unknown model", where))))
    assert not is_context_overflow(failed(str(ApiStatusError(500, "", where))))


def test_only_errors_are_searched_for_words():
    """A reply that was aborted or went through is no overflow because of its error text."""
    for reason in (StopReason.Stop, StopReason.Length, StopReason.ToolUse, StopReason.Aborted):
        message = AssistantMessage(stop_reason=reason, error_message="prompt is too long")
        assert not is_context_overflow(message, 1000)


@pytest.mark.parametrize(
    ("message", "window", "overflows"),
    [
        (ended(StopReason.Stop, input=200_001), 200_000, True),
        (ended(StopReason.Stop, input=200_000), 200_000, False),
        (ended(StopReason.Stop, input=1, cache_read=200_000), 200_000, True),
        (ended(StopReason.Stop, input=1, cache_write=200_000), 200_000, False),
        (ended(StopReason.Length, input=58, cache_read=1_048_512), 1_048_576, True),
        (ended(StopReason.Length, input=990), 1000, True),
        (ended(StopReason.Length, input=200_000, output=4096), 200_000, False),
        (ended(StopReason.Length, input=100), 200_000, False),
        (ended(StopReason.ToolUse, input=300_000), 200_000, False),
        (ended(StopReason.Error, input=300_000), 200_000, False),
    ],
)
def test_usage_beyond_the_window_is_an_overflow(message, window, overflows):
    """A reply that read more than the window, or filled it and said nothing, overflowed without an error."""
    assert is_context_overflow(message, window) is overflows


@pytest.mark.parametrize("window", [None, 0])
def test_an_unknown_window_says_nothing_about_usage(window):
    """Without a window, or with the 0 of a model whose window is not known, usage is left alone."""
    assert not is_context_overflow(ended(StopReason.Stop, input=10**9), window)
    assert not is_context_overflow(ended(StopReason.Length), window)


@pytest.mark.parametrize(
    "part",
    [
        "input token count ",
        "input (1",
        "prompt has ",
        "exceeds the ",
        "maximum context length is 1",
        "provider returned HTTP 400 ",
        "\n ",
        "9,",
    ],
)
def test_a_hostile_error_text_costs_little(part):
    """Megabytes made to fit a pattern almost are looked at for a bounded time."""
    started = time.process_time()
    assert not is_context_overflow(failed(part * (5_000_000 // len(part))))
    assert time.process_time() - started < 1


def test_only_the_beginning_of_a_text_is_searched():
    """What stands behind the first 16,384 characters does not count."""
    assert is_context_overflow(failed(" " * (SEARCHED_LENGTH - 18) + "prompt is too long"))
    assert not is_context_overflow(failed(" " * SEARCHED_LENGTH + "prompt is too long"))
