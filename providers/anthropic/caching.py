"""Marks on what the provider should keep in its cache: at most four, which is all it takes."""

from typing import Any

from runtime.values.options import CacheRetention

from .compat import MessagesCompat

_MARKABLE = ("text", "image", "tool_result")


def cache_mark(retention: CacheRetention | None, compat: MessagesCompat) -> dict[str, str] | None:
    """The mark for a retention (None: short); None where nothing is to be kept."""
    if retention == "none":
        return None
    lasting = retention == "long" and compat.supports_long_cache_retention
    return {"type": "ephemeral", "ttl": "1h"} if lasting else {"type": "ephemeral"}


def mark_last_message(messages: list[dict[str, Any]], mark: dict[str, str]) -> None:
    """Mark the end of a conversation, if it is the user's; a mark needs a list of blocks."""
    if not messages or messages[-1]["role"] != "user":
        return
    content = messages[-1]["content"]
    if isinstance(content, str):
        content = messages[-1]["content"] = [{"type": "text", "text": content}]
    if content[-1]["type"] in _MARKABLE:
        content[-1]["cache_control"] = dict(mark)
