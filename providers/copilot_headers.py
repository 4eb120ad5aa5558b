"""The headers by which GitHub Copilot learns what a request is for; all of its APIs take them."""

from runtime.values.content import ImageContent
from runtime.values.context import Context
from runtime.values.message import Message, ToolResultMessage, UserMessage, is_llm_message

COPILOT = "github-copilot"


def copilot_headers(context: Context) -> dict[str, str]:
    """Say whether the user asks or the agent goes on by itself, and whether there is something to see."""
    last = next((message for message in reversed(context.messages) if is_llm_message(message)), None)
    headers = {
        "x-initiator": "user" if last is None or isinstance(last, UserMessage) else "agent",
        "openai-intent": "conversation-edits",
    }
    if any(map(_shows_image, context.messages)):
        headers["copilot-vision-request"] = "true"
    return headers


def _shows_image(message: Message) -> bool:
    return isinstance(message, UserMessage | ToolResultMessage) and any(
        isinstance(block, ImageContent) for block in message.content
    )
