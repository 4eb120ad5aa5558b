"""Stopping an agent: from another task, with trio's own time-out, or by leaving the block.

Each time the tool is cancelled where it waits and cleans up, its call gets a result, and the agent can go on.
"""

import trio

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import Agent, AssistantMessage, StopReason, ToolExecutionUpdate, ToolInvocation, open_agent
from tools import tool


@tool
async def download(call: ToolInvocation, url: str) -> str:
    """Download something large."""
    try:
        await call.update("the first bytes are here")
        await trio.sleep_forever()
    finally:
        print(f"  {url}: connection closed, part file removed")


def asks_for_a_download(*_: object) -> AssistantMessage:
    call = faux_tool_call("download", {"url": "https://example.org/sky.tar"})
    return faux_assistant_message(call, stop_reason=StopReason.ToolUse)


async def abort_soon(agent: Agent) -> None:
    await trio.sleep(0.3)
    agent.abort()


async def main() -> None:
    faux = register_faux_provider()
    faux.set_responses([asks_for_a_download, asks_for_a_download, asks_for_a_download])
    async with open_agent(faux.get_model(), tools=[download]) as agent:
        print("abort(), from another task:")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(abort_soon, agent)
            reply = await agent.prompt("Download the sky.")
        print(f"  {reply.stop_reason}: {reply.error_message}")

        print("move_on_after(), around the prompt:")
        with trio.move_on_after(0.3) as patience:
            await agent.prompt("Once more.")
        print(f"  cut: {patience.cancelled_caught}; {[message.role for message in agent.state.messages]}")

        print("leaving the block:")
        async with agent.stream("One last time.") as run:
            async for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    break
    print("Nothing is left.")


if __name__ == "__main__":
    trio.run(main)
