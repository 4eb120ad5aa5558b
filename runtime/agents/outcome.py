"""How a tool call ended, and the message that says so."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from runtime.errors import ToolError
from runtime.nurseries import explain
from runtime.values.clock import now_ms
from runtime.values.content import ToolCall
from runtime.values.message import ToolResultMessage
from runtime.values.usage import Usage

from .tool import AgentToolResult

ABORTED = "Operation aborted"
CANCELLED = "Tool call cancelled"
SKIPPED = "Tool call skipped: a new message arrived before it started"
SUPERSEDED = "Tool call cancelled: a new message arrived"
TRUNCATED = (
    'Tool call "{name}" was not executed: the reply hit the output limit, so its arguments may be cut short. '
    "Issue the call again, complete."
)


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    result: AgentToolResult
    is_error: bool

    @classmethod
    def error(cls, text: str, usage: Usage | None = None) -> "Outcome":
        """A failure in our words."""
        return cls(AgentToolResult.text(text, usage=usage), True)

    @classmethod
    def of(cls, failure: BaseException) -> "Outcome":
        """A failure in the words of an exception, with what had been consumed if it says so."""
        usage = failure.usage if isinstance(failure, ToolError) else None
        return cls.error(explain(failure), usage if isinstance(usage, Usage) else None)

    @classmethod
    def returned(cls, name: str, result: object) -> "Outcome":
        """What a tool returned, validated: it may be anything, or have been copied with wrong values."""
        if not isinstance(result, AgentToolResult):
            return cls.error(f"Tool {name} returned {type(result).__name__}, not an AgentToolResult")
        try:
            return cls(_with_fields(result, {}), False)
        except ValidationError as error:
            return cls.error(f"Tool {name} returned a result with wrong values: {error}")

    def patched(self, fields: dict[str, Any]) -> "Outcome":
        """With the fields that a hook gave in place of its own."""
        is_error = bool(fields.pop("is_error", self.is_error))
        return Outcome(_with_fields(self.result, fields), is_error)

    def message(self, call: ToolCall) -> ToolResultMessage:
        """What the transcript keeps, and the model reads."""
        result = self.result
        return ToolResultMessage.model_construct(  # all of it is validated already
            role="toolResult",
            tool_call_id=call.id,
            tool_name=call.name,
            content=result.content,
            details=result.details,
            usage=result.usage,
            added_tool_names=result.added_tool_names,
            is_error=self.is_error,
            timestamp=now_ms(),
        )


ABORTED_OUTCOME = Outcome.error(ABORTED)


def _with_fields(result: AgentToolResult, changes: dict[str, Any]) -> AgentToolResult:
    kept = {field: getattr(result, field) for field in AgentToolResult.model_fields}
    return AgentToolResult(**{**kept, **changes})
