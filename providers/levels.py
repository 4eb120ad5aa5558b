"""Thinking levels, fitted to a model."""

from runtime import log
from runtime.values.model import Model, clamp_thinking_level
from runtime.values.thinking import ThinkingLevel


def clamped_level(model: Model, level: ThinkingLevel | None) -> ThinkingLevel | None:
    """The nearest level that the model takes; None for off. Warns when a model that does not reason is asked to."""
    if level is None or level is ThinkingLevel.Off:
        return None
    clamped = clamp_thinking_level(model, level)
    if clamped is not ThinkingLevel.Off:
        return clamped
    log.warn("thinking level ignored", model=model.id, provider=model.provider, thinking_level=level.value)
    return None
