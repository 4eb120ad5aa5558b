"""A listener that keeps what an agent says, finds things in it, and waits for what is still to come."""

from collections.abc import Iterator
from typing import TypeVar

import trio

from runtime.agents.events import AgentEnd, AgentEvent, AgentStart, MessageEnd, MessageUpdate, SubagentEvent
from runtime.values.message import Message

from .listing import describe_event, list_events

E = TypeVar("E", bound=AgentEvent)
_MISSING = object()


class EventRecorder:
    """A listener that keeps every event: ``agent.subscribe(recorder)``.

    ``print(recorder)`` shows the events a line each, indented as they nest.
    """

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        """All of them, oldest first."""
        self._waiting = trio.lowlevel.ParkingLot()

    async def __call__(self, event: AgentEvent) -> None:
        self.events.append(event)
        self._waiting.unpark_all()

    @property
    def types(self) -> list[str]:
        """The types of the events, in order, without message updates."""
        return [event.type for event in self.events if not isinstance(event, MessageUpdate)]

    @property
    def messages(self) -> list[Message]:
        """The messages that were completed, in order."""
        return [event.message for event in self.of(MessageEnd)]

    @property
    def runs(self) -> list[list[AgentEvent]]:
        """The events of each run; the last one may not have ended."""
        runs: list[list[AgentEvent]] = []
        for event in self.events:
            if isinstance(event, AgentStart) or not runs:
                runs.append([])
            runs[-1].append(event)
        return runs

    def of(self, kind: type[E], **fields: object) -> list[E]:
        """The events of one type, and with these fields: ``recorder.of(ToolExecutionEnd, tool_name="search")``."""
        return [event for event in self.events if isinstance(event, kind) and _has(event, fields)]

    def below(self, *agents: str) -> list[AgentEvent]:
        """What the agent of that name said which a tool called; with several names, the one at the end of that path."""
        nested = self.of(SubagentEvent)
        return [event.event for event in nested if tuple(step.agent for step in event.path) == agents]

    async def wait_for(self, kind: type[E], *, count: int = 1, **fields: object) -> E:
        """Wait until so many events of one type, and with these fields, have come; the last of them.

        One that has come already is returned at once. It waits for ever if none comes: put a ``trio.fail_after`` around it.
        """
        await trio.lowlevel.checkpoint()
        while len(found := self.of(kind, **fields)) < count:
            await self._waiting.park()
        return found[count - 1]

    def clear(self) -> None:
        """Forget what came so far."""
        self.events.clear()

    def __iter__(self) -> Iterator[AgentEvent]:
        return iter(self.events)

    def __str__(self) -> str:
        return list_events(self.events) or "no events"

    def __repr__(self) -> str:
        runs, ended = len(self.of(AgentStart)), len(self.of(AgentEnd))
        running = f", {runs - ended} running" if runs > ended else ""
        last = f", last {describe_event(self.events[-1])}" if self.events else ""
        return f"<EventRecorder {len(self.events)} events, {runs} runs{running}{last}>"


def _has(event: AgentEvent, fields: dict[str, object]) -> bool:
    return all(getattr(event, name, _MISSING) == value for name, value in fields.items())
