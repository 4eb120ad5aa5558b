"""What a model is given to read."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from runtime.errors import InvalidOptionError

from .message import Message
from .text import Text
from .tool import Tool
from .value import Value, is_empty, is_none


def refuse_duplicate_tools(tools: list[Tool]) -> list[Tool]:
    """Raise InvalidOptionError when two tools have one name."""
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise InvalidOptionError(f"two tools are called {name!r}; rename or drop one")
    return tools


class Context(Value):
    """System prompt, messages and tools of one model call: the one mutable value; append to ``messages`` freely."""

    model_config = ConfigDict(frozen=False)

    system_prompt: Text | None = Field(default=None, exclude_if=is_none)
    messages: list[Message] = Field(default_factory=list)
    tools: Annotated[list[Tool], AfterValidator(refuse_duplicate_tools)] = Field(
        default_factory=list, exclude_if=is_empty
    )

    __hash__ = None  # type: ignore[assignment]
