"""Our agent as others are asked to work: every event is read. ``python -m tests.benchmarks.peers.with_agentrio <work> ...``."""

import json
from typing import Any

import trio

from runtime import AgentEvent, AgentToolResult, open_agent
from tests.benchmarks.contender import Work, first_number
from tests.benchmarks.ours import check as check_stop
from tests.benchmarks.ours import model_at
from tools import tool

from .entry import LOOKOUT, PROMPT, alone, check, enter


async def listen(event: AgentEvent) -> None:
    pass


async def run(url: str, *tools: Any) -> str:
    """What an agent says in the end."""
    async with open_agent(model_at("chat", url), tools=tools) as subject:
        subject.subscribe(listen)
        message = await subject.prompt(PROMPT)
    check_stop(message)
    return "".join(block.text for block in message.content if block.type == "text")


def agent() -> Work:
    """One request of an agent; a tool call ends it."""
    got: list[str] = []

    @tool
    async def write(path: str, content: str) -> AgentToolResult:
        """Write a file."""
        got.append(json.dumps({"path": path, "content": content}, separators=(",", ":")))
        return AgentToolResult.text("written", terminate=True)

    async def work(url: str) -> None:
        got.clear()
        text = await run(url, write)
        check(url, len(text or got[0]))

    return work


@tool
async def look(place: str) -> str:
    """Look at a place."""
    return LOOKOUT.see(place)


async def converse(url: str) -> None:
    """One run of an agent that looks around."""
    await run(url, look)


def crowd() -> Work:
    async def work(url: str) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                nursery.start_soon(converse, url)
        LOOKOUT.check(url, first_number(url))

    return work


WORKS = {"agent": agent, "turns": alone(converse), "crowd": crowd}

if __name__ == "__main__":
    enter(WORKS, trio.run)
