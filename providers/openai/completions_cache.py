"""Marks on what a server should keep: Anthropic's, which gateways take on the Chat Completions wire too."""

from itertools import islice
from typing import Any

from runtime.values.options import CacheRetention

from .completions_compat import CompletionsCompat

_TALK = ("user", "assistant", "tool")


def mark_cache(payload: dict[str, Any], retention: CacheRetention, compat: CompletionsCompat) -> None:
    """Mark the system prompt, the last message and the last tool, where each can take a mark."""
    if compat.cache_control_format != "anthropic" or retention == "none":
        return
    mark = {"type": "ephemeral"}
    if retention == "long" and compat.supports_long_cache_retention:
        mark["ttl"] = "1h"
    system = (message for message in payload["messages"] if message["role"] in ("system", "developer"))
    for message in islice(system, 1):
        _mark_message(message, mark)
    talk = (message for message in reversed(payload["messages"]) if message["role"] in _TALK)
    any(_mark_message(message, mark) for message in talk)
    if tools := payload.get("tools"):
        tools[-1]["cache_control"] = dict(mark)


def _mark_message(message: dict[str, Any], mark: dict[str, str]) -> bool:
    """Mark the last text of a message; a mark needs a list of parts. False if there is no text."""
    content = message.get("content")
    if isinstance(content, str) and content:
        message["content"] = [{"type": "text", "text": content, "cache_control": dict(mark)}]
        return True
    for part in reversed(content if isinstance(content, list) else []):
        if part["type"] == "text":
            part["cache_control"] = dict(mark)
            return True
    return False
