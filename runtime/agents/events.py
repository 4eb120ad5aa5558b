"""What an agent says while it works: the whole vocabulary.

::

    run   = AgentStart turn+ AgentEnd
    turn  = TurnStart pair(prompt | steering | follow-up)* reply batch? TurnEnd
    pair  = MessageStart MessageEnd
    reply = MessageStart MessageUpdate* MessageEnd
    batch = per call: ToolExecutionStart (ToolExecutionUpdate | SubagentEvent)* ToolExecutionEnd, interleaved,
            and in source order pair(tool result), each after its call's end

Every start has its end, whatever happens in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from runtime.streams.events import AssistantMessageEvent
from runtime.values.event import Event
from runtime.values.message import AssistantMessage, Message, ToolResultMessage
from runtime.values.text import Text
from runtime.values.value import Value

from .tool import AgentToolResult

_CALL = (("toolCallId", "tool_call_id"), ("toolName", "tool_name"))
_MESSAGE = (("message", "message"),)


@dataclass(frozen=True, slots=True)
class AgentStart(Event):
    """A run begins."""

    type: ClassVar = "agent_start"


@dataclass(frozen=True, slots=True)
class AgentEnd(Event):
    """A run is over: ``messages`` are all that it added, in transcript order."""

    messages: Sequence[Message]

    type: ClassVar = "agent_end"
    wire: ClassVar = (("messages", "messages"),)


@dataclass(frozen=True, slots=True)
class TurnStart(Event):
    """A turn begins: one model call, and the tool calls that it asks for."""

    type: ClassVar = "turn_start"


@dataclass(frozen=True, slots=True)
class TurnEnd(Event):
    """A turn is over: its reply, and the results of its calls in source order."""

    message: AssistantMessage
    tool_results: Sequence[ToolResultMessage] = ()

    type: ClassVar = "turn_end"
    wire: ClassVar = (*_MESSAGE, ("toolResults", "tool_results"))


@dataclass(frozen=True, slots=True)
class MessageStart(Event):
    """A message of any role begins; a reply is still empty here."""

    message: Message

    type: ClassVar = "message_start"
    wire: ClassVar = _MESSAGE


@dataclass(frozen=True, slots=True)
class MessageUpdate(Event):
    """A reply grew: ``assistant_message_event`` says how, ``message`` is the reply as it stood then."""

    assistant_message_event: AssistantMessageEvent

    type: ClassVar = "message_update"
    wire: ClassVar = (*_MESSAGE, ("assistantMessageEvent", "assistant_message_event"))

    @property
    def message(self) -> AssistantMessage:
        """The partial reply; computed when it is read."""
        return cast("AssistantMessage", getattr(self.assistant_message_event, "partial"))  # noqa: B009 - never a terminal event


@dataclass(frozen=True, slots=True)
class MessageEnd(Event):
    """A message is complete and in the transcript."""

    message: Message

    type: ClassVar = "message_end"
    wire: ClassVar = _MESSAGE


@dataclass(frozen=True, slots=True)
class _ToolEvent(Event):
    tool_call_id: str
    tool_name: str


@dataclass(frozen=True, slots=True)
class ToolExecutionStart(_ToolEvent):
    """A tool call begins; ``args`` are as the model sent them."""

    args: Any

    type: ClassVar = "tool_execution_start"
    wire: ClassVar = (*_CALL, ("args", "args"))


@dataclass(frozen=True, slots=True)
class ToolExecutionUpdate(_ToolEvent):
    """A tool says how far it is."""

    args: Any
    partial_result: AgentToolResult

    type: ClassVar = "tool_execution_update"
    wire: ClassVar = (*_CALL, ("args", "args"), ("partialResult", "partial_result"))


@dataclass(frozen=True, slots=True)
class ToolExecutionEnd(_ToolEvent):
    """A tool call is over."""

    result: AgentToolResult
    is_error: bool

    type: ClassVar = "tool_execution_end"
    wire: ClassVar = (*_CALL, ("result", "result"), ("isError", "is_error"))


class AgentCall(Value):
    """A step on the way down: the tool call, and the name of the agent that the tool called."""

    tool_call_id: Text
    tool_name: Text
    agent: Text


@dataclass(frozen=True, slots=True)
class SubagentEvent(Event):
    """Something happened in an agent that a tool calls. ``path`` says who called whom, from the agent that is read downwards.

    ``event`` is never a SubagentEvent itself: the path has all steps.
    """

    path: Sequence[AgentCall]
    event: "AgentEvent"

    type: ClassVar = "subagent_event"
    wire: ClassVar = (("path", "path"), ("event", "event"))

    @classmethod
    def below(cls, step: AgentCall, event: "AgentEvent") -> Self:
        """An event as it is seen one step further up."""
        if isinstance(event, SubagentEvent):
            return cls((step, *event.path), event.event)
        return cls((step,), event)


AgentEvent = (
    AgentStart
    | AgentEnd
    | TurnStart
    | TurnEnd
    | MessageStart
    | MessageUpdate
    | MessageEnd
    | ToolExecutionStart
    | ToolExecutionUpdate
    | ToolExecutionEnd
    | SubagentEvent
)
"""Everything that an agent says."""
