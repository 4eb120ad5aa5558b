"""Agents as tools: the answer, the costs, the failures, and the end."""

import pytest
import trio

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import (
    AgentOptions,
    StopReason,
    SubagentEvent,
    ToolDefinitionError,
    ToolError,
    Usage,
    open_agent,
    user,
)
from runtime.testing import EventRecorder, assert_event_grammar, assert_transcript_valid
from tools import subagent, tool


def asks(prompt="dig"):
    return faux_assistant_message(
        [faux_tool_call("researcher", {"prompt": prompt}, id="c0")], stop_reason=StopReason.ToolUse
    )


async def conversation(below, *, pace=None, act=None, **options):
    """A boss that asks its researcher once; the boss, what its readers saw, and its last reply."""
    recorder = EventRecorder()
    with register_faux_provider() as above, register_faux_provider(tokens_per_second=pace) as faux:
        above.set_responses([asks(), faux_assistant_message("so")])
        faux.set_responses(below)
        options = AgentOptions(model=faux.get_model(), name="researcher", **options)
        tools = [subagent(options, description="Finds things out.")]
        async with open_agent(above.get_model(), tools=tools) as boss, trio.open_nursery() as nursery:
            boss.subscribe(recorder)
            if act is not None:
                nursery.start_soon(act, boss)
            reply = await boss.prompt("go")
            messages = boss.state.messages
        above.set_responses([])
        faux.set_responses([])
    assert_event_grammar(recorder.events, runs=1)
    assert_event_grammar([event.event for event in recorder.of(SubagentEvent)], runs=1)
    assert_transcript_valid(messages)
    return messages, recorder, reply


async def test_an_agent_answers_a_call():
    """With the text of its reply; the model is told what to give."""
    messages, recorder, reply = await conversation([faux_assistant_message("gold")])
    assert messages[2].text == "gold"
    assert reply.text == "so"
    assert recorder.of(SubagentEvent)[0].path[0].agent == "researcher"
    tool_of_it = subagent(AgentOptions(model=_model()), description="Finds things out.")
    assert tool_of_it.definition.name == "agent"
    assert list(tool_of_it.definition.parameters["properties"]) == ["prompt"]
    assert repr(tool_of_it) == "<subagent agent(prompt) of 'agent'>"


async def test_each_call_has_an_agent_of_its_own():
    """What one was asked the next one does not know."""
    seen = []

    async def answer(context, options, state, model):
        seen.append([message.content for message in context.messages])
        return faux_assistant_message("yes")

    with register_faux_provider() as above, register_faux_provider() as faux:
        above.set_responses([asks("one"), asks("two"), faux_assistant_message("so")])
        faux.set_responses([answer, answer])
        tools = [subagent(AgentOptions(model=faux.get_model(), name="researcher"), description="Finds out.")]
        async with open_agent(above.get_model(), tools=tools) as boss:
            await boss.prompt("go")
    assert seen == [["one"], ["two"]]


async def test_its_usage_is_that_of_all_its_calls():
    """Replies and tool results of its run, with their costs."""
    spent = Usage(input=10, output=5, total_tokens=15)

    @tool
    async def look() -> object:
        """Look."""
        from runtime import AgentToolResult

        return AgentToolResult.text("seen", usage=spent)

    below = [
        faux_assistant_message([faux_tool_call("look", {}, id="d0")], stop_reason=StopReason.ToolUse),
        faux_assistant_message("gold"),
    ]
    messages, recorder, _ = await conversation(below, tools=[look])
    replies = [e.event.message for e in recorder.of(SubagentEvent) if e.event.type == "turn_end"]
    expected = replies[0].usage + replies[1].usage + spent
    assert messages[2].usage == expected
    assert expected.total_tokens > 15


async def test_an_agent_that_fails_is_an_error_that_says_why():
    """The model reads the reason, and the run goes on."""
    failing = faux_assistant_message("", stop_reason=StopReason.Error, error_message="no such city")
    messages, _, reply = await conversation([failing])
    assert messages[2].is_error
    assert messages[2].text == "agent 'researcher' ended as error: no such city"
    assert reply.text == "so"


