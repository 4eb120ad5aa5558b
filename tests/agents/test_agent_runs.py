"""What a run does, event by event."""

import pytest
from agent_doubles import CITY, Probe, calls, describe, opened, result_texts, roles, says, sleeper, tool_ends

from providers.faux import faux_assistant_message, faux_text, faux_thinking, faux_tool_call
from runtime.agents.events import MessageUpdate, ToolExecutionUpdate
from runtime.agents.hooks import Block, NewArguments, ResultPatch, TurnUpdate
from runtime.agents.tool import AgentContext, AgentToolResult, ToolExecutionMode
from runtime.errors import AgentBusyError, NothingToContinueError
from runtime.values.content import ImageContent, TextContent
from runtime.values.message import CustomMessage, StopReason, ToolResultMessage, UserMessage, user
from runtime.values.thinking import ThinkingLevel
from runtime.values.usage import Usage

TEXT_TURN = ["turn_start", "start user", "end user", "start assistant", "end assistant", "turn_end"]


def steps(recorder):
    return [describe(event) for event in recorder.events if not isinstance(event, MessageUpdate)]


async def test_a_prompt_without_tools_gives_exactly_these_events():
    """One turn: the prompt's pair, the reply with its updates, the end."""
    async with opened(says("hello")) as (agent, recorder, _):
        reply = await agent.prompt("hi")
    assert steps(recorder) == ["agent_start", *TEXT_TURN, "agent_end"]
    assert [e.assistant_message_event.type for e in recorder.of(MessageUpdate)] == [
        "text_start",
        "text_delta",
        "text_end",
    ]
    assert recorder.of(MessageUpdate)[1].message.text == "hello"
    assert reply.text == "hello"
    assert roles(recorder.events[-1].messages) == ["user", "assistant"]


async def test_a_prompt_with_a_tool_gives_exactly_these_events():
    """Two turns; the result's pair comes after the call's end and before the end of the turn."""
    async with opened(calls("look"), says("seen"), tools=[Probe("look")]) as (agent, recorder, _):
        await agent.prompt("hi")
    assert steps(recorder) == [
        "agent_start", "turn_start", "start user", "end user", "start assistant", "end assistant",
        "start look", "end look", "start toolResult", "end toolResult", "turn_end",
        "turn_start", "start assistant", "end assistant", "turn_end", "agent_end",
    ]  # fmt: skip


async def test_custom_messages_stay_in_the_transcript_and_out_of_the_request():
    """By default a model never sees them; agent_end lists them."""
    async with opened(says("ok")) as (agent, recorder, faux):
        await agent.prompt_messages([CustomMessage("note", text="private"), user("hi")])
    assert roles(faux.calls[0].context.messages) == ["user"]
    assert roles(recorder.events[-1].messages) == ["note", "user", "assistant"]


async def test_convert_to_llm_may_translate_custom_messages():
    """What the hook returns is what the model is sent."""

    async def convert(messages):
        return [user(m.text) if isinstance(m, CustomMessage) else m for m in messages]

    async with opened(says("ok"), convert_to_llm=convert) as (agent, _, faux):
        await agent.prompt_messages([CustomMessage("note", text="public")])
    assert faux.calls[0].context.messages[0].content == "public"
    assert agent.state.messages[0].role == "note"


async def test_transform_context_runs_first_and_changes_no_transcript():
    """The transformed list goes to convert_to_llm; the transcript keeps what was said."""
    order = []

    async def transform(messages):
        order.append("transform")
        return messages[-1:]

    async def convert(messages):
        order.append(("convert", len(messages)))
        return messages

    async with opened(says("a"), says("b"), transform_context=transform, convert_to_llm=convert) as (
        agent,
        _,
        _faux,
    ):
        await agent.prompt("one")
        await agent.prompt("two")
    assert order == ["transform", ("convert", 1), "transform", ("convert", 1)]
    assert len(agent.state.messages) == 4


async def test_prepare_arguments_reshapes_before_validation():
    """A tool may accept what its schema does not."""
    probe = Probe("look", parameters=CITY, prepare=lambda arguments: {"city": arguments["town"]})
    async with opened(calls("look", arguments={"town": "Oslo"}), says("ok"), tools=[probe]) as (
        agent,
        recorder,
        _,
    ):
        await agent.prompt("hi")
    assert probe.seen == [{"city": "Oslo"}]
    assert tool_ends(recorder) == [("look", False)]
    assert next(e for e in recorder.events if e.type == "tool_execution_start").args == {"town": "Oslo"}


