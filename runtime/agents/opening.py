"""The one way to get an agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Unpack

from runtime.errors import InvalidOptionError
from runtime.nurseries import SingleVoiceNursery
from runtime.values.model import Model

from .agent import Agent
from .keywords import AgentSettings
from .settings import AgentOptions
from .tree import settle_in


@asynccontextmanager
async def open_agent(model: Model | AgentOptions, **settings: Unpack[AgentSettings]) -> AsyncIterator[Agent]:
    """Open an agent: from a model and the fields of AgentOptions as keywords, or from AgentOptions (keywords replace).

    Leaving the block aborts the run that is active, returns what is queued, and waits until nothing of it is left: for
    tools and hooks as long as they resist, for listeners until ``abort_grace`` seconds after the abort, then they are
    cancelled. An exception of the block leaves as itself and wins over the run's.
    """
    options = _options(model, settings)
    agent: Agent | None = None
    try:
        async with SingleVoiceNursery() as nursery:
            agent = Agent.make(options, nursery)
            settle_in(nursery, agent)
            try:
                yield agent
            finally:
                agent._close()  # noqa: SLF001
    finally:
        if agent is not None:
            agent._end_feeds()  # noqa: SLF001


def _options(model: Model | AgentOptions, settings: AgentSettings) -> AgentOptions:
    known = AgentOptions.__dataclass_fields__
    if unknown := settings.keys() - known.keys():
        raise InvalidOptionError(f"open_agent() does not take {', '.join(sorted(unknown))}; see AgentOptions")
    given: dict[str, Any] = {**settings}
    if isinstance(model, AgentOptions):
        return replace(model, **given)
    return AgentOptions(model=model, **given)
