"""The body of a Responses request, field by field."""

import pytest

from providers.openai.responses_options import OpenAIResponsesOptions
from runtime.errors import InvalidOptionError
from runtime.values.compat import ModelCompat
from runtime.values.message import user
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.thinking import ThinkingLevel
from tests.providers.responses_lab import OPENAI, WEATHER, model_of, payload_of

MODEL = model_of()
THINKER = model_of(reasoning=True)
HI = user("hi")
SESSION = "x" * 64 + "tail"
ENCRYPTED = ["reasoning.encrypted_content"]
CACHE = ("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options")


def sent(model, options, *names):
    payload = payload_of(model, HI, options=options)
    return {name: payload[name] for name in names if name in payload}


def thinking(model, **options):
    """What is asked of a model's thinking."""
    return sent(model, OpenAIResponsesOptions(**options), "reasoning", "include")


# Fields


def test_a_simple_call_of_a_plain_model():
    """Nothing else is sent, and in this order."""
    assert list(payload_of(MODEL, HI, options=SimpleStreamOptions()).items()) == [
        ("model", "m"),
        ("input", [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]),
        ("stream", True),
        ("store", False),
        ("max_output_tokens", 16384),
    ]


@pytest.mark.parametrize(("limit", "field"), [(None, {}), (0, {}), (1, 16), (16, 16), (1234, 1234)])
def test_the_output_limit_is_sent_when_there_is_one(limit, field):
    """At least the 16 tokens that the API wants; 0 is none."""
    expected = field and {"max_output_tokens": field}
    assert sent(MODEL, StreamOptions(max_tokens=limit), "max_output_tokens") == expected


@pytest.mark.parametrize("requested", [None, 7000])
def test_a_simple_call_fits_the_limit_to_the_window(requested):
    """What the context is estimated to take, and a margin, is left alone."""
    model = model_of(context_window=10_000, max_tokens=8_000)
    payload = payload_of(model, user("x" * 8_000), options=SimpleStreamOptions(max_tokens=requested))
    assert payload["max_output_tokens"] == 3904


@pytest.mark.parametrize("model", [MODEL, THINKER])
@pytest.mark.parametrize("temperature", [0, 0.7])
def test_the_temperature_is_sent_when_it_is_set(model, temperature):
    """Also 0, and to models that reason."""
    assert sent(model, StreamOptions(temperature=temperature), "temperature") == {"temperature": temperature}


def test_the_service_tier_is_sent_as_it_is():
    """The provider knows the names."""
    assert sent(MODEL, OpenAIResponsesOptions(service_tier="priority"), "service_tier") == {
        "service_tier": "priority"
    }


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "t"}])
def test_the_tool_choice_is_sent_as_it_is(choice):
    """Also without tools; by its typed option and by its name on the wire."""
    for options in (
        OpenAIResponsesOptions(tool_choice=choice),
        StreamOptions(provider_options={"toolChoice": choice}),
        SimpleStreamOptions(provider_options={"toolChoice": choice}),
    ):
        assert sent(MODEL, options, "tool_choice", "tools") == {"tool_choice": choice}


def test_what_the_api_remembers_is_not_used():
    """Everything goes with each request."""
    options = OpenAIResponsesOptions(metadata={"user_id": "u"}, session_id="s", reasoning_effort="low")
    payload = payload_of(THINKER, HI, options=options, system_prompt="s", tools=[WEATHER])
    unwanted = {
        "instructions",
        "previous_response_id",
        "metadata",
        "session_id",
        "user",
        "truncation",
        "text",
    }
    assert not unwanted & payload.keys()
    assert payload["store"] is False


# Options


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"reasoningEffort": "high"}, {"reasoning": {"effort": "high", "summary": "auto"}}),
        ({"reasoningSummary": "concise"}, {"reasoning": {"effort": "medium", "summary": "concise"}}),
        ({"reasoningSummary": None}, {"reasoning": {"effort": "none"}}),
        ({"serviceTier": "flex"}, {"service_tier": "flex", "reasoning": {"effort": "none"}}),
        ({"reasoningEffort": "off"}, {"reasoning": {"effort": "none"}}),
        ({"reasoningEffort": "none"}, {"reasoning": {"effort": "none"}}),
        ({"reasoningEffort": 3, "reasoningSummary": 4, "serviceTier": 5}, {"reasoning": {"effort": "none"}}),
        (
            {
                "reasoning_effort": "high",
                "reasoning_summary": "auto",
                "service_tier": "flex",
                "tool_choice": "required",
            },
            {"reasoning": {"effort": "none"}},
        ),
    ],
)
def test_provider_options_have_their_names_on_the_wire(given, fields):
    """Other spellings and values that make no sense are ignored."""
    options = StreamOptions(provider_options=given)
    assert sent(THINKER, options, "reasoning", "service_tier", "tool_choice") == fields


