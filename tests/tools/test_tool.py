"""Functions as tools: made, refused, called, bound to objects, run in tasks and in threads."""

import functools
import inspect
import math
import threading
from contextvars import ContextVar
from typing import Literal

import pytest
import trio
from pydantic import BaseModel
from trio.testing import wait_all_tasks_blocked

from runtime.agents.invocation import ToolInvocation
from runtime.agents.tool import AgentContext, AgentTool, AgentToolResult, ToolExecutionMode
from runtime.errors import ToolDefinitionError, ToolValidationError
from runtime.values.tool import JsonSchemaSampling
from tools import FunctionTool, tool

PATIENCE = 10
"""Seconds after which a thread of a broken test gives up."""


@tool
async def get_weather(city: str, units: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """Current weather for a city."""
    return f"{city}: 3 {units}"


def named(name="f", doc="What it does."):
    """An async function without parameters, of that name."""

    async def function():
        return "done"

    function.__name__, function.__doc__ = name, doc
    return function


def invocation(arguments=None, name="t", send_update=None):
    return ToolInvocation("call_1", name, arguments or {}, AgentContext(), send_update)


async def run(function_tool, **arguments):
    """What the model reads."""
    return (await function_tool.execute(invocation(arguments, function_tool.definition.name))).plain_text


# What it is


def test_a_tool_is_an_agent_tool():
    """``@tool`` alone gives name, description, label, and no wishes."""
    assert isinstance(get_weather, AgentTool)
    assert get_weather.definition.name == get_weather.label == "get_weather"
    assert get_weather.definition.description == "Current weather for a city."
    assert get_weather.definition.constrained_sampling is None
    assert (get_weather.execution_mode, get_weather.timeout) == (None, None)
    assert get_weather.prepare_arguments([1]) == [1]


async def test_a_tool_is_still_the_function():
    """Calling it calls the function, and it keeps name, docstring and signature."""
    assert await get_weather("Oslo") == "Oslo: 3 celsius"
    assert get_weather.__name__ == "get_weather"
    assert get_weather.__doc__ == "Current weather for a city."
    assert list(inspect.signature(get_weather).parameters) == ["city", "units"]
    assert inspect.iscoroutinefunction(get_weather.__wrapped__)


def test_repr_tells_name_and_parameters():
    """The invocation is no parameter that a model sees."""

    @tool(name="sum")
    def total(call: ToolInvocation, a: int, b: int) -> int:
        """Add."""
        return a + b

    assert repr(get_weather) == "<tool get_weather(city, units)>"
    assert repr(total) == "<tool sum(a, b)>"


def test_options_replace_what_the_function_says():
    """Every option of ``@tool(...)`` reaches the tool."""
    made = tool(
        name="my-tool",
        label="My tool",
        description="Told so.",
        execution_mode="sequential",
        timeout=3,
        constrained_sampling=JsonSchemaSampling("prefer"),
    )(named())
    assert made.definition.name == "my-tool"
    assert made.definition.description == "Told so."
    assert made.definition.constrained_sampling == JsonSchemaSampling("prefer")
    assert (made.label, made.execution_mode, made.timeout) == ("My tool", ToolExecutionMode.Sequential, 3)


def test_a_tool_can_be_made_of_a_tool():
    """The function is taken, not the options."""
    again = tool(get_weather, name="weather")
    assert again.definition.name == "weather"
    assert again.__wrapped__ is get_weather.__wrapped__


async def test_callable_objects_and_partials_need_a_name():
    """What has no name of its own works with one, and is refused without."""

    class Searcher:
        """Search."""

        async def __call__(self, query: "str") -> str:
            return query

    partly = functools.partial(get_weather.__wrapped__, units="kelvin")
    assert await run(tool(Searcher(), name="search"), query="x") == "x"
    assert await run(tool(partly, name="weather", description="d"), city="Oslo") == "Oslo: 3 kelvin"
    for function in (Searcher(), partly):
        with pytest.raises(ToolDefinitionError, match="give one with name="):
            tool(function)
    with pytest.raises(ToolDefinitionError, match="no description"):
        tool(partly, name="weather")


# What is refused


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (3, "made of a function"),
        ("search", r"made of a function.*@tool\(name=\.\.\.\)"),
        (int, "made of a function"),
        (classmethod(named()), "static method"),
        (lambda: None, "providers refuse"),
        (named("größe"), "providers refuse"),
        (named("f", doc=None), "no description: write a docstring"),
        (named("f", doc=" \n "), "no description"),
        (named("f", doc="\n    Args:\n        x: foo\n    "), "no description"),
    ],
)
def test_what_is_no_tool_is_refused(function, message):
    """The error says what is wrong, when the tool is made."""
    with pytest.raises(ToolDefinitionError, match=message):
        tool(function)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"name": ""}, "must not be empty"),
        ({"name": " "}, "must not be empty"),
        ({"name": "a b"}, "providers refuse"),
        ({"name": "a\n"}, "providers refuse"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"description": " "}, "description must not be empty"),
        ({"timeout": 0}, "positive number"),
        ({"timeout": -1.5}, "positive number"),
        ({"timeout": math.nan}, "positive number"),
        ({"timeout": "3"}, "positive number"),
        ({"timeout": True}, "positive number"),
        ({"execution_mode": "both"}, "'parallel' or 'sequential', not 'both'"),
        ({"constrained_sampling": True}, "constrained_sampling"),
        ({"abandon_on_cancel": True}, "is async"),
    ],
)
def test_options_that_cannot_work_are_refused(option, message):
    """The error names the option."""
    with pytest.raises(ToolDefinitionError, match=message):
        tool(**option)(named())


