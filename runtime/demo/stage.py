"""Where the scenes play: one agent on a scripted model, watched by a narrator and a recorder."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from providers.faux import FauxProvider, FauxStep, register_faux_provider
from runtime import Agent, AgentEvent, open_agent
from runtime.testing.invariants import EventRecorder

from .checks import Checks
from .narrator import Narrator
from .screen import Screen, Style
from .travel import Guidebook, flights, hotels, weather

TOKENS_PER_SECOND = 45


@dataclass(frozen=True)
class Stage:
    """What a scene has to do with. The agent stays the same, so the scenes add up to one transcript."""

    screen: Screen
    agent: Agent
    model: FauxProvider
    guidebook: Guidebook
    tasks_before: int
    recorder: EventRecorder = field(default_factory=EventRecorder)
    checks: Checks = field(default_factory=Checks)

    def script(self, *steps: FauxStep) -> None:
        """What the model will answer, call by call."""
        self.model.append_responses(steps)

    def note(self, text: str) -> None:
        """Tell what somebody else than the agent does."""
        self.screen.labelled("", f"[{text}]", Style.Faint, Style.Faint)

    async def first(self, kind: type[AgentEvent]) -> None:
        """Wait, in another task than the run's, until there is such an event."""
        async with self.agent.events() as events:
            async for event in events:
                if isinstance(event, kind):
                    return


@dataclass(frozen=True)
class Scene:
    """A part of the demo: what it shows, why that is hard, and how it goes."""

    title: str
    point: str
    play: Callable[[Stage], Awaitable[None]]

    async def perform(self, stage: Stage) -> None:
        """Announce it, and play it."""
        announce(stage.screen, self.title, self.point)
        await self.play(stage)


def living_tasks() -> int:
    """How many tasks there are in this run of trio, wherever they were started."""
    return trio.lowlevel.current_statistics().tasks_living


def announce(screen: Screen, title: str, point: str) -> None:
    """A heading, and the line below it."""
    screen.line()
    screen.line(title, Style.Title)
    screen.line(point, Style.Faint)
    screen.line()


@asynccontextmanager
async def open_stage(screen: Screen) -> AsyncIterator[Stage]:
    """An agent with its tools, its script and those who watch it; an unused step of the script is an error."""
    tasks, guidebook = living_tasks(), Guidebook()
    with register_faux_provider(tokens_per_second=TOKENS_PER_SECOND, token_size=(1, 2)) as model:
        tools = [flights, hotels, weather, guidebook.print_guide]
        async with open_agent(model.get_model(), name="travel", tools=tools) as agent:
            stage = Stage(screen, agent, model, guidebook, tasks)
            with agent.subscribe(Narrator(screen)), agent.subscribe(stage.recorder):
                yield stage
