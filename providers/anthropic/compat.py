"""How a Messages endpoint behaves, with every flag decided."""

from dataclasses import dataclass, fields

from runtime.values.model import Model

from .claude import at_anthropic, claude_of


@dataclass(frozen=True, kw_only=True)
class MessagesCompat:
    """The flags of ``ModelCompat`` that this API reads; the defaults are Anthropic's own behaviour."""

    supports_eager_tool_input_streaming: bool = True
    supports_long_cache_retention: bool = True
    send_session_affinity_headers: bool = False
    supports_cache_control_on_tools: bool = True
    supports_temperature: bool = True
    force_adaptive_thinking: bool = False
    allow_empty_signature: bool = False
    supports_strict_tools: bool = False
    supports_tool_references: bool = False


def messages_compat(model: Model) -> MessagesCompat:
    """What the model declares over the defaults, three of which follow from the id of a Claude model.

    Thinking and temperature only at Anthropic's own endpoint: elsewhere the same id may stand for anything.
    """
    declared = {item.name: getattr(model.compat, item.name) for item in fields(MessagesCompat)}
    if claude := claude_of(model.id):
        if declared["force_adaptive_thinking"] is None:
            declared["force_adaptive_thinking"] = at_anthropic(model) and claude.thinks_adaptively
        if declared["supports_temperature"] is None:
            declared["supports_temperature"] = not at_anthropic(model) or claude.takes_temperature
        if declared["supports_tool_references"] is None:
            declared["supports_tool_references"] = (
                model.provider == "anthropic" and claude.takes_tool_references
            )
    return MessagesCompat(**{name: value for name, value in declared.items() if value is not None})
