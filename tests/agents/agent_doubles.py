"""Tools and scripts that the agent tests share."""

from contextlib import asynccontextmanager

import trio

from providers.faux import faux_assistant_message, faux_text, faux_tool_call, register_faux_provider
from runtime.agents.events import AgentEvent
from runtime.agents.invocation import ToolInvocation
from runtime.agents.opening import open_agent
from runtime.agents.tool import AgentToolResult, ToolExecutionMode
from runtime.testing.invariants import EventRecorder, assert_event_grammar, assert_transcript_valid
from runtime.values.message import StopReason
from runtime.values.tool import Tool

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Probe:
    """A tool of an async function of its invocation; it remembers what it was called with."""

    def __init__(self, name, work=None, *, mode=None, prepare=None, parameters=None, timeout=None):
        self.definition = Tool.define(name, f"The {name} tool.", parameters)
        self.label = name
        self.execution_mode: ToolExecutionMode | None = mode
        self.timeout = timeout
        self.seen: list[object] = []
        self._work = work
        self._prepare = prepare

    def prepare_arguments(self, arguments):
        return self._prepare(arguments) if self._prepare else arguments

    async def execute(self, call: ToolInvocation) -> AgentToolResult:
        self.seen.append(call.arguments)
        answer = await self._work(call) if self._work else None
        return answer if answer is not None else AgentToolResult.text(f"{call.name} done")


def sleeper(name, seconds, **options):
    """A tool that takes its time."""

    async def work(call):
        await trio.sleep(seconds)

    return Probe(name, work, **options)


def calls(*names, text="", arguments=None):
    """A reply that calls tools: ids are c0, c1, ..."""
    blocks = [faux_tool_call(name, arguments or {}, id=f"c{index}") for index, name in enumerate(names)]
    return faux_assistant_message(
        [*([faux_text(text)] if text else []), *blocks], stop_reason=StopReason.ToolUse
    )


def says(text):
    return faux_assistant_message(text)


@asynccontextmanager
async def opened(*steps, pace=None, recorder=None, check=True, **settings):
    """An agent on a script, a recorder on the agent; the grammar is checked when the block is left."""
    with register_faux_provider(tokens_per_second=pace) as faux:
        faux.set_responses(steps)
        recorder = recorder or EventRecorder()
        settings.setdefault("model", faux.get_model())
        async with open_agent(**settings) as agent:
            agent.subscribe(recorder)
            yield agent, recorder, faux
        if check:
            assert_event_grammar(recorder.events)
            assert_transcript_valid(agent.state.messages)
        faux.set_responses([])


async def after(seconds, act):
    """Do something later."""
    await trio.sleep(seconds)
    act()


def tool_ends(recorder: EventRecorder) -> list[tuple[str, bool]]:
    return [
        (event.tool_name, event.is_error) for event in recorder.events if event.type == "tool_execution_end"
    ]


def result_texts(agent) -> list[str]:
    return [message.text for message in agent.state.messages if message.role == "toolResult"]


def roles(messages) -> list[str]:
    return [message.role for message in messages]


def describe(event: AgentEvent) -> str:
    """An event in a few letters: what the exact lists of the tests are made of."""
    message = getattr(event, "message", None)
    if event.type.startswith("message"):
        return f"{event.type.removeprefix('message_')} {message.role}"
    if event.type.startswith("tool"):
        return f"{event.type.removeprefix('tool_execution_')} {event.tool_name}"
    return event.type
