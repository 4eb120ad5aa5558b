"""Schemas: references, drafts, those that cannot work, and what hostile arguments cost."""

import socket
import time

import pytest
from schema_checks import members, one, refused, same, validated, validator

from runtime.agents.arguments import ArgumentValidator
from runtime.errors import ToolDefinitionError, ToolValidationError
from runtime.values.tool import Tool

DRAFT_04 = "http://json-schema.org/draft-04/schema#"
DRAFT_07 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"multipleOf": 0.1}, 0.3),
        ({"multipleOf": 0.1}, 10**400),
        ({"multipleOf": 1e-300}, 1e300),
        ({"uniqueItems": True}, [1, True, "1", [1], [True], [], {}, None]),
        ({"maxLength": 1}, "😀"),
        ({"enum": [1]}, 1.0),
        ({"pattern": "b+"}, "abc"),
        ({"pattern": "^\\p{Lu}"}, "É"),
        ({"pattern": "^(?!x)\\w{1,2000}$"}, "abc"),
        ({"format": "email"}, "no mail"),
        ({"type": "array", "prefixItems": [True], "items": False}, [1]),
        ({"anyOf": [False, True]}, 1),
        (True, 1),
    ],
)
def test_what_fits_is_accepted(schema, value):
    """Near misses are no faults: rounding, equal-looking values, characters beyond U+FFFF, free formats."""
    assert same(one(schema, value), value)


TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "$defs": {
        "node": {
            "type": "object",
            "required": ["value"],
            "properties": {
                "value": {"$ref": "#/$defs/value"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        },
        "value": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
}


def test_references_are_followed_by_coercion_and_validation():
    """Local references work for values at any depth, also recursive ones."""
    tree = {"root": {"value": "1", "children": [{"value": None}, {"value": "2", "children": []}]}}
    assert same(
        validated(TREE, tree),
        {"root": {"value": 1, "children": [{"value": None}, {"value": 2, "children": []}]}},
    )
    bad = {"root": {"value": 1, "children": [{"value": "x"}, {}]}}
    assert refused(TREE, bad).errors == (
        "root.children.0.value: must match at least one schema",
        "root.children.1.value: missing required property",
    )


@pytest.mark.parametrize(
    "schema",
    [
        members(a={"$ref": "#/$defs/i"}) | {"$defs": {"i": {"type": "integer"}}},
        members(a={"$ref": "#whole"}) | {"$defs": {"i": {"$anchor": "whole", "type": "integer"}}},
        members(a={"$ref": "i.json"}) | {"$id": "https://x.test/t", "$defs": {"i": {"$id": "i.json", "type": "integer"}}},
        members(a={"$dynamicRef": "#i"}) | {"$defs": {"i": {"$dynamicAnchor": "i", "type": "integer"}}},
        members(a={"$ref": "#/components/i"}) | {"components": {"i": {"type": "integer"}}},
        members(a={"$ref": "#/definitions/i"}) | {"$schema": DRAFT_07, "definitions": {"i": {"type": "integer"}}},
        members(a={"$ref": "#/definitions/i"}) | {"$schema": DRAFT_04, "definitions": {"i": {"type": "integer"}}},
        members(a={"$ref": "#/properties/b"}, b={"type": "integer"}),
    ],
)  # fmt: skip
def test_local_references_of_all_kinds(schema):
    """Pointers, anchors, embedded ids and older drafts lead to the same strict integer."""
    assert same(validated(schema, {"a": "7"}), {"a": 7})
    assert refused(schema, {"a": 1.0}).errors == ("a: expected integer",)


@pytest.mark.parametrize("junk", [5, "x", [], {"a": 5}, None])
def test_keywords_that_a_draft_does_not_know_are_ignored(junk):
    """Whatever stands under a keyword of a later draft is neither followed nor validated."""
    later = ("if", "then", "else", "prefixItems", "dependentSchemas", "$defs", "propertyNames", "const")
    schema = {"$schema": DRAFT_04, "type": "array", "items": {"type": "integer"}} | dict.fromkeys(later, junk)
    assert validated(schema, ["1", 2]) == [1, 2]


def test_integers_stay_strict_through_a_reference_to_the_root():
    """A schema with a $schema that refers to itself refuses 1.0 at every depth."""
    schema = members(n={"type": "integer"}, next={"$ref": "#"}) | {
        "$schema": "https://json-schema.org/draft/2020-12/schema"
    }
    assert refused(schema, {"next": {"next": {"n": 1.0}}}).errors == ("next.next.n: expected integer",)


def test_draft_04_bounds_are_worded_as_they_hold():
    """An exclusive bound of draft-04 is reported as exclusive."""
    schema = members(a={"minimum": 1, "exclusiveMinimum": True}) | {"$schema": DRAFT_04}
    assert refused(schema, {"a": 1}).errors == ("a: must be > 1",)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, "strin"),
        ({"type": "object", "properties": []}, "properties"),
        (members(a={"type": "integer", "minimum": "3"}), "minimum"),
        ({"required": "a"}, "required"),
        (members(a={"pattern": "("}), "regex"),
        ({"patternProperties": {"[": {}}}, "regex"),
        (members(a={"$ref": "#/$defs/nope"}), "nope"),
        ({"allOf": [{"$ref": "#nope"}]}, "nope"),
        (members(a={"$ref": "https://example.com/schema.json"}), "example.com"),
        (members(a={"$ref": "file:///etc/passwd"}), "passwd"),
        (members(a={"$ref": "#/const"}) | {"const": 5}, "5"),
        (members(a={"$ref": "#/x"}) | {"x": {"type": "strin"}}, "strin"),
        (members(a={"$ref": 5}) | {"$schema": DRAFT_04}, "string"),
        ({"$ref": "#"}, "itself"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "itself"),
        ({"$schema": 5}, "$schema"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "draft-03"),
    ],
)  # fmt: skip
def test_schemas_that_cannot_work_are_refused(schema, reason):
    """A schema that could not validate is refused when the validator is made, with tool and reason."""
    with pytest.raises(ToolDefinitionError, match="tool 't' has an invalid schema: ") as caught:
        validator(schema)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "description", "parameters"),
    [(" ", "d", {}), ("n", "\n", {}), ("n", "d", "{}"), ("n", "d", None), ("n", "d", True), ("n", "d", [])],
)
def test_definitions_that_cannot_work_are_refused(name, description, parameters):
    """A blank name or description, and parameters that are no object, are refused."""
    with pytest.raises(ToolDefinitionError):
        ArgumentValidator(Tool(name, description, parameters))


