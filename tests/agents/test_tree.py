"""The tree of a living process: what runs below whom, from inside and from outside."""

import io
import os
import signal
import threading

import pytest
import trio
from agent_doubles import Probe, calls, opened, says

from providers.faux import register_faux_provider
from runtime import AgentMonitor, AgentTree, agent_tree, open_agent

PICTURE = """\
agent boss: run 1, turn 1, 2 messages, 1 queued
├─ tool research (c0)
│  ├─ agent researcher: run 1, turn 1, 2 messages
│  │  └─ tool dig (c0)
│  └─ agent spare: idle, 0 messages
└─ tool wait (c1)
agent idler: idle, 0 messages"""


async def a_living_process(look):
    """Agents below agents, and one that is idle; ``look`` is called while they run."""
    reached = trio.Event()
    done = trio.Event()

    async def dig(call):
        reached.set()
        await done.wait()

    async def research(call):
        with register_faux_provider() as faux:
            faux.set_responses([calls("dig"), says("gold")])
            async with (
                open_agent(faux.get_model(), name="researcher", tools=[Probe("dig", dig)]) as agent,
                trio.open_nursery(),
                open_agent(faux.get_model(), name="spare"),
            ):
                await agent.prompt("dig")

    async def wait(call):
        await done.wait()

    tools = [Probe("research", research), Probe("wait", wait)]
    async with (
        opened(calls("research", "wait"), says("so"), says("and"), tools=tools, name="boss") as (
            agent,
            _,
            faux,
        ),
        open_agent(faux.get_model(), name="idler"),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(agent.prompt, "go")
        await reached.wait()
        agent.follow_up("and then")
        await trio.testing.wait_all_tasks_blocked()
        look()
        done.set()


async def test_the_tree_shows_who_runs_below_whom():
    """Agents, runs, turns, tools and what tools have opened; idle ones, too."""
    seen = []
    await a_living_process(lambda: seen.append(agent_tree()))
    assert str(seen[0]) == PICTURE
    assert seen[0].agents[0].tools[0].agents[0].tools[0].name == "dig"
    assert agent_tree() == AgentTree()
    assert str(agent_tree()) == "no agents"


def test_a_monitor_is_read_from_another_thread():
    """The same tree, without a word of the application; nothing before and after the run."""
    monitor = AgentMonitor()
    assert str(monitor) == "no agents"
    seen = []

    def look():
        thread = threading.Thread(target=lambda: seen.append(str(monitor)))
        thread.start()
        thread.join()

    trio.run(a_living_process, look, instruments=[monitor])
    assert seen == [PICTURE]
    assert str(monitor) == "no agents"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal on this platform")
def test_a_signal_prints_the_tree():
    """Each one that arrives during the run; the handler that was there comes back."""
    kept = signal.getsignal(signal.SIGUSR1)
    text = io.StringIO()
    monitor = AgentMonitor(signal=signal.SIGUSR1, file=text)
    trio.run(a_living_process, lambda: os.kill(os.getpid(), signal.SIGUSR1), instruments=[monitor])
    assert text.getvalue() == f"{PICTURE}\n"
    assert signal.getsignal(signal.SIGUSR1) is kept


def test_there_is_no_tree_without_trio():
    """It says so."""
    with pytest.raises(RuntimeError):
        agent_tree()