async def test_wrong_arguments_are_an_error_result_and_siblings_run():
    """The model reads what was wrong; the tool does not run."""
    strict, free = Probe("strict", parameters=CITY), Probe("free")
    async with opened(calls("strict", "free"), says("ok"), tools=[strict, free]) as (agent, recorder, _):
        await agent.prompt("hi")
    assert (strict.seen, len(free.seen)) == ([], 1)
    assert tool_ends(recorder) == [("strict", True), ("free", False)]
    assert "city: missing required property" in result_texts(agent)[0]


async def test_an_unknown_tool_is_an_error_result():
    """The model reads which tools there are."""
    async with opened(calls("nothing"), says("ok"), tools=[Probe("look")]) as (agent, recorder, _):
        await agent.prompt("hi")
    assert tool_ends(recorder) == [("nothing", True)]
    assert result_texts(agent)[0].startswith('Tool "nothing" not found')
    assert "look" in result_texts(agent)[0]


@pytest.mark.parametrize(
    ("reason", "text"), [("not today", "not today"), (None, "Tool execution was blocked")]
)
async def test_before_tool_call_blocks(reason, text):
    """The tool does not run, and the reason is the result."""
    probe = Probe("look")

    async def block(info):
        return Block(reason)

    async with opened(calls("look"), says("ok"), tools=[probe], before_tool_call=block) as (
        agent,
        recorder,
        _,
    ):
        await agent.prompt("hi")
    assert probe.seen == []
    assert tool_ends(recorder) == [("look", True)]
    assert result_texts(agent) == [text]


async def test_before_tool_call_gives_new_arguments_without_validation():
    """The tool gets exactly those; what the hook saw was a copy."""
    probe = Probe("look", parameters=CITY)

    async def replace(info):
        info.arguments["city"] = "changed in place"
        return NewArguments({"anything": 1}) if info.call.id == "c0" else None

    async with opened(
        calls("look", "look", arguments={"city": "Oslo"}), says("ok"), tools=[probe], before_tool_call=replace
    ) as (agent, _, _faux):
        await agent.prompt("hi")
    assert sorted(probe.seen, key=str) == [{"anything": 1}, {"city": "Oslo"}]


@pytest.mark.parametrize("hook", ["before_tool_call", "after_tool_call"])
async def test_a_raising_tool_hook_is_an_error_result(hook):
    """Its message is what the model reads; the run goes on."""

    async def broken(*args):
        raise LookupError("hook is broken")

    async with opened(calls("look"), says("ok"), tools=[Probe("look")], **{hook: broken}) as (
        agent,
        recorder,
        _,
    ):
        reply = await agent.prompt("hi")
    assert tool_ends(recorder) == [("look", True)]
    assert result_texts(agent) == ["hook is broken"]
    assert reply.text == "ok"


async def test_a_hook_that_answers_nonsense_is_an_error_result():
    """before_tool_call returns Block, NewArguments or None, and nothing else."""

    async def nonsense(info):
        return True

    async with opened(calls("look"), says("ok"), tools=[Probe("look")], before_tool_call=nonsense) as (
        agent,
        _,
        _faux,
    ):
        await agent.prompt("hi")
    assert "must return Block, NewArguments or None, not bool" in result_texts(agent)[0]


async def test_a_raising_tool_is_an_error_result_and_siblings_go_on():
    """The text of the exception is the result."""

    async def explode(call):
        raise ValueError("out of order")

    async with opened(
        calls("bad", "good"), says("ok"), tools=[Probe("bad", explode), sleeper("good", 0.001)]
    ) as (agent, recorder, _):
        await agent.prompt("hi")
    assert sorted(tool_ends(recorder)) == [("bad", True), ("good", False)]
    assert result_texts(agent) == ["out of order", "good done"]


@pytest.mark.parametrize("nonsense", [3, "text", {"a": 1}, [None]])
async def test_a_tool_that_returns_nonsense_is_an_error_result(nonsense):
    """Only an AgentToolResult is one."""

    async def work(call):
        return nonsense

    async with opened(calls("odd"), says("ok"), tools=[Probe("odd", work)]) as (agent, recorder, _):
        await agent.prompt("hi")
    assert tool_ends(recorder) == [("odd", True)]
    assert "not an AgentToolResult" in result_texts(agent)[0]


