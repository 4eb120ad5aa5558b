"""The tree of a living process: what runs below whom, from inside and from outside."""

import io
import os
import signal
import threading

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, says

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import AgentMonitor, AgentTree, agent_tree, open_agent
from runtime.agents.tree import AgentNode, ToolNode

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


async def look_from(hook):
    """The tree, drawn by a hook or a listener that has an agent called judge open."""
    seen = []

    async def judge(*_):
        with register_faux_provider() as faux:
            async with open_agent(faux.get_model(), name="judge"):
                seen.append(str(agent_tree()))

    hooks = {} if hook == "listener" else {hook: judge}
    async with opened(
        calls("work"), says("so"), tools=[Probe("work")], name="boss", check=False, **hooks
    ) as (agent, _, _):
        if hook == "listener":
            agent.subscribe(judge)
        await agent.prompt("go")
    return seen[0]


@pytest.mark.parametrize(
    ("hook", "doing"),
    [
        ("listener", "run 1, turn 0, 0 messages\n└─ "),
        ("before_tool_call", "run 1, turn 1, 2 messages\n└─ "),
        ("prepare_next_turn", "run 1, turn 1, 3 messages\n└─ "),
        ("after_tool_call", "run 1, turn 1, 2 messages\n└─ tool work (c0)\n   └─ "),
    ],
)
async def test_agents_that_hooks_and_listeners_open_are_shown(hook, doing):
    """Below the agent whose they are; below the tool, when it is its result that a hook is asked about."""
    assert await look_from(hook) == f"agent boss: {doing}agent judge: idle, 0 messages"


async def test_an_agent_that_has_run_is_idle():
    """It is in no run and no turn, whatever it did before."""
    async with opened(says("hi"), name="boss") as (agent, _, _):
        await agent.prompt("go")
        (node,) = agent_tree().agents
    assert (node.run, node.turn, node.messages, node.tools, node.agents) == (0, 0, 2, (), ())
    assert list(node.lines()) == ["agent boss: idle, 2 messages"]


def test_what_is_drawn_holds_no_terminal_escapes():
    """Names and ids may come from a model: what is no printable character is replaced, what is long is cut."""
    tool = ToolNode("clear\x1b[2J", "c0\n\u202e" + "x" * 1000)
    node = AgentNode("bo\x07ss", 1, 2, 3, 0, (tool,))
    first, second = str(AgentTree((node,))).splitlines()
    assert first == "agent bo\ufffdss: run 1, turn 2, 3 messages"
    assert second == f"└─ tool clear\ufffd[2J (c0\ufffd\ufffd{'x' * 95}…)"


async def test_a_warning_about_what_resists_holds_no_terminal_escapes(autojump_clock, caplog):
    """It names tools and calls, too."""

    async def resist(call):
        with trio.CancelScope(shield=True):
            await trio.sleep(9)

    script = faux_assistant_message([faux_tool_call("work", {}, id="c\x1b[2J")], stop_reason="toolUse")
    async with opened(script, tools=[Probe("work", resist)]) as (agent, _, _), trio.open_nursery() as nursery:
        nursery.start_soon(after, 1, agent.abort)
        await agent.prompt("go")
    assert "still running: work (c\ufffd[2J)" in caplog.text


def test_a_tree_holds_the_agents_of_its_own_run_alone():
    """Not those of another trio.run, in another thread; a monitor sees what it is given to."""
    monitor, seen = AgentMonitor(), []

    def look():
        thread = threading.Thread(target=lambda: trio.run(elsewhere))
        thread.start()
        thread.join()

    async def elsewhere():
        with register_faux_provider() as faux:
            async with open_agent(faux.get_model(), name="stranger"):
                seen.extend([str(agent_tree()), str(monitor)])

    trio.run(a_living_process, look, instruments=[monitor])
    assert seen == ["agent stranger: idle, 0 messages", PICTURE]


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
