"""Checks of what users pass, each with a message that says which argument, what it may be, and what it was."""

import math
from collections.abc import Sequence
from typing import Any

from runtime.errors import InvalidOptionError

from .message import AssistantMessage, CustomMessage, Message, ToolResultMessage, UserMessage

_MESSAGES = (UserMessage, AssistantMessage, ToolResultMessage, CustomMessage)


def check_type(name: str, value: object, kind: Any) -> None:
    """Refuse what is not of a type, or of one of a union."""
    if not isinstance(value, kind):
        raise InvalidOptionError(
            f"{name} must be {getattr(kind, '__name__', kind)}, not {type(value).__name__}"
        )


def check_at_least(
    name: str, value: object, least: float, *, whole: bool = False, optional: bool = False
) -> None:
    """Refuse what is no number of at least so much; with ``whole``, no whole number."""
    if value is None and optional:
        return
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or math.isnan(value) or value < least:
        raise InvalidOptionError(
            f"{name} must be a {'whole ' if whole else ''}number of at least {least}, not {value!r}"
        )


def check_callable(name: str, value: object, what: str = "an async function") -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise InvalidOptionError(f"{name} must be {what}, not {type(value).__name__}")


def check_messages(name: str, messages: object) -> tuple[Message, ...]:
    """Refuse what is no message, by its place."""
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        raise InvalidOptionError(f"{name} must be a sequence of messages, not {type(messages).__name__}")
    for index, message in enumerate(messages):
        if not isinstance(message, _MESSAGES):
            raise InvalidOptionError(f"{name}[{index}] must be a message, not {type(message).__name__}")
    return tuple(messages)
