"""Tools as models see them."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from runtime.errors import ToolDefinitionError

from .text import Json, Text
from .value import Value, is_none


class JsonSchemaSampling(Value):
    """Ask for arguments that follow the schema: ``prefer`` where it is supported, or ``require`` it."""

    type: Literal["json_schema"] = Field(default="json_schema", init=False)
    strict: Literal["prefer", "require"]


class GrammarVariants(Value):
    """The same grammar in the notations that providers know."""

    openai_lark: Text | None = Field(default=None, alias="openai_lark", exclude_if=is_none)
    openai_regex: Text | None = Field(default=None, alias="openai_regex", exclude_if=is_none)


class GrammarSampling(Value):
    """Ask for input that follows a grammar instead of JSON."""

    type: Literal["grammar"] = Field(default="grammar", init=False)
    variants: GrammarVariants


ConstrainedSampling = (
    Literal[False] | Annotated[JsonSchemaSampling | GrammarSampling, Field(discriminator="type")]
)


class Tool(Value):
    """What a model is told of a tool: ``parameters`` is a JSON Schema of an object.

    ``constrained_sampling`` False opts out of what a provider would do by itself. Reading one from JSON
    checks shapes only; ``Tool.define`` and everything that runs tools refuse what cannot work.
    """

    name: Text
    description: Text
    parameters: Json
    constrained_sampling: ConstrainedSampling | None = Field(default=None, exclude_if=is_none)

    @field_validator("constrained_sampling", mode="before")
    @classmethod
    def _only_false(cls, value: Any) -> Any:
        if isinstance(value, int | float) and value is not False:
            raise ValueError(f"{value!r} is no constrained sampling; use false or an object with a type")
        return value

    @classmethod
    def define(
        cls,
        name: str,
        description: str | None,
        parameters: Any = None,
        constrained_sampling: ConstrainedSampling | None = None,
    ) -> Self:
        """Make a tool, trimmed and checked; without ``parameters`` it takes an empty object.

        Raises ToolDefinitionError for an empty name or description, or parameters that are no object.
        """
        if not name.strip():
            raise ToolDefinitionError("tool name must not be empty")
        if not (description and description.strip()):
            raise ToolDefinitionError(f"tool description must not be empty (tool {name.strip()!r})")
        schema = {"type": "object", "properties": {}} if parameters is None else parameters
        if not isinstance(schema, dict):
            raise ToolDefinitionError(
                f"tool parameters must be a JSON object (tool {name.strip()!r} has {schema!r})"
            )
        return cls(name.strip(), description.strip(), schema, constrained_sampling)
