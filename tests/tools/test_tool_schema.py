"""What models are told of a function's parameters, and how what they send becomes Python values."""

import dataclasses
import inspect
import threading
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import partial, wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from uuid import UUID

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, field_validator
from pydantic_core import to_jsonable_python
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from runtime.agents.invocation import ToolInvocation
from runtime.agents.tool import AgentContext
from runtime.errors import ToolDefinitionError, ToolValidationError
from runtime.testing.strategies import json_values, texts
from tools import tool

if TYPE_CHECKING:
    from decimal import Decimal  # noqa: F401 - an annotation in a string below


class Color(Enum):
    Red = "red"
    Blue = "blue"


class Place(BaseModel):
    """Somewhere."""

    title: str
    latitude: float = Field(ge=-90, le=90)
    inside: "Place | None" = None


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: int


class Even(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def _even(cls, value):
        if value % 2:
            raise ValueError("must be\neven")
        return value


def parameters(function, **options):
    return tool(function, name="t", description="d", **options).definition.parameters


def properties(function):
    return parameters(function)["properties"]


def converted(function_tool, arguments):
    """What the function of a tool that returns nothing but notes its arguments in ``seen`` was given."""
    call = ToolInvocation("1", function_tool.definition.name, arguments, AgentContext())
    trio.run(function_tool.execute, call)
    return function_tool.seen.pop()


def noting(annotations, defaults=None):
    """A tool with these parameters, whatever they are called."""
    seen = []

    async def function(**values):
        seen.append(values)

    function.__signature__ = inspect.Signature(
        [
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                annotation=annotation,
                default=(defaults or {}).get(name, Parameter.empty),
            )
            for name, annotation in annotations.items()
        ]
    )
    made = tool(function, name="t", description="d")
    made.seen = seen
    return made


def refused(function_tool, arguments):
    with pytest.raises(ToolValidationError) as caught:
        converted(function_tool, arguments)
    return caught.value


# The schema


def test_the_schema_of_a_signature():
    """Types, required names, defaults and constraints, in a fixed order and without titles."""

    async def search(
        query: str,
        limit: Annotated[int, Field(ge=1, description="How many")] = 10,
        order: Literal["new", "old"] = "new",
        tags: list[str] | None = None,
        *,
        exact: bool,
    ): ...

    assert parameters(search) == {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1, "description": "How many", "default": 10},
            "order": {"type": "string", "enum": ["new", "old"], "default": "new"},
            "tags": {
                "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                "default": None,
            },
            "exact": {"type": "boolean"},
        },
        "required": ["query", "exact"],
        "additionalProperties": False,
    }


def test_a_function_without_parameters_takes_an_empty_object():
    """Nothing is required, nothing else allowed."""
    assert parameters(lambda: None) == {"type": "object", "properties": {}, "additionalProperties": False}


def test_types_of_ones_own_are_kept_as_definitions():
    """Models, dataclasses, enums and typed dicts are under $defs; a property called title stays."""

    def f(place: Place, color: Color, point: Point, movies: list[Movie]): ...

    schema = parameters(f)
    assert schema["properties"] == {
        "place": {"$ref": "#/$defs/Place"},
        "color": {"$ref": "#/$defs/Color"},
        "point": {"$ref": "#/$defs/Point"},
        "movies": {"type": "array", "items": {"$ref": "#/$defs/Movie"}},
    }
    assert schema["$defs"]["Place"]["properties"]["title"] == {"type": "string"}
    assert schema["$defs"]["Place"]["description"] == "Somewhere."
    assert schema["$defs"]["Color"] == {"type": "string", "enum": ["red", "blue"]}
    assert schema["$defs"]["Movie"]["required"] == ["title", "year"]
    assert "title" not in schema["$defs"]["Movie"]
    Draft202012Validator.check_schema(schema)


def test_a_parameter_without_annotation_takes_any_json():
    """It still has its default."""
    assert properties(lambda value, other=3: None) == {"value": {}, "other": {"default": 3}}


def test_defaults_that_a_model_could_not_send_are_left_out():
    """No JSON, not of the type, or no number; the parameters are still not required."""

    def f(
        lock: Any = threading.Lock(),
        number: float = float("nan"),
        text: str = None,
        few: Annotated[int, Field(ge=1)] = 0,
        color: Color = Color.Red,
        point: Point = Point(1),
    ): ...

    schema = parameters(f)
    defaults = {name: entry["default"] for name, entry in schema["properties"].items() if "default" in entry}
    assert defaults == {"color": "red", "point": {"x": 1, "y": 0}}
    assert "required" not in schema


