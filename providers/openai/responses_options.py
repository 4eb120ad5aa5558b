"""What the Responses API takes beside the options that all calls have."""

from dataclasses import dataclass
from typing import Any

from providers.chat import retyped
from runtime.errors import InvalidOptionError
from runtime.values.options import StreamOptions
from runtime.values.text import clean_json, clean_text
from runtime.values.thinking import ThinkingLevel

from .options import read_level


@dataclass(frozen=True, kw_only=True, repr=False)
class OpenAIResponsesOptions(StreamOptions):
    """Options of a Responses call.

    - ``reasoning_effort``: how hard to think, not clamped to what the model takes; Off is the same as None.
    - ``reasoning_summary``: which summary of the thinking to send, such as ``auto``, ``concise`` or ``detailed``. Any string
      asks for thinking, also without an effort (``medium`` then); an empty one is ``auto``.
    - ``service_tier``: such as ``flex`` or ``priority``; the reply's cost follows the tier that the server reports.
    - ``tool_choice``: sent as it is, also without tools.
    """

    reasoning_effort: ThinkingLevel | None = None
    reasoning_summary: str | None = None
    service_tier: str | None = None
    tool_choice: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            own = {
                "reasoning_effort": None
                if self.reasoning_effort is None
                else ThinkingLevel(self.reasoning_effort),
                "reasoning_summary": _text("reasoning_summary", self.reasoning_summary),
                "service_tier": _text("service_tier", self.service_tier),
                "tool_choice": clean_json(self.tool_choice),
            }
        except ValueError as error:
            raise InvalidOptionError(f"an option of the Responses API is wrong: {error}") from None
        for name, value in own.items():
            object.__setattr__(self, name, value)


def responses_options(options: StreamOptions) -> OpenAIResponsesOptions:
    """The typed options as they are; others with what ``provider_options`` says by its names on the wire."""
    if isinstance(options, OpenAIResponsesOptions):
        return options
    more = options.provider_options
    return retyped(
        OpenAIResponsesOptions,
        options,
        reasoning_effort=read_level(more.get("reasoningEffort")),
        reasoning_summary=_string_or_none(more.get("reasoningSummary")),
        service_tier=_string_or_none(more.get("serviceTier")),
        tool_choice=more.get("toolChoice"),
    )


def _string_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _text(name: str, value: object) -> str | None:
    if not isinstance(value, str | None):
        raise InvalidOptionError(f"{name} must be a string, not {type(value).__name__}")
    return value if value is None else clean_text(value)
