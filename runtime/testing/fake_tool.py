"""A tool for tests: it does as it is told, and remembers what was done with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from runtime.agents.invocation import ToolInvocation
from runtime.agents.tool import AgentToolResult, ToolExecutionMode
from runtime.values.tool import Tool


class FakeTool:
    """A tool with a script of its own: updates, then time that passes, then a result or an error.

    - ``result``: a text or an AgentToolResult, given at the end; ``error`` is raised instead.
    - ``seconds``: how long it takes, on trio's clock; infinity for ever. ``updates`` are sent before that.
    - ``resists``: seconds that it goes on for after it was cancelled, the way tools do that clean up slowly.
    - ``parameters`` is the JSON Schema of its arguments, any object by default; ``execution_mode`` and ``timeout`` are as
      for every tool.
    """

    def __init__(
        self,
        name: str,
        result: str | AgentToolResult = "done",
        *,
        error: Exception | None = None,
        seconds: float = 0.0,
        updates: Sequence[str | AgentToolResult] = (),
        resists: float = 0.0,
        parameters: Mapping[str, Any] | None = None,
        execution_mode: ToolExecutionMode | None = None,
        timeout: float | None = None,
    ) -> None:
        self.definition = Tool.define(name, f"The {name} tool.", parameters)
        self.label = name
        self.execution_mode = execution_mode
        self.timeout = timeout
        self.calls: list[ToolInvocation] = []
        """How it was called, in order: each has ``id`` and ``arguments``."""
        self.running: set[str] = set()
        """The ids of the calls that run now."""
        self.cancelled: list[str] = []
        """The ids of the calls that were cancelled while they ran."""
        self._result = AgentToolResult.text(result) if isinstance(result, str) else result
        self._error = error
        self._seconds = seconds
        self._updates = tuple(updates)
        self._resists = resists

    @property
    def arguments(self) -> list[Any]:
        """The arguments of the calls, in order."""
        return [call.arguments for call in self.calls]

    def prepare_arguments(self, arguments: Any) -> Any:
        """Leave them as they are."""
        return arguments

    async def execute(self, call: ToolInvocation) -> AgentToolResult:
        """Play the script."""
        self.calls.append(call)
        self.running.add(call.id)
        try:
            for update in self._updates:
                await call.update(update)
            await trio.sleep(self._seconds)
        except trio.Cancelled:
            self.cancelled.append(call.id)
            with trio.CancelScope(shield=True):
                await trio.sleep(self._resists)
            raise
        finally:
            self.running.discard(call.id)
        if self._error is not None:
            raise self._error
        return self._result

    def __repr__(self) -> str:
        running = f", {len(self.running)} running" if self.running else ""
        return f"<FakeTool {self.label!r} {self._describe()}: {len(self.calls)} calls{running}>"

    def _describe(self) -> str:
        told = {"seconds": self._seconds, "updates": len(self._updates), "resists": self._resists}
        shown = [f"{name}={value:g}" for name, value in told.items() if value]
        shown += [str(self.execution_mode)] if self.execution_mode else []
        shown += ["terminate"] if self._result.terminate else []
        outcome = "ends" if self._error is None else f"raises {type(self._error).__name__}"
        return " ".join([outcome, *shown])
