"""What a tool is given when it is called."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .events import AgentCall, AgentEvent, SubagentEvent
from .tool import AgentContext, AgentToolResult

if TYPE_CHECKING:
    from .agent import Agent
    from .emitter import Subscription

Tell = Callable[[AgentToolResult | SubagentEvent], Awaitable[None]]


class ToolInvocation:
    """One call of a tool: ``id``, ``name``, validated ``arguments``, and the ``context`` of the turn."""

    def __init__(
        self,
        id: str,  # noqa: A002 - its name
        name: str,
        arguments: Any,
        context: AgentContext,
        tell: Tell | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self.arguments = arguments
        self.context = context
        self._tell = tell

    async def update(self, partial_result: AgentToolResult | str) -> None:
        """Say how far the tool is; waits while nobody takes it, and is dropped once the tool has returned."""
        result = (
            partial_result
            if isinstance(partial_result, AgentToolResult)
            else AgentToolResult.text(partial_result)
        )
        if self._tell is not None:
            await self._tell(result)

    def follow(self, agent: "Agent") -> "Subscription":
        """Have the readers of the calling agent told what happens in this one: ``with call.follow(agent): ...``.

        They get each of its events as a SubagentEvent between the start and the end of this call, also those that follow
        an abort. The agent that is called waits for slow readers of the calling one. Where agents follow each other, an
        event that comes round to this call again goes no further; but two that both have much to tell may then wait for
        each other, until one of their blocks is left.
        """
        agent._refuse_below()  # noqa: SLF001
        here = AgentCall(self.id, self.name, agent.name)

        async def listen(event: AgentEvent) -> None:
            if self._tell is not None and not _has_passed(here, event):
                await self._tell(SubagentEvent.below(here, event))

        return agent.subscribe(listen)

    def __repr__(self) -> str:
        return f"<ToolInvocation {self.name} {self.id!r}>"


def _has_passed(step: AgentCall, event: AgentEvent) -> bool:
    """By identity: other floors may have the same names and ids."""
    return isinstance(event, SubagentEvent) and any(passed is step for passed in event.path)
