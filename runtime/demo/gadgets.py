"""Harmless tools to talk about: a clock, a calculator, and a slow counter that is worth an abort."""

import operator
from datetime import datetime
from typing import Annotated, Literal

import trio
from pydantic import Field

from runtime import AgentTool, ToolInvocation
from tools import tool

_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_PAUSE = 0.4


@tool
def clock() -> str:
    """Tell the local date and time."""
    return datetime.now().astimezone().strftime("%A, %d %B %Y, %H:%M:%S %Z")


@tool
def calculate(left: float, operation: Literal["+", "-", "*", "/"], right: float) -> str:
    """Calculate with two numbers."""
    return f"{left:g} {operation} {right:g} = {_OPERATIONS[operation](left, right):g}"


@tool
async def count(call: ToolInvocation, up_to: Annotated[int, Field(ge=1, le=100)]) -> str:
    """Count from 1 up to a number, slowly."""
    for number in range(1, up_to + 1):
        await trio.sleep(_PAUSE)
        await call.update(str(number))
    return f"counted to {up_to}"


GADGETS: tuple[AgentTool, ...] = (clock, calculate, count)
