"""Somebody to chat with who needs no key: a scripted model that echoes, and uses its tools when asked."""

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from itertools import takewhile

from providers.faux import faux_assistant_message, faux_text, faux_tool_call, register_faux_provider
from runtime import (
    AgentOptions,
    AssistantMessage,
    Context,
    Message,
    MessageStream,
    Model,
    SimpleStreamOptions,
    StopReason,
    ToolCall,
    ToolResultMessage,
    UserMessage,
    stream_simple,
)

from .gadgets import GADGETS

HINT = "Try: count to 20 (and type while it counts), what is 6 * 7, what time is it."
_SUM = re.compile(r"(-?\d+(?:\.\d+)?)\s*([-+*/])\s*(-?\d+(?:\.\d+)?)")
_COUNT = re.compile(r"count\D*(\d+)", re.IGNORECASE)


def scripted_agent() -> AgentOptions:
    """An agent on a model that always has an answer."""
    model = register_faux_provider(tokens_per_second=30, token_size=(1, 2), models=["scripted"])

    def stream(
        chosen: Model, context: Context, options: SimpleStreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        model.set_responses([answer])
        return stream_simple(chosen, context, options)

    return AgentOptions(model=model.get_model(), tools=GADGETS, stream_fn=stream)


def answer(context: Context, *_: object) -> AssistantMessage:
    """Reply to all that came since the last reply: a tool's results, the user's words, or both."""
    news = list(
        takewhile(lambda message: not isinstance(message, AssistantMessage), reversed(context.messages))
    )
    results = [
        f"The tool says: {item.text}." for item in reversed(news) if isinstance(item, ToolResultMessage)
    ]
    said = _said(news[::-1])
    call = None if results else next(filter(None, map(_call, said)), None)
    echo = " ".join([*results, *(f'You said "{text}".' for text in said)])
    if call is None:
        return faux_assistant_message(echo)
    return faux_assistant_message([faux_text(echo), call], stop_reason=StopReason.ToolUse)


def _said(messages: Sequence[Message]) -> list[str]:
    return [str(message.content) for message in messages if isinstance(message, UserMessage)]


def _call(text: str) -> ToolCall | None:
    """The call that the text asks for, if any."""
    if found := _SUM.search(text):
        left, operation, right = found.groups()
        arguments = {"left": float(left), "operation": operation, "right": float(right)}
        return faux_tool_call("calculate", arguments)
    if found := _COUNT.search(text):
        return faux_tool_call("count", {"up_to": min(100, max(1, int(found[1])))})
    return faux_tool_call("clock", {}) if "time" in text.lower() else None
