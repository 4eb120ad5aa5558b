"""How hard a model should think."""

from collections.abc import Mapping
from enum import StrEnum


class ThinkingLevel(StrEnum):
    """From not at all to as hard as it can; what a level means is the provider's business."""

    Off = "off"
    Minimal = "minimal"
    Low = "low"
    Medium = "medium"
    High = "high"
    Xhigh = "xhigh"
    Max = "max"


LEVELS = tuple(ThinkingLevel)
_OPT_IN = frozenset({ThinkingLevel.Xhigh, ThinkingLevel.Max})


def supported_levels(
    reasoning: bool | None, level_map: Mapping[ThinkingLevel, str | None]
) -> tuple[ThinkingLevel, ...]:
    """The levels of a model; a map entry of None removes one, xhigh and max are there only when mapped."""
    if reasoning is False:
        return (ThinkingLevel.Off,)
    return tuple(
        level for level in LEVELS if level_map.get(level, "" if level not in _OPT_IN else None) is not None
    )


def clamp_level(supported: tuple[ThinkingLevel, ...], level: ThinkingLevel) -> ThinkingLevel:
    """The level itself, else the nearest one above, else the nearest below, else off."""
    rank = LEVELS.index(level)
    above = [known for known in supported if LEVELS.index(known) >= rank]
    below = [known for known in supported if LEVELS.index(known) < rank]
    return above[0] if above else below[-1] if below else ThinkingLevel.Off
