"""The body of a Messages request."""

import pytest

from providers.anthropic import AnthropicOptions
from runtime.errors import InvalidOptionError
from runtime.values.message import UserMessage, user
from runtime.values.options import SimpleStreamOptions, StreamOptions, ThinkingBudgets
from runtime.values.thinking import ThinkingLevel
from tests.providers.anthropic_lab import (
    ANTHROPIC,
    IMAGE,
    call_of,
    model_of,
    own,
    payload_of,
    result_of,
    tool_named,
)

HI = user("hi")
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def typed(name="m", model=None, **options):
    """The payload of a call with typed options."""
    return payload_of(model or model_of(name), HI, options=AnthropicOptions(**options))


def simple(level=None, model=None, **options):
    """The payload of a simple call at a level."""
    reasoning = None if level is None else ThinkingLevel(level)
    return payload_of(model or model_of(), HI, options=SimpleStreamOptions(reasoning=reasoning, **options))


def thinking_of(payload):
    return payload.get("thinking"), payload.get("output_config")


def enabled(budget, display="summarized"):
    return {"type": "enabled", "budget_tokens": budget, "display": display}, None


def adaptive(effort=None, display="summarized"):
    return {"type": "adaptive", "display": display}, effort and {"effort": effort}


DISABLED = ({"type": "disabled"}, None)
NOTHING = (None, None)


def test_the_least_that_is_sent():
    """Nothing that nobody asked for."""
    assert payload_of(model_of(), HI) == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]}],
        "max_tokens": 16_384,
        "stream": True,
    }


def test_the_output_limit():
    """The option, else the model's, else one that the provider takes; the plain call clamps nothing."""
    assert typed(max_tokens=10**9)["max_tokens"] == 10**9
    assert typed(max_tokens=0)["max_tokens"] == 0
    assert typed(model=model_of(max_tokens=77))["max_tokens"] == 77
    assert typed(model=model_of(max_tokens=0))["max_tokens"] == 16_384
    assert typed(model=model_of(max_tokens=0, context_window=8000))["max_tokens"] < 4000


@pytest.mark.parametrize(
    ("prompt", "sent"), [(None, None), ("", None), (" ", " "), ("Be brief.", "Be brief.")]
)
def test_the_system_prompt(prompt, sent):
    """A list of one text; an empty one is left out."""
    payload = payload_of(model_of(), HI, options=StreamOptions(cache_retention="none"), system_prompt=prompt)
    assert payload.get("system") == (None if sent is None else [{"type": "text", "text": sent}])


def test_metadata_is_the_user_id_alone():
    """If it is a string."""
    assert typed(metadata={"user_id": "u", "other": 1})["metadata"] == {"user_id": "u"}
    for metadata in ({"user_id": 7}, {"other": 1}, "u", None, {}):
        assert "metadata" not in typed(metadata=metadata)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", {"type": "any"}),
        ({"type": "tool", "name": "read"}, {"type": "tool", "name": "read"}),
        ({"x": 1}, {"x": 1}),
    ],
)
def test_the_tool_choice(choice, sent):
    """A word becomes its type, an object goes as it is; without tools too, and in simple calls."""
    assert typed(tool_choice=choice)["tool_choice"] == sent
    assert simple(provider_options={"toolChoice": choice})["tool_choice"] == sent
    assert "tool_choice" not in typed()


def test_a_temperature_goes_only_without_thinking():
    """And where the endpoint takes one."""
    assert typed(temperature=0.2, thinking_enabled=False)["temperature"] == 0.2
    assert typed(temperature=0.0)["temperature"] == 0.0
    assert "temperature" not in typed(temperature=0.2, thinking_enabled=True)
    assert typed(temperature=0.2, thinking_enabled=True, thinking_budget_tokens=5)["temperature"] == 0.2
    assert (
        typed(temperature=0.2, thinking_enabled=True, model=model_of(reasoning=False))["temperature"] == 0.2
    )
    assert "temperature" not in typed(temperature=0.0, model=model_of(compat={"supports_temperature": False}))


# Thinking