def test_a_field_as_default_is_a_field():
    """``= Field(...)`` is read as in a model: description, default, and an alias for names that Python keeps."""

    def f(
        units: str = Field("celsius", description="Which"),
        tags: list[str] = Field(default_factory=list),
        from_: Annotated[str, Field(alias="from")] = "here",
        to: str = Field(description="Where to"),
    ): ...

    schema = parameters(f)
    assert schema["properties"] == {
        "units": {"type": "string", "default": "celsius", "description": "Which"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "from": {"type": "string", "default": "here"},
        "to": {"type": "string", "description": "Where to"},
    }
    assert schema["required"] == ["to"]


@pytest.mark.parametrize(
    "docstring",
    [
        "Search.\n\nLonger text.\n\nArgs:\n    query (str): What to find.\n    limit: How many.\n\nReturns:\n    A list.",
        "Search.\n\nLonger text.\n\nParameters\n----------\nquery : str\n    What to find.\nlimit : int\n    How many.",
        "Search.\n\nLonger text.\n\n:param query: What to find.\n:param int limit: How many.\n:returns: A list.",
    ],
    ids=["google", "numpy", "rest"],
)
def test_docstrings_describe(docstring):
    """Summary and text describe the tool; each parameter has its own line, unless its Field says better."""

    def search(query: str, limit: Annotated[int, Field(description="At most")]): ...

    search.__doc__ = docstring
    definition = tool(search).definition
    assert definition.description == "Search.\n\nLonger text."
    assert definition.parameters["properties"] == {
        "query": {"type": "string", "description": "What to find."},
        "limit": {"type": "integer", "description": "At most"},
    }


@given(
    st.text(min_size=1)
    | st.lists(
        st.sampled_from(
            ["Args:", "\n", "    ", "x: int", ":param", ":", "@param", " ", "----", "\n\n", "Returns:", "a"]
        ),
        min_size=1,
    ).map("".join)
)
def test_no_docstring_is_a_crash(docstring):
    """A docstring makes a tool, or is refused for saying nothing."""

    def f(x): ...

    f.__doc__ = docstring
    try:
        assert tool(f).definition.description.strip()
    except ToolDefinitionError as error:
        assert "description" in str(error)


def test_annotations_in_strings_are_resolved():
    """Names of the module, of the function around, and of class bodies in it."""

    class Local(BaseModel):
        x: int

    class Shop:
        Size = Literal["s", "m"]

        @tool
        async def buy(self, size: "Size", local: "list[Local] | None", color: "Color"):  # noqa: F821
            """Buy."""

    schema = Shop().buy.definition.parameters
    assert schema["properties"]["size"] == {"type": "string", "enum": ["s", "m"]}
    assert list(schema["$defs"]) == ["Color", "Local"]


def test_decorated_functions_keep_their_signature():
    """``functools.wraps``, and partials, lead to the annotations, and to the module that they mean."""

    def shout(function):
        @wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs).upper()

        return wrapper

    @tool
    @shout
    def greet(name: "Color") -> str:
        """Greet."""
        return name.value

    result = trio.run(greet.execute, ToolInvocation("1", "greet", {"name": "red"}, AgentContext()))
    assert result.plain_text == "RED"
    assert properties(partial(greet.__wrapped__)) == properties(greet) == {"name": {"$ref": "#/$defs/Color"}}


# What is refused


class Opaque:
    """A class that pydantic knows nothing of."""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *names: None, r"\*names has no name.*take a list"),
        (lambda **names: None, r"\*\*names takes any name.*name each parameter"),
        (lambda name, /: None, "'name' is positional-only.*remove the"),
        (dict.get, "'key' is positional-only"),
        (type("C", (), {"__call__": 3})(), "signature cannot be read|made of a function"),
    ],
)
def test_what_json_cannot_name_is_refused(function, message):
    """The error names the parameter, and says what to do."""
    with pytest.raises(ToolDefinitionError, match=message):
        parameters(function)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Opaque, "no JSON Schema.*Opaque"),
        (list[Opaque], "no JSON Schema.*Opaque"),
        (Callable[[], int], "no JSON Schema"),
        (Annotated[str, Field(pattern="(")], "no JSON Schema.*unclosed group"),
        (ClassVar[int], "attributes of classes"),
        (3, "no JSON Schema"),
        ("Missing", "'Missing'.*cannot be evaluated"),
        ("Decimal", "only type checkers import"),
        ("1 +", "cannot be evaluated"),
        (ToolInvocation, "only given to the first"),
        (ToolInvocation | None, "no JSON Schema"),
    ],
)
def test_types_without_a_schema_are_refused(annotation, message):
    """The error names the tool, the parameter and the type, and no web address."""
    with pytest.raises(ToolDefinitionError, match=message) as caught:
        noting({"fine": int, "odd": annotation})
    assert "'odd'" in str(caught.value)
    assert "http" not in str(caught.value)


