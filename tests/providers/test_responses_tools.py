"""Tools on the Responses wire: functions, grammars, and those that a result brings."""

import pytest

from providers.access import Access
from providers.chat import Call
from providers.openai.responses import RESPONSES
from providers.openai.responses_options import OpenAIResponsesOptions
from runtime.errors import ToolDefinitionError
from runtime.streams.call_ids import short_hash
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.tokens import estimate_context_tokens
from runtime.values.tool import GrammarSampling, GrammarVariants, JsonSchemaSampling, Tool
from runtime.values.usage import Usage
from tests.providers.responses_lab import WEATHER, call_of, input_of, model_of, own, payload_of, result_of

HI = user("hi")
STRICT = model_of(compat={"supports_strict_mode": True})
LOOSE = model_of(compat={"supports_strict_mode": None})
CUSTOM = model_of(compat={"supports_openai_grammar_tools": True, "supports_strict_mode": None})
TEXT = {"properties": {"text": {"type": "string"}}, "required": ["text"]}


def tool_with(sampling, **schema):
    return Tool("t", "Does t", {"type": "object", **schema}, sampling)


def grammar(**variants):
    return GrammarSampling(GrammarVariants(**variants))


def tools_of(model, *tools):
    return payload_of(model, HI, tools=list(tools)).get("tools")


def test_a_tool_is_a_function_with_its_schema_whole():
    """Flat, not in an object of its own."""
    named = {
        "type": "function",
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": WEATHER.parameters,
    }
    assert tools_of(LOOSE, WEATHER) == [named]
    assert tools_of(STRICT, WEATHER) == [{**named, "strict": False}]


def test_without_tools_there_is_no_key():
    """Also when the transcript has calls."""
    assert "tools" not in payload_of(STRICT, HI, own(call_of()), result_of())


@pytest.mark.parametrize(
    ("sampling", "loose", "strict"),
    [
        (None, None, False),
        (False, None, False),
        (grammar(openai_lark="start: A"), None, False),
        (JsonSchemaSampling("prefer"), None, True),
        (JsonSchemaSampling("require"), ToolDefinitionError, True),
    ],
)
def test_strict_is_a_boolean_where_it_is_known(sampling, loose, strict):
    """Where it is not, the preference is dropped and the requirement an error; a grammar is dropped as well."""
    tool = tool_with(sampling, **TEXT)
    assert tools_of(STRICT, tool)[0]["strict"] is strict
    if loose is ToolDefinitionError:
        with pytest.raises(
            ToolDefinitionError,
            match='Tool "t" requires JSON-schema constrained sampling, but strict tools are unsupported.',
        ):
            tools_of(LOOSE, tool)
    else:
        assert tools_of(LOOSE, tool)[0].get("strict") is loose


@pytest.mark.parametrize(
    ("variants", "syntax", "definition"),
    [
        ({"openai_lark": "start: A", "openai_regex": "a+"}, "lark", "start: A"),
        ({"openai_lark": "  ", "openai_regex": "a+"}, "regex", "a+"),
    ],
)
def test_a_grammar_tool_is_a_custom_tool(variants, syntax, definition):
    """Without parameters; Lark is preferred, and blank definitions are none."""
    assert tools_of(CUSTOM, tool_with(grammar(**variants), **TEXT)) == [
        {
            "type": "custom",
            "name": "t",
            "description": "Does t",
            "format": {"type": "grammar", "syntax": syntax, "definition": definition},
        }
    ]


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        (tool_with(grammar(), **TEXT), "no supported grammar variant was provided"),
        (
            tool_with(grammar(openai_regex="a"), required=["a", "b"]),
            "requires exactly one required string property",
        ),
        (
            tool_with(grammar(openai_regex="a"), required=["a"], properties={"a": {}}),
            "property a must have type string",
        ),
    ],
)
def test_a_grammar_tool_that_cannot_work_is_an_error(tool, why):
    """It says which tool, and what is wrong with it."""
    with pytest.raises(
        ToolDefinitionError, match=rf'Tool "t" cannot use grammar constrained sampling: .*{why}\.'
    ):
        tools_of(CUSTOM, tool)


def test_of_tools_with_one_name_the_last_counts():
    """In the place of the first; a list that grows by hand is not checked."""
    context = Context(tools=[Tool("a", "first", {}), WEATHER])
    context.tools.append(Tool("a", "last", {}))
    payload = RESPONSES.payload(Call(LOOSE, context, OpenAIResponsesOptions(), Access(), None))
    assert [tool["description"] for tool in payload["tools"]] == ["last", "Weather of a city"]


# Tools that come later

SEARCHER = model_of("gpt-5.4")
BASE = Tool("base_tool", "Base", {"type": "object"})
LATE = Tool("late_tool", "Late", {"type": "object", "properties": {}}, JsonSchemaSampling("prefer"))
ADDS = result_of("call_1|fc_1", name="base_tool", added_tool_names=["late_tool"])
CALLS = own(call_of(name="base_tool"), model=SEARCHER)
WIRE_LATE = {
    "type": "function",
    "name": "late_tool",
    "description": "Late",
    "parameters": LATE.parameters,
    "strict": True,
    "defer_loading": True,
}


def names(payload):
    return [tool["name"] for tool in payload.get("tools", [])]


