"""Tools as agents see them: what they are, what they are given, what they give back."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self, runtime_checkable

from pydantic import BeforeValidator, Field

from runtime.values.content import TextContent, UserBlocks
from runtime.values.message import Message, Names
from runtime.values.text import Json
from runtime.values.tool import Tool
from runtime.values.usage import Usage
from runtime.values.value import Flag, Value, is_empty, is_none

if TYPE_CHECKING:
    from .invocation import ToolInvocation


class ToolExecutionMode(StrEnum):
    """Whether the calls of one reply may run at the same time; one sequential tool makes its whole batch so."""

    Parallel = "parallel"
    Sequential = "sequential"


def _blocks(content: Any) -> Any:
    return (TextContent(text=content),) if isinstance(content, str) else content


class AgentToolResult(Value):
    """What a tool gives back.

    ``content`` goes to the model: blocks, or a string. ``details`` is JSON for people and logs, never sent. ``usage`` is
    what the tool itself consumed. ``added_tool_names`` become available after this result. The run stops after the
    batch when every result of it says ``terminate``.
    """

    content: Annotated[UserBlocks, BeforeValidator(_blocks)] = ()
    details: Json = Field(default=None, exclude_if=is_none)
    usage: Usage | None = Field(default=None, exclude_if=is_none)
    added_tool_names: Names = Field(default=(), exclude_if=is_empty)
    terminate: Flag = Field(default=False, exclude_if=is_empty)

    @classmethod
    def text(cls, text: str, **fields: Any) -> Self:
        """A result of one text block."""
        return cls((TextContent(text=text),), **fields)

    @property
    def plain_text(self) -> str:
        """Its text blocks, one a line."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """What an agent works with: system prompt, transcript, tools."""

    system_prompt: str | None = None
    messages: Sequence[Message] = ()
    tools: "Sequence[AgentTool]" = ()


@runtime_checkable
class AgentTool(Protocol):
    """Something a model can call. ``tools.tool`` makes one of a function.

    A tool may also have a ``timeout`` in seconds; without one, or with None, the agent's ``tool_timeout`` holds. What it
    waits for in ``call.update()``, because readers are slow, counts.
    Cancellation reaches ``execute`` as trio's ``Cancelled``: clean up, and let it pass.
    """

    @property
    def definition(self) -> Tool:
        """What the model is told."""

    @property
    def label(self) -> str:
        """What people are shown."""

    @property
    def execution_mode(self) -> ToolExecutionMode | None:
        """Its own wish; None leaves it to the agent."""

    def prepare_arguments(self, arguments: Any) -> Any:
        """Reshape what the model sent, before it is validated."""

    async def execute(self, call: "ToolInvocation") -> AgentToolResult:
        """Do it. What it raises becomes an error result that the model reads."""
