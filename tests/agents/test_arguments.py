"""Arguments of tool calls: the words of refusals, their bounds, and what is returned."""

import copy
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_checks import fault, members, refused, same, validated, validator

from runtime.agents.arguments import (
    MAX_ERRORS,
    ArgumentValidator,
    validate_tool_arguments,
    validate_tool_call,
)
from runtime.errors import ToolNotFoundError, ToolValidationError
from runtime.values.content import ToolCall
from runtime.values.tool import Tool


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        ({"anyOf": [{"type": "object"}, {"type": "array"}]}, 1, "must match at least one schema"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 1, "must match exactly one schema"),
        ({"oneOf": [{"type": "object"}, {"type": "array"}]}, 1, "must match exactly one schema"),
        ({"const": 1}, True, "must equal const value"),
        ({"const": [1]}, [True], "must equal const value"),
        ({"enum": ["a", "b"]}, "c", "must equal one of the allowed values"),
        ({"enum": [1, 2]}, True, "must equal one of the allowed values"),
        ({"type": "integer"}, 1.0, "expected integer"),
        ({"type": "number"}, [], "expected number"),
        ({"type": ["object", "array"]}, 1, "expected object or array"),
        ({"minProperties": 1}, {}, "must have at least 1 properties"),
        ({"maxProperties": 1}, {"x": 1, "y": 2}, "must have at most 1 properties"),
        ({"minItems": 2}, [1], "must have at least 2 items"),
        ({"maxItems": 1}, [1, 2], "must have at most 1 items"),
        ({"uniqueItems": True}, [1, 1.0], "must have unique items"),
        ({"uniqueItems": True}, [{"a": [1]}, {"a": [1]}], "must have unique items"),
        ({"minimum": 1.0}, 0, "must be >= 1"),
        ({"maximum": 5}, 6, "must be <= 5"),
        ({"exclusiveMinimum": 0.5}, 0.5, "must be > 0.5"),
        ({"exclusiveMaximum": 5}, 5, "must be < 5"),
        ({"multipleOf": 0.1}, 0.35, "must be a multiple of 0.1"),
        ({"multipleOf": 2}, 3, "must be a multiple of 2"),
        ({"minLength": 2}, "😀", "must be at least 2 characters"),
        ({"maxLength": 1}, "ab", "must be at most 1 characters"),
        ({"pattern": "^a\\d\"é$"}, "b", 'must match pattern "^a\\\\d\\"é$"'),
    ],
)  # fmt: skip
def test_each_fault_has_its_text(schema, value, text):
    """Each keyword is refused in its own words."""
    assert fault(schema, value) == text


def test_other_keywords_speak_for_themselves():
    """A keyword without words of its own is explained by the validator, within bounds."""
    assert fault({"not": {"type": "string"}}, "x" * 100_000).endswith("...")
    assert "does not contain items" in fault({"contains": {"type": "integer"}}, ["x"])
    assert fault(False, 1) == "unexpected property"


def test_a_wrong_type_is_the_only_fault_of_its_place():
    """What else the schema asks of a value is left out when its type is wrong, but for its alternatives."""
    schema = {"type": "integer", "minimum": 2, "multipleOf": 2, "enum": [2, 4]}
    error = refused(members(a=schema), {"a": 1.5})
    assert sorted(error.errors) == ["a: expected integer", "a: must equal one of the allowed values"]


NESTED = {
    "type": "object",
    "required": ["o", "count"],
    "additionalProperties": False,
    "properties": {
        "count": {"type": "integer"},
        "o": members(p={"type": "array", "items": members(q={"type": "array", "items": {"type": "null"}})}),
        "strict": {"type": "object", "properties": {"known": {}}, "additionalProperties": False},
        "open": {"type": "object", "required": ["x", "y"], "additionalProperties": {"type": "number"}},
    },
}


