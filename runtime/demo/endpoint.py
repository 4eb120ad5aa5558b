"""A real endpoint instead of the scripted model."""

import os
import sys
from urllib.parse import urlsplit

from providers import openai
from runtime import AgentOptions, AgentrioError, AssistantMessage, open_agent

from .command_line import Arguments
from .gadgets import GADGETS
from .narrator import Narrator
from .screen import Screen, Style

KEY_VARIABLE = "AGENTRIO_API_KEY"
_PROMPT = "Say hello, and name one thing that nurseries are good for."
_TOOLS_PROMPT = "What time is it, and how much is 6 * 7? Use your tools."


def endpoint_agent(arguments: Arguments) -> AgentOptions:
    """The agent that the arguments describe.

    Only a key that was given to the demo itself goes to any endpoint; OPENAI_API_KEY is the handle's business, and it
    goes nowhere but to OpenAI.
    """
    assert arguments.base_url is not None  # noqa: S101 - the command line was checked
    assert arguments.model is not None  # noqa: S101 - the command line was checked
    handle = openai.chat_completions(
        arguments.api_key or os.environ.get(KEY_VARIABLE),
        base_url=arguments.base_url,
        provider_id=_provider_id(arguments.base_url),
    )
    return AgentOptions(model=handle.model(arguments.model), tools=GADGETS if arguments.tools else ())


def _provider_id(base_url: str) -> str:
    try:
        host = urlsplit(base_url).hostname or "endpoint"
    except ValueError:  # which quotes what may be a password; the call says that it is no URL
        return "endpoint"
    return "openai" if host == "api.openai.com" else host


async def ask(options: AgentOptions, prompt: str | None, screen: Screen) -> int:
    """Ask once, and show the reply as it comes; 1 if there was none."""
    try:
        async with open_agent(options) as agent:
            with agent.subscribe(Narrator(screen)):
                reply = await agent.prompt(prompt or (_TOOLS_PROMPT if options.tools else _PROMPT))
    except AgentrioError as error:
        return failed(str(error))
    if reply.failed:
        return failed(reply.error_message or reply.stop_reason)
    screen.labelled("", _figures(reply), Style.Faint, Style.Faint)
    return 0


def failed(reason: str) -> int:
    """Say why, where errors belong; the exit status."""
    print(f"error: {reason}", file=sys.stderr)
    return 1


def _figures(reply: AssistantMessage) -> str:
    usage = reply.usage
    return f"[{reply.stop_reason}; {usage.total_tokens} tokens, {usage.output} of them written]"
