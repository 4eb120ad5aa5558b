"""Whether a reply failed, or was cut, because the context was too long for the model."""

import re

from runtime.values.message import AssistantMessage, StopReason

SEARCHED_LENGTH = 16_384
"""How much of an error text is looked at: a server may send megabytes."""
_FULL = 0.99
"""A window filled to this part, with no output at all, was full."""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


# Cerebras answers 400 or 413 and says nothing else: as other clients put it (also behind the name of the API), and as
# ApiStatusError does, with or without a remark in brackets behind it.
_BARE_STATUS = r"(?:\w+ API error \(\d+\):\s{0,9})?4(?:00|13)\s{0,9}(?:status code)?\s{0,9}\(no body\)"
_EMPTY_BODY = r"provider returned HTTP 4(?:00|13) [^:\n]{1,99}:\s{0,9}(?:\([^()\n]{0,999}\))?\s{0,9}\Z"

_OVERFLOW = tuple(
    _pattern(text)
    for text in (
        r"prompt is too long",  # Anthropic
        r"request_too_large",  # Anthropic, HTTP 413
        r"input is too long for requested model",  # Bedrock
        r"exceeds the context window",  # OpenAI
        r"exceeds (?:the )?(?:model'?s )?maximum context length (?:of [\d,]+ tokens?|\([\d,]+\))",  # LiteLLM
        r"input token count[^\n]{0,1000}?exceeds the maximum",  # Gemini
        r"maximum prompt length is \d+",  # xAI
        r"reduce the length of the messages",  # Groq
        r"maximum context length is [\d,]+ tokens?",  # OpenRouter
        r"exceeds (?:the )?maximum allowed input length of [\d,]+ tokens?",  # behind OpenRouter
        r"input \([\d,]+ tokens?\) is longer than the model'?s context length \([\d,]+ tokens?\)",
        r"exceeds the limit of \d+",  # GitHub Copilot
        r"exceeds the available context size",  # llama.cpp
        r"greater than the context length",  # LM Studio
        r"context window exceeds limit",  # MiniMax
        r"exceeded model token limit",  # Kimi
        r"too large for model with \d+ maximum context length",  # Mistral
        r"model_context_window_exceeded",  # z.ai
        r"prompt too long; exceeded (?:max )?context length",  # Ollama
        r"prompt has [\d,]+ tokens?, but the configured context size is [\d,]+ tokens?",  # ds4
        r"range of input length should be",  # DashScope
        r"context[ _]length[ _]exceeded",
        r"too many tokens",
        r"token limit exceeded",
        rf"\A(?:{_BARE_STATUS}|{_EMPTY_BODY})",
    )
)
_SOMETHING_ELSE = _pattern(r"\A(?:throttling error|service unavailable):|rate limit|too many requests")


def is_context_overflow(message: AssistantMessage, context_window: int | None = None) -> bool:
    """Whether the context was too long: by the provider's error text, or by the usage of a reply that went through.

    Some providers cut the input silently, or stop before the first token. With ``context_window`` (in tokens), a
    reply that read more than the window, or filled it and wrote nothing, counts as well. None and 0, an unknown
    window, leave the usage alone.
    """
    if message.stop_reason is StopReason.Error:
        return _says_overflow((message.error_message or "")[:SEARCHED_LENGTH])
    if not context_window:
        return False
    size = message.usage.input + message.usage.cache_read
    if message.stop_reason is StopReason.Length:
        return message.usage.output == 0 and size >= _FULL * context_window
    return message.stop_reason is StopReason.Stop and size > context_window


def get_overflow_patterns() -> tuple[re.Pattern[str], ...]:
    """The patterns that tell an overflow from other errors, to be searched for in an error text."""
    return _OVERFLOW


def _says_overflow(text: str) -> bool:
    return not _SOMETHING_ELSE.search(text) and any(pattern.search(text) for pattern in _OVERFLOW)
