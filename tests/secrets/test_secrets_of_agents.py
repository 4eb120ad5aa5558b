"""Agents whose model's server repeats the credential: what they tell, are and log."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers import faux
from runtime import AgentOptions, SimpleStreamOptions, agent_tree, open_agent
from runtime.testing.wire.apis import DIALECTS
from runtime.testing.wire.dialect import whole
from runtime.values.content import TextContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.usage import Usage
from tests.secrets.calls_lab import CHAT, Way, credentials, model_at, quick
from tests.secrets.echo_lab import REFUSALS, STREAMS, Echo, check_answered, echoing, stream
from tests.secrets.secrets_lab import SECRETS, Hidden, few, logged
from tools import subagent, tool

ANSWERS = list(REFUSALS | STREAMS)


class Seen:
    """What there is to be seen of an agent: ``told`` are its events, ``rest`` is what describes it."""

    def __init__(self):
        self.told = []
        self.rest = []

    async def listen(self, event):
        self.told += [event, event.model_dump_json()]

    def look(self, agent, options):
        state = agent.state
        self.rest += [agent, options, options.options, agent.statistics(), agent_tree(), str(agent_tree())]
        self.rest += [
            state.model,
            state.error_message,
            *(getattr(each, "error_message", "") for each in state.messages),
        ]


async def prompted(options, seen, **more):
    """Prompt an agent once, and look at it before, after, and at each of its tools."""
    async with open_agent(options, **more) as agent:
        agent.subscribe(seen.listen)
        seen.look(agent, options)
        reply = await agent.prompt("Hello?")
        seen.look(agent, options)
        seen.told += [agent.state, *(each.model_dump_json() for each in agent.state.messages)]
    seen.rest.append(agent)
    return reply


@pytest.mark.parametrize("api", CHAT)
@few(10)
@given(st.data())
def test_an_agent_whose_calls_fail(api, data):
    """Events, state, statistics, tree, reprs and log lines are without the credential, wherever it came from."""
    credential = data.draw(credentials(api))
    by_hook = data.draw(st.booleans())
    name = data.draw(st.sampled_from(ANSWERS))
    seen = Seen()

    async def get_api_key(_):
        return credential.secret

    async def main():
        async with echoing(credential.secret, (REFUSALS | STREAMS)[name]) as server:
            _, model = model_at(api, server.url, Way() if by_hook else credential.way)
            options = AgentOptions(
                model=model,
                options=SimpleStreamOptions(**{**quick(name), **({} if by_hook else credential.way.options)}),
                get_api_key=get_api_key if by_hook else None,
            )
            await prompted(options, seen)

    with logged() as lines:
        trio.run(main)
    check_answered(name, *seen.rest)
    Hidden(credential.secret).check(credential.how, *seen.rest, *seen.told, *lines.own)


@tool
def look(at: str, depth: int = 0) -> str:
    """Look at something."""
    if depth:
        raise LookupError(f"nothing is at {at}")
    return "a tree"


DEPTHS = {
    "is good": lambda said: {},
    "fails": lambda said: {"depth": 1},
    "is wrong": lambda said: {"depth": said, said: 1},
}


def repeating(api, depth):
    """A reply that repeats the request in its text and in the arguments of a call."""

    def answer(echo: Echo) -> bytes:
        if echo.number:
            return REFUSALS["JSON"](echo)
        call = ToolCall("call_1", "look", {"at": echo.line, **DEPTHS[depth](echo.line)})
        content = [TextContent(echo.line), call]
        reply = AssistantMessage(content, "a", "p", "m", stop_reason=StopReason.ToolUse)
        name = "chat_completions" if api == "completions" else api
        return stream(whole(DIALECTS[name]("m"), reply, Usage(), lambda text: [text]).decode())

    return answer


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("api", CHAT)
@few(5)
@given(st.data())
def test_an_agent_whose_model_repeats_a_credential(api, depth, data):
    """A reply is what the server said, and so are arguments and what a tool makes of them; all else is without the credential."""
    credential = data.draw(credentials(api))
    seen = Seen()

    async def main():
        async with echoing(credential.secret, repeating(api, depth)) as server:
            _, model = model_at(api, server.url, credential.way)
            options = AgentOptions(
                model=model,
                options=SimpleStreamOptions(**{**quick(), **credential.way.options}),
                tools=[look],
            )
            return await prompted(options, seen)

    with logged() as lines:
        reply = trio.run(main)
    check_answered("", *seen.rest)
    hidden = Hidden(credential.secret)
    hidden.check("the agent", *seen.rest, *lines.own)
    hidden.check("the failure", reply, reply.model_dump_json())


@few(20)
@given(data=st.data(), secret=SECRETS)
def test_an_agent_below_an_agent(data, secret):
    """What the called agent's failure says to the one above is without the credential, too."""
    name = data.draw(st.sampled_from(ANSWERS))
    seen = Seen()

    async def main():
        async with echoing(secret, (REFUSALS | STREAMS)[name]) as server:
            with faux.register_faux_provider() as above:
                call = faux.faux_tool_call("below", {"prompt": "Hello?"})
                above.set_responses(
                    [
                        faux.faux_assistant_message(call, stop_reason="toolUse"),
                        faux.faux_assistant_message("Well."),
                    ]
                )
                _, model = model_at("completions", server.url, Way({"api_key": secret}))
                below = AgentOptions(model=model, name="below", options=SimpleStreamOptions(**quick(name)))
                tools = [subagent(below, description="Helps.")]
                await prompted(AgentOptions(model=above.get_model(), tools=tools), seen)

    with logged() as lines:
        trio.run(main)
    check_answered(name, *seen.told)
    Hidden(secret).check("the agents", *seen.rest, *seen.told, *lines.own)
