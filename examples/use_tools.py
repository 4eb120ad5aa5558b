"""Three tools, called at the same time: one async with progress, one plain in a thread, one that refuses.

Their results reach the model in the order of its calls, whichever ends first; what a tool raises is a result, too.
"""

import time

import trio

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import MessageEnd, StopReason, ToolExecutionEnd, ToolInvocation, ToolResultMessage, open_agent
from tools import tool


@tool
async def get_weather(call: ToolInvocation, city: str) -> dict[str, object]:
    """Current weather for a city."""
    await call.update(f"asking {city}'s station")
    await trio.sleep(0.5)
    return {"city": city, "sky": "clear", "degrees": 21}


@tool(timeout=5)
def read_almanac(month: str) -> str:
    """Look a month up, with a library that knows nothing of trio: this runs in a thread."""
    time.sleep(0.2)
    return f"{month} is mild"


@tool
async def book_train(city: str) -> str:
    """Book a train."""
    await trio.sleep(0.1)
    raise LookupError(f"no train goes to {city}")


async def main() -> None:
    oslo, may = {"city": "Oslo"}, {"month": "May"}
    wanted = [("get_weather", oslo), ("read_almanac", may), ("book_train", oslo)]
    calls = [faux_tool_call(name, arguments) for name, arguments in wanted]
    replies = [faux_assistant_message(calls, stop_reason=StopReason.ToolUse), faux_assistant_message("Walk.")]
    faux = register_faux_provider()
    faux.set_responses(replies)
    async with open_agent(faux.get_model(), tools=[get_weather, read_almanac, book_train]) as agent:
        async with agent.stream("To Oslo in May?") as run:
            async for event in run:
                match event:
                    case ToolExecutionEnd(tool_name=name, is_error=is_error):
                        print(f"{name} has ended{', with an error' if is_error else ''}")
                    case MessageEnd(ToolResultMessage(tool_name=name, text=text)):
                        print(f"  the model reads: {name}: {text}")
            reply = await run.result()
        print(reply.text)


if __name__ == "__main__":
    trio.run(main)