async def test_calls_of_a_truncated_reply_are_answered_and_not_run():
    """Their arguments may be cut short; the run goes on, and the third such turn in a row ends it."""
    cut = faux_assistant_message([faux_tool_call("look", {}, id="c0")], stop_reason=StopReason.Length)
    probe = Probe("look")
    async with opened(cut, says("ok"), cut, cut, cut, tools=[probe]) as (agent, recorder, _):
        assert (await agent.prompt("hi")).text == "ok"
        assert "output limit" in result_texts(agent)[0]
        reply = await agent.prompt("again")
    assert probe.seen == []
    assert reply.stop_reason is StopReason.Error
    assert "3 turns in a row" in reply.error_message
    assert agent.state.error_message == reply.error_message
    assert {is_error for _, is_error in tool_ends(recorder)} == {True}


async def test_max_turns_ends_a_run_that_would_go_on():
    """The last reply says so; a run that ends by itself in time is not touched."""
    async with opened(calls("look"), says("ok"), calls("look"), calls("look"), tools=[Probe("look")], max_turns=2) as (
        agent, _, _faux
    ):  # fmt: skip
        assert (await agent.prompt("hi")).text == "ok"
        reply = await agent.prompt("again")
    assert reply.stop_reason is StopReason.Error
    assert "limit of 2 turns" in reply.error_message


async def test_an_update_after_the_tool_returned_is_dropped():
    """Also while a sibling is still running."""
    late = {}

    async def quick(call):
        late["call"] = call
        await call.update("in time")

    async def slow(call):
        while "call" not in late or "quick" not in ended:
            await pause()
        await late["call"].update("too late")

    import trio

    ended = []

    async def pause():
        await trio.lowlevel.checkpoint()

    async def note(event):
        if event.type == "tool_execution_end":
            ended.append(event.tool_name)

    async with opened(calls("quick", "slow"), says("ok"), tools=[Probe("quick", quick), Probe("slow", slow)]) as (
        agent, recorder, _
    ):  # fmt: skip
        agent.subscribe(note)
        await agent.prompt("hi")
        await late["call"].update("much too late")
    assert [e.partial_result.plain_text for e in recorder.of(ToolExecutionUpdate)] == ["in time"]


async def test_ends_come_as_tools_finish_and_results_in_source_order(autojump_clock):
    """The second of two parallel tools finishes first; its result waits for the first one's."""
    tools = [sleeper("slow", 2), sleeper("fast", 1)]
    async with opened(calls("slow", "fast"), says("ok"), tools=tools) as (agent, recorder, _):
        await agent.prompt("hi")
    batch = [step for step in steps(recorder) if "slow" in step or "fast" in step or "toolResult" in step]
    assert batch == [
        "start slow", "start fast", "end fast", "end slow",
        "start toolResult", "end toolResult", "start toolResult", "end toolResult",
    ]  # fmt: skip
    assert result_texts(agent) == ["slow done", "fast done"]


async def test_a_result_is_released_as_soon_as_all_before_it_are(autojump_clock):
    """The first call's result is in the transcript while the second one still runs."""
    seen = {}

    async def late(call):
        import trio

        await trio.sleep(5)
        seen["transcript"] = roles(agent.state.messages)

    async with opened(calls("fast", "late"), says("ok"), tools=[sleeper("fast", 1), Probe("late", late)]) as (
        agent,
        _,
        _f,
    ):
        await agent.prompt("hi")
    assert seen["transcript"] == ["user", "assistant", "toolResult"]


async def test_steering_joins_after_all_tools_of_the_turn():
    """It never interrupts a batch, and the model sees it on the next call."""

    async def steer(call):
        agent.steer("hurry")

    async with opened(calls("a", "b"), says("ok"), tools=[Probe("a", steer), sleeper("b", 0.001)]) as (
        agent,
        _,
        faux,
    ):
        await agent.prompt("hi")
    assert roles(agent.state.messages) == [
        "user",
        "assistant",
        "toolResult",
        "toolResult",
        "user",
        "assistant",
    ]
    assert faux.calls[1].context.messages[-1].content == "hurry"


