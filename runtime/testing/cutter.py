"""What a scenario is given in a sweep: it says what can be cut, and is cut at the k-th step of its tasks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from runtime.agents.agent import Agent

if TYPE_CHECKING:
    from .server.fake import FakeServer


@dataclass(frozen=True)
class _Cut:
    """How to cut, and whether there is anything to cut now."""

    act: Callable[[], object]
    ready: Callable[[], bool] = lambda: True


class Cutter(trio.abc.Instrument):
    """Says what can be cut, and cuts it. Each kind of cut has steps of its own: those at which there is something to cut.

    ``arm`` takes any functions; ``scope``, ``arm_agent`` and ``arm_server`` are for what is mostly wanted::

        async def scenario(cutter):
            with cutter.scope("block"):                      # the agent's block is cancelled
                async with open_agent(model, tools=[search]) as agent:
                    cutter.arm_agent(agent)                  # abort(), and the cancellation of one tool call
                    with cutter.scope("caller"):             # who waits for prompt() is cancelled
                        await agent.prompt("hi")
            return agent.state.messages
    """

    def __init__(self, kind: str | None = None, at: int = 0) -> None:
        self.kinds: list[str] = []
        """The kinds that were armed, in order."""
        self.steps = 0
        """How many steps the scenario's tasks made so far while the kind of this run, or without one any, was armed."""
        self.reached = False
        """Whether the cut was made."""
        self.failure: Exception | None = None
        """What the function that cuts has raised."""
        self._kind = kind
        self._at = at
        self._armed: dict[str, _Cut] = {}
        self._root: trio.lowlevel.Task | None = None

    def arm(self, **cuts: Callable[[], object]) -> None:
        """Name ways to cut; what counts are the steps of the first task that calls this, and of its children."""
        for kind, act in cuts.items():
            self._arm(kind, _Cut(act))

    def disarm(self, *kinds: str) -> None:
        """What follows is not counted, and not cut: by these kinds, or by any."""
        for kind in kinds or tuple(self._armed):
            self._armed.pop(kind, None)

    @contextmanager
    def scope(self, kind: str) -> Iterator[trio.CancelScope]:
        """A cancel scope around the block, that can be cut as long as the block runs."""
        with trio.CancelScope() as scope:
            self.arm(**{kind: scope.cancel})
            try:
                yield scope
            finally:
                self.disarm(kind)

    def arm_agent(self, agent: Agent) -> None:
        """Two ways to cut an agent: ``abort``, while it is in a run, and ``tool``, the first of its tool calls alone."""
        self._arm("abort", _Cut(agent.abort, lambda: agent.state.is_streaming))
        self._arm("tool", _Cut(lambda: _cancel_one_call(agent), lambda: bool(agent.state.pending_tool_calls)))

    def arm_server(self, server: "FakeServer") -> None:
        """``connection``: a fake server breaks off all connections."""
        self._arm("connection", _Cut(server.drop_connections, lambda: server.open_connections > 0))

    def _arm(self, kind: str, cut: _Cut) -> None:
        if kind not in self.kinds:
            self.kinds.append(kind)
        self._armed[kind] = cut
        if self._root is None:
            self._root = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and cut when it is time; called by trio, which would only log an exception."""
        if self._armed and self._is_ours(task):
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - it is raised when the run is over
                self.failure = error
                self.disarm()

    def _step(self) -> None:
        if self._kind is None:
            self.steps += 1
            return
        cut = self._armed.get(self._kind)
        if cut is not None and cut.ready():
            self.steps += 1
            if self.steps == self._at:
                self.reached = True
                cut.act()

    def _is_ours(self, task: trio.lowlevel.Task) -> bool:
        here: trio.lowlevel.Task | None = task
        while here is not None and here is not self._root:
            here = here.parent_nursery.parent_task if here.parent_nursery else None
        return here is not None

    def __repr__(self) -> str:
        cut = f"cut by {self._kind!r} at step {self._at}" if self._kind else "no cut"
        return f"<Cutter {cut}{', made' if self.reached else ''}, {self.steps} steps so far>"


def _cancel_one_call(agent: Agent) -> None:
    for call_id in sorted(agent.state.pending_tool_calls):
        if agent.cancel_tool_call(call_id):
            return