def loads(items):
    """The names that each search in the transcript brought."""
    return [
        [tool["name"] for tool in item["tools"]] for item in items if item.get("type") == "tool_search_output"
    ]


def test_a_tool_that_a_result_adds_is_loaded_behind_it():
    """As the answer to a search, with its whole definition; it is not among the tools of the request."""
    payload = payload_of(SEARCHER, HI, CALLS, ADDS, tools=[BASE, LATE])
    assert names(payload) == ["base_tool"]
    call_id = f"pi_tool_load_{short_hash('call_1|fc_1:late_tool')}"
    shared = {"call_id": call_id, "execution": "client", "status": "completed"}
    assert payload["input"][3:] == [
        {"type": "tool_search_call", **shared, "arguments": {"query": "late_tool", "limit": 1}},
        {"type": "tool_search_output", **shared, "tools": [WIRE_LATE]},
    ]


def test_several_tools_are_loaded_at_once_and_each_only_once():
    """In the order in which they are listed; names that the context does not know are ignored."""
    other = Tool("other", "Other", {})
    first = result_of(
        "call_1|fc_1", name="base_tool", added_tool_names=["other", "ghost", "late_tool", "other"]
    )
    again = result_of("call_2|fc_2", name="base_tool", added_tool_names=["late_tool"])
    calls = own(call_of(name="base_tool"), call_of("call_2|fc_2", "base_tool"), model=SEARCHER)
    payload = payload_of(SEARCHER, calls, first, again, tools=[LATE, other])
    assert loads(payload["input"]) == [["other", "late_tool"]]
    (search,) = [item for item in payload["input"] if item["type"] == "tool_search_call"]
    assert search["arguments"] == {"query": "other late_tool", "limit": 2}
    assert "tools" not in payload


@pytest.mark.parametrize("name", ["gpt-5.2", "gpt-5.4-nano", "gpt-5.5-pro"])
def test_a_model_without_tool_search_has_all_tools_at_once(name):
    """Nothing is searched for."""
    model = model_of(name)
    payload = payload_of(model, own(call_of(name="base_tool"), model=model), ADDS, tools=[BASE, LATE])
    assert names(payload) == ["base_tool", "late_tool"]
    assert loads(payload["input"]) == []


def test_the_flag_decides():
    """It can be taken back."""
    model = model_of("gpt-5.4", compat={"supports_tool_search": False})
    assert names(payload_of(model, CALLS, ADDS, tools=[BASE, LATE])) == ["base_tool", "late_tool"]


def test_a_tool_that_was_used_before_is_not_deferred():
    """What comes after the result does not undo it."""
    used = own(call_of("call_0|fc_0", "late_tool"), model=SEARCHER)
    before = payload_of(SEARCHER, used, CALLS, ADDS, tools=[BASE, LATE])
    assert (names(before), loads(before["input"])) == (["base_tool", "late_tool"], [])
    after = payload_of(SEARCHER, CALLS, ADDS, used, tools=[BASE, LATE])
    assert (names(after), loads(after["input"])) == (["base_tool"], [["late_tool"]])


def test_a_tool_whose_announcement_is_left_out_is_there_from_the_start():
    """Otherwise the model could never call it."""
    failed = own(call_of(name="base_tool"), model=SEARCHER, stop_reason=StopReason.Aborted)
    payload = payload_of(SEARCHER, HI, failed, ADDS, tools=[BASE, LATE])
    assert (names(payload), loads(payload["input"])) == (["base_tool", "late_tool"], [])


def test_a_deferred_grammar_tool_is_one_when_it_is_loaded():
    """And calls of it are custom calls."""
    late = tool_with(grammar(openai_lark="start: A"), **TEXT)
    adds = result_of("call_1|fc_1", name="base_tool", added_tool_names=["t"])
    uses = own(call_of("call_2|ctc_2", "t", text="a"), model=SEARCHER)
    items = input_of(SEARCHER, CALLS, adds, uses, tools=[late])
    (output,) = [item for item in items if item["type"] == "tool_search_output"]
    assert (output["tools"][0]["type"], output["tools"][0]["defer_loading"]) == ("custom", True)
    assert [item["type"] for item in items[-2:]] == ["custom_tool_call", "custom_tool_call_output"]


def test_a_search_is_named_after_its_place():
    """The same transcript always gives the same bytes."""
    assert short_hash("call_1:late_tool") == "1co5fstaye10s"
    model = model_of("gpt-5.4", compat={"supports_strict_mode": None})
    reply = own(call_of("call_1", "base_tool"), model=model)
    adds = result_of("call_1", name="base_tool", added_tool_names=["late_tool"])
    items = input_of(model, reply, adds, tools=[LATE])
    assert items[2]["call_id"] == items[3]["call_id"] == "pi_tool_load_1co5fstaye10s"


def test_tools_that_came_after_the_last_usage_count_for_the_size_of_the_context():
    """Their schemas were not in it."""
    measured = own(call_of(name="base_tool"), usage=Usage(input=100, total_tokens=100))
    plain = result_of("call_1|fc_1", name="base_tool")
    without = estimate_context_tokens(Context(messages=[HI, measured, plain], tools=[BASE, LATE]))
    with_it = estimate_context_tokens(Context(messages=[HI, measured, ADDS], tools=[BASE, LATE]))
    assert with_it.tokens > without.tokens