def test_two_parameters_of_one_name_are_refused():
    """An alias may not take another parameter's name."""
    with pytest.raises(ToolDefinitionError, match="same name"):
        noting({"a": int, "b": Annotated[int, Field(alias="a")]})


# Arguments

SMALL = st.integers(-(2**60), 2**60)
POINTS = st.builds(Point, SMALL, SMALL)
PLACES = st.builds(Place, title=texts(5), latitude=st.floats(-90, 90), inside=st.none())
KINDS = [
    (str, texts()),
    (int, SMALL),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (Any, json_values()),
    (int | None, st.none() | SMALL),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (Color, st.sampled_from(Color)),
    (datetime, st.datetimes()),
    (UUID, st.uuids()),
    (Annotated[int, Field(ge=3)], st.integers(3, 2**60)),
    (list[Color], st.lists(st.sampled_from(Color), max_size=3)),
    (tuple[int, str], st.tuples(SMALL, texts(3))),
    (set[int], st.sets(SMALL, max_size=3)),
    (dict[str, Point], st.dictionaries(texts(3), POINTS, max_size=2)),
    (Point, POINTS),
    (Movie, st.fixed_dictionaries({"title": texts(3), "year": SMALL})),
    (Place, PLACES | st.builds(Place, title=texts(3), latitude=st.just(1.5), inside=PLACES)),
]
NAMES = st.sampled_from(["city", "schema", "json", "copy", "model_config", "_private", "__x", "p0", "title"])


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.sampled_from(KINDS), max_size=4), st.data())
def test_values_come_back_as_what_they_were(kinds, data):
    """Whatever JSON says of values of the annotated types fits the schema, and reaches the function as these values."""
    made = noting({name: annotation for name, (annotation, _) in kinds.items()})
    values = {name: data.draw(strategy) for name, (_, strategy) in kinds.items()}
    arguments = to_jsonable_python(values)
    Draft202012Validator(made.definition.parameters).validate(arguments)
    assert converted(made, arguments) == values


