"""The body of a Chat Completions request, field by field."""

import pytest

from providers.openai.options import OpenAICompletionsOptions
from runtime.errors import InvalidOptionError, ToolDefinitionError
from runtime.values.message import user
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.thinking import ThinkingLevel
from runtime.values.tool import GrammarSampling, GrammarVariants, JsonSchemaSampling, Tool
from tests.providers.completions_lab import (
    PROXY,
    WEATHER,
    call_of,
    model_of,
    own,
    payload_of,
    result_of,
)

MODEL = model_of()
HI = user("hi")
LIMITS = ("max_tokens", "max_completion_tokens")


def tool_with(sampling, **schema):
    return Tool("t", "Does t", {"type": "object", **schema}, sampling)


# Fields


def test_a_simple_call_of_a_plain_model():
    """Nothing else is sent, and in this order."""
    payload = payload_of(MODEL, HI, options=SimpleStreamOptions())
    assert list(payload.items()) == [
        ("model", "m"),
        ("messages", [{"role": "user", "content": "hi"}]),
        ("stream", True),
        ("stream_options", {"include_usage": True}),
        ("store", False),
        ("max_completion_tokens", 16384),
    ]


def test_what_the_endpoint_does_not_take_is_left_out():
    """Usage on request and the ban on storing are both optional."""
    modest = model_of(compat={"supports_store": False, "supports_usage_in_streaming": False})
    assert set(payload_of(modest, HI)) == {"model", "messages", "stream"}


@pytest.mark.parametrize(("limit", "sent"), [(None, {}), (0, {}), (1234, {"max_completion_tokens": 1234})])
def test_the_output_limit_is_sent_when_there_is_one(limit, sent):
    """0 is none."""
    payload = payload_of(MODEL, HI, options=StreamOptions(max_tokens=limit))
    assert {name: payload[name] for name in LIMITS if name in payload} == sent


def test_the_output_limit_takes_the_endpoints_name():
    """Older servers know another one."""
    model = model_of(compat={"max_tokens_field": "max_tokens"})
    payload = payload_of(model, HI, options=StreamOptions(max_tokens=5))
    assert [name for name in LIMITS if name in payload] == ["max_tokens"]


@pytest.mark.parametrize("requested", [None, 7000])
def test_a_simple_call_fits_the_limit_to_the_window(requested):
    """What the context is estimated to take, and a margin, is left alone."""
    model = model_of(context_window=10_000, max_tokens=8_000)
    payload = payload_of(model, user("x" * 8_000), options=SimpleStreamOptions(max_tokens=requested))
    assert payload["max_completion_tokens"] == 3904


def test_a_simple_call_of_a_model_of_unknown_size_has_no_limit():
    """The provider has a default of its own."""
    payload = payload_of(model_of(context_window=0, max_tokens=0), HI, options=SimpleStreamOptions())
    assert not any(name in payload for name in LIMITS)


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_the_temperature_is_sent_when_it_is_set(temperature):
    """Also 0."""
    assert payload_of(MODEL, HI, options=StreamOptions(temperature=temperature))["temperature"] == temperature


# Options


@pytest.mark.parametrize(
    ("given", "choice", "effort"),
    [
        ({"toolChoice": "required", "reasoningEffort": "high"}, "required", "high"),
        (
            {"toolChoice": {"type": "function", "function": {"name": "t"}}},
            {"type": "function", "function": {"name": "t"}},
            None,
        ),
        ({"tool_choice": "required", "reasoning_effort": "high"}, None, None),
        ({"reasoningEffort": "off"}, None, None),
        ({"reasoningEffort": "very"}, None, None),
        ({"reasoningEffort": 3}, None, None),
    ],
)
def test_provider_options_have_their_names_on_the_wire(given, choice, effort):
    """Other spellings and values that are no level are ignored."""
    payload = payload_of(MODEL, HI, options=StreamOptions(provider_options=given))
    assert payload.get("tool_choice") == choice
    assert payload.get("reasoning_effort") == effort


def test_a_simple_call_takes_a_tool_choice_only():
    """The effort has an option of its own."""
    given = {"toolChoice": "required", "reasoningEffort": "high"}
    payload = payload_of(MODEL, HI, options=SimpleStreamOptions(provider_options=given), tools=[WEATHER])
    assert payload["tool_choice"] == "required"
    assert payload["tools"]
    assert "reasoning_effort" not in payload


def test_typed_options_are_checked_when_they_are_made():
    """A level that is none, and a choice that is no JSON."""
    assert OpenAICompletionsOptions(reasoning_effort="high").reasoning_effort is ThinkingLevel.High
    for wrong in ({"reasoning_effort": "very"}, {"tool_choice": object()}, {"temperature": "hot"}):
        with pytest.raises(InvalidOptionError):
            OpenAICompletionsOptions(**wrong)


def test_a_full_call_does_not_clamp():
    """What was asked is sent, also when the model is not known to take it."""
    options = OpenAICompletionsOptions(reasoning_effort=ThinkingLevel.Xhigh)
    assert payload_of(MODEL, HI, options=options)["reasoning_effort"] == "xhigh"


# Tools


def test_a_tool_is_a_function_with_its_schema_whole():
    """Not strict unless that is asked for."""
    assert payload_of(MODEL, HI, tools=[WEATHER])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Weather of a city",
                "parameters": WEATHER.parameters,
                "strict": False,
            },
        }
    ]


def test_without_tools_there_is_no_key():
    """Some servers refuse an empty list."""
    assert "tools" not in payload_of(MODEL, HI)


