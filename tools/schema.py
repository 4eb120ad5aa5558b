"""From a function's signature to what a model is told, and from what the model sends to Python values."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import Parameter
from types import SimpleNamespace
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from runtime.agents.invocation import ToolInvocation
from runtime.errors import ToolDefinitionError, ToolValidationError
from runtime.values.text import clean_json, pretty_json

MAX_ERRORS = 20
"""How many bad arguments one error tells of."""
MAX_LINE = 300
MAX_RECEIVED = 4_000

_ANNOTATED: Any = Annotated
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_REFUSED = {
    Parameter.POSITIONAL_ONLY: 'parameter {0!r} is positional-only, but arguments come by name: remove the "/"',
    Parameter.VAR_POSITIONAL: "*{0} has no name in a JSON object: take a list as a parameter instead",
    Parameter.VAR_KEYWORD: "**{0} takes any name, so a model cannot know them: name each parameter, or take a dict",
}
_MAPS_OF_SCHEMAS = ("properties", "$defs", "patternProperties", "dependentSchemas")
_NO_SCHEMAS = ("default", "const", "enum", "examples", "discriminator", "required")
_PHRASES = {
    "missing": "missing required property",
    "extra_forbidden": "unexpected property",
    "model_type": "expected object",
}
"""Where the agent's own validation has words for it."""
_SUMMARY = "Tool."
"""A first line of ours: the parser takes any first line for the summary, also one that begins the parameters."""
_PREFIXES = ("Value error, ", "Assertion failed, ")


class _QuietSchema(GenerateJsonSchema):
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - the base says so


@dataclass(frozen=True)
class Parameters:
    """What a function takes: the JSON ``schema`` of its arguments, and how to convert what fits it.

    ``is_method``: it needs an object first. ``takes_call``: it wants the ToolInvocation, before all arguments.
    """

    schema: Mapping[str, Any]
    model: type[BaseModel]
    names: Sequence[str]
    is_method: bool
    takes_call: bool

    def convert(self, tool: str, arguments: Any) -> dict[str, Any]:
        """The Python values for a call with these JSON arguments, defaults included.

        Raises ToolValidationError with one line for each bad argument.
        """
        lines = self._unexpected(arguments)
        try:
            values = self.model.model_validate_json(to_json(arguments))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            lines[:0] = [f"{_path(detail, arguments)}: {_phrase(detail)}" for detail in details]
        except PydanticSerializationError as error:
            lines = [f"root: {error}"]
        if lines:
            raise _failure(tool, lines, arguments)
        fields = zip(self.names, type(values).model_fields, strict=True)
        return {name: getattr(values, field) for name, field in fields}

    def _unexpected(self, arguments: Any) -> list[str]:
        keys = arguments if isinstance(arguments, dict) else ()
        return [f"{key}: unexpected property" for key in keys if key not in self.schema["properties"]]


def read_parameters(
    tool: str,
    function: Callable[..., Any],
    local_names: Mapping[str, Any],
    descriptions: Mapping[str, str],
) -> Parameters:
    """Read a signature; ``local_names`` help with annotations that are strings, ``descriptions`` come from the docstring.

    Raises ToolDefinitionError for what a JSON object of arguments cannot give.
    """
    parameters = _signature(tool, function)
    is_method = bool(parameters) and parameters[0].name == "self"
    parameters = parameters[is_method:]
    scope = (getattr(_innermost(function), "__globals__", {}), local_names)
    types = [_annotation(tool, parameter, *scope) for parameter in parameters]
    takes_call = (
        bool(types) and types[0] is ToolInvocation and parameters[0].kind is not Parameter.KEYWORD_ONLY
    )
    parameters, types = parameters[takes_call:], types[takes_call:]
    for parameter, annotation in zip(parameters, types, strict=True):
        _check(tool, parameter, annotation)
    model, schema = _build(tool, parameters, types)
    names = tuple(parameter.name for parameter in parameters)
    return Parameters(_described(schema, parameters, descriptions), model, names, is_method, takes_call)


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """What a docstring says of a function, and of each parameter; Google, numpy, reST and epydoc style."""
    if not text or not text.strip():
        return "", {}
    from docstring_parser import parse

    text = inspect.cleandoc(text)
    try:
        parsed = parse(f"{_SUMMARY}\n\n{text}")
    except Exception:  # noqa: BLE001 - docstrings are prose, on which the parser stumbles in ways of its own
        return text, {}
    parameters = {
        name.strip(" *`"): entry.description
        for entry in parsed.params
        if entry.description
        for name in entry.arg_name.split(",")  # numpy describes several in one entry
    }
    return (parsed.description or "").removeprefix(_SUMMARY).strip(), parameters


def _signature(tool: str, function: Callable[..., Any]) -> list[Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError, NameError) as error:
        raise ToolDefinitionError(f"tool {tool!r}: its signature cannot be read: {error}") from error
    if parameters and parameters[0].name == "cls" and parameters[0].annotation is Parameter.empty:
        raise ToolDefinitionError(
            f"tool {tool!r} looks like a class method: make it a static method, or a method of an object"
        )
    return parameters


def _innermost(function: Any) -> Any:
    """The plain function in decorators, partials and callable objects: its module is where its annotations mean something."""
    function = inspect.unwrap(function)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    return function if hasattr(function, "__globals__") else inspect.unwrap(type(function).__call__)


def _annotation(tool: str, parameter: Parameter, global_names: Any, local_names: Mapping[str, Any]) -> Any:
    if parameter.annotation is Parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        return get_type_hints(holder, global_names, dict(local_names), include_extras=True)["it"]
    except Exception as error:  # annotations run code of their own
        raise ToolDefinitionError(
            f"tool {tool!r}: the annotation {parameter.annotation!r} of parameter {parameter.name!r} cannot be "
            f"evaluated: {error} (a name that only type checkers import has to be imported at run time too)"
        ) from error


