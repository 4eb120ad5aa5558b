"""What the id of a Claude model tells: its family and version, and what follows from them at Anthropic's own endpoint.

From https://platform.claude.com/docs/en/build-with-claude/thinking and the migration guides of the models.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from runtime.values.model import Model

WithoutThinking: TypeAlias = Literal["disabled", "between_tools"]

_OWN_HOST = "api.anthropic.com"
_ALWAYS_THINKING = ("fable", "mythos")
_TOOL_REFERENCES = ("opus", "sonnet", "fable")
_DATE_LENGTH = 8


@dataclass(frozen=True)
class Claude:
    """A model by its id; version 0.0 where the id names none."""

    family: str
    version: tuple[int, int]

    @property
    def thinks_adaptively(self) -> bool:
        """Whether it decides by itself how much to think; older models are given a budget, which newer ones refuse."""
        if self.family in _ALWAYS_THINKING:
            return True
        return self.version >= ((5, 0) if self.family == "haiku" else (4, 6))

    @property
    def without_thinking(self) -> WithoutThinking | None:
        """The type of ``thinking`` that asks for as little of it as can be; None where every such wish is refused."""
        if self.family in _ALWAYS_THINKING or (self.family == "opus" and self.version >= (5, 5)):
            return None
        return "between_tools" if self.family == "sonnet" and self.version >= (5, 5) else "disabled"

    @property
    def takes_temperature(self) -> bool:
        """Whether a request may set it; newer models refuse that, whether they think or not."""
        return self.family not in _ALWAYS_THINKING and self.version < (4, 7)

    @property
    def takes_tool_references(self) -> bool:
        """Whether tools can be made available in the middle of a conversation."""
        return self.family in _TOOL_REFERENCES and self.version >= (4, 5)


def claude_of(model_id: str) -> Claude | None:
    """Read ``claude-opus-4-6``, ``claude-sonnet-4-20250514`` and the like; None for other ids, the oldest ones among them."""
    vendor, *parts = model_id.split("-")
    if vendor != "claude" or len(parts) < 2 or not parts[0].isalpha():
        return None
    major, minor = _number(parts[1]), _number(parts[2]) if len(parts) > 2 else None
    return Claude(parts[0], (0, 0) if major is None else (major, minor or 0))


def _number(part: str) -> int | None:
    """A part of a version; a date is none."""
    return int(part) if part.isascii() and part.isdigit() and len(part) < _DATE_LENGTH else None


def at_anthropic(model: Model) -> bool:
    """Whether a model is asked at Anthropic itself, where an id means the model of that name."""
    try:
        return urlsplit(model.base_url.strip()).hostname == _OWN_HOST
    except ValueError:
        return False
