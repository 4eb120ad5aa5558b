"""The headers of GitHub Copilot: who calls, which never changes, and what a request is for. All of its APIs take them."""

from collections.abc import Mapping
from types import MappingProxyType

from runtime.values.content import ImageContent
from runtime.values.context import Context
from runtime.values.message import Message, ToolResultMessage, UserMessage, is_llm_message

COPILOT = "github-copilot"
CLIENT_HEADERS: Mapping[str, str] = MappingProxyType({
    "User-Agent": "GitHubCopilotChat/0.35.0",
    "Editor-Version": "vscode/1.107.0",
    "Editor-Plugin-Version": "copilot-chat/0.35.0",
    "Copilot-Integration-Id": "vscode-chat",
})  # fmt: skip
"""Copilot answers to known clients only."""


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
