"""Who runs below whom, in one ``trio.run``: agents, their runs and turns, tools, and the agents that tools call."""

import signal as signals
import sys
import weakref
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, TextIO

import trio

from runtime.values.text import printable

from .agent import Agent

_HOMES: "weakref.WeakKeyDictionary[trio.Nursery, weakref.ref[Agent]]" = weakref.WeakKeyDictionary()
"""Which nursery is whose; only for looking: nothing is started, ended or kept alive through it."""


@dataclass(frozen=True)
class ToolNode:
    """A tool that runs: its call, and the agents that it has opened."""

    name: str
    call_id: str
    agents: "tuple[AgentNode, ...]" = ()

    def lines(self) -> Iterator[str]:
        """As text, what is below it indented."""
        yield f"tool {printable(self.name)} ({printable(self.call_id)})"
        yield from _below(self.agents)


@dataclass(frozen=True)
class AgentNode:
    """An agent at this moment. ``run`` and ``turn`` are 0 for one that is idle; ``agents`` are those that its hooks and
    listeners have opened.
    """

    name: str
    run: int
    turn: int
    messages: int
    queued: int
    tools: tuple[ToolNode, ...] = ()
    agents: "tuple[AgentNode, ...]" = ()

    def lines(self) -> Iterator[str]:
        """As text, what is below it indented."""
        doing = f"run {self.run}, turn {self.turn}" if self.run else "idle"
        queued = f", {self.queued} queued" if self.queued else ""
        yield f"agent {printable(self.name)}: {doing}, {self.messages} messages{queued}"
        yield from _below((*self.tools, *self.agents))


@dataclass(frozen=True)
class AgentTree:
    """All agents of one ``trio.run`` at one moment; ``str`` draws it, for a terminal: names and ids may be a model's."""

    agents: tuple[AgentNode, ...] = ()

    def __str__(self) -> str:
        return "\n".join(line for node in self.agents for line in node.lines()) or "no agents"


def agent_tree() -> AgentTree:
    """The agents that are open in this ``trio.run``, wherever they were opened: in tools, hooks and listeners, too.

    Raises RuntimeError outside of trio.
    """
    root = trio.lowlevel.current_root_task()
    assert root is not None  # noqa: S101 - trio runs
    return AgentTree(tuple(_agents_below(root)))


class AgentMonitor(trio.abc.Instrument):
    """Draws the tree of the ``trio.run`` that it is given to: ``trio.run(main, instruments=[AgentMonitor(signal=signal.SIGUSR1)])``.

    Another run, in another thread, wants a monitor of its own.
    ``str(monitor)`` is the tree, from any task or thread; with a signal, each one that arrives prints it to ``file``
    (standard error by default). Signals need the main thread, as always in Python. It costs next to nothing while nobody looks.
    """

    def __init__(self, *, signal: int | None = None, file: TextIO | None = None) -> None:
        self._signal = signal
        self._file = file
        self._kept: Any = None
        self._root: trio.lowlevel.Task | None = None

    def before_run(self) -> None:
        """Called by trio."""
        if self._signal is not None:
            self._kept = signals.signal(self._signal, self._print)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Called by trio; the first task of a run is its root."""
        if self._root is None:
            self._root = task

    def after_run(self) -> None:
        """Called by trio."""
        self._root = None
        if self._signal is not None:
            signals.signal(self._signal, self._kept)

    def tree(self) -> AgentTree:
        """What runs now; empty before and after the run."""
        return AgentTree(tuple(_agents_below(self._root)) if self._root else ())

    def _print(self, _signal: int, _frame: FrameType | None) -> None:
        with suppress(
            Exception
        ):  # it interrupts anything, trio itself, too: what it raised would end the run
            print(self, file=self._file or sys.stderr)

    def __str__(self) -> str:
        return str(self.tree())


def settle_in(nursery: trio.Nursery, agent: Agent) -> None:
    """Remember whose nursery that is."""
    _HOMES[nursery] = weakref.ref(agent)  # an agent knows its nursery: held strongly, neither would ever go


def _agents_below(task: trio.lowlevel.Task, but: "Container[trio.lowlevel.Task]" = ()) -> Iterator[AgentNode]:
    for nursery in tuple(task.child_nurseries):
        home = _HOMES.get(nursery)
        agent = home() if home is not None else None
        if agent is not None:
            yield _node(agent)
            continue
        for child in tuple(nursery.child_tasks):
            if child not in but:
                yield from _agents_below(child, but)


def _node(agent: Agent) -> AgentNode:
    figures = agent.statistics()
    run, tools = agent._running_tasks()  # noqa: SLF001 - it draws what agents do not show
    return AgentNode(
        agent.name,
        figures.runs if agent.is_running else 0,
        figures.turn,
        figures.messages,
        figures.queued_steering + figures.queued_follow_up,
        tuple(ToolNode(call.name, call.id, tuple(_agents_below(task))) for task, call in tools.items()),
        tuple(_agents_below(run, tools)) if run is not None else (),
    )


def _below(nodes: "Iterable[AgentNode | ToolNode]") -> Iterator[str]:
    nodes = tuple(nodes)
    for node in nodes:
        first, *rest = node.lines()
        last = node is nodes[-1]
        yield ("└─ " if last else "├─ ") + first
        yield from (("   " if last else "│  ") + line for line in rest)