@pytest.mark.parametrize(
    ("own", "agentwide", "parallel"),
    [(None, "parallel", True), ("sequential", "parallel", False), (None, "sequential", False)],
)
async def test_one_sequential_tool_makes_the_batch_sequential(autojump_clock, own, agentwide, parallel):
    """Otherwise all calls of a reply run at the same time."""
    running, most = set(), []

    async def work(call):
        import trio

        running.add(call.id)
        most.append(len(running))
        await trio.sleep(1)
        running.discard(call.id)

    tools = [Probe("a", work, mode=own and ToolExecutionMode(own)), Probe("b", work)]
    async with opened(calls("a", "b"), says("ok"), tools=tools, tool_execution=agentwide) as (
        agent,
        recorder,
        _,
    ):
        await agent.prompt("hi")
    assert (max(most) == 2) is parallel
    if not parallel:
        assert steps(recorder).index("end toolResult") < steps(recorder).index("start b")


async def test_max_concurrent_tools_bounds_a_batch(autojump_clock):
    """No more than that many execute at once; all do in the end."""
    running, most = set(), []

    async def work(call):
        import trio

        running.add(call.id)
        most.append(len(running))
        await trio.sleep(1)
        running.discard(call.id)

    async with opened(calls(*"aaaaa"), says("ok"), tools=[Probe("a", work)], max_concurrent_tools=2) as (
        agent,
        _,
        _faux,
    ):
        await agent.prompt("hi")
    assert (len(most), max(most)) == (5, 2)


async def test_prepare_next_turn_replaces_context_model_and_level():
    """They hold from the next call of this run; the transcript stays."""

    async def prepare(info):
        if info.turn == 1:
            context = AgentContext(system_prompt="new", messages=(user("only this"),), tools=())
            return TurnUpdate(context=context, model=other, thinking_level=ThinkingLevel.High)
        return None

    from providers.faux import register_faux_provider

    with register_faux_provider(models=["one", "two"]) as faux:
        other = faux.get_model_by_id("two").model_copy(update={"reasoning": True})
        faux.set_responses([calls("look"), says("ok")])
        async with opened(model=faux.get_model(), tools=[Probe("look")], prepare_next_turn=prepare) as (
            agent,
            _,
            _unused,
        ):
            reply = await agent.prompt("hi")
        second = faux.calls[1]
    assert (reply.model, second.context.system_prompt, second.options.reasoning) == (
        "two",
        "new",
        ThinkingLevel.High,
    )
    assert [m.content for m in second.context.messages] == ["only this"]
    assert second.context.tools == []
    assert roles(agent.state.messages) == ["user", "assistant", "toolResult", "assistant"]


async def test_should_stop_after_turn_leaves_the_queues():
    """The run ends after turn_end, before either queue is polled."""

    async def stop(info):
        return True

    async def queue(call):
        agent.steer("s")
        agent.follow_up("f")

    async with opened(calls("look"), tools=[Probe("look", queue)], should_stop_after_turn=stop) as (
        agent,
        recorder,
        _,
    ):
        reply = await agent.prompt("hi")
        assert agent.has_queued_messages
        assert agent.statistics().queued_steering == agent.statistics().queued_follow_up == 1
    assert reply.stop_reason is StopReason.ToolUse
    assert recorder.types[-2:] == ["turn_end", "agent_end"]


@pytest.mark.parametrize(("who", "turns"), [("all", 1), ("some", 2), ("hook", 1), ("none", 2)])
async def test_terminate_stops_the_run_when_every_result_says_so(who, turns):
    """All of them, by themselves or by the hook; some are not enough."""

    async def ends(call):
        return AgentToolResult.text("x", terminate=who in ("all", "some"))

    async def stays(call):
        return AgentToolResult.text("x", terminate=who == "all")

    async def after(info, result):
        return ResultPatch(terminate=True) if who == "hook" else None

    async with opened(
        calls("a", "b"), says("ok"), tools=[Probe("a", ends), Probe("b", stays)], after_tool_call=after
    ) as (agent, recorder, _):
        await agent.prompt("hi")
    assert recorder.types.count("turn_start") == turns


async def test_after_tool_call_replaces_field_by_field():
    """What it gives replaces, what it does not give stays; it sees the usage and whether the call failed."""
    seen = []

    async def work(call):
        return AgentToolResult.text("x", details={"a": {"b": 1}}, usage=Usage(input=1))

    async def after(info, result):
        seen.append((result.usage.input, info.is_error))
        return ResultPatch(usage=Usage(input=5), details={"c": 2}, is_error=True)

    async with opened(calls("a"), says("ok"), tools=[Probe("a", work)], after_tool_call=after) as (
        agent,
        _,
        _faux,
    ):
        await agent.prompt("hi")
    result = agent.state.messages[2]
    assert seen == [(1, False)]
    assert (result.text, result.details, result.usage.input, result.is_error) == ("x", {"c": 2}, 5, True)