@pytest.mark.parametrize(
    "history",
    [(own(call_of()), result_of(1)), (own(call_of()),), (result_of(1),)],
    ids=["both", "call", "result"],
)
def test_a_transcript_with_calls_brings_an_empty_list(history):
    """Others insist on the key then."""
    assert payload_of(MODEL, HI, *history)["tools"] == []


@pytest.mark.parametrize("how", ["prefer", "require"])
def test_strict_is_sent_for_constrained_sampling(how):
    """Whether it is preferred or required."""
    tools = payload_of(MODEL, HI, tools=[tool_with(JsonSchemaSampling(how))])["tools"]
    assert tools[0]["function"]["strict"] is True


def test_strict_is_not_sent_where_it_is_not_known():
    """The preference is dropped, the requirement an error."""
    loose = model_of(compat={"supports_strict_mode": False})
    for sampling in (None, False, JsonSchemaSampling("prefer")):
        assert "strict" not in payload_of(loose, HI, tools=[tool_with(sampling)])["tools"][0]["function"]
    text = 'Tool "t" requires JSON-schema constrained sampling, but strict tools are unsupported.'
    with pytest.raises(ToolDefinitionError, match=text):
        payload_of(loose, HI, tools=[tool_with(JsonSchemaSampling("require"))])


def grammar(**variants):
    return GrammarSampling(GrammarVariants(**variants))


TEXT = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
CUSTOM = model_of(compat={"supports_openai_grammar_tools": True})


@pytest.mark.parametrize(
    ("variants", "syntax", "definition"),
    [
        ({"openai_lark": "start: A", "openai_regex": "a+"}, "lark", "start: A"),
        ({"openai_lark": "  ", "openai_regex": "a+"}, "regex", "a+"),
    ],
)
def test_a_grammar_tool_is_a_custom_tool(variants, syntax, definition):
    """Lark is preferred; blank definitions are none."""
    assert payload_of(CUSTOM, HI, tools=[tool_with(grammar(**variants), **TEXT)])["tools"] == [
        {
            "type": "custom",
            "custom": {
                "name": "t",
                "description": "Does t",
                "format": {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}},
            },
        }
    ]


def test_a_grammar_is_dropped_where_it_is_not_known():
    """The tool is a plain function then, whatever its schema."""
    tools = payload_of(MODEL, HI, tools=[tool_with(grammar(), **TEXT)])["tools"]
    assert tools[0]["function"]["strict"] is False


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        (tool_with(grammar(), **TEXT), "no supported grammar variant was provided"),
        (Tool("t", "d", {"type": "array"}, grammar(openai_regex="a")), "requires an object parameter schema"),
        (tool_with(grammar(openai_regex="a")), "requires exactly one required string property"),
        (
            tool_with(grammar(openai_regex="a"), required=["a", "b"]),
            "requires exactly one required string property",
        ),
        (tool_with(grammar(openai_regex="a"), required=["a"]), "requires a properties entry for a"),
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
        payload_of(CUSTOM, HI, tools=[tool])


@pytest.mark.parametrize(("tools", "sent"), [([WEATHER], True), ([], None)])
def test_tools_are_streamed_where_that_is_asked_for(tools, sent):
    """Only when there are any."""
    model = model_of(compat={"zai_tool_stream": True})
    history = (own(call_of()), result_of(1))
    assert payload_of(model, HI, *history, tools=tools).get("tool_stream") is sent


def test_deferred_tools_leave_the_list():
    """Whatever the model has used already; when all are deferred, the list is empty."""
    kimi = model_of(compat={"deferred_tools_mode": "kimi"})
    history = (own(call_of(name="late")), result_of(1, added_tool_names=["late"]))
    late = Tool("late", "Late", {"type": "object"})
    names = lambda payload: [tool["function"]["name"] for tool in payload["tools"]]  # noqa: E731
    assert names(payload_of(kimi, HI, *history, tools=[WEATHER, late])) == ["get_weather"]
    assert names(payload_of(kimi, HI, *history, tools=[late])) == []
    assert names(payload_of(MODEL, HI, *history, tools=[WEATHER, late])) == ["get_weather", "late"]


# Routing


def test_nothing_is_guessed_from_names():
    """An OpenRouter model without flags is sent what OpenAI is sent."""
    model = model_of(provider="openrouter", base_url="https://openrouter.ai/api/v1", reasoning=True)
    payload = payload_of(model, HI, options=OpenAICompletionsOptions(reasoning_effort="high"))
    assert payload["reasoning_effort"] == "high"
    assert "reasoning" not in payload
    assert payload["messages"][0]["content"] == "hi"


@pytest.mark.parametrize("routing", [{"only": ["a"], "sort": "price"}, {}])
def test_openrouters_routing_is_sent_as_it_is(routing):
    """To any endpoint, also when it is empty."""
    assert payload_of(model_of(compat={"open_router_routing": routing}), HI)["provider"] == routing


@pytest.mark.parametrize(
    ("base_url", "routing", "sent"),
    [
        ("https://ai-gateway.vercel.sh/v1", {}, None),
        ("https://ai-gateway.vercel.sh/v1", {"only": None, "x": 1}, None),
        (
            "https://ai-gateway.vercel.sh/v1",
            {"only": ["a"], "order": ["b"], "x": 1},
            {"gateway": {"only": ["a"], "order": ["b"]}},
        ),
        (PROXY, {"only": ["a"]}, None),
    ],
)
def test_vercels_routing_is_sent_to_vercel(base_url, routing, sent):
    """What it knows of it."""
    model = model_of(base_url=base_url, compat={"vercel_gateway_routing": routing})
    assert payload_of(model, HI).get("providerOptions") == sent
