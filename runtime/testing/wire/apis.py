"""The three chat APIs by name."""

from collections.abc import Callable, Mapping
from typing import Literal

from .completions import CompletionsDialect
from .dialect import Dialect
from .messages import MessagesDialect
from .responses import ResponsesDialect

ChatApiName = Literal["chat_completions", "responses", "messages"]

DIALECTS: Mapping[str, Callable[[str], Dialect]] = {
    "chat_completions": CompletionsDialect,
    "responses": ResponsesDialect,
    "messages": MessagesDialect,
}
"""What makes a dialect for one reply of a model of this name."""
