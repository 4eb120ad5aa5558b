"""Saying more while the agent works: steering joins at the next turn, a follow-up when the run would otherwise end."""

import trio

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import Agent, AssistantMessage, StopReason, ToolResultMessage, UserMessage, open_agent
from tools import tool


@tool
async def search(query: str) -> str:
    """Search the archive."""
    await trio.sleep(0.5)
    return f"3 letters about {query}"


async def interfere(agent: Agent) -> None:
    """A task of its own, which does not wait for the run."""
    await trio.sleep(0.2)
    steering = agent.steer("Only those from Vienna, please.")
    follow_up = agent.follow_up("And thank the archivist.")
    for name, delivery in [("steering", steering), ("follow-up", follow_up)]:
        print(f"  ({name}: {await delivery.wait()} in turn {delivery.turn})")


async def main() -> None:
    faux = register_faux_provider()
    search_call = faux_tool_call("search", {"query": "Mahler"})
    faux.set_responses(
        [
            faux_assistant_message(search_call, stop_reason=StopReason.ToolUse),
            faux_assistant_message("One of the three is from Vienna."),
            faux_assistant_message("I have thanked her."),
        ]
    )
    async with open_agent(faux.get_model(), tools=[search]) as agent, trio.open_nursery() as nursery:
        nursery.start_soon(interfere, agent)
        reply = await agent.prompt("Find Mahler's letters.")
        print(f"{reply.text}\n\nThe transcript:")
        for message in agent.state.messages:
            match message:
                case UserMessage(content=text) | ToolResultMessage(text=text) | AssistantMessage(text=text):
                    print(f"  {message.role}: {text or '(a tool call)'}")


if __name__ == "__main__":
    trio.run(main)
