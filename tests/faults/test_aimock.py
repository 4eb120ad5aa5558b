"""Each API against a server that plays any blocks in any order, at any pace."""

from itertools import permutations

import pytest
import trio

from runtime import (
    Context,
    SimpleStreamOptions,
    StopReason,
    StreamOptions,
    TextContent,
    TextDelta,
    ThinkingContent,
    ThinkingLevel,
    ToolCall,
    complete,
    is_context_overflow,
    open_agent,
    stream,
    stream_simple,
    user,
)
from runtime.testing.invariants import (
    EventRecorder,
    assert_event_grammar,
    assert_stream_grammar,
    assert_transcript_valid,
)
from tools import tool

from .conftest import APIS

pytestmark = pytest.mark.faults

TEXT = "One two three four five six seven eight."
HELLO = Context("Be brief.", [user("Say hello.")])
PATIENT = StreamOptions(max_tokens=100, first_event_timeout=20, event_timeout=20, timeout=60)
STRICT = {"X-AIMock-Strict": "true"}
THOUGHT = "They said hello, so I should say it too."


def answer(content=TEXT, *, match=None, play=None, **response):
    """A fixture: text and whatever else, to all requests or those that match."""
    said = {} if content is None else {"content": content}
    return {"match": match or {}, "response": {**said, **response}, **(play or {})}


def calling(*tool_calls, content=None, **more):
    listed = [{"name": name, "arguments": arguments} for name, arguments in tool_calls]
    return answer(content, toolCalls=listed, **more)


async def collect(model, context=HELLO, options=PATIENT):
    """The events of a call, which keep to the grammar, and its message."""
    opened = stream_simple if isinstance(options, SimpleStreamOptions) else stream
    async with opened(model, context, options) as reply:
        events = [event async for event in reply]
        message = await reply.result()
    assert_stream_grammar(events)
    return events, message


def kinds(message):
    return [block.type for block in message.content]


# Blocks


