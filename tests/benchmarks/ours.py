"""Our own contenders: the same work with agentrio. ``python -m tests.benchmarks.ours <work> ...``."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import Any

import httpx
import trio

from providers import anthropic, openai
from providers.faux import faux_assistant_message, register_faux_provider
from runtime import AgentEvent, Context, Model, StopReason, StreamOptions, open_agent, stream, user
from tools import tool

from .bare import idle
from .contender import Work, compete, first_number
from .wire import WORD

_HANDLES = {"chat": openai.chat_completions, "responses": openai.responses, "anthropic": anthropic.messages}


@cache
def model_at(api: str, url: str) -> Model:
    """Anthropic's base URL is the one before the version."""
    base = url.removesuffix("/v1") if api == "anthropic" else url
    return _HANDLES[api]("key", base_url=base).model("bench")


def read_events(api: str, client: httpx.AsyncClient | None = None) -> Work:
    """One call: all of its events are read."""

    async def work(url: str) -> None:
        context = Context(messages=[user("go")])
        async with stream(model_at(api, url), context, StreamOptions(http_client=client)) as reply:
            async for _ in reply:
                pass
            check(await reply.result())

    return work


@asynccontextmanager
async def read_with_client(api: str) -> AsyncIterator[Work]:
    """The same over a client that the application brings."""
    async with httpx.AsyncClient(timeout=None) as client:
        yield read_events(api, client)


def read_partials(api: str) -> Work:
    """One call: at every event the arguments so far are looked at."""

    async def work(url: str) -> None:
        async with stream(model_at(api, url), Context(messages=[user("go")])) as reply:
            async for event in reply:
                if event.type == "toolcall_delta":
                    event.partial.content[0].arguments.get("content")
            check(await reply.result())

    return work


def check(message: Any) -> None:
    assert message.stop_reason in (StopReason.Stop, StopReason.ToolUse), message.error_message


def agent_turns(_api: str) -> Work:
    """One agent, n turns; the tool tells the time of each."""

    async def work(url: str) -> dict[str, Any]:
        clock: list[float] = []

        @tool
        async def look(place: str) -> str:
            """Look at a place."""
            clock.append(time.process_time())
            return f"nothing special in {place}"

        async with open_agent(model_at("chat", url), tools=[look]) as agent:
            check(await agent.prompt("Look around."))
        return {"clock": clock}

    return work


def agent_crowd(_api: str) -> Work:
    """Many agents at a time."""

    @tool
    async def look(place: str) -> str:
        """Look at a place."""
        return f"nothing special in {place}"

    async def one(model: Model) -> None:
        async with open_agent(model, tools=[look]) as agent:
            check(await agent.prompt("Look around."))

    async def work(url: str) -> None:
        model = model_at("chat", url)
        async with trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                nursery.start_soon(one, model)

    return work


def idle_agents(_api: str) -> Work:
    """Open agents to which nobody speaks."""

    async def one(task_status: trio.TaskStatus[None]) -> None:
        async with open_agent(model_at("chat", "http://127.0.0.1:1/v1")):
            task_status.started()
            await trio.sleep_forever()

    return idle(one)


def subscribers(_api: str) -> Work:
    """One reply before many listeners."""

    async def listen(event: AgentEvent) -> None:
        pass

    async def work(url: str) -> None:
        async with open_agent(scripted()) as agent:
            for _ in range(first_number(url)):
                agent.subscribe(listen)
            check(await agent.prompt("go"))

    return work


def feeds(_api: str) -> Work:
    """One reply before many readers in tasks of their own."""

    async def read(agent: Any, task_status: trio.TaskStatus[None]) -> None:
        async with agent.events() as events:
            task_status.started()
            async for _ in events:
                pass

    async def work(url: str) -> None:
        async with open_agent(scripted()) as agent, trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                await nursery.start(read, agent)
            check(await agent.prompt("go"))
            nursery.cancel_scope.cancel()

    return work


def scripted() -> Model:
    """A model that says ten thousand characters, without a network."""
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message(WORD * 1500)])
    return faux.get_model()


def without_resources(make: Callable[[str], Work]) -> Callable[[str], AbstractAsyncContextManager[Work]]:
    return lambda api: nullcontext(make(api))


WORKS: dict[str, Callable[[str], AbstractAsyncContextManager[Work]]] = {
    "read": without_resources(read_events),
    "read-client": read_with_client,
    "partials": without_resources(read_partials),
    "turns": without_resources(agent_turns),
    "crowd": without_resources(agent_crowd),
    "idle": without_resources(idle_agents),
    "subscribers": without_resources(subscribers),
    "feeds": without_resources(feeds),
}


def main() -> None:
    work, api, server, scenario = sys.argv[1:]
    compete(WORKS[work](api), server, scenario)


if __name__ == "__main__":
    main()
