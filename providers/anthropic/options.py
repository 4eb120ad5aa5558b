"""What the Messages API takes beside the options that all calls have."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from providers.chat import retyped
from runtime.errors import InvalidOptionError
from runtime.values.options import StreamOptions
from runtime.values.text import clean_json

Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]
ThinkingDisplay: TypeAlias = Literal["summarized", "omitted"]
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, repr=False)
class AnthropicOptions(StreamOptions):
    """Options of a Messages call.

    - ``thinking_enabled``: True asks for thinking, False for none, None says nothing about it.
    - ``thinking_budget_tokens``: how many tokens to think with, for models that are given a budget (default 1024, and
      no thinking below that). ``effort``: how hard to think, for models that decide themselves.
    - ``thinking_display``: whether thinking is told (``summarized``, the default) or only signed (``omitted``).
    - ``interleaved_thinking``: think between tool calls too; models that decide themselves always may.
    - ``tool_choice``: ``auto``, ``any``, ``none``, or an object that is sent as it is; also without tools.
    """

    thinking_enabled: bool | None = None
    thinking_budget_tokens: int | None = None
    effort: Effort | None = None
    thinking_display: ThinkingDisplay | None = None
    interleaved_thinking: bool = True
    tool_choice: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("thinking_enabled", self.thinking_enabled, (None, True, False))
        _check("interleaved_thinking", self.interleaved_thinking, (True, False))
        _check("effort", self.effort, (None, *get_args(Effort)))
        _check("thinking_display", self.thinking_display, (None, *get_args(ThinkingDisplay)))
        if self.thinking_budget_tokens is not None and _budget(self.thinking_budget_tokens) is None:
            raise InvalidOptionError(
                f"thinking_budget_tokens must be a count of tokens, not {self.thinking_budget_tokens!r}"
            )
        try:
            object.__setattr__(self, "tool_choice", clean_json(self.tool_choice))
        except ValueError as error:
            raise InvalidOptionError(f"tool_choice must be JSON: {error}") from None


def _check(name: str, value: object, choices: tuple[object, ...]) -> None:
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        known = ", ".join(repr(choice) for choice in choices)
        raise InvalidOptionError(f"{name} must be one of {known}, not {value!r}")


def anthropic_options(options: StreamOptions) -> AnthropicOptions:
    """The typed options as they are; others with what ``provider_options`` has of them. A wrong value there counts as unset."""
    if isinstance(options, AnthropicOptions):
        return options
    given = options.provider_options
    return retyped(
        AnthropicOptions,
        options,
        thinking_enabled=_one_of((True, False), given.get("thinkingEnabled")),
        thinking_budget_tokens=_budget(given.get("thinkingBudgetTokens")),
        effort=_one_of(get_args(Effort), given.get("effort")),
        thinking_display=_one_of(get_args(ThinkingDisplay), given.get("thinkingDisplay")),
        interleaved_thinking=given.get("interleavedThinking") is not False,
        tool_choice=given.get("toolChoice"),
    )


def _one_of(choices: tuple[_T, ...], value: object) -> _T | None:
    return next((choice for choice in choices if isinstance(value, type(choice)) and choice == value), None)


def _budget(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**32 else None
