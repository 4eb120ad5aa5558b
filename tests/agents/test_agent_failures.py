"""Application code that raises: the run still says how it ended, and then the exception leaves prompt."""

import logging
from contextlib import asynccontextmanager

import pytest
import trio
from agent_doubles import Probe, after, calls, opened, result_texts, roles, says

from providers.faux import register_faux_provider
from runtime.agents.opening import open_agent
from runtime.agents.settings import AgentOptions
from runtime.errors import InvalidOptionError, QueueFullError
from runtime.streams.call import stream_simple
from runtime.values.content import ToolCall
from runtime.values.message import StopReason, user
from runtime.values.model import Model


class BugError(Exception):
    """Raised on purpose."""


async def broken(*args):
    raise BugError("a bug")


@asynccontextmanager
async def broken_stream(model, context, options):
    raise BugError("a bug")
    yield


@pytest.mark.parametrize("hook", ["transform_context", "convert_to_llm", "get_api_key", "stream_fn"])
async def test_a_failure_before_the_reply_is_that_turns_reply(hook):
    """Full lifecycle, an Error reply with the message, state.error_message, and the exception as itself."""
    async with opened(says("never"), **{hook: broken_stream if hook == "stream_fn" else broken}) as (
        agent,
        recorder,
        _,
    ):
        with pytest.raises(BugError, match="a bug") as caught:
            await agent.prompt("hi")
        assert agent.state.error_message == "a bug"
        assert not agent.state.is_streaming
    assert caught.value.__context__ is None
    assert recorder.types == [
        "agent_start", "turn_start", "message_start", "message_end", "message_start", "message_end", "turn_end", "agent_end"
    ]  # fmt: skip
    assert agent.state.messages[-1].stop_reason is StopReason.Error


@pytest.mark.parametrize("hook", ["prepare_next_turn", "should_stop_after_turn"])
async def test_a_failure_after_the_reply_gets_a_turn_of_its_own(hook):
    """The reply that was there stays as it is."""
    async with opened(says("fine"), **{hook: broken}) as (agent, recorder, _):
        with pytest.raises(BugError):
            await agent.prompt("hi")
    assert [m.stop_reason for m in agent.state.messages[1:]] == [StopReason.Stop, StopReason.Error]
    assert recorder.types.count("turn_start") == 2


@pytest.mark.parametrize(
    ("event_type", "stop_reasons"),
    [
        ("agent_start", ["error"]),
        ("message_start", ["error"]),
        ("message_update", ["error"]),
        ("turn_end", ["stop", "error"]),
        ("agent_end", ["stop"]),
    ],
)
async def test_a_raising_listener_ends_the_run(event_type, stop_reasons):
    """It is not called again in that run; others are; the next run hears it again."""
    heard = []

    async def listen(event):
        heard.append(event.type)
        if event.type == event_type and armed:
            raise BugError("a bug")

    async with opened(says("one " * 30), says("two"), pace=10_000) as (agent, recorder, faux):
        armed = True
        agent.subscribe(listen)
        with pytest.raises(BugError):
            await agent.prompt("hi")
        assert heard[-1] == event_type
        assert [m.stop_reason for m in agent.state.messages if m.role == "assistant"] == stop_reasons
        armed = False
        faux.set_responses([says("two")])
        assert (await agent.prompt("again")).text == "two"
    assert recorder.types.count("agent_end") == 2


async def test_a_listener_that_raises_during_a_batch_aborts_its_tools(autojump_clock):
    """Running tools are cut, every call is answered, and the closing reply is an Error."""

    async def listen(event):
        if event.type == "tool_execution_update":
            raise BugError("a bug")

    async def work(call):
        await call.update("half")
        await trio.sleep_forever()

    async with opened(calls("a", "a"), tools=[Probe("a", work)]) as (agent, _, _faux):
        agent.subscribe(listen)
        with pytest.raises(BugError):
            await agent.prompt("hi")
    assert result_texts(agent) == ["Operation aborted"] * 2
    assert agent.state.messages[-1].stop_reason is StopReason.Error
    assert agent.state.messages[-1].error_message == "a bug"


class WordlessError(Exception):
    """One whose text cannot be had."""

    def __str__(self):
        raise LookupError("no words")


@pytest.mark.parametrize("where", ["transform_context", "should_stop_after_turn", "listener", "tool"])
async def test_an_exception_that_cannot_be_told_is_told_by_its_type(where):
    """The run has its whole lifecycle all the same."""

    async def work(*_):
        raise WordlessError

    hooks = {where: work} if "_" in where else {}
    async with opened(calls("a"), says("ok"), tools=[Probe("a", work)], **hooks) as (agent, recorder, faux):
        if where == "listener":
            agent.subscribe(work)
        if where == "tool":
            assert (await agent.prompt("hi")).text == "ok"
            assert result_texts(agent) == ["WordlessError"]
        else:
            with pytest.raises(WordlessError):
                await agent.prompt("hi")
            assert agent.state.error_message == "WordlessError"
        assert recorder.types[-1] == "agent_end"
        faux.set_responses([])


