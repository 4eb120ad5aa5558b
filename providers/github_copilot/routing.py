"""Which API a model of Copilot's is called through, and what is known of it there."""

import re
from typing import Literal, TypeAlias

from providers.openai.responses_compat import takes_grammars
from runtime.values.compat import ModelCompat

CopilotApi: TypeAlias = Literal["anthropic-messages", "openai-completions", "openai-responses"]

_CLAUDE = re.compile(r"claude-(?:haiku|sonnet|opus)-[45](?:[.-]|\Z)")
_RESPONSES_ONLY = ("grok-", "gpt-5", "oswe", "mai-")


def api_for_model(model_id: str) -> CopilotApi:
    """The API that a model supports, by its id: Claude 4 and 5 Messages, GPT-5 and a few others Responses, all others Chat Completions.

    What it supports at Copilot, that is: the same model may speak another API elsewhere.
    """
    if _CLAUDE.match(model_id):
        return "anthropic-messages"
    return "openai-responses" if model_id.startswith(_RESPONSES_ONLY) else "openai-completions"


def copilot_presets(api: CopilotApi, model_id: str) -> ModelCompat:
    """How Copilot departs from the documentation of an API."""
    match api:
        case "openai-completions":
            return ModelCompat(
                supports_store=False, supports_developer_role=False, supports_reasoning_effort=False
            )
        case "openai-responses" if takes_grammars(model_id):
            return ModelCompat(supports_openai_grammar_tools=True)
    return ModelCompat()