def _check(tool: str, parameter: Parameter, annotation: Any) -> None:
    if parameter.kind not in _BY_NAME:
        raise ToolDefinitionError(f"tool {tool!r}: {_REFUSED[parameter.kind].format(parameter.name)}")
    if annotation is ToolInvocation:
        raise ToolDefinitionError(
            f"tool {tool!r}: parameter {parameter.name!r} is a ToolInvocation, which is only given to the first one"
        )


def _build(
    tool: str, parameters: Sequence[Parameter], types: Sequence[Any]
) -> tuple[type[BaseModel], dict[str, Any]]:
    try:
        return _model_of(parameters, types)
    except Exception as error:  # types may bring code of their own
        for parameter, annotation in zip(parameters, types, strict=True):
            _build_alone(tool, parameter, annotation)
        raise ToolDefinitionError(f"tool {tool!r}: no schema for its parameters: {_brief(error)}") from error


def _build_alone(tool: str, parameter: Parameter, annotation: Any) -> None:
    try:
        _model_of([parameter], [annotation])
    except Exception as error:
        raise ToolDefinitionError(
            f"tool {tool!r}: the type of parameter {parameter.name!r} has no JSON Schema: {_brief(error)} (take str, "
            "int, float, bool, list, dict, Literal, an Enum, a pydantic model, a dataclass or a TypedDict)"
        ) from error


def _model_of(
    parameters: Sequence[Parameter], types: Sequence[Any]
) -> tuple[type[BaseModel], dict[str, Any]]:
    fields = {f"p{place}": _field(*pair) for place, pair in enumerate(zip(parameters, types, strict=True))}
    model: type[BaseModel] = create_model("Arguments", **fields)
    if len(model.model_fields) != len(fields):
        raise ValueError("that is for attributes of classes")
    schema = _untitled(model.model_json_schema(schema_generator=_QuietSchema))
    if len(schema["properties"]) != len(fields):
        raise ValueError("two of them have the same name")
    _drop_bad_defaults(model, schema["properties"])
    return model, schema


def _field(parameter: Parameter, annotation: Any) -> Any:
    """A field for pydantic, known outside by the parameter's name unless its ``Field`` has an alias."""
    metadata = annotation.__metadata__ if get_origin(annotation) is Annotated else ()
    kind = annotation.__origin__ if metadata else annotation
    default = parameter.default
    if isinstance(default, FieldInfo):
        metadata, default = (*metadata, default), Parameter.empty
    annotated = _ANNOTATED[(kind, Field(alias=parameter.name), *metadata)]
    return annotated if default is Parameter.empty else (annotated, Field(default=default))


def _untitled(schema: Any) -> Any:
    """The schema without the titles that pydantic makes of names: they cost tokens, and say nothing."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _untitled(item) for name, item in value.items()}
        if key in _MAPS_OF_SCHEMAS
        else value
        if key in _NO_SCHEMAS
        else _untitled(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _drop_bad_defaults(model: type[BaseModel], properties: dict[str, Any]) -> None:
    """Show only the defaults that a model could send: JSON, and of the parameter's type."""
    shown = {}
    for name, schema in properties.items():
        try:
            shown[name] = clean_json(schema["default"])
        except (KeyError, ValueError):
            schema.pop("default", None)
    try:
        model.model_validate_json(to_json(shown))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            properties.get(str(detail["loc"][0]), {}).pop("default", None)


def _described(
    schema: dict[str, Any], parameters: Sequence[Parameter], descriptions: Mapping[str, str]
) -> dict[str, Any]:
    """The schema of the arguments, complete and in a fixed order; what a ``Field`` says of a parameter stays."""
    for parameter, entry in zip(parameters, schema["properties"].values(), strict=True):
        if parameter.name in descriptions:
            entry.setdefault("description", descriptions[parameter.name])
    return {
        "type": "object",
        "properties": schema["properties"],
        **{key: schema[key] for key in ("required", "$defs") if key in schema},
        "additionalProperties": False,
    }


def _path(detail: ErrorDetails, value: Any) -> str:
    """Where in the arguments, as ``o.p.1``; what pydantic says of the members of unions is no place and left out."""
    steps = []
    for step in detail["loc"]:
        if isinstance(value, dict) and str(step) in value:
            value = value[str(step)]
        elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        elif detail["type"] != "missing" or step != detail["loc"][-1]:
            continue
        steps.append(str(step))
    return ".".join(steps) or "root"


def _phrase(detail: ErrorDetails) -> str:
    text = _PHRASES.get(detail["type"], detail["msg"])
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return text


def _failure(tool: str, lines: list[str], arguments: Any) -> ToolValidationError:
    shown = [_clipped(" ".join(line.split()), MAX_LINE) for line in lines[:MAX_ERRORS]]
    more = [f"... and {len(lines) - MAX_ERRORS} more"] if len(lines) > MAX_ERRORS else []
    bullets = "\n".join(f"  - {line}" for line in shown + more)
    received = _clipped(_received(arguments), MAX_RECEIVED)
    return ToolValidationError(
        f'Validation failed for tool "{tool}":\n{bullets}\n\nReceived arguments:\n{received}', shown
    )


def _received(arguments: Any) -> str:
    try:
        return pretty_json(arguments)
    except (TypeError, ValueError):  # a hook gave what is no JSON
        return repr(arguments)


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit} more characters)"


def _brief(error: Exception) -> str:
    """The heart of what pydantic says: without where in its core, its advice, its addresses."""
    text = " ".join(str(error).rpartition("SchemaError: ")[2].partition("\n\n")[0].partition(". ")[0].split())
    return _clipped(text, MAX_LINE) or type(error).__name__
