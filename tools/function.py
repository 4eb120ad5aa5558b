"""``@tool``: a function that a model can call."""

import inspect
import re
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial, update_wrapper
from types import FrameType, MethodType
from typing import (
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

import trio
from pydantic import ValidationError

from runtime.agents.invocation import ToolInvocation
from runtime.agents.tool import AgentToolResult, ToolExecutionMode
from runtime.errors import ToolDefinitionError
from runtime.values.tool import ConstrainedSampling, Tool

from .results import result_of
from .schema import Parameters, read_docstring, read_parameters

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_S = TypeVar("_S")
_Owner = TypeVar("_Owner")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class ToolOptions(TypedDict, total=False):
    """What ``@tool(...)`` can be told; None is as good as absent.

    ``name`` is the function's unless given, ``label`` (for people) is the name, ``description`` the docstring's.
    ``timeout`` is in seconds; without one the agent's holds. All that the function waits for counts, also ``call.update()``
    for readers that are slow. ``abandon_on_cancel`` is for functions that run in a thread: aborts and time-outs leave the
    thread behind instead of waiting for it. It keeps its place among trio's worker threads (40) until it ends by itself;
    when all are taken, other plain functions wait for one.
    """

    name: str | None
    label: str | None
    description: str | None
    execution_mode: ToolExecutionMode | Literal["parallel", "sequential"] | None
    timeout: float | None
    abandon_on_cancel: bool
    constrained_sampling: ConstrainedSampling | None


class FunctionTool(Generic[_P, _R]):
    """A function that a model can call, and that Python still can: ``await get_weather("Oslo")``.

    ``tool`` makes them, and says what a function may look like. On a class, it is a method: ``obj.search`` is a
    tool of that object.
    """

    definition: Final[Tool]
    label: Final[str]
    execution_mode: Final[ToolExecutionMode | None]
    timeout: Final[float | None]
    __wrapped__: Callable[_P, _R]

    def __init__(
        self,
        function: Callable[_P, _R],
        local_names: Mapping[str, Any] | None = None,
        **options: Unpack[ToolOptions],
    ) -> None:
        function = _checked(function, options)
        update_wrapper(self, function)
        name = _name(function, options)
        summary, notes = read_docstring(_docstring(function))
        self._parameters = read_parameters(name, function, local_names or {}, notes)
        self._is_async = _is_async(function)
        self._abandon_on_cancel = _abandon_on_cancel(name, options, is_async=self._is_async)
        self.definition = _definition(name, options, summary, self._parameters)
        self.label = options.get("label") or self.definition.name
        self.execution_mode = _execution_mode(name, options)
        self.timeout = _timeout(name, options)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the function itself: nothing is validated, converted, or run in a thread."""
        return self.__wrapped__(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: "FunctionTool[Concatenate[_Owner, _Q], _S]", instance: _Owner, owner: type | None = None
    ) -> "FunctionTool[_Q, _S]": ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None or not self._needs_object:
            return self
        return update_wrapper(copy(self), MethodType(self.__wrapped__, instance), updated=())

    @property
    def _needs_object(self) -> bool:
        return self._parameters.is_method and not isinstance(self.__wrapped__, MethodType)

    def prepare_arguments(self, arguments: Any) -> Any:
        """Leave what the model sent as it is."""
        return arguments

    async def execute(self, call: ToolInvocation) -> AgentToolResult:
        """Convert the arguments, run the function, make a result of what it returns.

        A plain function runs in a worker thread, with a copy of the caller's context variables. On cancellation
        it is waited for, unless the tool was made with ``abandon_on_cancel``: then its thread goes on, and what it
        returns or raises is lost.

        Raises ToolValidationError for arguments that its types refuse, TypeError or ValueError for a result that
        no model can read, and what the function raises.
        """
        if self._needs_object:
            raise ToolDefinitionError(
                f"tool {self.definition.name!r} is a method: give the agent that of an object"
            )
        values = self._parameters.convert(call.name, call.arguments)
        first = (call,) if self._parameters.takes_call else ()
        work: Callable[[], Any] = partial(self.__wrapped__, *first, **values)
        if self._is_async:
            return result_of(await work())
        return await trio.to_thread.run_sync(
            lambda: result_of(work()),
            abandon_on_cancel=self._abandon_on_cancel,
            thread_name=f"tool {self.definition.name}",
        )

    def __repr__(self) -> str:
        return f"<tool {self.definition.name}({', '.join(self._parameters.names)})>"


@overload
def tool(function: Callable[_P, _R], /, **options: Unpack[ToolOptions]) -> FunctionTool[_P, _R]: ...
@overload
def tool(**options: Unpack[ToolOptions]) -> "Callable[[Callable[_P, _R]], FunctionTool[_P, _R]]": ...
def tool(function: Callable[..., Any] | None = None, /, **options: Unpack[ToolOptions]) -> Any:
    """Make a tool of a function: ``@tool``, or ``@tool(name=..., timeout=...)``.

    The model is told the function's name, the docstring's description, and a JSON Schema of the parameters, read from
    their annotations (anything pydantic knows; without one, any JSON), defaults, the docstring, and ``Field``. What
    the model sends is converted to those types. Parameters that only take arguments by position, ``*args`` and
    ``**kwargs`` are refused.

    A first parameter annotated ``ToolInvocation`` gets the call. An ``async def`` runs in the agent's task; a plain
    ``def`` runs in a worker thread, and reaches trio from there: ``trio.from_thread.run(call.update, "half")``. A first
    parameter called ``self`` makes it a method. For what a tool may return, see ``result_of``.

    Raises ToolDefinitionError for a tool that cannot work.
    """
    if function is not None:
        return FunctionTool(function, _names_around(inspect.currentframe()), **options)

    def decorate(function: Callable[_P, _R]) -> FunctionTool[_P, _R]:
        return FunctionTool(function, _names_around(inspect.currentframe()), **options)

    return decorate


def _names_around(frame: FrameType | None) -> dict[str, Any]:
    """The local names that an annotation can mean where our caller was called: of a function, or of class bodies in it."""
    names: dict[str, Any] = {}
    frame = frame and frame.f_back
    while frame is not None and frame.f_locals is not frame.f_globals:
        names = {**frame.f_locals, **names}
        in_class_body = "__qualname__" in frame.f_locals
        frame = frame.f_back if in_class_body else None  # what calls a class body is what surrounds it
    return names


def _checked(function: Any, options: ToolOptions) -> Any:
    if unknown := options.keys() - ToolOptions.__optional_keys__:
        raise TypeError(f"a tool has no option {min(unknown)!r}")
    if isinstance(function, FunctionTool):
        function = function.__wrapped__
    if isinstance(function, staticmethod):
        function = function.__func__
    if isinstance(function, classmethod):
        raise ToolDefinitionError(
            f"{function.__name__!r} is a class method: make it a static method, or a method of an object"
        )
    if inspect.isclass(function) or not callable(function):
        raise ToolDefinitionError(
            f"a tool is made of a function, not of {function!r} (options are keywords: @tool(name=...))"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ToolDefinitionError(
            f"{function!r} yields, and a tool has one result: return it, and use ToolInvocation.update before that"
        )
    return function


def _is_async(function: Callable[..., Any]) -> bool:
    called = getattr(type(function), "__call__", None)  # noqa: B004 - of objects that are no functions
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _docstring(function: Callable[..., Any]) -> str | None:
    return None if isinstance(function, partial) else function.__doc__  # a partial's is about partials


def _name(function: Any, options: ToolOptions) -> str:
    given = options.get("name")
    name = getattr(function, "__name__", "") if given is None else given
    if not name.strip():
        raise ToolDefinitionError("tool name must not be empty: give one with name=...")
    if not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"tool name {name!r} is one that providers refuse: use 1 to 64 of a-z, A-Z, 0-9, _ and -; "
            "give one with name=..."
        )
    return name


def _definition(name: str, options: ToolOptions, summary: str, parameters: Parameters) -> Tool:
    given = options.get("description")
    if given is None and not summary:
        raise ToolDefinitionError(
            f"tool {name!r} has no description: write a docstring, or give description=..."
        )
    try:
        return Tool.define(
            name, summary if given is None else given, parameters.schema, options.get("constrained_sampling")
        )
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ToolDefinitionError(f"tool {name!r}: wrong constrained_sampling: {reason}") from error


def _execution_mode(name: str, options: ToolOptions) -> ToolExecutionMode | None:
    mode = options.get("execution_mode")
    try:
        return None if mode is None else ToolExecutionMode(mode)
    except ValueError:
        known = " or ".join(repr(str(mode)) for mode in ToolExecutionMode)
        raise ToolDefinitionError(f"tool {name!r}: execution_mode is {known}, not {mode!r}") from None


def _timeout(name: str, options: ToolOptions) -> float | None:
    timeout: Any = options.get("timeout")
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ToolDefinitionError(
            f"tool {name!r}: timeout is a positive number of seconds, or None, not {timeout!r}"
        )
    return float(timeout)


def _abandon_on_cancel(name: str, options: ToolOptions, *, is_async: bool) -> bool:
    abandon = bool(options.get("abandon_on_cancel", False))
    if abandon and is_async:
        raise ToolDefinitionError(
            f"tool {name!r} is async, and cancelled where it waits: abandon_on_cancel is for functions in threads"
        )
    return abandon
