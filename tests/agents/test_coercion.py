"""What becomes of arguments that do not fit: the whole table, and where it applies."""

import pytest
from schema_checks import fault, members, one, same, validated


@pytest.mark.parametrize(
    ("target", "value", "coerced"),
    [
        ("number", None, 0.0),
        ("number", True, 1.0),
        ("number", False, 0.0),
        ("number", "42", 42.0),
        ("number", "-1.5e2", -150.0),
        ("number", "+1", 1.0),
        ("number", ".5", 0.5),
        ("number", "5.", 5.0),
        ("number", "1E-2", 0.01),
        ("integer", None, 0),
        ("integer", True, 1),
        ("integer", False, 0),
        ("integer", "42", 42),
        ("integer", "-7", -7),
        ("integer", "+7", 7),
        ("integer", "007", 7),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("boolean", None, False),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", 1, True),
        ("boolean", 0, False),
        ("string", None, ""),
        ("string", True, "true"),
        ("string", False, "false"),
        ("string", 1.0, "1.0"),
        ("string", 42, "42"),
        ("string", -1.5e-7, "-1.5e-7"),
        ("null", False, None),
        ("null", "", None),
        ("null", 0, None),
    ],
)
def test_what_is_plainly_meant_is_coerced(target, value, coerced):
    """A value of another type becomes the wanted one where the meaning is plain."""
    assert same(one({"type": target}, value), coerced)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (
            "number",
            ["", " ", " 42", "42 ", "inf", "nan", "-Infinity", "0x10", "1_000", "1e400", "٣", "a", [], {}],
        ),
        (
            "integer",
            ["", "42.1", "42.0", " 42", "1e3", "0x10", "1_0", "٣", "9223372036854775808", 1.0, 1.5, [1]],
        ),
        ("boolean", ["1", "0", "True", "yes", "", 2, -1, 1.0, 0.0, [], {}]),
        ("string", [[], {}, ["a"]]),
        ("null", ["null", " ", True, 1, 0.0, [], {}]),
        ("array", [None, "", "[]", 0, False, {}]),
        ("object", [None, "", "{}", 0, False, []]),
    ],
)
def test_what_is_not_plain_is_refused(target, values):
    """Nothing else is coerced: the model is told what was expected."""
    for value in values:
        assert fault({"type": target}, value) == f"expected {target}"


@pytest.mark.parametrize(
    ("types", "value", "coerced"),
    [
        (["number", "string"], "1", "1"),
        (["boolean", "number"], "1", 1.0),
        (["integer", "null"], None, None),
        (["integer", "number"], 1.5, 1.5),
        (["object", "integer"], "3", 3),
        (["string"], 3, "3"),
    ],
)
def test_one_of_several_types(types, value, coerced):
    """A value of a listed type stays; else the first listed type that changes it wins."""
    assert same(one({"type": types}, value), coerced)


@pytest.mark.parametrize(
    ("schema", "value", "coerced"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None, None),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 5, 5),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "true", True),
        ({"oneOf": [{"type": "integer", "maximum": 1}, {"type": "number"}]}, "7", 7.0),
        ({"allOf": [{"type": "integer"}, {"minimum": 1}]}, "7", 7),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, ["1", 2], [1, "2"]),
        ({"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}, ["1", 2, "3"], [1, "2", "3"]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"x": "4"}, {"x": 4.0}),
        ({"type": "object", "patternProperties": {"^i_": {"type": "integer"}}}, {"i_a": "4", "b": "4"}, {"i_a": 4, "b": "4"}),
        ({"type": ["object", "null"], "properties": {"n": {"type": "integer"}}}, {"n": "1"}, {"n": 1}),
        ({"type": "integer", "default": 3, "enum": [1, 2]}, "2", 2),
    ],
)  # fmt: skip
def test_coercion_follows_the_schema(schema, value, coerced):
    """Members of combinations, objects and arrays are coerced by their own schemas."""
    assert same(one(schema, value), coerced)


def test_only_what_does_not_fit_is_coerced():
    """While another argument needs coercion, those that fit an alternative stay as they are."""
    schema = members(
        count={"type": "integer"}, limit={"anyOf": [{"type": "integer"}, {"type": "null"}]}, free={}
    )
    arguments = {"count": "3", "limit": None, "free": "1"}
    assert same(validated(schema, arguments), {"count": 3, "limit": None, "free": "1"})


def test_defaults_are_not_applied():
    """An absent argument stays absent, whatever its default."""
    assert validated(members(a={"type": "integer", "default": 5}), {}) == {}