@pytest.mark.parametrize(
    "model",
    [
        model_of("claude-sonnet-4-5"),
        model_of("claude-sonnet-4-5", reasoning=True),
        model_of("claude-opus-4-8", base_url=ANTHROPIC),
        model_of("custom", compat={"force_adaptive_thinking": True}),
        model_of("claude-sonnet-5", base_url=ANTHROPIC),
    ],
)
def test_no_thinking_is_asked_for(model):
    """In both forms, without an effort."""
    assert thinking_of(typed(model=model, thinking_enabled=False, effort="high")) == DISABLED


def test_models_that_refuse_to_be_asked_for_no_thinking():
    """By their map, or at Anthropic by their id; one has a word of its own for it."""
    off = model_of(thinking_level_map={"off": None})
    assert thinking_of(typed(model=off, thinking_enabled=False)) == NOTHING
    for name in ("claude-fable-5-1", "claude-mythos-preview", "claude-opus-5-5", "claude-opus-6"):
        assert thinking_of(typed(model=model_of(name, base_url=ANTHROPIC), thinking_enabled=False)) == NOTHING
    sonnet = model_of("claude-sonnet-5-5", base_url=ANTHROPIC)
    assert thinking_of(typed(model=sonnet, thinking_enabled=False)) == ({"type": "between_tools"}, None)
    assert thinking_of(typed("claude-fable-5-1", thinking_enabled=False)) == DISABLED


def test_nothing_is_said_of_thinking_unless_somebody_asks():
    """Nor to a model that does not reason."""
    assert thinking_of(typed(effort="high", thinking_budget_tokens=2048)) == NOTHING
    assert thinking_of(typed(model=model_of(reasoning=False), thinking_enabled=True)) == NOTHING
    assert thinking_of(typed(model=model_of(reasoning=False), thinking_enabled=False)) == NOTHING


def test_thinking_with_a_budget():
    """The smallest by default, and then no effort."""
    assert thinking_of(typed(thinking_enabled=True)) == enabled(1024)
    assert thinking_of(
        typed("custom", thinking_enabled=True, effort="medium", thinking_budget_tokens=2048)
    ) == enabled(2048)
    assert thinking_of(typed(thinking_enabled=True, thinking_display="omitted")) == enabled(1024, "omitted")
    assert thinking_of(typed(thinking_enabled=True, thinking_budget_tokens=1023)) == DISABLED


def test_thinking_with_an_effort():
    """The flag decides; an effort that nobody named is the provider's."""
    model = model_of("custom", compat={"force_adaptive_thinking": True})
    assert thinking_of(typed(model=model, thinking_enabled=True, effort="xhigh")) == adaptive("xhigh")
    assert thinking_of(typed(model=model, thinking_enabled=True, effort="medium")) == adaptive("medium")
    assert thinking_of(typed(model=model, thinking_enabled=True, thinking_budget_tokens=5)) == adaptive()
    assert thinking_of(typed(model=model, thinking_enabled=True, thinking_display="omitted")) == adaptive(
        display="omitted"
    )


@pytest.mark.parametrize(
    ("name", "adapts"),
    [
        ("claude-opus-4-6", True), ("claude-sonnet-4-6", True), ("claude-opus-4-8", True), ("claude-sonnet-5", True),
        ("claude-fable-5", True), ("claude-mythos-preview", True), ("claude-haiku-5-5", True), ("claude-opus-10-1", True),
        ("claude-opus-4-5", False), ("claude-sonnet-4-20250514", False), ("claude-opus-4-1-20250805", False),
        ("claude-haiku-4-5", False), ("claude-haiku-4-6", False), ("claude-3-7-sonnet-20250219", False), ("claude-opus-4.6", False),
        ("my-claude-opus-4-6", False), ("claude", False), ("claude-opus", False), ("claude-opus-latest", False), ("claude-opus-4-x", False),
    ],
)  # fmt: skip
def test_the_form_follows_from_the_id_at_anthropic(name, adapts):
    """Nowhere else, and not where the flag says otherwise."""
    form = adaptive() if adapts else enabled(1024)
    assert thinking_of(typed(model=model_of(name, base_url=ANTHROPIC + "/"), thinking_enabled=True)) == form
    assert thinking_of(typed(name, thinking_enabled=True)) == enabled(1024)
    flagged = model_of(name, base_url=ANTHROPIC, compat={"force_adaptive_thinking": not adapts})
    assert thinking_of(typed(model=flagged, thinking_enabled=True)) == (
        enabled(1024) if adapts else adaptive()
    )


