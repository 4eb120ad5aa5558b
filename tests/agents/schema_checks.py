"""Short ways to validate arguments by a schema."""

import json

import pytest

from runtime.agents.arguments import ArgumentValidator
from runtime.errors import ToolValidationError
from runtime.values.content import ToolCall
from runtime.values.tool import Tool


def validator(schema):
    return ArgumentValidator(Tool("t", "A tool.", schema))


def validated(schema, arguments):
    return validator(schema).validate(ToolCall("id", "t", arguments))


def refused(schema, arguments):
    with pytest.raises(ToolValidationError) as caught:
        validated(schema, arguments)
    return caught.value


def members(**properties):
    return {"type": "object", "properties": properties}


def one(schema, value):
    """Validate a single argument."""
    return validated(members(a=schema), {"a": value})["a"]


def fault(schema, value):
    """What is said of a single argument."""
    (line,) = refused(members(a=schema), {"a": value}).errors
    assert line.startswith("a: ")
    return line.removeprefix("a: ")


def same(one, other):
    """Equal, and of equal types: 1, 1.0 and true are three things."""
    return json.dumps(one) == json.dumps(other)