async def test_text_arrives_with_its_figures(aimock, api):
    """Usage, id and model of the response are those that the server says."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "input_tokens": 11, "output_tokens": 7}
    await aimock.script(answer(usage=usage, id="resp-1"))
    _, message = await collect(aimock.model(api))
    assert (message.stop_reason, message.text) == (StopReason.Stop, TEXT)
    assert (message.usage.input, message.usage.output, message.usage.total_tokens) == (11, 7, 18)
    assert message.response_id == "resp-1"


async def test_thinking_comes_before_the_text(aimock, api):
    """Two blocks, each whole."""
    await aimock.script(answer(reasoning=THOUGHT))
    _, message = await collect(aimock.model(api))
    assert kinds(message) == ["thinking", "text"]
    assert message.content[0].thinking.strip() == THOUGHT
    assert message.text == TEXT


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_characters_outside_the_basic_plane_survive_any_cut(aimock, api, size):
    """The server cuts text and arguments between the halves of a surrogate pair; they are joined again."""
    faces = "a😀b👩🏽‍🚀🇳🇴é"
    await aimock.script(
        calling(("say", {"faces": faces}), content=faces, reasoning=faces, play={"chunkSize": size})
    )
    _, message = await collect(aimock.model(api))
    assert message.stop_reason is StopReason.ToolUse, message.error_message
    assert message.text == faces
    assert message.content[0].thinking.strip() == faces
    assert message.tool_calls[0].arguments == {"faces": faces}


PIECES = (
    {"type": "text", "text": "First. "},
    {"type": "toolCall", "name": "look", "arguments": {"at": 1}, "id": "call_1"},
    {"type": "text", "text": "Second. "},
    {"type": "toolCall", "name": "look", "arguments": {"at": [2, "two"]}, "id": "call_2"},
)


async def test_blocks_come_in_any_order(aimock, api):
    """Texts and calls interleaved in all ways, with thinking before them: nothing lost, nothing out of order."""
    model = aimock.model(api)
    for pieces in permutations(PIECES):
        await aimock.post("/__aimock/reset")
        await aimock.script(answer(None, blocks=list(pieces), reasoning=THOUGHT, play={"chunkSize": 5}))
        _, message = await collect(model)
        assert message.stop_reason is StopReason.ToolUse, message.error_message
        assert message.text == "".join(piece["text"] for piece in pieces if piece["type"] == "text")
        assert [call.arguments for call in message.tool_calls] == [
            piece["arguments"] for piece in pieces if piece["type"] == "toolCall"
        ]
        assert kinds(message)[0] == "thinking"
        if api.keeps_order:
            assert kinds(message)[1:] == [piece["type"] for piece in pieces]


async def test_a_call_without_arguments_has_an_empty_object(aimock, api):
    """An empty document is no error."""
    await aimock.script(calling(("look", {})))
    _, message = await collect(aimock.model(api))
    assert message.stop_reason is StopReason.ToolUse
    assert message.tool_calls[0].arguments == {}


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("length", StopReason.Length), ("stop", StopReason.Stop), ("content_filter", StopReason.Error)],
)
async def test_the_servers_reason_becomes_ours(aimock, api, reason, stop):
    """Whatever it is called on the wire."""
    await aimock.script(answer(finishReason=reason))
    _, message = await collect(aimock.model(api))
    assert message.stop_reason is stop
    assert message.text == TEXT
    assert (message.error_message is None) is (stop is not StopReason.Error)


# Agents


class Meeting:
    """A tool whose calls wait for each other: they end only if they run at the same time."""

    def __init__(self, size):
        self._missing = size
        self._all_here = trio.Event()

    @property
    def tool(self):
        @tool(name="meet")
        async def meet(who: str) -> str:
            """Meet the others."""
            self._missing -= 1
            if not self._missing:
                self._all_here.set()
            await self._all_here.wait()
            return f"{who} was there"

        return meet


NAMES = ("Ann", "Bob", "Cem", "Dag", "Eva")


async def test_an_agent_runs_parallel_calls_at_once(aimock, api):
    """Five calls that drip in letter by letter: all run at once, results go back in order, thinking goes back with them.

    The server refuses a turn of thinking and tools whose thinking is not returned as it was, where its API does.
    """
    wanted = [("meet", {"who": who}) for who in NAMES]
    thinking = {"reasoning": THOUGHT, "reasoningSignature": "c2lnbmVk", "redactedThinking": ["b3BhcXVl"]}
    await aimock.script(
        calling(*wanted, match={"hasToolResult": False}, play={"chunkSize": 1}, **thinking),
        answer("All were there.", match={"hasToolResult": True}),
    )
    recorder = EventRecorder()
    with trio.fail_after(20):
        async with open_agent(
            aimock.model(api),
            tools=[Meeting(len(NAMES)).tool],
            thinking_level=ThinkingLevel.Medium,
            options=SimpleStreamOptions(headers=STRICT),
        ) as agent:
            agent.subscribe(recorder)
            reply = await agent.prompt("Meet.")
            messages = agent.state.messages
    assert reply.text == "All were there.", reply.error_message
    assert_event_grammar(recorder.events)
    assert_transcript_valid(messages)
    assert [call.arguments["who"] for call in messages[1].tool_calls] == list(NAMES)
    assert [message.text for message in messages[2:-1]] == [f"{who} was there" for who in NAMES]
    sent = [
        message for message in (await aimock.requests())[1]["body"]["messages"] if message["role"] == "tool"
    ]
    assert [message["content"] for message in sent] == [f"{who} was there" for who in NAMES]


async def without_thinking(payload, model):
    """A client that forgets the thinking of its model."""
    for message in payload["messages"]:
        if message["role"] == "assistant":
            message["content"] = [block for block in message["content"] if "thinking" not in block["type"]]


async def test_the_server_would_notice_thinking_that_is_not_returned(aimock):
    """What the test before relies on."""
    await aimock.script(
        calling(("meet", {"who": "Ann"}), match={"hasToolResult": False}, reasoning=THOUGHT),
        answer("Fine.", match={"hasToolResult": True}),
    )
    async with open_agent(
        aimock.model(APIS["messages"]),
        tools=[Meeting(1).tool],
        thinking_level=ThinkingLevel.Medium,
        options=SimpleStreamOptions(on_payload=without_thinking, headers=STRICT),
    ) as agent:
        reply = await agent.prompt("Meet.")
    assert reply.stop_reason is StopReason.Error
    assert "must begin with a `thinking` block" in reply.error_message


async def test_a_reply_of_every_kind_can_be_sent_back(aimock, api):
    """Thinking, text and calls of one turn stand in the next request; the server takes it."""
    await aimock.script(
        answer(None, blocks=list(PIECES), reasoning=THOUGHT, match={"userMessage": "one"}),
        answer("Fine.", match={"userMessage": "two"}),
    )
    model = aimock.model(api)
    options = SimpleStreamOptions(reasoning=ThinkingLevel.Low, max_tokens=2000, headers=STRICT)
    context = Context(messages=[user("one")])
    _, first = await collect(model, context, options)
    context.messages += [first, user("two")]
    _, second = await collect(model, context, options)
    assert (first.stop_reason, second.text) == (StopReason.ToolUse, "Fine.")
    assert all(isinstance(block, ThinkingContent | TextContent | ToolCall) for block in first.content)
    calls = [
        call
        for message in (await aimock.requests())[1]["body"]["messages"]
        for call in message.get("tool_calls") or ()
    ]
    assert [call["function"]["name"] for call in calls] == ["look", "look"]


# Pace


async def test_a_slow_drip_is_no_stall(aimock, api):
    """A reply that takes several times event_timeout in all, but never that long between two events."""
    await aimock.script(answer(play={"chunkSize": 2, "streamingProfile": {"ttft": 100, "tps": 25}}))
    options = StreamOptions(max_tokens=100, event_timeout=0.4)
    began = trio.current_time()
    events, message = await collect(aimock.model(api), options=options)
    assert (message.stop_reason, message.text) == (StopReason.Stop, TEXT)
    assert trio.current_time() - began > 0.8
    assert sum(isinstance(event, TextDelta) for event in events) == len(TEXT) / 2


async def test_a_drip_that_takes_too_long_is_cut_by_the_time_out_of_the_call(aimock, api):
    """``timeout`` counts whatever arrives; what had arrived is kept."""
    await aimock.script(answer(play={"chunkSize": 1, "streamingProfile": {"ttft": 0, "tps": 20}}))
    model = aimock.model(api)
    _, message = await collect(model, options=StreamOptions(max_tokens=100, timeout=0.7))
    assert message.stop_reason is StopReason.Error
    assert (
        f"no end of the reply from {model.base_url}{api.path} within timeout=0.7 seconds"
        in message.error_message
    )
    assert message.text
    assert TEXT.startswith(message.text)
    assert message.text != TEXT


async def test_a_pause_in_the_middle_runs_into_the_event_time_out(aimock, api):
    """Recorded timings with one long gap."""
    timings = {"ttftMs": 10, "interChunkDelaysMs": [5, 5, 5, 5, 5, 5, 5, 2500, 5], "totalDurationMs": 2560}
    await aimock.script(answer(play={"chunkSize": 3, "recordedTimings": timings}))
    began = trio.current_time()
    _, message = await collect(aimock.model(api), options=StreamOptions(max_tokens=100, event_timeout=0.4))
    assert message.stop_reason is StopReason.Error
    assert "within event_timeout=0.4 seconds" in message.error_message
    assert message.text
    assert TEXT.startswith(message.text)
    assert trio.current_time() - began < 2


# Faults


@pytest.mark.parametrize("fault", [{"truncateAfterChunks": 7}, {"disconnectAfterMs": 300}])
async def test_a_connection_that_is_torn_down_is_an_error_with_what_had_arrived(aimock, api, fault):
    """The reply is partial, the error names the endpoint, and the next request works."""
    pace = {"chunkSize": 4, "streamingProfile": {"ttft": 10, "tps": 20}}
    await aimock.script(
        answer(match={"userMessage": "torn"}, play={**pace, **fault}),
        answer("Whole.", match={"userMessage": "whole"}),
    )
    model = aimock.model(api)
    _, message = await collect(model, Context(messages=[user("torn")]))
    assert message.stop_reason is StopReason.Error
    assert f"{model.base_url}{api.path}" in message.error_message
    assert TEXT.startswith(message.text)
    assert message.text != TEXT
    assert (await complete(model, Context(messages=[user("whole")]), PATIENT)).text == "Whole."


async def test_a_connection_that_gives_no_answer_is_tried_again_and_then_an_error(aimock, api):
    """max_retries attempts more; the error names the endpoint."""
    await aimock.script(answer())
    model = aimock.model(api)
    options = StreamOptions(max_tokens=100, max_retries=1, headers={"x-aimock-chaos-disconnect": "1"})
    events, message = await collect(model, options=options)
    assert [event.type for event in events] == ["error"]
    assert f"{model.base_url}{api.path}" in message.error_message
    assert len(await aimock.requests()) == 2


async def test_a_success_that_is_no_stream_is_an_error(aimock, api):
    """200 with a body of another kind: the error says what came."""
    await aimock.script(answer())
    options = StreamOptions(max_tokens=100, headers={"x-aimock-chaos-malformed": "1"})
    _, message = await collect(aimock.model(api), options=options)
    assert message.stop_reason is StopReason.Error
    assert "server-sent events were expected, application/json came" in message.error_message
    assert "{malformed json: <<<chaos>>>" in message.error_message


async def test_a_context_overflow_is_recognised(aimock, api):
    """By the words that the provider uses."""
    error = {"message": "prompt is too long: 213462 tokens > 200000 maximum", "type": "invalid_request_error"}
    await aimock.script(answer(None, error=error, status=400))
    _, message = await collect(aimock.model(api))
    assert message.stop_reason is StopReason.Error
    assert is_context_overflow(message)
    assert len(await aimock.requests()) == 1


async def test_a_request_that_matches_nothing_says_so(aimock, api):
    """The server's own words are in the error."""
    _, message = await collect(aimock.model(api))
    assert message.stop_reason is StopReason.Error
    assert "404" in message.error_message
    assert "No fixture matched" in message.error_message
