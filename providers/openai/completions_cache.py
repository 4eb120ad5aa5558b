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
    messages = payload["messages"]
    system = (place for place, message in enumerate(messages) if message["role"] in ("system", "developer"))
    talk = (place for place in reversed(range(len(messages))) if messages[place]["role"] in _TALK)
    for places in (islice(system, 1), talk):
        any(_mark_message(messages, place, mark) for place in places)
    if tools := payload.get("tools"):
        tools[-1]["cache_control"] = dict(mark)


def _mark_message(messages: list[Any], place: int, mark: dict[str, str]) -> bool:
    """Mark the last text of a message; a mark needs a list of parts. False if there is no text.

    A copy is marked: the message itself goes with the next turns, too.
    """
    content = messages[place].get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content
    parts = list(parts) if isinstance(parts, list) else []
    for index in reversed(range(len(parts))):
        if parts[index]["type"] == "text":
            parts[index] = {**parts[index], "cache_control": dict(mark)}
            messages[place] = {**messages[place], "content": parts}
            return True
    return False
