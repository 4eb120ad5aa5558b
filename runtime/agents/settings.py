"""How an agent works: its model, its hooks and its limits. Frozen, checked when made."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from runtime.errors import InvalidOptionError
from runtime.streams.call import stream_simple
from runtime.values.checks import check_at_least, check_callable, check_messages, check_type
from runtime.values.message import Message
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions
from runtime.values.thinking import ThinkingLevel

from .hooks import (
    AfterToolCall,
    ApiKeyHook,
    BeforeToolCall,
    MessagesHook,
    MessageSource,
    PrepareNextTurn,
    ShouldStop,
    StreamFn,
)
from .mailbox import QueueMode
from .tool import AgentTool, ToolExecutionMode
from .toolbox import Toolbox

_HOOKS = (
    "convert_to_llm",
    "transform_context",
    "prepare_next_turn",
    "should_stop_after_turn",
    "before_tool_call",
    "after_tool_call",
    "get_api_key",
    "get_steering_messages",
    "get_follow_up_messages",
)


class SteeringPolicy(StrEnum):
    """What becomes of the tool calls of a batch when a steering message arrives, or waits already.

    ``finish_batch``: all of them run. ``skip_unstarted``: those that run go on, the others get an error result that says so.
    ``cancel_batch``: those whose tool runs are cancelled, too. The message joins at the next turn in any case.
    """

    FinishBatch = "finish_batch"
    SkipUnstarted = "skip_unstarted"
    CancelBatch = "cancel_batch"


@dataclass(frozen=True, kw_only=True)
class _LoopSettings:
    model: Model
    thinking_level: ThinkingLevel = ThinkingLevel.Off
    options: SimpleStreamOptions = field(default_factory=SimpleStreamOptions)
    stream_fn: StreamFn = stream_simple
    convert_to_llm: MessagesHook | None = None
    transform_context: MessagesHook | None = None
    prepare_next_turn: PrepareNextTurn | None = None
    should_stop_after_turn: ShouldStop | None = None
    before_tool_call: BeforeToolCall | None = None
    after_tool_call: AfterToolCall | None = None
    get_api_key: ApiKeyHook | None = None
    tool_execution: ToolExecutionMode = ToolExecutionMode.Parallel
    max_concurrent_tools: int | None = None
    tool_timeout: float | None = None
    max_turns: int | None = None
    abort_grace: float = 5.0

    def __post_init__(self) -> None:
        check_type("model", self.model, Model)
        check_type("options", self.options, SimpleStreamOptions)
        self._convert("thinking_level", ThinkingLevel)
        self._convert("tool_execution", ToolExecutionMode)
        check_at_least("max_concurrent_tools", self.max_concurrent_tools, 1, whole=True, optional=True)
        check_at_least("max_turns", self.max_turns, 1, whole=True, optional=True)
        check_at_least("tool_timeout", self.tool_timeout, 0, optional=True)
        check_at_least("abort_grace", self.abort_grace, 0)
        check_callable("stream_fn", self.stream_fn, "callable")
        for name in _HOOKS:
            if (hook := getattr(self, name, None)) is not None:
                check_callable(name, hook)

    def _convert(self, name: str, kind: Any) -> None:
        try:
            object.__setattr__(self, name, kind(getattr(self, name)))
        except ValueError:
            known = ", ".join(repr(str(item)) for item in kind)
            raise InvalidOptionError(f"{name} must be one of {known}, not {getattr(self, name)!r}") from None

    def __repr__(self) -> str:
        changed = (
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)
            if item.name in ("model", "name", "max_turns")
        )
        return f"{type(self).__name__}({', '.join(changed)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class AgentLoopConfig(_LoopSettings):
    """What the low-level loop needs: everything that ``AgentOptions`` has, but sources of messages instead of mailboxes.

    ``get_steering_messages`` is asked at each turn boundary, ``get_follow_up_messages`` when the run would end.
    ``options.abort`` aborts the loop.
    """

    get_steering_messages: MessageSource | None = None
    get_follow_up_messages: MessageSource | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class AgentOptions(_LoopSettings):
    """A reusable description of an agent. ``open_agent`` takes one, or the same fields as keywords.

    - ``model``, ``system_prompt``, ``thinking_level`` (clamped to what the model takes), ``tools``, ``messages`` to start with.
    - ``options``: for every model call. Its ``abort`` aborts the run. ``session_id`` goes with them.
    - ``convert_to_llm(messages)``: what the model is sent (default: all but custom messages);
      ``transform_context(messages)`` runs before it. Neither changes the transcript.
    - ``stream_fn(model, context, options)``: instead of ``stream_simple``, held to the same contract.
    - ``get_api_key(provider_id)``: asked before every model call; None leaves the key to the options and the handle.
    - ``prepare_next_turn(info)``, ``should_stop_after_turn(info)``: after each turn.
    - ``before_tool_call(info)``, ``after_tool_call(info, result)``: around each tool.
    - ``steering_mode``, ``follow_up_mode``: how many queued messages join at once. ``max_queued``: how many may wait, each.
      ``steering_policy``: what becomes of tool calls when a steering message arrives.
    - ``tool_execution``, ``max_concurrent_tools`` (of one batch), ``tool_timeout`` in seconds: of all that a tool waits for,
      also for readers of its updates, and of an agent that it follows, who are slow.
    - ``max_turns``: ends a run that would go on with an ``Error`` reply.
    - ``abort_grace``: seconds after an abort that feeds, and callers who were cancelled, are waited for. Listeners are waited
      for without a limit, until the agent's block is left or its task cancelled: then until the same moment.
    """

    name: str = "agent"
    system_prompt: str | None = None
    tools: Sequence[AgentTool] = ()
    messages: Sequence[Message] = ()
    session_id: str | None = None
    steering_mode: QueueMode = QueueMode.OneAtATime
    follow_up_mode: QueueMode = QueueMode.OneAtATime
    steering_policy: SteeringPolicy = SteeringPolicy.FinishBatch
    max_queued: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, optional in (("name", False), ("system_prompt", True), ("session_id", True)):
            check_type(name, getattr(self, name), str if not optional else str | None)
        self._convert("steering_mode", QueueMode)
        self._convert("follow_up_mode", QueueMode)
        self._convert("steering_policy", SteeringPolicy)
        check_at_least("max_queued", self.max_queued, 1, whole=True)
        object.__setattr__(self, "tools", Toolbox(self.tools).tools)
        object.__setattr__(self, "messages", check_messages("messages", self.messages))


def loop_fields(options: AgentOptions) -> dict[str, Any]:
    """The part of an agent's description that its loop needs."""
    return {item.name: getattr(options, item.name) for item in fields(_LoopSettings)}
