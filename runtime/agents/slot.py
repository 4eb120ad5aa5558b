"""One tool call on its way through a batch, and what its task has to say."""

import copy
from dataclasses import dataclass
from typing import Any

import trio

from runtime.values.content import ToolCall

from .events import SubagentEvent
from .hooks import ToolCallInfo
from .interruption import CutScope
from .outcome import Outcome
from .tool import AgentTool, AgentToolResult


@dataclass(eq=False, slots=True)
class Slot:
    """One call. ``arguments`` are what the tool gets, ``shown`` a copy for readers, who may do with it what they like.

    ``task`` is what runs its tool, ``delivered`` when that has given its result (hooks may still look at it), ``returned``
    when nothing of it runs any more, ``ended`` when its end was told.
    """

    index: int
    call: ToolCall
    shown: Any
    tool: AgentTool | None = None
    arguments: Any = None
    asked: ToolCallInfo | None = None
    task: trio.lowlevel.Task | None = None
    delivered: bool = False
    returned: bool = False
    ended: bool = False
    reason: str | None = None
    """Why this call alone was cut."""
    _scope: CutScope | None = None

    @classmethod
    def of(cls, index: int, call: ToolCall) -> "Slot":
        """The call at its place in the reply."""
        return cls(index, call, copy.deepcopy(call.arguments))

    @property
    def is_running(self) -> bool:
        """Whether its tool runs now."""
        return self.begun and not self.returned

    @property
    def begun(self) -> bool:
        """Whether its tool was started."""
        return self.task is not None

    @property
    def was_cut(self) -> bool:
        """Whether what is awaited for it was cancelled, alone or with the run."""
        return self._scope is not None and self._scope.was_cut

    def hold(self, scope: CutScope) -> None:
        """What is awaited for this call from here on is in that scope."""
        self._scope = scope
        if self.reason is not None:
            scope.cancel()

    def cut(self, reason: str) -> bool:
        """End this call alone, as an error of that text; False if its tool has delivered, whose result stays."""
        if self.delivered or self.returned or self.ended:
            return False
        if self.reason is None:
            self.reason = reason
            if self._scope is not None:
                self._scope.cancel()
        return True


@dataclass(slots=True)
class Report:
    """What a tool's task has to say: an update, something that happened in an agent that it calls, or the outcome."""

    slot: Slot
    what: AgentToolResult | SubagentEvent | Outcome