async def test_an_agent_that_fails_still_says_what_it_consumed():
    """The calls that went well, and the one that did not."""
    failing = faux_assistant_message("", stop_reason=StopReason.Error, error_message="no such city")

    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    below = [faux_assistant_message([faux_tool_call("look", {})], stop_reason=StopReason.ToolUse), failing]
    messages, recorder, _ = await conversation(below, tools=[look])
    replies = [e.event.message for e in recorder.of(SubagentEvent) if e.event.type == "turn_end"]
    assert messages[2].is_error
    assert messages[2].usage == replies[0].usage + replies[1].usage
    assert messages[2].usage.total_tokens > 0


async def test_any_tool_may_say_what_it_consumed_before_it_failed():
    """With the error; what is no Usage is left out."""

    async def outcome(usage):
        @tool
        async def look() -> str:
            """Look."""
            raise ToolError("too dark", usage=usage)

        with register_faux_provider() as faux:
            faux.set_responses(
                [
                    faux_assistant_message([faux_tool_call("look", {})], stop_reason=StopReason.ToolUse),
                    faux_assistant_message("so"),
                ]
            )
            async with open_agent(faux.get_model(), tools=[look]) as agent:
                await agent.prompt("go")
                return agent.state.messages[2]

    spent = Usage(input=10, output=5, total_tokens=15)
    told = await outcome(spent)
    assert (told.text, told.is_error, told.usage) == ("too dark", True, spent)
    assert (await outcome("a lot")).usage is None


async def test_an_error_of_ones_own_need_not_know_of_usage():
    """Its words are what the model reads."""

    class DarkError(ToolError):
        def __init__(self, lumen):
            self.lumen = lumen

        def __str__(self):
            return f"{self.lumen} lumen are too dark"

    @tool
    async def look() -> str:
        """Look."""
        raise DarkError(3)

    with register_faux_provider() as faux:
        faux.set_responses(
            [faux_assistant_message([faux_tool_call("look", {})], stop_reason=StopReason.ToolUse)]
        )
        async with open_agent(faux.get_model(), tools=[look], max_turns=1) as agent:
            await agent.prompt("go")
            assert (agent.state.messages[2].text, agent.state.messages[2].usage) == (
                "3 lumen are too dark",
                None,
            )


async def test_messages_to_start_with_are_known_and_not_paid_for_again():
    """Each call's agent begins with those of its options; their usage is none of the call's."""
    seen = []
    spent = Usage(input=1000, output=1000, total_tokens=2000)
    before = (user("We dig."), faux_assistant_message("Where?").model_copy(update={"usage": spent}))

    async def answer(context, options, state, model):
        seen.extend(message.role for message in context.messages)
        return faux_assistant_message("gold")

    messages, recorder, _ = await conversation([answer], messages=before)
    assert seen == ["user", "assistant", "user"]
    (reply,) = (e.event.message for e in recorder.of(SubagentEvent) if e.event.type == "turn_end")
    assert messages[2].usage == reply.usage
    assert 0 < messages[2].usage.total_tokens < 1000


async def test_an_abort_cuts_the_agent_below(autojump_clock):
    """Its run ends as Aborted, and the events say so."""

    async def abort(boss):
        await trio.sleep(3)
        boss.abort()

    messages, recorder, reply = await conversation(
        [faux_assistant_message("word " * 300)], pace=10, act=abort
    )
    assert reply.stop_reason is StopReason.Aborted
    assert trio.current_time() == 3
    assert messages[2].text == "Operation aborted"
    assert recorder.of(SubagentEvent)[-1].event.messages[-1].stop_reason is StopReason.Aborted


@pytest.mark.parametrize("name", ["two words", "", "ä", "x" * 65])
def test_a_name_that_providers_refuse_is_refused(name):
    """With what to do about it."""
    with pytest.raises(ToolDefinitionError, match="give one with name="):
        subagent(AgentOptions(model=_model(), name=name or "a b"), description="Finds things out.")


def test_a_subagent_is_made_of_options():
    """Not of an agent, which is open already."""
    with pytest.raises(ToolDefinitionError, match="made of AgentOptions, not of str"):
        subagent("researcher", description="Finds things out.")


def test_usage_adds_up():
    """What only one side knows stays; what nobody knows is unknown."""
    one = Usage(input=1, output=2, total_tokens=3, reasoning=1)
    two = Usage(input=10, output=20, total_tokens=30)
    assert (one + two) == Usage(input=11, output=22, total_tokens=33, reasoning=1)
    assert (two + two).reasoning is None


def _model():
    with register_faux_provider() as faux:
        return faux.get_model()