def test_a_simple_call_takes_a_tool_choice_only():
    """The effort has an option of its own."""
    given = {
        "toolChoice": "required",
        "reasoningEffort": "high",
        "reasoningSummary": "auto",
        "serviceTier": "flex",
    }
    options = SimpleStreamOptions(provider_options=given)
    assert sent(MODEL, options, "tool_choice", "reasoning", "service_tier") == {"tool_choice": "required"}


def test_typed_options_are_checked_when_they_are_made():
    """A level that is none, texts that are none, a choice that is no JSON."""
    assert OpenAIResponsesOptions(reasoning_effort="high").reasoning_effort is ThinkingLevel.High
    for wrong in (
        {"reasoning_effort": "very"},
        {"reasoning_summary": 1},
        {"service_tier": 1},
        {"tool_choice": object()},
        {"temperature": "hot"},
    ):
        with pytest.raises(InvalidOptionError):
            OpenAIResponsesOptions(**wrong)


# Thinking


@pytest.mark.parametrize(
    ("options", "effort", "summary"),
    [
        ({"reasoning_effort": "low"}, "low", "auto"),
        ({"reasoning_effort": "low", "reasoning_summary": "detailed"}, "low", "detailed"),
        ({"reasoning_effort": "off", "reasoning_summary": "concise"}, "medium", "concise"),
        ({"reasoning_summary": "concise"}, "medium", "concise"),
        ({"reasoning_summary": ""}, "medium", "auto"),
        ({"reasoning_effort": "xhigh"}, "xhigh", "auto"),
    ],
)
def test_thinking_is_asked_for_with_its_encrypted_content(options, effort, summary):
    """By an effort or by a summary; without the encrypted content it could not go back."""
    for model in (THINKER, MODEL):
        assert thinking(model, **options) == {
            "reasoning": {"effort": effort, "summary": summary},
            "include": ENCRYPTED,
        }


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"reasoning": True}, {"reasoning": {"effort": "none"}}),
        ({"reasoning": True, "thinking_level_map": {"off": "none"}}, {"reasoning": {"effort": "none"}}),
        ({"reasoning": True, "thinking_level_map": {"off": "minimal"}}, {"reasoning": {"effort": "minimal"}}),
        ({"reasoning": True, "thinking_level_map": {"off": None}}, {}),
        ({"reasoning": True, "provider": "github-copilot"}, {}),
        ({"reasoning": True, "provider": "xai"}, {"reasoning": {"effort": "none"}, "include": ENCRYPTED}),
        ({"reasoning": True, "provider": "xai", "thinking_level_map": {"off": None}}, {"include": ENCRYPTED}),
        ({}, {}),
        ({"thinking_level_map": {"off": "none"}}, {"reasoning": {"effort": "none"}}),
        ({"provider": "xai"}, {}),
        ({"reasoning": False}, {}),
        ({"reasoning": False, "provider": "xai"}, {}),
    ],
)
def test_no_thinking_is_asked_for_where_that_is_possible(settings, fields):
    """By the model's word for it; nothing is said to a model that may not reason."""
    assert thinking(model_of(**settings)) == fields
    assert thinking(model_of(**settings), reasoning_effort="off") == fields


def test_a_model_that_does_not_reason_is_not_asked_to():
    """Whatever the call says."""
    assert thinking(model_of(reasoning=False), reasoning_effort="high", reasoning_summary="auto") == {}


@pytest.mark.parametrize(("word", "effort"), [("highest", "highest"), (None, "high")])
def test_a_level_goes_by_the_models_word_for_it(word, effort):
    """A full call does not clamp: a level that the map removes goes by its own name."""
    model = model_of(reasoning=True, thinking_level_map={"high": word})
    assert thinking(model, reasoning_effort="high")["reasoning"]["effort"] == effort


@pytest.mark.parametrize(
    ("level_map", "wanted", "effort"),
    [
        ({"max": "max"}, "max", "max"),
        ({}, "max", "high"),
        ({"minimal": None}, "minimal", "low"),
        ({}, "off", None),
    ],
)
def test_a_simple_call_clamps_the_level(level_map, wanted, effort):
    """To the nearest one that the model takes."""
    model = model_of(reasoning=True, thinking_level_map=level_map)
    expected = {"effort": "none"} if effort is None else {"effort": effort, "summary": "auto"}
    assert sent(model, SimpleStreamOptions(reasoning=wanted), "reasoning") == {"reasoning": expected}


