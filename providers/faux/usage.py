"""What a scripted call would have used: an estimate from text, and a prompt cache that remembers sessions."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import assert_never

from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, CustomMessage, Message, ToolResultMessage, UserMessage
from runtime.values.options import StreamOptions
from runtime.values.text import compact_json
from runtime.values.tokens import UNITS_PER_TOKEN, estimate_text_tokens
from runtime.values.usage import Usage

_BYTES_PER_TOKEN = 2 * UNITS_PER_TOKEN


class PromptCache:
    """The last prompt of each session; what a prompt shares with it counts as read from the cache."""

    def __init__(self) -> None:
        self._prompts: dict[str, bytes] = {}

    def usage(self, context: Context, options: StreamOptions, reply: AssistantMessage) -> Usage:
        """The usage of a call and its reply, free of charge; a session's prompt is remembered.

        The first prompt of a session counts twice, as input and as written to the cache.
        """
        prompt = prompt_text(context)
        read, written = 0, 0
        if options.session_id and options.cache_retention != "none":
            read, written = self._remember(options.session_id, prompt.encode("utf-16-le", "surrogatepass"))
        fresh = max(0, estimate_text_tokens(prompt) - read)
        output = estimate_text_tokens(content_text(reply.content))
        return Usage(
            input=fresh,
            output=output,
            cache_read=read,
            cache_write=written,
            total_tokens=fresh + output + read + written,
        )

    def _remember(self, session: str, prompt: bytes) -> tuple[int, int]:
        """Tokens read from the cache and tokens written to it."""
        before = self._prompts.get(session, b"")
        self._prompts[session] = prompt
        common = _common_length(before, prompt)
        return _tokens(common), _tokens(len(prompt) - common)


def _common_length(one: bytes, other: bytes) -> int:
    """The length of the common prefix, to whole UTF-16 units; by halving, because prompts are long."""
    ends = range(1, min(len(one), len(other)) + 1)
    return bisect_left(ends, True, key=lambda end: one[:end] != other[:end]) // 2 * 2


def _tokens(length: int) -> int:
    return -(-length // _BYTES_PER_TOKEN)


def prompt_text(context: Context) -> str:
    """All that a model is given to read, as one text."""
    return "\n\n".join(_parts(context))


def _parts(context: Context) -> Iterator[str]:
    if context.system_prompt is not None:
        yield f"system:{context.system_prompt}"
    yield from map(_message_part, context.messages)
    if context.tools:
        yield f"tools:[{','.join(tool.model_dump_json() for tool in context.tools)}]"


def _message_part(message: Message) -> str:
    match message:
        case UserMessage(content=str() as text):
            return f"user:{text}"
        case UserMessage() | AssistantMessage():
            return f"{message.role}:{content_text(message.content)}"
        case ToolResultMessage():
            return "\n".join((f"toolResult:{message.tool_name}", *map(_block_text, message.content)))
        case CustomMessage():
            return "custom:"


def content_text(
    content: str | Sequence[TextContent | ImageContent | ThinkingContent | ToolCall],
) -> str:
    """Content as text, a block a line."""
    return content if isinstance(content, str) else "\n".join(map(_block_text, content))


def _block_text(block: TextContent | ImageContent | ThinkingContent | ToolCall) -> str:
    match block:
        case TextContent():
            return block.text
        case ThinkingContent():
            return block.thinking
        case ToolCall():
            return f"{block.name}:{compact_json(block.arguments)}"
        case ImageContent():
            return f"[image:{block.mime_type}:{len(block.data)}]"
    assert_never(block)
