"""Whether a tool's arguments must follow its schema to the letter: ``strict`` on both of OpenAI's chat APIs."""

from runtime.errors import ToolDefinitionError
from runtime.values.tool import JsonSchemaSampling, Tool


def strict_field(tool: Tool, *, supported: bool) -> dict[str, bool]:
    """The field of a function tool; empty where the endpoint does not know it.

    Raises ToolDefinitionError for a tool that requires it there.
    """
    sampling = tool.constrained_sampling
    if supported:
        return {"strict": isinstance(sampling, JsonSchemaSampling)}
    if sampling == JsonSchemaSampling("require"):
        raise ToolDefinitionError(
            f'Tool "{tool.name}" requires JSON-schema constrained sampling, but strict tools are unsupported.'
        )
    return {}
