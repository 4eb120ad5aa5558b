"""An agent over HTTP on loopback: cut anywhere, shared between runs and threads, chosen by capability."""

import json

import pytest
import trio

from providers import faux, openai
from runtime import AgentToolResult, Context, Provider, StopReason, complete, open_agent, user
from runtime.testing.invariants import EventRecorder, assert_event_grammar, assert_transcript_valid
from runtime.testing.sweep import cancel_everywhere
from runtime.values.tool import Tool
from tests.providers.loopback import SSE_HEAD, Loopback, chunk, serve, sse


def event(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'r', 'choices': [choice], **more})}\n\n"


def call(index, call_id):
    function = {"name": "work", "arguments": '{"n": 1}'}
    return event({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})


DONE = "data: [DONE]\n\n"
TOOL_TURN = [
    event({"content": "Let me "}),
    event({"content": "see."}),
    call(0, "c0"),
    call(1, "c1"),
    event({}, "tool_calls"),
    DONE,
]
TEXT_TURN = [event({"content": "All "}), event({"content": "done."}), event({}, "stop"), DONE]


class Work:
    """A tool that takes a few checkpoints."""

    definition = Tool.define("work", "Work.", {"type": "object", "properties": {"n": {"type": "integer"}}})
    label = "work"
    execution_mode = None

    def __init__(self, alive):
        self._alive = alive

    def prepare_arguments(self, arguments):
        return arguments

    async def execute(self, call):
        self._alive.add(call.id)
        try:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            return AgentToolResult.text("worked")
        finally:
            self._alive.discard(call.id)


def model_at(server: Loopback):
    return openai.chat_completions("sk-test", base_url=f"{server.url}/v1", provider_id="loopback").model("m")


class Left:
    def __init__(self):
        self.recorder = EventRecorder()
        self.alive: set[str] = set()
        self.agent = None


async def conversation(cutter):
    """Prompt, two parallel tools, reply; then a second prompt proves that the agent still works."""
    left = Left()
    async with serve(
        sse(*TOOL_TURN), sse(*TEXT_TURN), sse(*TEXT_TURN), sse(*TEXT_TURN), repeat=True
    ) as server:
        with trio.CancelScope() as outside:
            async with open_agent(model_at(server), tools=[Work(left.alive)]) as agent:
                left.agent = agent
                agent.subscribe(left.recorder)
                with trio.CancelScope() as caller:
                    cutter.arm(caller=caller.cancel, block=outside.cancel, connection=lambda: lose(server))
                    cutter.arm_agent(agent)
                    await agent.prompt("hi")
                cutter.disarm()
                assert not agent.state.is_streaming
                if not outside.cancel_called:
                    assert (await agent.prompt("still there?")).stop_reason in (
                        StopReason.Stop,
                        StopReason.ToolUse,
                    )
        with trio.fail_after(5):
            for wire in server.wires:
                if wire.busy:
                    await wire.closed.wait()
    return left


def lose(server):
    for wire in server.wires:
        wire.lose()


def holds(left):
    assert_event_grammar(left.recorder.events)
    assert_transcript_valid(left.agent.state.messages)
    assert left.alive == set()


def test_an_agent_on_a_loopback_server_can_be_cut_anywhere():
    """Abort, the caller, the agent's block, one tool, the connection: at every step; no connection in use is left."""
    report = cancel_everywhere(conversation, holds, clock=lambda: None)
    assert [m.role for m in report.uncut.agent.state.messages] == [
        "user", "assistant", "toolResult", "toolResult", "assistant", "user", "assistant"
    ]  # fmt: skip
    assert set(report.cuts) == {"abort", "caller", "block", "tool", "connection"}
    assert report.cuts.pop("tool") > 5  # as long as a tool runs
    assert min(report.cuts.values()) > 30


async def test_one_handle_serves_many_runs_and_threads():
    """A handle is a value: each trio.run that uses it has a pool of its own."""
    replies = []

    def elsewhere(model):
        replies.append(trio.run(complete, model, Context(messages=[user("hi")])).text)

    async with serve(sse(*TEXT_TURN), repeat=True) as server:
        model = model_at(server)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(trio.to_thread.run_sync, elsewhere, model)
            replies.append((await complete(model, Context(messages=[user("hi")]))).text)
    assert replies == ["All done."] * 4
    assert len(server.wires) == 4


@pytest.mark.parametrize("wanted", ["language_models", "image_models"])
def test_a_provider_is_chosen_by_what_it_can_do(wanted):
    """Handles are values behind one protocol, whatever made them."""
    handles: list[Provider] = [
        openai.chat_completions(provider_id="one"),
        faux.register_faux_provider(provider="two"),
    ]
    able = [handle.id for handle in handles if getattr(handle.capabilities, wanted)]
    assert able == (["one", "two"] if wanted == "language_models" else ["one"])
    assert all(isinstance(handle, Provider) for handle in handles)
    model = handles[0].model("m")
    assert (model.provider, model.api, model.ref.id) == ("one", "openai-completions", "m")


async def test_an_endless_stream_is_closed_by_an_abort():
    """The server reads the end of the connection once the agent is idle: at best within 100 ms, always within a second."""
    tries = [await seconds_until_the_server_knows() for _ in range(3)]
    assert min(tries) < 0.1
    assert max(tries) < 1


async def seconds_until_the_server_knows():
    async def endless(wire):
        await wire.send(SSE_HEAD)
        while not wire.closed.is_set():
            await wire.send(chunk(event({"content": "more "}).encode()))
            await trio.sleep(0.001)

    async with serve(endless) as server, open_agent(model_at(server)) as agent:
        async with agent.stream("go on") as run:
            async for happened in run:
                if happened.type == "message_update" and len(happened.message.text) > 50:
                    agent.abort()
            reply = await run.result()
        await agent.wait_for_idle()
        begin = trio.current_time()
        with trio.fail_after(5):
            await server.wires[0].wait_closed()
    assert reply.stop_reason is StopReason.Aborted
    assert len(reply.text) > 50
    return trio.current_time() - begin
