"""The three chat APIs as the real server has them, and the tool that all tests call."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from providers import anthropic, openai
from runtime import Model, StopReason
from tools import tool

from .conftest import KEY, LlamaServer


@tool
async def get_weather(city: str) -> str:
    """Weather of a city.

    Args:
        city: Which city.
    """
    return f"{city}: sunny"


@dataclass(frozen=True)
class Api:
    """One chat API: a handle that speaks it, how a payload demands a call, and the words that are its own."""

    id: str
    wire: str
    handle: Callable[..., Any]
    turns: str
    """Where a payload has its turns."""
    must_call: Any
    """The tool choice that demands a call."""
    refused: str
    """How the error begins, of a status and its phrase."""
    reply_id: str
    """How the ids of replies begin."""
    at_limit: StopReason = StopReason.Length
    """What a reply ends as that was cut at its limit."""
    names_model: bool = True
    """A reply tells which model wrote it."""

    def model(
        self, server: LlamaServer, key: str = KEY, name: str = "smollm2", path: str = "/v1", **settings: Any
    ) -> Model:
        """The server's model behind a new handle, which goes by the API's id."""
        handle = self.handle(key, base_url=server.url + path, provider_id=self.id)
        return handle.model(name, **{"max_tokens": 48, "context_window": 2048, **settings})

    @property
    def ends(self) -> tuple[StopReason, ...]:
        """How a reply ends that may have been cut."""
        return StopReason.Stop, self.at_limit


APIS = (
    Api(
        "completions",
        "openai-completions",
        partial(openai.chat_completions, compat={"maxTokensField": "max_tokens"}),
        turns="messages",
        must_call="required",
        refused="provider returned HTTP {} {}: ",
        reply_id="chatcmpl-",
    ),
    Api(
        "responses",
        "openai-responses",
        openai.responses,
        turns="input",
        must_call="required",
        refused="OpenAI API error ({}): ",
        reply_id="resp_",
        at_limit=StopReason.Stop,  # the server calls it completed
        names_model=False,
    ),
    Api(
        "messages",
        "anthropic-messages",
        anthropic.messages,
        turns="messages",
        must_call={"type": "any"},
        refused="provider returned HTTP {} {}: ",
        reply_id="chatcmpl-",
    ),
)
COMPLETIONS, RESPONSES, MESSAGES = APIS


async def force_tool(payload: dict[str, Any], model: Model) -> dict[str, Any] | None:
    """Have the model's template begin the call, on the turn that must call and only there."""
    (api,) = (api for api in APIS if api.wire == model.api)
    if not user_spoke(payload[api.turns][-1]):
        return None
    return {**payload, "tool_choice": api.must_call, "chat_template_kwargs": {"force_tool": True}}


def user_spoke(turn: dict[str, Any]) -> bool:
    """A turn of the user's own: the Messages API has tool results in the user's role, too."""
    content = turn.get("content")
    blocks = content if isinstance(content, list) else []
    return turn.get("role") == "user" and not any(block["type"] == "tool_result" for block in blocks)