def test_paths_lead_to_the_place():
    """A path is the key of a member of the root, dotted further down, with the indexes of items."""
    arguments = {
        "o": {"p": [{"q": []}, {"q": [None, "x"]}, 1]},
        "strict": {"known": 1, "other": 2},
        "open": {"x": "abc"},
        "extra": 1,
    }
    assert set(refused(NESTED, arguments).errors) == {
        "count: missing required property",
        "extra: unexpected property",
        "o.p.1.q.1: expected null",
        "o.p.2: expected object",
        "strict.other: unexpected property",
        "open.x: expected number",
        "open.y: missing required property",
    }
    assert refused(NESTED, [1]).errors == ("root: expected object",)
    assert refused({"type": "array", "items": members(a={"type": "array"})}, [1, {"a": 2}]).errors == (
        "root.0: expected object",
        "root.1.a: expected array",
    )


def test_the_text_of_a_refusal():
    """The tool, a line for each error, and the arguments as they came, readable."""
    error = refused(
        members(n={"type": "integer"}, s={"type": "string"}), {"n": "x", "s": 5, "city": "Zürich"}
    )
    assert str(error) == (
        'Validation failed for tool "t":\n'
        "  - n: expected integer\n"
        "\n"
        "Received arguments:\n"
        '{\n  "n": "x",\n  "s": 5,\n  "city": "Zürich"\n}'
    )
    assert error.errors == ("n: expected integer",)


@pytest.mark.parametrize(
    ("target", "value"), [("boolean", "1"), ("boolean", "0"), ("null", "null"), ("integer", "42.1")]
)
def test_a_refusal_says_that_validation_failed(target, value):
    """Strings that only look like the wanted type are refused."""
    assert "Validation failed" in str(refused(members(a={"type": target}), {"a": value}))


