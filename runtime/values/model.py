"""Which model, where it is, what it can do and what it costs."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr

from .compat import ModelCompat
from .message import AssistantMessage, StopReason
from .secret import MASK, without_secrets
from .text import Text
from .thinking import ThinkingLevel, clamp_level, supported_levels
from .usage import Usage, UsageCost
from .value import Count, Flag, Number, Value, is_empty, is_none

ModelInput = Literal["text", "image"]
ModelOutput = Literal["text", "image"]


class ModelCostTier(Value):
    """Rates for whole requests whose input is above a size. US dollars per million tokens."""

    input_tokens_above: Count
    input: Number
    output: Number
    cache_read: Number
    cache_write: Number


class ModelCost(Value):
    """Rates in US dollars per million tokens; ``tiers`` replace them for large requests."""

    required_on_read: ClassVar = ("input", "output", "cache_read", "cache_write")

    input: Number = 0.0
    output: Number = 0.0
    cache_read: Number = 0.0
    cache_write: Number = 0.0
    tiers: tuple[ModelCostTier, ...] = Field(default=(), exclude_if=is_empty)


class ModelRef(Value):
    """The name of a model: enough to find it again, not enough to call it."""

    provider_id: Text
    api_id: Text
    id: Text


class Bindings:
    """The API objects that a model is called through; they never count when models are compared."""

    __slots__ = ("embeddings", "images", "language")

    def __init__(self, language: object = None, images: object = None, embeddings: object = None) -> None:
        self.language = language
        self.images = images
        self.embeddings = embeddings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bindings)

    def __hash__(self) -> int:
        return 0

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> "tuple[type[Bindings], tuple[()]]":
        """A pickled model has none, and no credential that is behind them, like one that was written as JSON."""
        return Bindings, ()


class Model(Value):
    """A model behind a provider. Handles make them (``handle.model(id)``); one read from JSON cannot be called.

    ``reasoning`` None means unknown: a requested thinking level is sent. ``thinking_level_map`` gives the
    provider's word for a level; None there removes the level. Sizes are in tokens, 0 for unknown.
    Neither its key nor its runtime binding is ever written. Header values and the whole ``base_url`` are, but ``repr``
    shows neither those values nor the user and query of the URL.
    """

    model_config = ConfigDict(hide_input_in_errors=True)
    required_on_read: ClassVar = (
        "id",
        "name",
        "api",
        "provider",
        "base_url",
        "cost",
        "context_window",
        "max_tokens",
    )

    id: Text
    name: Text = ""
    api: Text = ""
    provider: Text = ""
    base_url: Text = ""
    reasoning: Flag | None = Field(default=None, exclude_if=is_none)
    thinking_level_map: dict[ThinkingLevel, Text | None] = Field(default_factory=dict, exclude_if=is_empty)
    input: tuple[ModelInput, ...] = ()
    output: tuple[ModelOutput, ...] = Field(default=(), exclude_if=is_empty)
    cost: ModelCost = Field(default=ModelCost())
    context_window: Count = 0
    max_tokens: Count = 0
    headers: dict[str, Text] = Field(default_factory=dict, exclude_if=is_empty)
    compat: ModelCompat = Field(default=ModelCompat())

    _bindings: Bindings = PrivateAttr(default_factory=Bindings)

    @property
    def ref(self) -> ModelRef:
        """Its name."""
        return ModelRef(provider_id=self.provider, api_id=self.api, id=self.id)

    @property
    def bindings(self) -> Bindings:
        """What it is called through; empty for a model that was read from JSON."""
        return self._bindings

    def bound(self, bindings: Bindings) -> Self:
        """The same model, called through these API objects."""
        model = self.model_copy()
        model._bindings = bindings  # noqa: SLF001 - our own copy
        return model

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            match name:
                case "headers":
                    yield name, dict.fromkeys(value, MASK)
                case "base_url":
                    yield name, without_secrets(value)
                case _:
                    yield name, value


def same_model(message: AssistantMessage, model: Model) -> bool:
    """Whether this model, by provider, API and id, wrote the message."""
    return (message.provider, message.api, message.model) == (model.provider, model.api, model.id)


def models_are_equal(one: Model | None, other: Model | None) -> bool:
    """Whether both are there and name the same model: id, provider and API."""
    return one is not None and other is not None and one.ref == other.ref


def get_supported_thinking_levels(model: Model) -> tuple[ThinkingLevel, ...]:
    """The levels that a model takes, from least to most."""
    return supported_levels(model.reasoning, model.thinking_level_map)


def clamp_thinking_level(model: Model, level: ThinkingLevel) -> ThinkingLevel:
    """The nearest level that the model takes: itself, else above, else below, else off."""
    return clamp_level(get_supported_thinking_levels(model), ThinkingLevel(level))


def calculate_cost(model: Model, usage: Usage) -> Usage:
    """The same usage with its cost at the model's rates.

    The tier with the greatest ``input_tokens_above`` below the request's size replaces all rates. Cache writes
    held for an hour cost twice the input rate.
    """
    size = usage.input + usage.cache_read + usage.cache_write
    tiers = [tier for tier in model.cost.tiers if tier.input_tokens_above < size]
    rates: ModelCost | ModelCostTier = max(
        tiers, key=lambda tier: tier.input_tokens_above, default=model.cost
    )
    hour = usage.cache_write_1h or 0
    short = max(0, usage.cache_write - hour)
    parts = {
        "input": rates.input / 1e6 * usage.input,
        "output": rates.output / 1e6 * usage.output,
        "cache_read": rates.cache_read / 1e6 * usage.cache_read,
        "cache_write": (rates.cache_write * short + rates.input * 2 * hour) / 1e6,
    }
    return usage.model_copy(update={"cost": UsageCost(**parts, total=sum(parts.values()))})


def empty_message(
    model: Model, stop_reason: StopReason = StopReason.Stop, error_message: str | None = None
) -> AssistantMessage:
    """A reply of this model with nothing in it, of now."""
    return AssistantMessage(
        api=model.api,
        provider=model.provider,
        model=model.id,
        stop_reason=stop_reason,
        error_message=error_message,
    )