async def test_a_stream_of_ones_own_that_cannot_be_aborted_is_cut(autojump_clock):
    """abort() does not raise what its abort() raises, and nothing hangs: prompt() raises it."""

    class Stubborn:
        def __aiter__(self):
            return self

        async def __anext__(self):
            await trio.sleep(60)
            raise StopAsyncIteration

        def abort(self):
            raise BugError("a bug")

        async def result(self):
            return says("too late")

    @asynccontextmanager
    async def stream_fn(model, context, options):
        yield Stubborn()

    async with opened(stream_fn=stream_fn) as (agent, _, _), trio.open_nursery() as nursery:
        nursery.start_soon(after, 1, agent.abort)
        with pytest.raises(BugError):
            await agent.prompt("hi")
        assert trio.current_time() == 1
        assert agent.state.messages[-1].stop_reason is StopReason.Aborted


async def test_a_stream_of_ones_own_that_gives_no_events_fails_the_run():
    """It is told what it gave, and the reply that had begun has its end."""

    @asynccontextmanager
    async def stream_fn(model, context, options):
        async with stream_simple(model, context, options) as stream:
            yield Junk(stream)

    class Junk:
        def __init__(self, stream):
            self._stream = stream
            self._junk = False

        def __aiter__(self):
            return self

        async def __anext__(self):
            self._junk, give = True, self._junk
            return "a word" if give else await anext(self._stream)

        def abort(self):
            self._stream.abort()

        async def result(self):
            return await self._stream.result()

    async with opened(says("hi"), stream_fn=stream_fn) as (agent, recorder, _):
        with pytest.raises(InvalidOptionError, match="gave str, which is no event of a stream"):
            await agent.prompt("hi")
        assert agent.state.messages[-1].stop_reason is StopReason.Error
        assert recorder.types[-1] == "agent_end"


async def test_a_stream_of_ones_own_that_starts_again_is_one_reply():
    """As one that tries a second model does: the reply starts once, and is what the last one says."""

    class Chain:
        def __init__(self, *streams):
            self._streams = streams

        async def __aiter__(self):
            for stream in self._streams:
                async for event in stream:
                    yield event

        def abort(self):
            for stream in self._streams:
                stream.abort()

        async def result(self):
            return await self._streams[-1].result()

    @asynccontextmanager
    async def stream_fn(*request):
        async with stream_simple(*request) as first, stream_simple(*request) as second:
            yield Chain(first, second)

    async with opened(says("hm"), says("hi"), stream_fn=stream_fn) as (agent, recorder, _):
        assert (await agent.prompt("hi")).text == "hi"
        assert recorder.types.count("message_start") == 2  # the prompt's, and the reply's


async def test_keyboard_interrupt_in_a_tool_leaves_prompt():
    """It ends the run, not only the call."""

    async def interrupted(call):
        raise KeyboardInterrupt

    async with opened(calls("a"), tools=[Probe("a", interrupted)]) as (agent, _, _faux):
        with pytest.raises(KeyboardInterrupt):
            await agent.prompt("hi")
    assert result_texts(agent) == ["KeyboardInterrupt"]
    assert agent.state.messages[-1].stop_reason is StopReason.Error


async def test_a_failure_leaves_a_stream_block_as_itself():
    """From result(), or when the block is left."""
    async with opened(says("x"), says("y"), should_stop_after_turn=broken) as (agent, _, _faux):
        with pytest.raises(BugError):
            async with agent.stream("hi") as run:
                async for _event in run:
                    pass
        async with agent.stream("again") as run:
            with pytest.raises(BugError):
                await run.result()


async def test_a_failure_that_nobody_waits_for_is_logged(autojump_clock, caplog):
    """The caller was cancelled and has gone when the application code raises."""

    async def raises_late(call):
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        raise KeyboardInterrupt("late")

    with caplog.at_level(logging.ERROR, logger="agentrio"):
        async with opened(calls("a"), tools=[Probe("a", raises_late)], abort_grace=1) as (agent, _, _faux):
            with trio.move_on_after(1):
                await agent.prompt("hi")
    assert "nobody waits for" in caplog.text


async def test_a_hook_that_returns_nonsense_fails_the_run():
    """Each with a message that names it."""

    async def nonsense(messages):
        return "text"

    async with opened(convert_to_llm=nonsense) as (agent, _, _faux):
        with pytest.raises(InvalidOptionError, match="convert_to_llm"):
            await agent.prompt("hi")
    assert roles(agent.state.messages) == ["user", "assistant"]


