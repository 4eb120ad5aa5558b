"""What OpenAI's APIs take beside the options that all calls have."""

from dataclasses import dataclass
from typing import Any

from providers.chat import retyped
from runtime.errors import InvalidOptionError
from runtime.values.options import StreamOptions
from runtime.values.text import clean_json
from runtime.values.thinking import ThinkingLevel


@dataclass(frozen=True, kw_only=True, repr=False)
class OpenAICompletionsOptions(StreamOptions):
    """Options of a Chat Completions call.

    - ``tool_choice``: sent as it is, also without tools (which some servers refuse).
    - ``reasoning_effort``: how hard to think, not clamped to what the model takes; Off is the same as None. A level that
      the model's map removes is not sent.
    """

    tool_choice: Any = None
    reasoning_effort: ThinkingLevel | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            choice = clean_json(self.tool_choice)
            effort = None if self.reasoning_effort is None else ThinkingLevel(self.reasoning_effort)
        except ValueError as error:
            raise InvalidOptionError(f"tool_choice must be JSON, reasoning_effort a level: {error}") from None
        object.__setattr__(self, "tool_choice", choice)
        object.__setattr__(self, "reasoning_effort", effort)


def completions_options(options: StreamOptions) -> OpenAICompletionsOptions:
    """The typed options as they are; others with ``toolChoice`` and ``reasoningEffort`` of ``provider_options``."""
    if isinstance(options, OpenAICompletionsOptions):
        return options
    return retyped(
        OpenAICompletionsOptions,
        options,
        tool_choice=options.provider_options.get("toolChoice"),
        reasoning_effort=read_level(options.provider_options.get("reasoningEffort")),
    )


def read_level(value: object) -> ThinkingLevel | None:
    """A level from ``provider_options``; off and whatever is no level count as unset."""
    if not isinstance(value, str) or value not in tuple(ThinkingLevel):
        return None
    level = ThinkingLevel(value)
    return None if level is ThinkingLevel.Off else level
