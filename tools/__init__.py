"""Ways to make tools."""

from .function import FunctionTool, ToolOptions, tool
from .results import result_of

__all__ = ["FunctionTool", "ToolOptions", "result_of", "tool"]
