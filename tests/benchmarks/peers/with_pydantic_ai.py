"""Pydantic AI: its direct request, and its agent. ``python -m tests.benchmarks.peers.with_pydantic_ai <work> ...``."""

from openai import AsyncOpenAI
from pydantic_ai import Agent, CallDeferred, DeferredToolRequests, Tool, UsageLimits
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.benchmarks.contender import Work

from .entry import LOOKOUT, MANY, PROMPT, alone, check, enter, together

LIMITS = UsageLimits(request_limit=MANY)
CLIENT = AsyncOpenAI(api_key="key", timeout=None)


def model_at(url: str) -> OpenAIChatModel:
    return OpenAIChatModel("bench", provider=OpenAIProvider(openai_client=CLIENT.with_options(base_url=url)))


def direct() -> Work:
    """One request without an agent: all of its events are read."""

    async def work(url: str) -> None:
        messages = [ModelRequest.user_text_prompt(PROMPT)]
        async with model_request_stream(model_at(url), messages) as stream:
            async for _ in stream:
                pass
        (part,) = stream.get().parts
        check(url, len(part.args_as_json_str() if isinstance(part, ToolCallPart) else part.content))

    return work


def agent() -> Work:
    """One request of an agent: all of its events are read; a tool call ends it."""
    got: list[str] = []
    subject = Agent(output_type=[str, DeferredToolRequests])

    @subject.tool_plain
    async def write(path: str, content: str) -> str:
        raise CallDeferred

    async def work(url: str) -> None:
        got.clear()
        async with subject.run_stream_events(PROMPT, model=model_at(url)) as events:
            async for event in events:
                if event.event_kind == "agent_run_result":
                    output = event.result.output
                    got.append(output if isinstance(output, str) else output.calls[0].args_as_json_str())
        check(url, len(got[0]))

    return work


@Tool
async def look(place: str) -> str:
    """Look at a place."""
    return LOOKOUT.see(place)


async def converse(url: str) -> None:
    """One run of an agent that looks around."""
    subject = Agent(model_at(url), tools=[look])
    async with subject.run_stream_events(PROMPT, usage_limits=LIMITS) as events:
        async for _ in events:
            pass


if __name__ == "__main__":
    enter({"direct": direct, "agent": agent, "turns": alone(converse), "crowd": together(converse)})