def test_a_base_url_that_is_none_is_not_anthropics():
    """It fails later, and says how."""
    model = model_of("claude-opus-4-8").model_copy(update={"base_url": "http://[x"})
    assert thinking_of(typed(model=model, thinking_enabled=True)) == enabled(1024)


# Simple calls


def test_a_simple_call_fits_budget_and_limit_into_the_window():
    """The thinking comes on top of the answer, as far as there is room."""
    model = model_of(context_window=10_000, max_tokens=8000)
    payload = payload_of(
        model, user("x" * 8000), options=SimpleStreamOptions(reasoning=ThinkingLevel.High, max_tokens=7000)
    )
    assert (payload["max_tokens"], thinking_of(payload)) == (3904, enabled(2880))
    plain = simple("high")
    assert (plain["max_tokens"], thinking_of(plain)) == (16_384, enabled(15_360))
    roomy = simple("medium", model_of(max_tokens=64_000), max_tokens=1000)
    assert (roomy["max_tokens"], thinking_of(roomy)) == (9192, enabled(8168))


@pytest.mark.parametrize(
    ("level", "budget"),
    [
        ("minimal", 1024),
        ("low", 2048),
        ("medium", 8192),
        ("high", 16_384),
        ("xhigh", 16_384),
        ("max", 16_384),
    ],
)
def test_the_budget_of_a_level(level, budget):
    """Unless the options have another."""
    model = model_of(max_tokens=64_000, thinking_level_map={"xhigh": "xhigh", "max": "max"})
    assert thinking_of(simple(level, model)) == enabled(budget)
    budgets = ThinkingBudgets(minimal=3000, low=3000, medium=3000, high=3000)
    assert thinking_of(simple(level, model, thinking_budgets=budgets)) == enabled(3000)


def test_a_budget_that_is_too_small_asks_for_no_thinking():
    """And leaves the limit as it was asked for."""
    payload = simple("low", model_of(max_tokens=1500), max_tokens=1000)
    assert (payload["max_tokens"], thinking_of(payload)) == (1000, DISABLED)
    tiny = simple("high", thinking_budgets=ThinkingBudgets(high=1023))
    assert thinking_of(tiny) == DISABLED
    unknown = simple("low", model_of(max_tokens=0))
    assert (unknown["max_tokens"], thinking_of(unknown)) == (3072, enabled(2048))


@pytest.mark.parametrize(
    ("level", "levels", "effort"),
    [
        ("minimal", {}, "low"), ("low", {}, "low"), ("medium", {}, "medium"), ("high", {}, "high"), ("xhigh", {}, "high"), ("max", {}, "high"),
        ("xhigh", {"xhigh": "xhigh"}, "xhigh"), ("max", {"max": "max"}, "max"), ("high", {"high": "low"}, "low"),
        ("high", {"high": "nonsense"}, "high"), ("minimal", {"minimal": None}, "low"), ("max", {"xhigh": "xhigh"}, "xhigh"),
    ],
)  # fmt: skip
def test_the_effort_of_a_level(level, levels, effort):
    """The model's word for it; the output limit stays."""
    model = model_of(thinking_level_map=levels, compat={"force_adaptive_thinking": True})
    payload = simple(level, model, max_tokens=500)
    assert (payload["max_tokens"], thinking_of(payload)) == (500, adaptive(effort))


def test_a_simple_call_without_a_level():
    """Says so to a model that is known to reason, and on demand; otherwise it is the provider's choice."""
    assert thinking_of(simple()) == NOTHING
    assert thinking_of(simple("off")) == DISABLED
    assert thinking_of(simple(None, model_of(reasoning=True))) == DISABLED
    assert thinking_of(simple("off", model_of(reasoning=False))) == NOTHING


def test_a_level_for_a_model_that_does_not_reason_is_ignored_with_a_warning(caplog):
    """It is clamped to off."""
    assert thinking_of(simple("high", model_of("dull", reasoning=False))) == NOTHING
    assert "thinking level ignored" in caplog.text
    assert thinking_of(simple("low", model_of(thinking_level_map={"low": None, "minimal": None}))) == enabled(
        8192
    )


# Marks for the cache


