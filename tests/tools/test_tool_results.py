"""What functions return, as models read it."""

import dataclasses
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_serializer
from pydantic.dataclasses import dataclass as pydantic_dataclass

from runtime.agents.invocation import ToolInvocation
from runtime.agents.tool import AgentContext, AgentToolResult
from runtime.testing.strategies import json_values, texts, texts_with_lone_surrogates, user_contents
from runtime.values.content import ImageContent, TextContent
from runtime.values.text import parse_json
from tools import result_of, tool

IMAGE = ImageContent("aGk=", "image/png")
NO_STRING = json_values().filter(lambda value: value is not None and not isinstance(value, str))


class Color(Enum):
    Red = "red"


class Size(StrEnum):
    Small = "small"


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Box:
    color: Color
    size: Any = None


@pydantic_dataclass
class Crate:
    size: int

    @field_serializer("size")
    def _write(self, size: int) -> str:
        return f"{size} m"


class Place(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    name: str
    seen: datetime | None = Field(default=None, alias="lastSeen")
    extra: Any = None


def read(value):
    """The one text of a result that is JSON, and its details, which are equal."""
    result = result_of(value)
    [block] = result.content
    assert parse_json(block.text) == result.details
    return block.text


@given(NO_STRING)
def test_json_comes_back_through_details(value):
    """The model reads the same JSON that details hold, and both are what the function returned."""
    result = result_of(value)
    assert result.details == value
    assert parse_json(result.plain_text) == value
    assert AgentToolResult.model_validate_json(result.model_dump_json()) == result


@given(texts() | texts_with_lone_surrogates())
def test_a_string_is_the_text(text):
    """No quotes, no details, and nothing that cannot be sent."""
    result = result_of(text)
    assert result == AgentToolResult.text(text)
    result.plain_text.encode()


@given(st.lists(user_contents() | texts(), min_size=1), st.booleans())
def test_blocks_are_the_content(items, as_tuple):
    """A list of blocks, among them strings, is the content; without a block it is JSON."""
    result = result_of(tuple(items) if as_tuple else items)
    if all(isinstance(item, str) for item in items):
        assert result.details == items
    else:
        blocks = [TextContent(item) if isinstance(item, str) else item for item in items]
        assert result == AgentToolResult(blocks)


def test_results_and_single_blocks_are_taken_as_they_are():
    """An AgentToolResult is returned itself."""
    result = AgentToolResult.text("x", details={"a": 1}, terminate=True)
    assert result_of(result) is result
    assert result_of(IMAGE) == AgentToolResult([IMAGE])


def test_none_is_no_content():
    """A function that returns nothing has nothing to say."""
    assert result_of(None) == AgentToolResult()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "[]"),
        ({}, "{}"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ({"a": [1, "é", None]}, '{"a":[1,"é",null]}'),
        ([{"when": date(2025, 1, 2)}, UUID(int=1)], '[{"when":"2025-01-02"},"00000000-0000-0000-0000-000000000001"]'),
        ([Decimal("1.50"), PurePosixPath("/a"), timedelta(hours=1)], '["1.50","/a","PT1H"]'),
        ({Size.Small: Color.Red, Color.Red: 1}, '{"small":"red","red":1}'),
        (Point(1, 2), "[1,2]"),
        (Box(Color.Red, [Point(1, 2)]), '{"color":"red","size":[[1,2]]}'),
        (Crate(3), '{"size":"3 m"}'),
        ([Place(name="Oslo")], '[{"name":"Oslo","lastSeen":null,"extra":null}]'),
        (Place(name="Oslo", lastSeen=datetime(2025, 1, 2, tzinfo=UTC), extra=Box(Color.Red)),
         '{"name":"Oslo","lastSeen":"2025-01-02T00:00:00Z","extra":{"color":"red","size":null}}'),
    ],
)  # fmt: skip
def test_data_is_compact_json(value, text):
    """JSON, models, dataclasses, and the plain values that pydantic writes as JSON."""
    assert read(value) == text


def test_enum_members_are_their_values():
    """A member of strings is text."""
    assert result_of(Size.Small) == AgentToolResult.text("small")
    assert result_of(Color.Red) == AgentToolResult.text("red")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (b"bytes", "returned bytes;"),
        (object(), "returned object;"),
        ({1, 2}, "returned set;"),
        (Place, "returned "),
        ({"rows": [{"blob": b""}]}, "returned bytes at rows.0.blob;"),
        (Box(Color.Red, object()), "returned object at size;"),
        (Place(name="x", extra=object()), "returned Place;"),
        ([IMAGE, 3], "returned int at 1;"),
    ],
)
def test_what_is_no_json_is_refused(value, place):
    """The error says what came, where, and what a tool may return."""
    with pytest.raises(TypeError, match=place) as caught:
        result_of(value)
    assert "a tool may return a str" in str(caught.value)


def test_keys_are_strings():
    """Python's other keys are not turned into strings in silence."""
    with pytest.raises(TypeError, match=r"key 1 at rows\.0"):
        result_of({"rows": [{1: "one"}]})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_say_are_refused(number):
    """Alone, nested, and in dataclasses; what a model writes for them is its own business."""
    for value in (number, {"a": [number]}, Box(Color.Red, number)):
        with pytest.raises(ValueError, match="JSON has no such number"):
            result_of(value)
    assert result_of(Place(name="x", extra=number)).details["extra"] is None


def test_endless_nesting_is_refused():
    """A list that holds itself is an error, not a recursion."""
    value = []
    value.append(value)
    with pytest.raises(ValueError, match="nested deeper"):
        result_of(value)


async def test_a_coroutine_is_refused_and_closed():
    """A forgotten await is an error of its own, with no warning beside it."""

    async def fetch():
        """Fetch."""

    @tool(name="fetch", description="d")
    def forgets():
        return fetch()

    with pytest.raises(TypeError, match="coroutine that nobody awaited"):
        await forgets.execute(ToolInvocation("1", "fetch", {}, AgentContext()))


def test_generators_are_refused():
    """The error says what to do instead."""

    async def later():
        yield 1

    for value in ((x for x in "abc"), later()):
        with pytest.raises(TypeError, match="return a list"):
            result_of(value)
