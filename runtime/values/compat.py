"""How an endpoint departs from its API's documentation: one flat set of flags, all optional."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, ConfigDict, Field

from .text import Json, Text
from .value import Flag, Number, Value, is_empty, is_none

SessionAffinityFormat = Literal["openai", "openai-nosession", "openrouter"]
MaxTokensField = Literal["max_completion_tokens", "max_tokens"]
ThinkingFormat = Literal[
    "openai", "openrouter", "deepseek", "together", "zai", "qwen", "qwen-chat-template", "chat-template",
    "string-thinking", "ant-ling",
]  # fmt: skip
THINKING_FORMATS: tuple[ThinkingFormat, ...] = get_args(ThinkingFormat)


class ChatTemplateVariable(Value):
    """A chat template value that follows the thinking level of the call."""

    model_config = ConfigDict(extra="forbid")

    var: Literal["thinking.enabled", "thinking.effort"] = Field(alias="$var")
    omit_when_off: Flag = Field(default=False, exclude_if=is_empty)


ChatTemplateValue = Annotated[
    ChatTemplateVariable | Flag | Annotated[int, Field(strict=True)] | Number | Text | None,
    Field(union_mode="left_to_right"),
]


def _flag(default: Any = None, **options: Any) -> Any:
    return Field(default=default, exclude_if=is_none, **options)


class ModelCompat(Value):
    """Flags of a model's endpoint. None means the default of the API; each API reads the flags that it knows.

    They are named after the request fields that they govern; the README's endpoint table shows them in use.
    """

    # Chat Completions
    supports_store: Flag | None = _flag()
    supports_developer_role: Flag | None = _flag()  # and Responses
    supports_reasoning_effort: Flag | None = _flag()
    supports_usage_in_streaming: Flag | None = _flag()
    max_tokens_field: MaxTokensField | None = _flag()
    requires_tool_result_name: Flag | None = _flag()
    requires_assistant_after_tool_result: Flag | None = _flag()
    requires_thinking_as_text: Flag | None = _flag()
    requires_reasoning_content_on_assistant_messages: Flag | None = _flag()
    thinking_format: ThinkingFormat | None = _flag()
    chat_template_kwargs: dict[str, ChatTemplateValue] = Field(default_factory=dict, exclude_if=is_empty)
    open_router_routing: Json = _flag()
    vercel_gateway_routing: Json = _flag()
    zai_tool_stream: Flag | None = _flag()
    supports_strict_mode: Flag | None = _flag()  # and Responses
    supports_openai_grammar_tools: Flag | None = _flag(  # and Responses; pi spells it with a capital AI
        validation_alias=AliasChoices("supportsOpenaiGrammarTools", "supportsOpenAIGrammarTools"),
        serialization_alias="supportsOpenaiGrammarTools",
    )
    cache_control_format: Literal["anthropic"] | None = _flag()
    send_session_affinity_headers: Flag | None = _flag()  # and Anthropic
    session_affinity_format: SessionAffinityFormat | None = _flag()  # and Responses
    supports_long_cache_retention: Flag | None = _flag()  # and Responses, Anthropic
    deferred_tools_mode: Literal["kimi"] | None = _flag()
    # Responses
    send_session_id_header: Flag | None = _flag()
    supports_explicit_prompt_cache_mode: Flag | None = _flag()
    supports_tool_search: Flag | None = _flag()
    # Anthropic Messages
    supports_eager_tool_input_streaming: Flag | None = _flag()
    supports_cache_control_on_tools: Flag | None = _flag()
    supports_temperature: Flag | None = _flag()
    force_adaptive_thinking: Flag | None = _flag()
    allow_empty_signature: Flag | None = _flag()
    supports_strict_tools: Flag | None = _flag()
    supports_tool_references: Flag | None = _flag()

    def overlaid(self, other: "ModelCompat | Mapping[str, Any] | None") -> "ModelCompat":
        """These flags, with those that ``other`` sets laid over them."""
        if other is None:
            return self
        top = other if isinstance(other, ModelCompat) else ModelCompat.model_validate(dict(other))
        return self.model_copy(update={name: getattr(top, name) for name in top.model_fields_set})