async def test_a_tool_time_out_is_an_error_result(autojump_clock):
    """The tool's own limit, else the agent's; the text says how long."""
    tools = [sleeper("own", 100, timeout=2), sleeper("agentwide", 100), sleeper("patient", 5, timeout=50)]
    async with opened(calls("own", "agentwide", "patient"), says("ok"), tools=tools, tool_timeout=3) as (
        agent,
        _,
        _f,
    ):
        await agent.prompt("hi")
    assert result_texts(agent) == ["Tool timed out after 2 s", "Tool timed out after 3 s", "patient done"]


async def test_a_model_error_ends_the_run_and_its_calls_are_not_run():
    """turn_end has no results, and the next prompt works."""
    failed = faux_assistant_message(
        [faux_tool_call("look", {})], stop_reason=StopReason.Error, error_message="overloaded"
    )
    probe = Probe("look")
    async with opened(failed, says("ok"), tools=[probe]) as (agent, recorder, _):
        reply = await agent.prompt("hi")
        assert agent.state.error_message == "overloaded"
        assert (await agent.prompt("again")).text == "ok"
        assert agent.state.error_message is None
    assert reply.stop_reason is StopReason.Error
    assert probe.seen == []
    assert steps(recorder)[:8] == ["agent_start", *TEXT_TURN, "agent_end"]


async def test_a_stream_without_a_start_still_gives_a_pair():
    """A lone error is a message all the same; no update comes before its start."""
    from providers.faux import faux_failure

    async with opened(faux_failure("refused")) as (agent, recorder, _):
        reply = await agent.prompt("hi")
    assert reply.error_message == "refused"
    assert steps(recorder) == ["agent_start", *TEXT_TURN, "agent_end"]
    assert recorder.of(MessageUpdate) == []


# Continuing


@pytest.mark.parametrize(
    ("messages", "error"), [([], "transcript is empty"), ([user("a"), says("b")], "last message is a reply")]
)
async def test_continue_needs_something_to_answer(messages, error):
    """No messages, or a reply last and nothing queued."""
    async with opened(messages=messages) as (agent, recorder, _):
        with pytest.raises(NothingToContinueError, match=error):
            await agent.continue_run()
    assert recorder.events == []


@pytest.mark.parametrize("tail", ["user", "toolResult", "custom"])
async def test_continue_goes_on_from_what_is_last(tail):
    """A user message, a tool result or a custom message; nothing is added before the reply."""
    messages = {
        "user": [user("hi")],
        "toolResult": [
            user("hi"),
            calls("look"),
            ToolResultMessage("c0", "look", "x" and (TextContent("x"),)),
        ],
        "custom": [user("hi"), CustomMessage("note")],
    }[tail]
    async with opened(says("ok"), messages=messages) as (agent, recorder, _):
        reply = await agent.continue_run()
    assert reply.text == "ok"
    assert steps(recorder) == [
        "agent_start",
        "turn_start",
        "start assistant",
        "end assistant",
        "turn_end",
        "agent_end",
    ]


@pytest.mark.parametrize("reason", [StopReason.Error, StopReason.Aborted])
async def test_continue_goes_on_after_a_failed_reply(reason):
    """Models never see a failed reply: the message before it is answered."""
    failed = faux_assistant_message("half", stop_reason=reason, error_message="x")
    async with opened(failed, says("whole")) as (agent, _, faux):
        await agent.prompt("hi")
        assert (await agent.continue_run()).text == "whole"
    assert roles(agent.state.messages) == ["user", "assistant", "assistant"]


async def test_continue_after_a_reply_takes_what_is_queued_one_at_a_time():
    """Steering first; the first poll of the run is skipped, so that one stays one."""
    async with opened(says("1"), says("2"), says("3"), messages=[user("a"), says("b")]) as (
        agent,
        recorder,
        _,
    ):
        agent.follow_up("f1")
        agent.follow_up("f2")
        agent.steer("s1")
        await agent.continue_run()
    assert [m.content for m in agent.state.messages if isinstance(m, UserMessage)] == ["a", "s1", "f1", "f2"]
    injected = [describe(e) for e in recorder.events if e.type in ("turn_start", "message_end")]
    assert injected[:4] == ["turn_start", "end user", "end assistant", "turn_start"]