def from_schema(schema, definitions):
    """JSON that fits a schema as tools have them."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return st.deferred(lambda: from_schema(definitions[name], definitions))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([from_schema(choice, definitions) for choice in reversed(schema["anyOf"])])
    match schema.get("type"):
        case "object":
            return objects_from(schema, definitions)
        case "array" if "prefixItems" in schema:
            return st.tuples(*(from_schema(item, definitions) for item in schema["prefixItems"])).map(list)
        case "array":
            items = from_schema(schema["items"], definitions)
            return st.lists(items, max_size=3, unique=schema.get("uniqueItems", False))
    return scalars_from(schema)


def objects_from(schema, definitions):
    """Objects with the required properties and some of the others, or with any names."""
    required = set(schema.get("required", ()))
    inner = {name: from_schema(entry, definitions) for name, entry in schema.get("properties", {}).items()}
    if not inner:
        others = from_schema(schema.get("additionalProperties") or {}, definitions)
        return st.dictionaries(texts(3), others, max_size=2)
    return st.fixed_dictionaries(
        {name: inner[name] for name in inner if name in required},
        optional={name: inner[name] for name in inner if name not in required},
    )


def scalars_from(schema):
    """What is neither an object nor an array; anything, where there is no type."""
    low, high = schema.get("minimum"), schema.get("maximum")
    formats = {"date-time": st.datetimes().map(datetime.isoformat), "uuid": st.uuids().map(str)}
    return {
        "string": formats.get(schema.get("format"), texts(5)),
        "integer": st.integers(low, high) | st.integers(2**70, 2**71),
        "number": st.floats(low, high, allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "null": st.none(),
    }.get(schema.get("type"), json_values(3))


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.sampled_from(KINDS), min_size=1, max_size=3), st.data())
def test_arguments_made_from_the_schema_are_accepted(kinds, data):
    """What a model that obeys the schema sends is never refused."""
    made = noting({name: annotation for name, (annotation, _) in kinds.items()})
    schema = made.definition.parameters
    arguments = data.draw(from_schema(schema, schema.get("$defs", {})))
    assert converted(made, arguments).keys() == kinds.keys()


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.sampled_from(KINDS), max_size=4), st.data())
def test_shown_defaults_could_be_sent(kinds, data):
    """Leaving an argument out gives the same value as sending the default that the schema shows."""
    defaults = {name: data.draw(strategy) for name, (_, strategy) in kinds.items()}
    made = noting({name: annotation for name, (annotation, _) in kinds.items()}, defaults)
    shown = {name: entry["default"] for name, entry in made.definition.parameters["properties"].items()}
    assert converted(made, shown) == converted(made, {}) == defaults


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.sampled_from(KINDS), max_size=3), json_values())
def test_any_arguments_are_converted_or_refused(kinds, arguments):
    """Whatever JSON comes, the function runs or a ToolValidationError says why not."""
    made = noting({name: annotation for name, (annotation, _) in kinds.items()})
    try:
        converted(made, arguments)
    except ToolValidationError as error:
        assert error.errors
        assert str(error).startswith('Validation failed for tool "t":\n  - ')


def test_arguments_are_a_copy():
    """What a tool does to its arguments does not change the transcript."""
    arguments = {"value": {"a": [1]}}
    converted(noting({"value": Any}), arguments)["value"]["a"].append(2)
    assert arguments == {"value": {"a": [1]}}


def test_mutable_defaults_are_fresh():
    """Each call has its own."""
    made = noting({"tags": list}, {"tags": []})
    converted(made, {})["tags"].append("x")
    assert converted(made, {})["tags"] == []


def test_an_alias_leads_to_its_parameter():
    """The model says ``from``, the function gets ``from_``."""
    made = noting({"from_": Annotated[str, Field(alias="from")]})
    assert converted(made, {"from": "Oslo"}) == {"from_": "Oslo"}
    assert refused(made, {"from_": "Oslo"}).errors == (
        "from: missing required property",
        "from_: unexpected property",
    )


def test_each_bad_argument_has_a_line_with_its_path():
    """Paths are dotted, unions do not show in them, and what was received is shown below."""
    made = noting(
        {"places": list[Place], "count": int, "color": Color, "point": Point | None, "even": Even, "keys": dict[int, str]}
    )  # fmt: skip
    arguments = {
        "places": [{"title": "é", "latitude": 0}, {"latitude": 91}],
        "count": "many",
        "color": "green",
        "point": {"x": "left"},
        "even": {"value": 3},
        "keys": {"a": "b"},
        "more": 1,
    }
    error = refused(made, arguments)
    assert error.errors == (
        "places.1.title: missing required property",
        "places.1.latitude: Input should be less than or equal to 90",
        "count: Input should be a valid integer, unable to parse string as an integer",
        "color: Input should be 'red' or 'blue'",
        "point.x: Input should be a valid integer, unable to parse string as an integer",
        "even.value: must be even",
        "keys.a: Input should be a valid integer, unable to parse string as an integer",
        "more: unexpected property",
    )
    head, _, received = str(error).partition("\n\nReceived arguments:\n")
    assert head == '\n  - '.join(['Validation failed for tool "t":', *error.errors])  # fmt: skip
    assert received.startswith('{\n  "places": [\n    {\n      "title": "é",')


@pytest.mark.parametrize("arguments", [None, 3, "x", [1]])
def test_arguments_that_are_no_object_are_refused(arguments):
    """The path of the whole is root."""
    assert refused(noting({"a": int}), arguments).errors == ("root: expected object",)


def test_arguments_that_are_no_json_are_refused():
    """A hook may give anything; it is shown as Python shows it."""
    error = refused(noting({"a": Any}), {"a": Opaque})
    assert error.errors[0].startswith("root: ")
    assert "Opaque" in str(error).partition("Received arguments:")[2]


def test_the_error_is_bounded():
    """Thousands of bad values, and long ones, give a short text without a web address."""
    error = refused(noting({"a": list[int]}), {"a": ["x" * 1000] * 5000, "k" * 5000: 1})
    assert len(error.errors) == 20
    assert "\n  - ... and 4981 more\n\n" in str(error)
    assert len(str(error)) < 12_000
    assert "http" not in str(error)
