"""Notes that a message carries about what was odd on its way: free JSON, for logs and for people."""

from typing import Any

from .clock import now_ms
from .message import AssistantMessage
from .text import clean_json


def create_diagnostic(type: str, error: BaseException | None = None, details: Any = None) -> dict[str, Any]:  # noqa: A002 - its key
    """A note of now: its type, the name and text of an exception, and any JSON as details."""
    entry: dict[str, Any] = {"type": type, "timestamp": now_ms()}
    if error is not None:
        entry["error"] = {"name": error.__class__.__name__, "message": str(error)}
    if details is not None:
        entry["details"] = details
    checked: dict[str, Any] = clean_json(entry)
    return checked


def with_diagnostic(message: AssistantMessage, entry: dict[str, Any]) -> AssistantMessage:
    """The same message with one more note."""
    return message.model_copy(update={"diagnostics": (*message.diagnostics, clean_json(entry))})