def test_an_option_with_a_typing_error_is_refused():
    """It is not ignored in silence."""
    with pytest.raises(TypeError, match="no option 'time_out'"):
        tool(time_out=3)(named())


def test_functions_that_yield_are_refused():
    """A tool has one result, and updates go through the invocation."""

    async def numbers():
        """Count."""
        yield 1

    def letters():
        """Spell."""
        yield "a"

    for function in (numbers, letters):
        with pytest.raises(ToolDefinitionError, match="yields"):
            tool(function)


def test_the_longest_name_is_taken():
    """64 characters, dash and underscore included."""
    assert tool(named("a-_9" * 16)).definition.name == "a-_9" * 16


# Calls


async def test_arguments_are_converted_and_defaults_filled_in():
    """The function gets what its annotations promise."""

    class Place(BaseModel):
        latitude: float

    @tool
    async def look(place: Place, zoom: int = 2) -> str:
        """Look."""
        assert isinstance(place, Place)
        return f"{place.latitude} {zoom}"

    assert await run(look, place={"latitude": 59}) == "59.0 2"


async def test_the_invocation_comes_first():
    """A first parameter annotated ToolInvocation is the call, also by position only, and the model does not see it."""
    updates = []

    async def send(result):
        updates.append(result)

    @tool
    async def count(call: ToolInvocation, /, to: int) -> str:
        """Count."""
        await call.update("half")
        return f"{call.id} {to}"

    result = await count.execute(invocation({"to": 3}, send_update=send))
    assert result.plain_text == "call_1 3"
    assert updates == [AgentToolResult.text("half")]
    assert list(count.definition.parameters["properties"]) == ["to"]


async def test_errors_of_the_function_pass():
    """The agent turns them into error results; the tool does not."""

    @tool
    async def fails() -> None:
        """Fail."""
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        await run(fails)


async def test_bad_arguments_never_reach_the_function():
    """They are a ToolValidationError under the name of the call."""
    with pytest.raises(ToolValidationError, match='Validation failed for tool "get_weather"'):
        await run(get_weather, city=["Oslo"])


async def test_cancellation_reaches_an_async_tool():
    """Its cleanup runs, and Cancelled passes through."""
    ended = []

    @tool
    async def hangs() -> None:
        """Hang."""
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    with trio.CancelScope() as scope:
        scope.cancel()
        await run(hangs)
    assert scope.cancelled_caught
    assert ended == [True]


# Methods