# Caching


@pytest.mark.parametrize(
    ("flags", "retention", "session", "fields"),
    [
        ({}, "long", SESSION, {"prompt_cache_key": "x" * 64, "prompt_cache_retention": "24h"}),
        ({}, "short", SESSION, {"prompt_cache_key": "x" * 64}),
        ({}, None, SESSION, {"prompt_cache_key": "x" * 64}),
        ({}, "none", SESSION, {}),
        ({}, "long", None, {"prompt_cache_retention": "24h"}),
        ({"supports_long_cache_retention": False}, "long", SESSION, {"prompt_cache_key": "x" * 64}),
        (
            {"supports_explicit_prompt_cache_mode": True},
            "none",
            SESSION,
            {"prompt_cache_options": {"mode": "explicit"}},
        ),
        ({"supports_explicit_prompt_cache_mode": True}, "short", None, {}),
    ],
)
def test_the_session_is_a_cache_key(flags, retention, session, fields):
    """At any endpoint, at most 64 characters of it; how long to keep it depends on what the endpoint takes."""
    options = StreamOptions(cache_retention=retention, session_id=session)
    assert sent(model_of(compat=flags), options, *CACHE) == fields


@pytest.mark.parametrize("affinity", ["openai", "openai-nosession", "openrouter"])
def test_the_headers_of_a_session_do_not_change_its_key(affinity):
    """The body never names the session otherwise."""
    model = model_of(compat={"session_affinity_format": affinity})
    payload = payload_of(model, HI, options=StreamOptions(session_id="s-1"))
    assert payload["prompt_cache_key"] == "s-1"
    assert "session_id" not in payload


def test_the_environment_does_not_change_the_retention(monkeypatch):
    """Variables of other programs are not read."""
    monkeypatch.setenv("PI_CACHE_RETENTION", "long")
    options = StreamOptions(env={"PI_CACHE_RETENTION": "long"}, session_id="s")
    assert sent(MODEL, options, *CACHE) == {"prompt_cache_key": "s"}


# What is known of OpenAI's models


@pytest.mark.parametrize(
    ("name", "grammar"),
    [
        ("gpt-5", True), ("gpt-5.4", True), ("gpt-5-mini", True), ("gpt-10-x", True), ("gpt-6", True),
        ("gpt-4.1", None), ("gpt-4o", None), ("o3", None), ("my-gpt-5", None), ("gpt-5o", None), ("gpt-", None),
    ],
)  # fmt: skip
def test_grammars_are_taken_from_gpt_5_on(name, grammar):
    """Strict schemas by all of them."""
    compat = model_of(name, base_url=OPENAI).compat
    assert (compat.supports_strict_mode, compat.supports_openai_grammar_tools) == (True, grammar)


@pytest.mark.parametrize(
    ("name", "provider", "search"),
    [
        ("gpt-5.4", "openai", True), ("gpt-5.4-mini", "openai", True), ("gpt-5.4-pro", "openai", True),
        ("gpt-5.5", "openai", True), ("gpt-5.6-sol", "openai", True), ("gpt-5.6-terra", "openai", True),
        ("gpt-5.6-luna", "openai", True), ("gpt-5.2", "openai", None), ("gpt-5.4-nano", "openai", None),
        ("gpt-5.5-pro", "openai", None), ("gpt-5.4", "mine", None),
    ],
)  # fmt: skip
def test_tool_search_is_taken_by_a_few(name, provider, search):
    """At OpenAI only."""
    assert model_of(name, provider=provider).compat.supports_tool_search is search


def test_what_is_declared_is_laid_over_what_is_known():
    """The model's flags over the handle's, and None takes one back."""
    model = model_of("gpt-5.4", compat={"supports_tool_search": False, "supports_strict_mode": None})
    assert (model.compat.supports_tool_search, model.compat.supports_strict_mode) == (False, None)
    assert model.compat.supports_openai_grammar_tools is True


def test_the_flags_are_written_and_read():
    """By the names that pi and ai.rs know."""
    compat = ModelCompat(supports_tool_search=True, send_session_id_header=False)
    assert compat.model_dump() == {"sendSessionIdHeader": False, "supportsToolSearch": True}
    assert ModelCompat.model_validate(compat.model_dump()) == compat