def test_nothing_is_fetched(monkeypatch):
    """No connection is attempted for a remote reference."""

    def connect(*_args):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(ToolDefinitionError):
        validator({"$ref": "http://127.0.0.1:9/schema"})


def nested(levels, innermost):
    for _ in range(levels):
        innermost = {"next": innermost}
    return innermost


def test_deep_arguments_never_crash():
    """Arguments as deep as they may be are validated, or refused as too deep, never a RecursionError."""
    schema = members(next={"anyOf": [{"$ref": "#"}, {"type": "integer"}]})
    assert validated(schema, nested(20, "3")) == nested(20, 3)
    assert "root: is nested too deeply to be checked" in str(refused(schema, nested(199, "x")))
    assert validated({"type": "object"}, nested(199, "x")) == nested(199, "x")


def test_a_deep_schema_is_no_crash():
    """A schema that nests as deeply as JSON may is compiled or refused."""
    schema = {"type": "object"}
    for _ in range(198):
        schema = {"not": schema}
    try:
        validator(schema)
    except ToolDefinitionError as error:
        assert "deeply" in str(error)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 50_000 + "b"),
        ({"type": "object", "patternProperties": {"^(a+)+$": {}}}, {"a" * 50_000 + "b": 1}),
        ({"type": "array", "uniqueItems": True}, [{"k": index} for index in range(20_000)]),
    ],
)
def test_hostile_arguments_take_linear_time(schema, value):
    """Patterns do not backtrack, and looking for equal items compares each item once."""
    started = time.perf_counter()
    try:
        one(schema, value)
    except ToolValidationError as error:
        assert error.errors == ('a: must match pattern "^(a+)+$"',)
    assert time.perf_counter() - started < 10


EXPRESSIONS = {
    "$defs": {
        "all": members(args={"type": "array", "items": {"$ref": "#"}}, op={"const": "all"}),
        "any": members(args={"type": "array", "items": {"$ref": "#"}}, op={"const": "any"}),
        "leaf": {"type": "integer"},
    },
    "anyOf": [{"$ref": "#/$defs/all"}, {"$ref": "#/$defs/any"}, {"$ref": "#/$defs/leaf"}],
}


@pytest.mark.parametrize(("leaf", "fits"), [(1, True), ("1", True), ("x", False)])
def test_unions_of_recursive_types_take_linear_time(leaf, fits):
    """Each alternative of a nested union is tried once for each value, not once for each way to it."""
    expression = leaf
    for level in range(24):
        expression = {"args": [expression], "op": ("all", "any")[level % 2]}
    if fits:
        assert validated(EXPRESSIONS, expression)["op"] == "any"
    else:
        assert refused(EXPRESSIONS, expression).errors == ("root: must match at least one schema",)
