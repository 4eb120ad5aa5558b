"""What an application may decide while an agent works: the arguments and answers of its hooks."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from runtime.errors import InvalidOptionError
from runtime.streams.channel import MessageStream
from runtime.values.content import ImageContent, TextContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, Message, ToolResultMessage
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions
from runtime.values.thinking import ThinkingLevel
from runtime.values.usage import Usage

from .tool import AgentContext, AgentToolResult


class _Unset(Enum):
    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset.UNSET


@dataclass(frozen=True)
class ToolCallInfo:
    """The call that a hook is asked about. ``arguments`` are validated, and a copy: changing them changes nothing.

    ``is_error`` is only known to ``after_tool_call``.
    """

    call: ToolCall
    arguments: Any
    message: AssistantMessage
    context: AgentContext
    is_error: bool = False


@dataclass(frozen=True)
class Block:
    """Do not run the tool; the model reads the reason as an error result."""

    reason: str | None = None


@dataclass(frozen=True)
class NewArguments:
    """Run the tool with these arguments; they are not validated again."""

    arguments: Any


@dataclass(frozen=True, kw_only=True)
class ResultPatch:
    """Replace fields of a tool's result; what is not given stays. Nothing is merged."""

    content: Sequence[TextContent | ImageContent] | str | _Unset = UNSET
    details: Any = UNSET
    usage: Usage | _Unset | None = UNSET
    terminate: bool | _Unset = UNSET
    is_error: bool | _Unset = UNSET

    def given(self) -> dict[str, Any]:
        """The fields that it replaces."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not UNSET}


@dataclass(frozen=True)
class TurnInfo:
    """A turn that has ended: its number (from 1), reply and results, and all that the run has added."""

    turn: int
    message: AssistantMessage
    tool_results: Sequence[ToolResultMessage]
    context: AgentContext
    new_messages: Sequence[Message]


@dataclass(frozen=True, kw_only=True)
class TurnUpdate:
    """What the run goes on with from its next turn; None leaves it as it is."""

    context: AgentContext | None = None
    model: Model | None = None
    thinking_level: ThinkingLevel | None = None


MessagesHook = Callable[[list[Message]], Awaitable[Sequence[Message]]]
StreamFn = Callable[[Model, Context, SimpleStreamOptions], AbstractAsyncContextManager[MessageStream]]
ApiKeyHook = Callable[[str], Awaitable[str | None]]
PrepareNextTurn = Callable[[TurnInfo], Awaitable[TurnUpdate | None]]
ShouldStop = Callable[[TurnInfo], Awaitable[bool]]
BeforeToolCall = Callable[[ToolCallInfo], Awaitable[Block | NewArguments | None]]
AfterToolCall = Callable[[ToolCallInfo, AgentToolResult], Awaitable[ResultPatch | None]]
MessageSource = Callable[[], Awaitable[Sequence[Message]]]


async def ask(name: str, hook: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Await a hook; InvalidOptionError if it is no async function after all."""
    answer = hook(*args)
    if not inspect.isawaitable(answer):
        raise InvalidOptionError(f"{name} must be an async function; calling it gave {type(answer).__name__}")
    return await answer
