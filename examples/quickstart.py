"""An agent with one tool: ask, watch the reply stream in, look at the transcript.

It runs without a key, because the model is scripted. With a real one, the rest stays as it is:

    model = openai.chat_completions(base_url="http://localhost:11434/v1").model("qwen3")     # from providers import openai
"""

import trio

from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import MessageUpdate, Model, StopReason, TextDelta, ToolExecutionEnd, open_agent
from tools import tool


@tool
async def get_weather(city: str) -> str:
    """Current weather for a city."""
    await trio.sleep(0.3)
    return f"sunny in {city}, 21 degrees"


def scripted_model() -> Model:
    faux = register_faux_provider(tokens_per_second=40)
    faux.set_responses(
        [
            faux_assistant_message(
                faux_tool_call("get_weather", {"city": "Oslo"}), stop_reason=StopReason.ToolUse
            ),
            faux_assistant_message("It is sunny in Oslo, at 21 degrees. A light jacket will do."),
        ]
    )
    return faux.get_model()


async def main() -> None:
    model = scripted_model()
    async with open_agent(model, system_prompt="Be brief.", tools=[get_weather]) as agent:
        async with agent.stream("What should I wear in Oslo today?") as run:
            async for event in run:
                match event:
                    case MessageUpdate(TextDelta(delta=delta)):
                        print(delta, end="", flush=True)
                    case ToolExecutionEnd(tool_name=name, result=result):
                        print(f"[{name}: {result.plain_text}]")
            reply = await run.result()
        print(f"\n\n{reply.stop_reason} after {reply.usage.total_tokens} tokens; the transcript:")
        for message in agent.state.messages:
            print(f"  {message.role}")


if __name__ == "__main__":
    trio.run(main)