async def test_one_at_a_time_holds_from_an_assistant_tail():
    """Two steering messages are two turns."""
    async with opened(says("1"), says("2"), messages=[user("a"), says("b")]) as (agent, _, _faux):
        agent.steer("s1")
        agent.steer("s2")
        await agent.continue_run()
    assert roles(agent.state.messages) == ["user", "assistant"] * 3


@pytest.mark.parametrize(("mode", "turns"), [("one_at_a_time", 3), ("all", 2)])
async def test_queue_modes(mode, turns):
    """A poll takes the oldest message, or all."""

    async def work(call):
        for text in ("x", "y"):
            (agent.steer if kind == "steer" else agent.follow_up)(text)

    for kind in ("steer", "follow_up"):
        plain = [calls("a")] + ([says("after tools")] if kind == "follow_up" else [])
        replies = [*plain, *[says("ok")] * (turns - 1)]
        async with opened(*replies, tools=[Probe("a", work)], steering_mode=mode, follow_up_mode=mode) as (
            agent,
            recorder,
            faux,
        ):
            await agent.prompt("hi")
            assert faux.get_pending_response_count() == 0
        assert recorder.types.count("turn_start") == len(replies)


async def test_steering_while_idle_waits_for_the_next_run():
    """It joins the first turn, after the prompt."""
    async with opened(says("ok")) as (agent, _, faux):
        delivery = agent.steer("first")
        await agent.prompt("hi")
    assert [m.content for m in faux.calls[0].context.messages] == ["hi", "first"]
    assert (delivery.status, delivery.run, delivery.turn) == ("delivered", 1, 1)


# State and settings


async def test_the_default_state():
    """An agent begins empty and idle."""
    async with opened() as (agent, _, faux):
        state = agent.state
    assert (state.messages, state.tools, state.system_prompt, state.error_message) == ((), (), None, None)
    assert (state.is_streaming, state.streaming_message, state.pending_tool_calls) == (
        False,
        None,
        frozenset(),
    )
    assert (state.thinking_level, state.model) == (ThinkingLevel.Off, faux.get_model())


async def test_a_custom_state_and_updates():
    """Everything that can be given can be changed; reset keeps prompt, model and tools."""
    tool = Probe("look")
    async with opened(system_prompt="be kind", messages=[user("a")], thinking_level="low") as (
        agent,
        _,
        faux,
    ):
        assert agent.state.messages[0].content == "a"
        agent.update(
            system_prompt="be brief", tools=[tool], thinking_level=ThinkingLevel.High, messages=[user("b")]
        )
        agent.push_message(says("c"))
        agent.steer("x")
        assert [m.role for m in agent.state.messages] == ["user", "assistant"]
        agent.reset()
        state = agent.state
        assert not agent.has_queued_messages
    assert (state.messages, state.system_prompt, state.tools) == ((), "be brief", (tool,))
    assert (state.thinking_level, state.model) == ("high", faux.get_model())


async def test_changes_during_a_run_hold_from_the_next_one():
    """The run that is active goes on with what it began with."""

    async def change(call):
        agent.update(system_prompt="new")

    async with opened(calls("a"), says("1"), says("2"), tools=[Probe("a", change)], system_prompt="old") as (
        agent,
        _,
        faux,
    ):
        await agent.prompt("x")
        await agent.prompt("y")
    assert [call.context.system_prompt for call in faux.calls] == ["old", "old", "new"]


async def test_what_would_tear_a_run_is_refused_while_it_is_active():
    """messages=, push_message, reset, prompt and continue raise AgentBusyError; so does waiting from inside."""
    caught = []

    async def meddle(call):
        for act in (lambda: agent.update(messages=[]), lambda: agent.push_message(user("x")), agent.reset):
            with pytest.raises(AgentBusyError):
                act()
            caught.append(act)
        for wait in (lambda: agent.prompt("x"), agent.continue_run, agent.wait_for_idle):
            with pytest.raises(AgentBusyError):
                await wait()
            caught.append(wait)
        with pytest.raises(AgentBusyError):
            async with agent.stream("x"):
                pass

    async with opened(calls("a"), says("ok"), tools=[Probe("a", meddle)]) as (agent, _, _faux):
        await agent.prompt("hi")
    assert len(caught) == 6


