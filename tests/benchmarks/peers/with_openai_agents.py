"""The OpenAI Agents SDK over Chat Completions, without tracing. ``python -m tests.benchmarks.peers.with_openai_agents <work> ...``."""

import json

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from tests.benchmarks.contender import Work

from .entry import LOOKOUT, MANY, PROMPT, alone, check, enter, together

CLIENT = AsyncOpenAI(api_key="key", timeout=None)


def model_at(url: str) -> OpenAIChatCompletionsModel:
    return OpenAIChatCompletionsModel("bench", CLIENT.with_options(base_url=url))


def agent() -> Work:
    """One request of an agent: all of its events are read; a tool call ends it."""

    @function_tool
    async def write(path: str, content: str) -> str:
        """Write a file."""
        return json.dumps({"path": path, "content": content}, separators=(",", ":"))

    async def work(url: str) -> None:
        subject = Agent("bench", model=model_at(url), tools=[write], tool_use_behavior="stop_on_first_tool")
        run = Runner.run_streamed(subject, PROMPT)
        async for _ in run.stream_events():
            pass
        check(url, len(run.final_output))

    return work


@function_tool
async def look(place: str) -> str:
    """Look at a place."""
    return LOOKOUT.see(place)


async def converse(url: str) -> None:
    """One run of an agent that looks around."""
    run = Runner.run_streamed(Agent("bench", model=model_at(url), tools=[look]), PROMPT, max_turns=MANY)
    async for _ in run.stream_events():
        pass


if __name__ == "__main__":
    set_tracing_disabled(True)
    enter({"agent": agent, "turns": alone(converse), "crowd": together(converse)})
