"""How many tokens a text, a message or a whole context will take: a guess that is cheap and errs upwards.

Four UTF-16 units count as a token and an image as 1200 tokens. Where a reply says what the context took up to
there, only what came after it is guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from .content import ImageContent, TextContent, ThinkingContent, ToolCall
from .context import Context
from .message import AssistantMessage, CustomMessage, Message, ToolResultMessage
from .text import compact_json, utf16_units
from .tool import Tool

UNITS_PER_TOKEN = 4
IMAGE_UNITS = 4800


@dataclass(frozen=True)
class ContextEstimate:
    """What a context takes, and how that is known.

    ``tokens`` is the sum of ``usage_tokens``, which a reply reported, and ``trailing_tokens``, which are guessed.
    ``last_usage_index`` is the place of that reply among the messages; None when everything is guessed.
    """

    tokens: int
    usage_tokens: int
    trailing_tokens: int
    last_usage_index: int | None


def estimate_tokens(value: str | Message | Context) -> int:
    """Guess the tokens of a text, a message, or a context with all that is in it."""
    if isinstance(value, str):
        return estimate_text_tokens(value)
    return (
        estimate_context_tokens(value).tokens
        if isinstance(value, Context)
        else estimate_message_tokens(value)
    )


def estimate_text_tokens(text: str) -> int:
    """Guess the tokens of a text from its length in UTF-16 units."""
    return _tokens(utf16_units(text))


def estimate_message_tokens(message: Message) -> int:
    """Guess the tokens of one message; a custom message takes none, because no model sees it."""
    if isinstance(message, CustomMessage):
        return 0
    if isinstance(message.content, str):
        return estimate_text_tokens(message.content)
    return _tokens(sum(map(_block_units, message.content)))


def estimate_context_tokens(context: Context) -> ContextEstimate:
    """Guess the tokens of a context, from the last usage on that still holds.

    A reply's usage holds when the reply did not fail, reported any, and is no older than what stands before it:
    a summary put in front of old replies makes theirs stale. It includes the system prompt and the tools, but
    not the tools that later results add.
    """
    messages = context.messages
    index = _last_usage(messages)
    if index is None:
        trailing = estimate_text_tokens(context.system_prompt or "") + _tools_tokens(context.tools)
        trailing += sum(map(estimate_message_tokens, messages))
        return ContextEstimate(trailing, 0, trailing, None)
    anchor, later = messages[index], messages[index + 1 :]
    assert isinstance(anchor, AssistantMessage)  # noqa: S101 - _last_usage found it
    usage = anchor.usage.context_tokens
    trailing = sum(map(estimate_message_tokens, later)) + _tools_tokens(_added_tools(context.tools, later))
    return ContextEstimate(usage + trailing, usage, trailing, index)


def _tokens(units: int) -> int:
    return -(-units // UNITS_PER_TOKEN)


def _block_units(block: TextContent | ImageContent | ThinkingContent | ToolCall) -> int:
    match block:
        case TextContent():
            return utf16_units(block.text)
        case ImageContent():
            return IMAGE_UNITS
        case ThinkingContent():
            return utf16_units(block.thinking)
        case ToolCall():
            return utf16_units(block.name) + utf16_units(compact_json(block.arguments))


def _tools_tokens(tools: Sequence[Tool]) -> int:
    return estimate_text_tokens(f"[{','.join(tool.model_dump_json() for tool in tools)}]") if tools else 0


def _added_tools(tools: Iterable[Tool], messages: Iterable[Message]) -> list[Tool]:
    results = (message for message in messages if isinstance(message, ToolResultMessage))
    names = {name for result in results for name in result.added_tool_names}
    return [tool for tool in tools if tool.name in names]


def _last_usage(messages: Sequence[Message]) -> int | None:
    """Looked for from the end: it is asked for before every turn, and nearly always the last reply has it."""
    reporting = (index for index in reversed(range(len(messages))) if _reports_usage(messages[index]))
    last = next(reporting, None)
    if last is None:
        return None
    moments = [
        0 if isinstance(message, CustomMessage) else message.timestamp for message in messages[: last + 1]
    ]
    if max(moments) <= moments[last]:
        return last
    newest = list(accumulate(moments, max))
    return next((index for index in reporting if newest[index] <= moments[index]), None)


def _reports_usage(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and not message.failed and message.usage.context_tokens > 0