# Wrong options


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "gpt"}, "model must be Model, not str"),
        ({"thinking_level": "hard"}, "thinking_level must be one of 'off'"),
        ({"tools": [print]}, "decorate a function with tools.tool"),
        ({"tools": "look"}, "tools must be a sequence"),
        ({"tools": [Probe("a"), Probe("a")]}, "two tools are called 'a'"),
        ({"messages": ["hi"]}, r"messages\[0\] must be a message, not str"),
        ({"messages": "hi"}, "messages must be a sequence"),
        ({"max_turns": 0}, "max_turns must be a whole number of at least 1"),
        ({"max_turns": True}, "max_turns"),
        ({"max_queued": 0}, "max_queued"),
        ({"max_concurrent_tools": 1.5}, "max_concurrent_tools"),
        ({"tool_timeout": float("nan")}, "tool_timeout"),
        ({"abort_grace": -1}, "abort_grace"),
        ({"before_tool_call": 3}, "before_tool_call must be an async function, not int"),
        ({"stream_fn": None}, "stream_fn must be callable"),
        ({"steering_mode": "some"}, "steering_mode must be one of 'one_at_a_time', 'all'"),
        ({"system_prompt": 3}, "system_prompt"),
        ({"options": {}}, "options must be SimpleStreamOptions"),
        ({"colour": "red"}, "does not take colour"),
    ],
)
async def test_wrong_options_are_refused_at_the_call(wrong, message):
    """Never later, inside a task."""
    with pytest.raises(InvalidOptionError, match=message):
        async with open_agent(**{"model": Model("m"), **wrong}):
            raise AssertionError("not reached")


def test_the_keywords_are_the_fields_of_the_options():
    """What type checkers know of open_agent and update is what there is."""
    from runtime.agents.keywords import AgentChanges, AgentSettings

    fields = set(AgentOptions.__dataclass_fields__)
    assert AgentSettings.__annotations__.keys() | {"model"} == fields
    assert AgentChanges.__annotations__.keys() < fields


async def test_a_tool_whose_schema_is_invalid_is_refused():
    """When the agent is made."""
    from runtime.errors import ToolDefinitionError

    with pytest.raises(ToolDefinitionError):
        AgentOptions(model=Model("m"), tools=[Probe("a", parameters={"type": "nonsense"})])


async def test_wrong_calls_are_refused():
    """prompt, steer, subscribe and update say what they take."""
    async with opened() as (agent, recorder, _):
        for call in (lambda: agent.steer(3), lambda: agent.subscribe("x"), lambda: agent.update(name="x")):
            with pytest.raises(InvalidOptionError):
                call()
        with pytest.raises(InvalidOptionError):
            await agent.prompt(3)
        with pytest.raises(InvalidOptionError):
            await agent.prompt_messages([ToolCall("1", "a", {})])
        with pytest.raises(InvalidOptionError, match="continue_run"):
            await agent.prompt_messages([])
    assert recorder.events == []


async def test_a_full_mailbox_refuses():
    """The message was not taken; what is queued stays."""
    async with opened(max_queued=2) as (agent, _, _faux):
        for text in "ab":
            agent.steer(text)
        with pytest.raises(QueueFullError, match="2 messages are queued already"):
            agent.steer("c")
        agent.follow_up("other queue")
        assert agent.statistics().queued_steering == 2


async def test_an_agent_is_only_got_by_open_agent():
    """So that somebody always closes it."""
    from runtime.agents.agent import Agent

    with pytest.raises(TypeError, match="open_agent"):
        Agent(AgentOptions(model=Model("m")), None)


async def test_a_description_opens_many_agents():
    """AgentOptions are a value; keywords replace fields."""
    with register_faux_provider() as faux:
        options = AgentOptions(model=faux.get_model(), system_prompt="a", messages=[user("x")])
        async with open_agent(options) as one, open_agent(options, system_prompt="b", name="two") as two:
            assert (one.state.system_prompt, two.state.system_prompt) == ("a", "b")
            assert two.state.messages == one.state.messages
    assert "name='agent'" in repr(options)


async def test_two_agents_share_one_handle():
    """Runs of different agents do not know of each other."""
    with register_faux_provider() as faux:
        faux.set_responses([says("x"), says("y")])
        async with (
            open_agent(faux.get_model()) as one,
            open_agent(faux.get_model()) as two,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(one.prompt, "hi")
            nursery.start_soon(two.prompt, "hi")
        assert {one.state.messages[-1].text, two.state.messages[-1].text} == {"x", "y"}
