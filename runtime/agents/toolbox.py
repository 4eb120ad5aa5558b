"""The tools of an agent, by name, with their arguments' validators compiled once."""

from collections.abc import Iterator, Sequence

from runtime.errors import InvalidOptionError, ToolNotFoundError
from runtime.values.tool import Tool

from .arguments import ArgumentValidator
from .tool import AgentTool, ToolExecutionMode


class Toolbox:
    """Tools that can be called. Two of one name, or one with a schema that cannot work, are refused here."""

    def __init__(self, tools: Sequence[AgentTool]) -> None:
        if not _is_list(tools):
            raise InvalidOptionError(f"tools must be a sequence of tools, not {type(tools).__name__}")
        self.tools = tuple(_checked(index, tool) for index, tool in enumerate(tools))
        self._by_name: dict[str, AgentTool] = {}
        self._validators: dict[str, ArgumentValidator] = {}
        self._sequential: set[str] = set()
        for tool in self.tools:
            name = tool.definition.name
            if name in self._by_name:
                raise InvalidOptionError(f"two tools are called {name!r}; rename or drop one")
            self._by_name[name] = tool
            if tool.execution_mode == ToolExecutionMode.Sequential:
                self._sequential.add(name)
            self._validators[name] = ArgumentValidator(tool.definition)

    @property
    def definitions(self) -> list[Tool]:
        """What the model is told of them."""
        return [tool.definition for tool in self.tools]

    def find(self, name: str) -> AgentTool:
        """The tool of that name; ToolNotFoundError lists what there is."""
        try:
            return self._by_name[name]
        except KeyError:
            raise ToolNotFoundError(name, tuple(self._by_name)) from None

    def validator(self, name: str) -> ArgumentValidator:
        """What checks the arguments of that tool."""
        return self._validators[name]

    def is_sequential(self, name: str) -> bool:
        """Whether that tool wants no other beside it."""
        return name in self._sequential

    def __iter__(self) -> Iterator[AgentTool]:
        return iter(self.tools)

    def __repr__(self) -> str:
        return f"<Toolbox {', '.join(self._by_name) or 'empty'}>"


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _checked(index: int, tool: object) -> AgentTool:
    if not isinstance(tool, AgentTool):
        raise InvalidOptionError(
            f"tools[{index}] must be a tool, not {type(tool).__name__}; decorate a function with tools.tool to make one"
        )
    return tool
