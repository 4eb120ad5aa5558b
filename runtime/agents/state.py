"""What an agent is at this moment."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.values.message import AssistantMessage, Message
from runtime.values.model import Model
from runtime.values.thinking import ThinkingLevel

from .events import (
    AgentEvent,
    AgentStart,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnEnd,
)
from .tool import AgentTool


@dataclass(frozen=True)
class AgentState:
    """A snapshot. ``is_streaming`` is true from the start of a run until it has settled.

    ``streaming_message`` is the message between its start and its end; ``pending_tool_calls`` are the ids of calls
    between theirs. ``error_message`` is what the last run's reply, or an exception of application code, said.
    """

    system_prompt: str | None
    model: Model
    thinking_level: ThinkingLevel
    tools: Sequence[AgentTool]
    messages: Sequence[Message]
    is_streaming: bool
    streaming_message: Message | None
    pending_tool_calls: frozenset[str]
    error_message: str | None


@dataclass(frozen=True)
class AgentStatistics:
    """Figures of an agent: runs started, turns of the present run, what is waiting, what is running, who is reading."""

    runs: int
    turn: int
    messages: int
    running_tools: int
    queued_steering: int
    queued_follow_up: int
    listeners: int
    feeds: int


def asks_for_a_reply(messages: Sequence[Message]) -> bool | None:
    """Whether a model could answer the last message; None without any. Failed replies do not count: models never see them."""
    for message in reversed(messages):
        if not isinstance(message, AssistantMessage):
            return True
        if not message.failed:
            return False
    return None


class Transcript:
    """The part of the state that moves with the events; it moves before anybody else sees them."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages: list[Message] = list(messages)
        self.error_message: str | None = None
        self.pending: Counter[str] = Counter()  # ids are the provider's, and may repeat
        self._streaming: MessageStart | MessageUpdate | None = None

    @property
    def streaming_message(self) -> Message | None:
        """The message that is arriving, as far as it came."""
        return None if self._streaming is None else self._streaming.message

    def apply(self, event: AgentEvent) -> None:
        """Move with an event."""
        match event:
            case AgentStart():
                self.error_message = None
            case MessageStart() | MessageUpdate():
                self._streaming = event
            case MessageEnd(message):
                self._streaming = None
                self.messages.append(message)
            case ToolExecutionStart():
                self.pending[event.tool_call_id] += 1
            case ToolExecutionEnd():
                self.pending[event.tool_call_id] -= 1
            case TurnEnd(AssistantMessage(error_message=str(text))):
                self.error_message = text

    def clear(self) -> None:
        """Forget everything."""
        self.messages = []
        self.error_message = None
