"""An agent as a tool of another agent."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from runtime.agents.invocation import ToolInvocation
from runtime.agents.opening import open_agent
from runtime.agents.settings import AgentOptions
from runtime.agents.tool import AgentToolResult, ToolExecutionMode
from runtime.errors import ToolDefinitionError, ToolError
from runtime.values.message import AssistantMessage, Message, ToolResultMessage
from runtime.values.tool import Tool
from runtime.values.usage import Usage

PROMPT = {
    "type": "object",
    "properties": {
        "prompt": {
            "type": "string",
            "description": "What to do, with all that is needed for it: the agent knows nothing else.",
        }
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


class Subagent:
    """A tool whose calls are answered by an agent of their own; ``subagent`` makes one."""

    def __init__(
        self, options: AgentOptions, definition: Tool, label: str, execution_mode: ToolExecutionMode | None
    ) -> None:
        self.options = options
        self.definition = definition
        self.label = label
        self.execution_mode = execution_mode

    def prepare_arguments(self, arguments: Any) -> Any:
        """Leave what the model sent as it is."""
        return arguments

    async def execute(self, call: ToolInvocation) -> AgentToolResult:
        """Open the agent, prompt it, and give back the text of its reply; raises ToolError if it failed."""
        async with open_agent(self.options) as agent:
            with call.follow(agent):
                reply = await agent.prompt(call.arguments["prompt"])
            messages = agent.state.messages[len(self.options.messages) :]
        usage = _usage(messages)
        if reply.failed:
            raise ToolError(
                f"agent {agent.name!r} ended as {reply.stop_reason}: {reply.error_message}", usage=usage
            )
        return AgentToolResult.text(reply.text, usage=usage)

    def __repr__(self) -> str:
        return f"<subagent {self.definition.name}(prompt) of {self.options.name!r}>"


def subagent(
    options: AgentOptions,
    *,
    description: str,
    name: str | None = None,
    label: str | None = None,
    execution_mode: ToolExecutionMode | None = None,
) -> Subagent:
    """Make a tool that has an agent answer: each call opens one from ``options``, prompts it, and closes it.

    The model is told ``name`` (the agent's, unless given) and ``description``, and gives a ``prompt``. It reads the text of
    the final reply, or why there is none. Whatever cuts the call cuts the agent with it; readers of the calling agent see
    its events as SubagentEvents. ``usage`` of the result, also of one that says that the agent failed, is what its model calls
    and tools consumed; a call that is cut, and one in which a hook of the agent raises, has none: the last SubagentEvent,
    its AgentEnd, holds the messages with theirs.

    Raises ToolDefinitionError for a name that providers refuse.
    """
    if not isinstance(options, AgentOptions):
        raise ToolDefinitionError(f"a subagent is made of AgentOptions, not of {type(options).__name__}")
    own = name or options.name
    if not own.replace("-", "").replace("_", "").isalnum() or not own.isascii() or len(own) > 64:
        raise ToolDefinitionError(
            f"tool name {own!r} is one that providers refuse: use 1 to 64 of a-z, A-Z, 0-9, _ and -; "
            "give one with name=..."
        )
    return Subagent(replace(options), Tool.define(own, description, PROMPT), label or own, execution_mode)


def _usage(messages: Sequence[Message]) -> Usage:
    parts = [
        message.usage
        for message in messages
        if isinstance(message, AssistantMessage | ToolResultMessage) and message.usage is not None
    ]
    return reduce(add, parts, Usage())
