"""How a Chat Completions endpoint behaves, with every flag decided."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from runtime.values.compat import ChatTemplateValue, MaxTokensField, SessionAffinityFormat, ThinkingFormat
from runtime.values.model import Model

from .session import affinity_format


@dataclass(frozen=True, kw_only=True)
class CompletionsCompat:
    """The flags of ``ModelCompat`` that this API reads; the defaults are OpenAI's own behaviour."""

    supports_store: bool = True
    supports_developer_role: bool = True
    supports_reasoning_effort: bool = True
    supports_usage_in_streaming: bool = True
    max_tokens_field: MaxTokensField = "max_completion_tokens"
    requires_tool_result_name: bool = False
    requires_assistant_after_tool_result: bool = False
    requires_thinking_as_text: bool = False
    requires_reasoning_content_on_assistant_messages: bool = False
    thinking_format: ThinkingFormat = "openai"
    chat_template_kwargs: Mapping[str, ChatTemplateValue] = field(default_factory=dict)
    open_router_routing: Any = None
    vercel_gateway_routing: Any = None
    zai_tool_stream: bool = False
    supports_strict_mode: bool = True
    supports_openai_grammar_tools: bool = False
    cache_control_format: Literal["anthropic"] | None = None
    send_session_affinity_headers: bool = False
    session_affinity_format: SessionAffinityFormat = "openai"
    supports_long_cache_retention: bool = True
    deferred_tools_mode: Literal["kimi"] | None = None


def completions_compat(model: Model) -> CompletionsCompat:
    """What the model declares over the defaults. Nothing is guessed from names, but the session headers of OpenRouter."""
    for known, compat in tuple(_REMEMBERED):
        if known is model:
            return compat
    compat = _completions_compat(model)
    _REMEMBERED.append((model, compat))
    return compat


_REMEMBERED: deque[tuple[Model, CompletionsCompat]] = deque(maxlen=1)
"""Each call asks three times, and many calls in a row have the same model."""


def _completions_compat(model: Model) -> CompletionsCompat:
    declared = {item.name: getattr(model.compat, item.name) for item in fields(CompletionsCompat)}
    declared["session_affinity_format"] = affinity_format(model)
    return CompletionsCompat(**{name: value for name, value in declared.items() if value is not None})