def marks_of(retention=None, compat=None):
    options = StreamOptions(cache_retention=retention)
    model = model_of(compat=compat)
    payload = payload_of(
        model, HI, options=options, system_prompt="Be brief.", tools=[tool_named("a"), tool_named("b")]
    )
    last = payload["messages"][-1]["content"]
    return (
        [block.get("cache_control") for block in payload["system"]],
        [tool.get("cache_control") for tool in payload["tools"]],
        last if isinstance(last, str) else [block.get("cache_control") for block in last],
    )


def test_system_last_tool_and_last_message_are_marked():
    """For as long as was asked for, short by default."""
    assert marks_of() == marks_of("short") == ([MARK], [None, MARK], [MARK])
    assert marks_of("long") == ([HOUR], [None, HOUR], [HOUR])
    assert marks_of("none") == ([None], [None, None], "hi")
    assert marks_of("long", {"supports_long_cache_retention": False}) == ([MARK], [None, MARK], [MARK])
    assert marks_of("short", {"supports_cache_control_on_tools": False}) == ([MARK], [None, None], [MARK])


def test_pis_variable_is_not_read(monkeypatch):
    """What is kept where is said in the options."""
    monkeypatch.setenv("PI_CACHE_RETENTION", "long")
    assert marks_of() == ([MARK], [None, MARK], [MARK])


def test_the_last_block_of_the_last_message_is_marked():
    """Text, image or result; never one of the model's own."""
    call = own(call_of(1), call_of(2))
    for messages in (
        (UserMessage((IMAGE, *user("x", [IMAGE]).content)),),
        (HI, call, result_of(1, "a"), result_of(2, "b")),
    ):
        last = payload_of(model_of(), *messages)["messages"][-1]["content"]
        assert [block.get("cache_control") for block in last] == [None] * (len(last) - 1) + [MARK]
    assert "cache_control" not in str(payload_of(model_of(), HI, own(*user("x", [IMAGE]).content[:1])))
    assert payload_of(model_of())["messages"] == []


# provider_options


def test_the_options_of_the_wire_by_their_names_in_json():
    """All six; other spellings are ignored."""
    given = {
        "thinkingEnabled": True, "thinkingBudgetTokens": 2048, "effort": "high", "thinkingDisplay": "omitted",
        "interleavedThinking": False, "toolChoice": "auto",
    }  # fmt: skip
    payload = payload_of(model_of(), HI, options=StreamOptions(provider_options=given))
    assert thinking_of(payload) == enabled(2048, "omitted")
    assert payload["tool_choice"] == {"type": "auto"}
    adapting = model_of(compat={"force_adaptive_thinking": True})
    assert thinking_of(payload_of(adapting, HI, options=StreamOptions(provider_options=given))) == adaptive(
        "high", "omitted"
    )
    snake = {"thinking_enabled": True, "thinking_budget_tokens": 2048, "tool_choice": "auto"}
    assert payload_of(model_of(), HI, options=StreamOptions(provider_options=snake)) == payload_of(
        model_of(), HI
    )


@pytest.mark.parametrize(
    "given",
    [
        {"thinkingEnabled": 1}, {"thinkingEnabled": "true"}, {"effort": "hard"}, {"effort": 3}, {"thinkingDisplay": "all"},
        {"thinkingBudgetTokens": -1}, {"thinkingBudgetTokens": 2**32}, {"thinkingBudgetTokens": True}, {"interleavedThinking": None},
    ],
)  # fmt: skip
def test_wrong_values_count_as_unset(given):
    """There; typed options refuse them."""
    options = StreamOptions(provider_options=given)
    assert payload_of(model_of(), HI, options=options) == payload_of(model_of(), HI)


@pytest.mark.parametrize(
    "given",
    [
        {"thinking_enabled": 1}, {"effort": "hard"}, {"effort": 3}, {"thinking_display": "all"}, {"thinking_budget_tokens": -1},
        {"thinking_budget_tokens": True}, {"thinking_budget_tokens": "9"}, {"interleaved_thinking": None}, {"tool_choice": {1}},
    ],
)  # fmt: skip
def test_typed_options_are_checked(given):
    """Where they are made."""
    with pytest.raises(InvalidOptionError):
        AnthropicOptions(**given)
