"""Ways to make tools."""

from .delegation import Subagent, subagent
from .function import FunctionTool, ToolOptions, tool
from .process import CommandResult, run_command
from .results import result_of

__all__ = [
    "CommandResult",
    "FunctionTool",
    "Subagent",
    "ToolOptions",
    "result_of",
    "run_command",
    "subagent",
    "tool",
]
