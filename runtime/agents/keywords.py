"""The keywords of ``open_agent`` and ``Agent.update``, for type checkers: the fields of AgentOptions, words beside enums."""

from collections.abc import Sequence
from typing import Literal, TypedDict

from runtime.values.message import Message
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions
from runtime.values.thinking import ThinkingLevel

from .hooks import (
    AfterToolCall,
    ApiKeyHook,
    BeforeToolCall,
    MessagesHook,
    PrepareNextTurn,
    ShouldStop,
    StreamFn,
)
from .mailbox import QueueMode
from .settings import SteeringPolicy
from .tool import AgentTool, ToolExecutionMode

Level = ThinkingLevel | Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]
Mode = QueueMode | Literal["one_at_a_time", "all"]
Policy = SteeringPolicy | Literal["finish_batch", "skip_unstarted", "cancel_batch"]
Execution = ToolExecutionMode | Literal["parallel", "sequential"]


class _Shared(TypedDict, total=False):
    system_prompt: str | None
    thinking_level: Level
    tools: Sequence[AgentTool]
    messages: Sequence[Message]
    session_id: str | None
    options: SimpleStreamOptions
    steering_mode: Mode
    follow_up_mode: Mode
    steering_policy: Policy
    tool_execution: Execution


class AgentChanges(_Shared, total=False):
    """What ``Agent.update`` takes."""

    model: Model


class AgentSettings(_Shared, total=False):
    """What ``open_agent`` takes beside the model; AgentOptions says what each means."""

    name: str
    stream_fn: StreamFn
    convert_to_llm: MessagesHook | None
    transform_context: MessagesHook | None
    prepare_next_turn: PrepareNextTurn | None
    should_stop_after_turn: ShouldStop | None
    before_tool_call: BeforeToolCall | None
    after_tool_call: AfterToolCall | None
    get_api_key: ApiKeyHook | None
    max_concurrent_tools: int | None
    tool_timeout: float | None
    max_turns: int | None
    max_queued: int
    abort_grace: float