BIG = {
    "type": "object",
    "required": ["mode"],
    "properties": {
        "mode": {"enum": ["fast", "slow"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "tag": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$"},
        "items": {"type": "array", "maxItems": 2, "uniqueItems": True, "items": {"type": "string"}},
        "version": {"const": 2},
    },
    "additionalProperties": {"type": "number"},
}


def test_a_large_schema_accepts_and_coerces():
    """Whatever fits is returned, coerced by properties and by additional properties."""
    arguments = {"mode": "fast", "count": "3", "tag": "abc", "items": ["a"], "version": 2, "extra": "4"}
    assert same(validated(BIG, arguments), arguments | {"count": 3, "extra": 4.0})


def test_a_large_schema_reports_all_faults_at_once():
    """All bad arguments are named in one text."""
    arguments = {
        "mode": "odd", "count": 9, "tag": "A", "items": ["a", "a", "b"], "version": 1, "extra": "x",
    }  # fmt: skip
    text = str(refused(BIG, arguments))
    for line in (
        "mode: must equal one of the allowed values",
        "count: must be <= 5",
        "tag: must be at least 3 characters",
        'tag: must match pattern "^[a-z]+$"',
        "items: must have at most 2 items",
        "items: must have unique items",
        "version: must equal const value",
        "extra: expected number",
    ):
        assert f"  - {line}\n" in text


def test_a_refusal_is_bounded():
    """Thousands of faults and megabytes of arguments make a text of some kilobytes."""
    arguments = {f"{index}{'key' * 1000}": "x" * 1000 for index in range(1000)}
    error = refused({"type": "object", "additionalProperties": {"type": "array"}}, arguments)
    assert len(error.errors) == MAX_ERRORS
    assert all(line.endswith(": expected array") for line in error.errors)
    assert "  - ...\n" in str(error)
    assert "characters in all" in str(error)
    assert len(str(error)) < 20_000


def test_the_first_tool_of_that_name_validates():
    """A call is validated by the first tool that has its name."""
    tools = [Tool("a", "A.", {}), Tool("t", "T.", members(n={"type": "integer"})), Tool("t", "U.", {})]
    assert validate_tool_call(tools, ToolCall("id", "t", {"n": "1"})) == {"n": 1}


def test_an_unknown_tool_is_named():
    """A call of a tool that is not there says so."""
    with pytest.raises(ToolNotFoundError, match=r'Tool "missing" not found \(there are: a\)'):
        validate_tool_call([Tool("a", "A.", {})], ToolCall("id", "missing", {}))


def test_the_text_names_the_call():
    """The first line has the name that the model used."""
    with pytest.raises(ToolValidationError, match='^Validation failed for tool "alias":\n'):
        validate_tool_arguments(
            Tool("t", "T.", members(n={"type": "integer"})), ToolCall("id", "alias", {"n": "x"})
        )


def test_schemas_are_compiled_once():
    """The second call of a tool with an equal schema costs a small part of the first."""
    schema = members(**{f"p{index}": {"type": "integer", "minimum": index} for index in range(200)})
    call = ToolCall("id", "t", {})

    def seconds():
        started = time.perf_counter()
        validate_tool_arguments(Tool("t", "T.", copy.deepcopy(schema)), call)
        return time.perf_counter() - started

    first = seconds()
    assert min(seconds() for _ in range(5)) < first / 2


def test_importing_stays_light():
    """Importing this room does not load jsonschema."""
    code = "import sys, runtime.agents.arguments; sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_validator_tells_whose_it_is():
    """Its repr names the tool."""
    assert repr(validator({})) == "<ArgumentValidator of tool 't'>"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = [
    ({"type": "boolean"}, st.booleans()),
    ({"type": "integer"}, st.integers()),
    ({"type": "number"}, st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    ({"type": "string"}, TEXTS),
    ({"type": "null"}, st.none()),
    ({"type": ["integer", "string"]}, st.integers() | TEXTS),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, st.integers() | st.none()),
    ({"enum": [1, "1", None]}, st.sampled_from([1, "1", None])),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def lists_of(pair):
    schema, values = pair
    return {"type": "array", "items": schema}, st.lists(values, max_size=4)


def objects_of(pairs):
    schema = {"type": "object", "properties": {name: pair[0] for name, pair in pairs.items()}}
    return (
        schema | {"required": list(pairs), "additionalProperties": False},
        st.fixed_dictionaries({name: pair[1] for name, pair in pairs.items()}),
    )


PAIRS = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: inner.map(lists_of) | st.dictionaries(TEXTS, inner, max_size=4).map(objects_of),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.data(), st.dictionaries(TEXTS, PAIRS, max_size=4).map(objects_of))
def test_what_fits_is_returned_unchanged(data, pair):
    """Arguments that fit their schema come back equal in value and type, and as a copy."""
    schema, values = pair
    arguments = data.draw(values)
    call = ToolCall("id", "t", arguments)
    result = ArgumentValidator(Tool("t", "T.", schema)).validate(call)
    assert same(result, arguments)
    assert result is not call.arguments


@settings(max_examples=100)
@given(st.dictionaries(TEXTS, PAIRS, max_size=3).map(objects_of), JSON)
def test_any_arguments_are_returned_or_refused(pair, arguments):
    """Any JSON is either made to fit, for good, or refused; the call stays as it is."""
    call = ToolCall("id", "t", arguments)
    before = call.model_dump_json()
    checker = ArgumentValidator(Tool("t", "T.", pair[0]))
    try:
        result = checker.validate(call)
    except ToolValidationError as error:
        assert 0 < len(error.errors) <= MAX_ERRORS
    else:
        assert same(checker.validate(ToolCall("id", "t", result)), result)
    assert call.model_dump_json() == before


def test_the_result_shares_nothing_with_the_call():
    """Changing what was returned does not change the call."""
    call = ToolCall("id", "t", {"free": {"list": [1]}, "n": "1"})
    result = ArgumentValidator(Tool("t", "T.", members(n={"type": "integer"}))).validate(call)
    result["free"]["list"].append(2)
    assert call.arguments == {"free": {"list": [1]}, "n": "1"}
