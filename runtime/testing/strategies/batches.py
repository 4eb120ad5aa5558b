"""Batches of tool calls: tools that behave in every way that a tool can, and a reply that calls them, rightly and wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from providers.faux import faux_assistant_message
from runtime.agents.tool import AgentToolResult, ToolExecutionMode
from runtime.testing.fake_tool import FakeTool
from runtime.values.content import ToolCall
from runtime.values.message import AssistantMessage, StopReason

_NAMES = ("quick", "slow", "odd", "last")
_PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
_ERRORS = (
    OSError("no such thing"),
    KeyError("k"),
    ValueError(""),
    ExceptionGroup("two", [OSError("a"), OSError("b")]),
)


@dataclass(frozen=True)
class ToolBatch:
    """Tools, and calls of them in one reply. Some calls name no tool, and some have wrong arguments."""

    tools: Sequence[FakeTool]
    calls: Sequence[ToolCall]

    @property
    def reply(self) -> AssistantMessage:
        """The reply that calls them all, for a script."""
        return faux_assistant_message(list(self.calls), stop_reason=StopReason.ToolUse)

    def find(self, name: str) -> FakeTool | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.label == name), None)


def fake_tools(name: str) -> SearchStrategy[FakeTool]:
    """Tools of that name: quick, slow and endless ones with a time-out, some that fail, tell how far they are, want to be
    alone, end the run, or resist their cancellation for a while. Times are on trio's clock."""
    takes = st.sampled_from(
        ({}, {}, {"seconds": 0.5}, {"seconds": 3.0}, {"seconds": float("inf"), "timeout": 2.0})
    )
    ends: SearchStrategy[dict[str, Any]] = st.sampled_from(
        [
            {},
            {"result": AgentToolResult.text("enough", terminate=True)},
            *({"error": error} for error in _ERRORS),
        ]
    )
    return st.builds(
        lambda takes, ends, **more: FakeTool(name, parameters=_PARAMETERS, **takes, **ends, **more),
        takes,
        ends,
        updates=st.lists(st.sampled_from(("a little", "half", "")), max_size=3),
        resists=st.sampled_from((0.0, 0.0, 0.0, 0.2)),
        execution_mode=st.sampled_from((None, None, None, *ToolExecutionMode)),
    )


def tool_batches(*, min_calls: int = 0, max_calls: int = 5) -> SearchStrategy[ToolBatch]:
    """Batches whose tools remember what was done with them; no two calls have the same id."""
    tools = st.lists(st.sampled_from(_NAMES), min_size=1, unique=True).flatmap(
        lambda names: st.tuples(*map(fake_tools, names))
    )
    arguments = st.fixed_dictionaries({"n": st.integers()}) | st.sampled_from(({}, {"n": "one"}, {"n": 1.5}))
    call = st.tuples(st.sampled_from((*_NAMES, "absent")), arguments)
    return st.builds(ToolBatch, tools, st.lists(call, min_size=min_calls, max_size=max_calls).map(_numbered))


def _numbered(calls: list[tuple[str, Any]]) -> list[ToolCall]:
    return [ToolCall(f"call_{place}", name, arguments) for place, (name, arguments) in enumerate(calls)]
