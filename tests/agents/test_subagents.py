"""Agents that are called by tools of other agents: their events seen from above, and their end."""

import logging

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, result_texts, says

from providers.faux import register_faux_provider
from runtime import (
    AgentEnd,
    AgentStart,
    AgentToolResult,
    StopReason,
    SubagentEvent,
    open_agent,
)
from runtime.testing import EventRecorder, assert_event_grammar


def caller(name, *steps, agent_name, tools=(), pace=None, opened_agents=None):
    """A tool that has an agent of its own answer, and lets its events be seen."""

    async def work(call):
        with register_faux_provider(tokens_per_second=pace) as faux:
            faux.set_responses(steps)
            async with open_agent(faux.get_model(), name=agent_name, tools=tools) as agent:
                if opened_agents is not None:
                    opened_agents.append(agent)
                with call.follow(agent):
                    try:
                        reply = await agent.prompt("please")
                    finally:
                        faux.set_responses([])
        return AgentToolResult.text(reply.text)

    return Probe(name, work)


def below(recorder, *agents):
    """The events of the agents on that path."""
    return [
        event.event
        for event in recorder.of(SubagentEvent)
        if tuple(step.agent for step in event.path) == agents
    ]


async def test_what_a_called_agent_does_is_seen_from_above():
    """Its whole run, with the path of who called whom, between start and end of the call."""
    research = caller("research", says("found"), agent_name="researcher")
    async with opened(calls("research"), says("so"), tools=[research]) as (agent, recorder, _):
        await agent.prompt("go")
        assert result_texts(agent) == ["found"]
    seen = below(recorder, "researcher")
    assert_event_grammar(seen, runs=1)
    assert (type(seen[0]), type(seen[-1])) == (AgentStart, AgentEnd)
    first = recorder.of(SubagentEvent)[0]
    assert first.model_dump() == {
        "type": "subagent_event",
        "path": [{"toolCallId": "c0", "toolName": "research", "agent": "researcher"}],
        "event": {"type": "agent_start"},
    }


async def test_a_path_has_all_steps():
    """Three floors: the events of the lowest agent arrive at the top, unwrapped."""
    dig = caller("dig", says("gold"), agent_name="digger")
    research = caller("research", calls("dig"), says("found gold"), agent_name="researcher", tools=[dig])
    async with opened(calls("research"), says("so"), tools=[research]) as (agent, recorder, _):
        await agent.prompt("go")
        assert result_texts(agent) == ["found gold"]
    assert_event_grammar(below(recorder, "researcher", "digger"), runs=1)
    middle = below(recorder, "researcher")
    assert not any(isinstance(event, SubagentEvent) for event in middle)
    assert_event_grammar(middle, runs=1)


async def test_two_called_agents_are_told_apart():
    """Each event says which call it belongs to, and each run is whole."""
    tools = [
        caller("one", says("1 " * 30), agent_name="same", pace=50),
        caller("two", says("2 " * 30), agent_name="same", pace=50),
    ]
    async with opened(calls("one", "two"), says("so"), tools=tools) as (agent, recorder, _):
        await agent.prompt("go")
    for call in ("c0", "c1"):
        assert_event_grammar(
            [event.event for event in recorder.of(SubagentEvent) if event.path[0].tool_call_id == call],
            runs=1,
        )


async def test_agents_that_follow_each_other_end(autojump_clock):
    """An event that comes round to the call that it has passed goes no further."""

    async def ask_other(call):
        with call.follow(other):
            await other.prompt("please")

    async def watch(call):
        with call.follow(agent):
            await call.update("seed")
            await trio.sleep(5)

    async def goes_no_further(event):
        assert not isinstance(event, SubagentEvent) or len(event.path) < 3

    async with (
        opened(calls("ask"), says("so"), tools=[Probe("ask", ask_other)], name="one") as (agent, recorder, _),
        opened(calls("watch"), says("ok"), tools=[Probe("watch", watch)], name="two") as (other, heard, _),
    ):
        agent.subscribe(goes_no_further)
        await agent.prompt("go")
    assert_event_grammar(below(recorder, "two"), runs=1)
    paths = {tuple(step.agent for step in event.path) for event in heard.of(SubagentEvent)}
    assert paths == {("one", "two")}  # its own events, as the other hears them, and no further


async def test_agents_and_calls_of_the_same_name_are_told_apart():
    """Floors whose names and ids are the same are no circle."""
    lowest = caller("again", says("gold"), agent_name="same")
    middle = caller("again", calls("again"), says("found"), agent_name="same", tools=[lowest])
    async with opened(calls("again"), says("so"), tools=[middle], name="same") as (agent, recorder, _):
        await agent.prompt("go")
    assert_event_grammar(below(recorder, "same", "same"), runs=1)