async def test_pending_tool_calls_during_and_after_a_tool():
    """The state names the calls between their start and their end."""
    during = []

    async def look(call):
        during.append((agent.state.pending_tool_calls, agent.state.is_streaming))

    async with opened(calls("a"), says("ok"), tools=[Probe("a", look)]) as (agent, _, _faux):
        await agent.prompt("hi")
        assert agent.state.pending_tool_calls == frozenset()
    assert during == [(frozenset({"c0"}), True)]


async def test_the_state_has_moved_when_listeners_see_an_event():
    """streaming_message during a reply, the transcript at its end."""
    seen = []

    async def listen(event):
        state = agent.state
        if event.type == "message_update":
            seen.append(state.streaming_message.text == event.message.text)
        elif event.type == "message_end":
            seen.append(state.messages[-1] == event.message and state.streaming_message is None)

    async with opened(says("hello")) as (agent, _, _faux):
        with agent.subscribe(listen):
            await agent.prompt("hi")
    assert len(seen) == 5
    assert all(seen)


async def test_listeners_come_and_go():
    """Order of registration; unsubscribe and leaving a with block end it; agent_end listeners are waited for."""
    heard = []

    async def first(event):
        heard.append(("first", event.type))

    async def second(event):
        import trio

        await trio.lowlevel.checkpoint()
        heard.append(("second", event.type))

    async with opened(says("1"), says("2"), says("3")) as (agent, _, _faux):
        one = agent.subscribe(first)
        with agent.subscribe(second):
            await agent.prompt("hi")
            assert heard[-2:] == [("first", "agent_end"), ("second", "agent_end")]
        heard.clear()
        await agent.prompt("again")
        assert {who for who, _ in heard} == {"first"}
        one.unsubscribe()
        one.unsubscribe()
        heard.clear()
        await agent.prompt("once more")
    assert heard == []
    assert "ended" in repr(one)


async def test_session_id_and_keys_reach_the_call():
    """The key is asked for again before every call."""
    asked = []

    async def key(provider_id):
        asked.append(provider_id)
        return f"key-{len(asked)}"

    async with opened(calls("a"), says("ok"), tools=[Probe("a")], session_id="s-1", get_api_key=key) as (
        agent,
        _,
        faux,
    ):
        await agent.prompt("hi")
    assert [call.options.session_id for call in faux.calls] == ["s-1", "s-1"]
    assert [call.options.api_key for call in faux.calls] == ["key-1", "key-2"]
    assert asked == ["faux", "faux"]


@pytest.mark.parametrize(
    ("reasoning", "asked", "sent"), [(True, "max", "high"), (False, "high", None), (None, "low", "low")]
)
async def test_the_thinking_level_is_clamped_to_the_model(reasoning, asked, sent):
    """Off is no reasoning option."""
    async with opened(says("ok")) as (agent, _, faux):
        agent.update(model=faux.get_model().model_copy(update={"reasoning": reasoning}), thinking_level=asked)
        await agent.prompt("hi")
    assert faux.calls[0].options.reasoning == sent


async def test_context_is_kept_over_several_prompts():
    """Thinking blocks too."""
    thought = faux_assistant_message([faux_thinking("hm"), faux_text("hi")])
    async with opened(thought, says("ok")) as (agent, _, faux):
        await agent.prompt("a")
        await agent.prompt("b")
    assert roles(faux.calls[1].context.messages) == ["user", "assistant", "user"]
    assert faux.calls[1].context.messages[1].thinking == "hm"


async def test_images_come_after_the_text():
    """A prompt with images is a list of blocks."""
    image = ImageContent("AAAA", "image/png")
    async with opened(says("ok")) as (agent, _, faux):
        await agent.prompt("look", [image])
    assert faux.calls[0].context.messages[0].content == (TextContent("look"), image)


async def test_repr_and_statistics_tell_the_state():
    """Who it is, what it does, what waits."""
    seen = []

    async def look(call):
        agent.steer("x")
        seen.append((repr(agent), agent.statistics().running_tools))

    async with opened(calls("a"), says("ok"), tools=[Probe("a", look)], name="coder") as (agent, _, _faux):
        assert repr(agent) == "<Agent 'coder' idle>"
        await agent.prompt("hi")
    assert seen == [("<Agent 'coder' turn 1, 1 tools running, 1 steering waiting>", 1)]
    assert repr(agent) == "<Agent 'coder' closed>"
