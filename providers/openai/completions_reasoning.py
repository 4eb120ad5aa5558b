"""How a thinking level is asked for: every family of servers has a form of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.values.compat import ChatTemplateVariable, ThinkingFormat
from runtime.values.model import Model
from runtime.values.thinking import ThinkingLevel

from .completions_compat import CompletionsCompat

Fields = dict[str, Any]
_OMIT = object()


@dataclass(frozen=True)
class Wish:
    """What a call wants of a model's thinking; ``level`` is None for off."""

    level: ThinkingLevel | None
    level_map: Mapping[ThinkingLevel, str | None]
    compat: CompletionsCompat

    @property
    def effort(self) -> str | None:
        """The model's word for the level, else the level's name; None for off, and for a level that the model's map removes."""
        return None if self.level is None else self.level_map.get(self.level, self.level.value)

    @property
    def off(self) -> str | None:
        """The model's word for off; None if it has none."""
        return self.level_map.get(ThinkingLevel.Off)

    @property
    def effort_or_off(self) -> str | None:
        """The effort, or what asks for none; None where there is no word for it."""
        return self.level_map.get(ThinkingLevel.Off, "none") if self.level is None else self.effort

    @property
    def effort_field(self) -> Fields:
        """``reasoning_effort``, where the endpoint takes it."""
        return _field("reasoning_effort", self.effort if self.compat.supports_reasoning_effort else None)

    @property
    def switch(self) -> str:
        """Enabled or disabled."""
        return "disabled" if self.level is None else "enabled"


def reasoning_fields(model: Model, level: ThinkingLevel | None, compat: CompletionsCompat) -> Fields:
    """The fields of a request that ask for thinking at a level; nothing for a model that does not reason."""
    if model.reasoning is False:
        return {}
    wanted = None if level is ThinkingLevel.Off else level
    return _FORMATS[compat.thinking_format](Wish(wanted, model.thinking_level_map, compat))


def _openai(wish: Wish) -> Fields:
    if wish.level is not None or not wish.compat.supports_reasoning_effort:
        return wish.effort_field
    return _field("reasoning_effort", wish.off)


def _openrouter(wish: Wish) -> Fields:
    return _reasoning(wish.effort_or_off)


def _deepseek(wish: Wish) -> Fields:
    return {"thinking": {"type": wish.switch}, **wish.effort_field}


def _together(wish: Wish) -> Fields:
    return {"reasoning": {"enabled": wish.level is not None}, **wish.effort_field}


def _zai(wish: Wish) -> Fields:
    if wish.level is None:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {"type": "enabled", "clear_thinking": False}, **wish.effort_field}


def _qwen(wish: Wish) -> Fields:
    return {"enable_thinking": wish.level is not None}


def _qwen_chat_template(wish: Wish) -> Fields:
    return {"chat_template_kwargs": {"enable_thinking": wish.level is not None, "preserve_thinking": True}}


def _chat_template(wish: Wish) -> Fields:
    values = {name: _template_value(value, wish) for name, value in wish.compat.chat_template_kwargs.items()}
    kept = {name: value for name, value in values.items() if value is not _OMIT}
    return {"chat_template_kwargs": kept} if kept else {}


def _template_value(value: Any, wish: Wish) -> Any:
    if not isinstance(value, ChatTemplateVariable):
        return value
    if value.omit_when_off and wish.level is None:
        return _OMIT
    if value.var == "thinking.enabled":
        return wish.level is not None
    effort = wish.off if wish.level is None else wish.effort
    return _OMIT if effort is None else effort


def _string_thinking(wish: Wish) -> Fields:
    return _field("thinking", wish.effort_or_off)


def _ant_ling(wish: Wish) -> Fields:
    """Only levels that the map names exist."""
    return _reasoning(None if wish.level is None else wish.level_map.get(wish.level))


def _field(name: str, value: str | None) -> Fields:
    return {} if value is None else {name: value}


def _reasoning(effort: str | None) -> Fields:
    return {} if effort is None else {"reasoning": {"effort": effort}}


_FORMATS: Mapping[ThinkingFormat, Callable[[Wish], Fields]] = {
    "openai": _openai,
    "openrouter": _openrouter,
    "deepseek": _deepseek,
    "together": _together,
    "zai": _zai,
    "qwen": _qwen,
    "qwen-chat-template": _qwen_chat_template,
    "chat-template": _chat_template,
    "string-thinking": _string_thinking,
    "ant-ling": _ant_ling,
}