@pytest.mark.parametrize("how", ["abort", "cancel", "tool"])
async def test_a_called_agent_is_cut_with_its_caller(autojump_clock, how):
    """Its run ends as Aborted, its events come to their end, and nothing of it is left."""
    agents = []
    slow = caller("research", says("word " * 200), agent_name="researcher", pace=10, opened_agents=agents)
    async with opened(calls("research"), says("well"), tools=[slow]) as (agent, recorder, faux):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                act = {
                    "abort": agent.abort,
                    "cancel": scope.cancel,
                    "tool": lambda: agent.cancel_tool_call("c0"),
                }[how]
                nursery.start_soon(after, 5, act)
                await agent.prompt("go")
        faux.set_responses([])
        assert result_texts(agent) == ["Tool call cancelled" if how == "tool" else "Operation aborted"]
    seen = below(recorder, "researcher")
    assert_event_grammar(seen, runs=1)
    assert seen[-1].messages[-1].stop_reason is StopReason.Aborted
    assert agents[0].statistics().running_tools == 0


async def test_a_tool_cannot_prompt_its_own_agent():
    """That would wait for ever: the model reads why not."""

    async def work(call):
        await agent.prompt("more")

    async with opened(calls("loop"), says("oh"), tools=[Probe("loop", work)]) as (agent, _, _):
        await agent.prompt("go")
        assert "is in a run" in result_texts(agent)[0]


async def test_lines_of_the_log_say_where_they_come_from(caplog):
    """Agent, run, turn, call and tool are bound, and who called."""
    caplog.set_level(logging.DEBUG, "agentrio")
    dig = caller("dig", says("gold"), agent_name="digger")
    async with opened(calls("dig"), says("so"), tools=[dig], name="boss") as (agent, _, _):
        await agent.prompt("go")
    lines = [(record.msg, getattr(record, "agent", None)) for record in caplog.records]
    assert lines[0] == ("run started", "boss")
    assert ("run started", "digger") in lines
    below_it = next(r for r in caplog.records if r.msg == "reply ended" and r.agent == "digger")
    assert below_it.callers == ("boss run 1 turn 1 call c0",)
    assert (below_it.run, below_it.turn, below_it.stop_reason) == (1, 1, "stop")
    started = next(r for r in caplog.records if r.msg == "tool started")
    assert (started.agent, started.run, started.turn, started.call, started.tool) == (
        "boss",
        1,
        1,
        "c0",
        "dig",
    )
    assert not hasattr(started, "callers")
    ended = caplog.records[-1]
    assert (ended.msg, ended.agent, ended.outcome, ended.turns) == ("run ended", "boss", "stop", 2)
    assert not hasattr(ended, "call")


async def test_lines_of_the_log_name_all_that_called(caplog):
    """Three floors: the lowest agent's lines say both calls, from the top down."""
    caplog.set_level(logging.DEBUG, "agentrio")
    dig = caller("dig", says("gold"), agent_name="digger")
    research = caller("research", calls("dig"), says("found gold"), agent_name="researcher", tools=[dig])
    async with opened(calls("research"), says("so"), tools=[research], name="boss") as (agent, _, _):
        await agent.prompt("go")
    callers = {
        record.agent: getattr(record, "callers", ())
        for record in caplog.records
        if record.msg == "run started"
    }
    assert callers == {
        "boss": (),
        "researcher": ("boss run 1 turn 1 call c0",),
        "digger": ("boss run 1 turn 1 call c0", "researcher run 1 turn 1 call c0"),
    }


async def test_a_failure_that_nobody_waits_for_is_logged_under_its_own_run(autojump_clock, caplog):
    """Not under the call that waited for it: that is among the callers."""

    async def dies(event):
        if isinstance(event, AgentEnd):
            raise LookupError("the listener died")

    async def work(call):
        with register_faux_provider(tokens_per_second=5) as faux:
            faux.set_responses([says("word " * 50)])
            async with open_agent(faux.get_model(), name="child") as child:
                child.subscribe(dies)
                await child.prompt("go")

    async with opened(calls("ask"), says("so"), tools=[Probe("ask", work, timeout=3)], name="boss") as (
        agent,
        _,
        _,
    ):
        await agent.prompt("go")
    (line,) = [record for record in caplog.records if "nobody waits" in record.msg]
    assert (line.agent, line.run, line.turn) == ("child", 1, 1)
    assert line.callers == ("boss run 1 turn 1 call c0",)
    assert not hasattr(line, "call")
    assert not hasattr(line, "tool")


async def test_the_applications_own_lines_can_say_it_too():
    """With the structlog processor, in tools and listeners; outside a run nothing is added."""
    import structlog
    from structlog.testing import CapturingLogger

    from runtime import add_agent_context

    target = CapturingLogger()
    logger = structlog.wrap_logger(target, processors=[add_agent_context])

    async def work(call):
        logger.info("in a tool", turn="its own")

    async def listen(event):
        if isinstance(event, AgentEnd):
            logger.info("in a listener")

    recorder = EventRecorder()
    async with opened(
        calls("work"), says("so"), tools=[Probe("work", work)], name="boss", recorder=recorder
    ) as (
        agent,
        _,
        _,
    ):
        agent.subscribe(listen)
        await agent.prompt("go")
        logger.info("outside")
    tool, listener, outside = (call.kwargs for call in target.calls)
    assert tool == {
        "event": "in a tool", "turn": "its own", "agent": "boss", "run": 1, "call": "c0", "tool": "work"
    }  # fmt: skip
    assert listener == {"event": "in a listener", "agent": "boss", "run": 1, "turn": 2}
    assert outside == {"event": "outside"}
