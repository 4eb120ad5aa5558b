"""Corners of agents: who came first, what is kept alive, and cancellations that belong to nobody."""

import gc
import weakref

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, result_texts, says, sleeper

from providers.faux import register_faux_provider
from runtime import AgentContext, AgentLoopConfig, add_agent_context, open_agent, run_agent_loop, user


async def test_an_agent_whose_block_was_left_is_not_kept_alive():
    """Looking at the tree of agents holds none of them."""
    with register_faux_provider() as faux:
        async with open_agent(faux.get_model()) as agent:
            gone = weakref.ref(agent)
        del agent
    gc.collect()
    assert gone() is None


async def test_what_an_abort_cut_cannot_be_cut_for_another_reason(autojump_clock):
    """Neither alone nor by steering: every call says that the abort did it."""
    tools = [sleeper("first", 3), sleeper("second", 3)]
    async with (
        opened(
            calls("first", "second"), tools=tools, steering_policy="cancel_batch", max_concurrent_tools=1
        ) as (agent, _, _),
        trio.open_nursery() as nursery,
    ):

        def cut():
            agent.abort()
            assert agent.cancel_tool_call("c1") is False
            agent.steer("too late")

        nursery.start_soon(after, 1, cut)
        await agent.prompt("go")
        assert result_texts(agent) == ["Operation aborted", "Operation aborted"]


async def test_a_tool_cannot_follow_the_agent_that_called_it():
    """Its events would follow themselves for ever."""

    async def work(call):
        with call.follow(agent):
            pass

    async with opened(calls("work"), says("oh"), tools=[Probe("work", work)]) as (agent, _, _):
        await agent.prompt("go")
        assert "cannot follow an agent that called it" in result_texts(agent)[0]


async def test_a_loop_in_a_task_of_the_application_leaves_its_log_fields_alone():
    """What was bound before holds again."""

    async def emit(event):
        pass

    with register_faux_provider() as faux:
        faux.set_responses([says("hi")])
        await run_agent_loop([user("hi")], AgentContext(), AgentLoopConfig(model=faux.get_model()), emit)
    assert add_agent_context(None, "info", {}) == {}


@pytest.mark.parametrize("where", ["listener", "hook", "tool"])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure(where):
    """Kept from elsewhere and raised again, it belongs to no scope around: it is told, and hangs nothing."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:  # noqa: ASYNC103
            kept = error

    async def stray(*args):
        raise kept

    settings = {"transform_context": stray} if where == "hook" else {}
    with trio.fail_after(5):
        async with opened(
            calls("work"), says("well"), tools=[Probe("work", stray)], check=False, **settings
        ) as (agent, _, faux):
            if where == "listener":
                agent.subscribe(stray)
            if where == "tool":
                await agent.prompt("go")
                assert "outside of the scope that it belongs to" in result_texts(agent)[0]
            else:
                with pytest.raises(RuntimeError, match="outside of the scope that it belongs to"):
                    await agent.prompt("go")
            assert not agent.is_running
            faux.set_responses([])
