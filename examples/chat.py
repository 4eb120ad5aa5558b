"""A chat with a real endpoint that speaks Chat Completions: Ollama, llama.cpp, vLLM, a gateway, or OpenAI.

    python examples/chat.py --base-url http://localhost:11434/v1 --model qwen3
    python examples/chat.py --base-url https://api.openai.com/v1 --model gpt-5-mini --prompt "Hello!"

The key, if the endpoint wants one, is read from CHAT_API_KEY. Without --prompt, each line of standard input is one.
"""

import argparse
import os
import sys

import trio

from providers import openai
from runtime import Agent, MessageUpdate, Model, TextDelta, open_agent


async def ask(agent: Agent, prompt: str) -> bool:
    """Show the answer as it comes; whether there was one."""
    async with agent.stream(prompt) as run:
        async for event in run:
            match event:
                case MessageUpdate(TextDelta(delta=delta)):
                    print(delta, end="", flush=True)
        reply = await run.result()
    print()
    if reply.failed:
        print(f"{reply.stop_reason}: {reply.error_message}", file=sys.stderr)
    return not reply.failed


async def main(model: Model, prompt: str | None) -> int:
    async with open_agent(model, system_prompt="Answer briefly.") as agent:
        if prompt is not None:
            return 0 if await ask(agent, prompt) else 1
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            await ask(agent, line.strip())
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chat with a model at a Chat Completions endpoint.")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt")
    arguments = parser.parse_args()
    endpoint = openai.chat_completions(os.environ.get("CHAT_API_KEY"), base_url=arguments.base_url)
    try:
        sys.exit(trio.run(main, endpoint.model(arguments.model), arguments.prompt))
    except KeyboardInterrupt:
        sys.exit(130)