class Box:
    """A thing with tools."""

    def __init__(self, name):
        self.name = name

    @tool(label="Open")
    async def open(self, lid: str) -> str:
        """Open the box."""
        return f"{self.name} {lid}"

    @tool
    def close(self) -> str:
        """Close the box."""
        return self.name

    @staticmethod
    @tool
    def shake(times: int = 1) -> int:
        """Shake any box."""
        return times

    @tool
    @staticmethod
    def paint(color: str) -> str:
        """Paint any box."""
        return color


async def test_a_method_is_a_tool_of_its_object():
    """``obj.method`` is an agent tool; self is not in the schema, and each object has its own."""
    red, blue = Box("red"), Box("blue")
    assert isinstance(red.open, FunctionTool)
    assert list(red.open.definition.parameters["properties"]) == ["lid"]
    assert red.open.label == "Open"
    assert red.open.__name__ == "open"
    assert list(inspect.signature(red.open).parameters) == ["lid"]
    assert [await run(box.open, lid="up") for box in (red, blue)] == ["red up", "blue up"]
    assert await run(red.close) == "red"


async def test_a_method_is_still_a_method():
    """Python calls it on the object, or on the class with an object."""
    assert await Box("red").open("up") == "red up"
    assert Box.close(Box("red")) == "red"


async def test_a_method_without_its_object_cannot_run():
    """The error says what to give the agent instead."""
    with pytest.raises(ToolDefinitionError, match="give the agent that of an object"):
        await run(Box.close)


async def test_static_methods_need_no_object():
    """In either order of the decorators, from the class and from objects."""
    for owner in (Box, Box("red")):
        assert await run(owner.shake, times=2) == "2"
        assert await run(owner.paint, color="red") == "red"


async def test_a_tool_put_on_a_class_stays_what_it_was():
    """Only a first parameter called self makes a method."""

    class Holder:
        weather = get_weather

    assert Holder().weather is get_weather


def test_class_methods_are_refused():
    """They would only bind on some versions of Python."""
    with pytest.raises(ToolDefinitionError, match="class method"):

        class _Factory:
            @classmethod
            @tool
            def make(cls):
                """Make one."""


# Threads


async def test_a_plain_function_runs_in_a_named_thread():
    """Not in trio's own, with the caller's context variables."""
    user = ContextVar("user", default="nobody")

    @tool
    def who() -> list[str]:
        """Who."""
        return [threading.current_thread().name, user.get()]

    user.set("ada")
    thread, name = (await who.execute(invocation())).details
    assert thread == "tool who"
    assert name == "ada"


async def test_a_plain_function_reports_progress_from_its_thread():
    """``trio.from_thread.run(call.update, ...)`` reaches the agent before the result does."""
    updates = []

    async def send(result):
        updates.append(result.plain_text)

    @tool
    def work(call: ToolInvocation) -> str:
        """Work."""
        trio.from_thread.run(call.update, "half")
        return f"done after {updates}"

    result = await work.execute(invocation(send_update=send))
    assert result.plain_text == "done after ['half']"


class Held:
    """A tool that stays in its thread until it is released."""

    def __init__(self, **options):
        self.entered, self.release, self.left = trio.Event(), threading.Event(), threading.Event()
        self.tool = tool(self.work, **options)

    def work(self) -> None:
        """Work."""
        trio.from_thread.run_sync(self.entered.set)
        self.release.wait(PATIENCE)
        self.left.set()


async def test_an_abort_waits_for_the_thread():
    """Nothing is left of a tool that was cancelled."""
    held = Held()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.tool.execute, invocation())
        await held.entered.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
        held.release.set()
    assert held.left.is_set()


async def test_an_abandonable_thread_is_left_behind():
    """With abandon_on_cancel an abort is done at once, and the thread goes on."""
    held = Held(abandon_on_cancel=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.tool.execute, invocation())
        await held.entered.wait()
        nursery.cancel_scope.cancel()
    assert not held.left.is_set()
    held.release.set()
    assert await trio.to_thread.run_sync(held.left.wait, PATIENCE)
