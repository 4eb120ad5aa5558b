import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime.testing.strategies import models, usages
from runtime.values.compat import ChatTemplateVariable, ModelCompat
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.model import (
    Bindings,
    Model,
    ModelCost,
    ModelCostTier,
    calculate_cost,
    clamp_thinking_level,
    empty_message,
    get_supported_thinking_levels,
    models_are_equal,
    same_model,
)
from runtime.values.thinking import LEVELS, ThinkingLevel
from runtime.values.usage import Usage

Off, Minimal, Low, Medium, High, Xhigh, Max = LEVELS
MODEL = {
    "id": "i",
    "name": "n",
    "api": "a",
    "provider": "p",
    "baseUrl": "u",
    "input": [],
    "cost": {"input": 0.0, "output": 0.0, "cacheRead": 0.0, "cacheWrite": 0.0},
    "contextWindow": 0,
    "maxTokens": 0,
    "compat": {},
}


def dumped(value):
    return json.loads(value.model_dump_json())


def thinker(**level_map):
    return Model("i", reasoning=True, thinking_level_map=level_map)


# JSON


def test_a_bare_model_writes_what_is_always_written():
    """Keys that are empty are absent, compat is always there, and an unknown ``reasoning`` is not a false one."""
    assert [*dumped(Model("i", "n", "a", "p", "u")).items()] == [*MODEL.items()]
    assert dumped(Model("i", reasoning=False))["reasoning"] is False


@given(models())
def test_any_model_comes_back_from_json(model):
    """Writing and reading a model gives an equal one."""
    assert Model.model_validate_json(model.model_dump_json()) == model
    assert Model.model_validate(dumped(model)) == model


@pytest.mark.parametrize(
    "key", ["id", "name", "api", "provider", "baseUrl", "cost", "contextWindow", "maxTokens"]
)
def test_a_model_without_a_required_key_is_refused(key):
    """What identifies, prices and limits a model must be in its JSON."""
    with pytest.raises(ValidationError, match=key):
        Model.model_validate({k: v for k, v in MODEL.items() if k != key})


@pytest.mark.parametrize("rate", ["input", "output", "cacheRead", "cacheWrite"])
def test_a_cost_without_a_rate_is_refused(rate):
    """A price list has four rates, in a tier too."""
    cost = {key: value for key, value in MODEL["cost"].items() if key != rate}
    for bad in (cost, {**MODEL["cost"], "tiers": [{"inputTokensAbove": 1, **cost}]}):
        with pytest.raises(ValidationError, match=rate):
            Model.model_validate({**MODEL, "cost": bad})


def test_a_cost_tier_round_trips():
    """Tiers keep their threshold and rates."""
    cost = ModelCost(1, 2, 3, 4, [ModelCostTier(272_000, 2, 3, 4, 5)])
    assert dumped(cost)["tiers"][0]["inputTokensAbove"] == 272_000
    assert ModelCost.model_validate_json(cost.model_dump_json()) == cost


def test_a_ref_has_exactly_three_names():
    """A model's name is its provider, API and id."""
    assert dumped(Model("i", api="a", provider="p").ref) == {"providerId": "p", "apiId": "a", "id": "i"}


def test_level_maps_write_null_for_a_removed_level():
    """A removed level is null in the JSON, which is not the same as absent."""
    model = thinker(off=None, xhigh="extra")
    assert dumped(model)["thinkingLevelMap"] == {"off": None, "xhigh": "extra"}
    assert Model.model_validate_json(model.model_dump_json()) == model


# Compat


@pytest.mark.parametrize(
    "flags",
    [
        {"sessionAffinityFormat": "openai"},
        {"sessionAffinityFormat": "openai-nosession"},
        {"sessionAffinityFormat": "openrouter"},
        {"sendSessionIdHeader": False},
        {
            "supportsDeveloperRole": True,
            "supportsLongCacheRetention": True,
            "supportsStrictMode": False,
            "supportsToolSearch": True,
        },
        {"supportsTemperature": False},
        {"deferredToolsMode": "kimi", "supportsToolSearch": True, "supportsToolReferences": True},
        {"openRouterRouting": {"order": ["a"]}, "vercelGatewayRouting": [1], "zaiToolStream": True},
        {
            "thinkingFormat": "chat-template",
            "cacheControlFormat": "anthropic",
            "maxTokensField": "max_tokens",
        },
    ],
    ids=lambda flags: "-".join(flags),
)
def test_compat_flags_round_trip_alone(flags):
    """Each set of flags reads, and writes nothing besides."""
    assert dumped(ModelCompat.model_validate(flags)) == flags
    assert dumped(Model.model_validate({**MODEL, "compat": flags}))["compat"] == flags


def test_chat_template_values_have_exact_json():
    """Variables, flags, numbers and null are kept apart."""
    compat = ModelCompat(
        thinking_format="chat-template",
        chat_template_kwargs={
            "enable": ChatTemplateVariable("thinking.enabled"),
            "effort": ChatTemplateVariable("thinking.effort", True),
            "flag": True,
            "number": 0.5,
            "count": 3,
            "word": "high",
            "nothing": None,
        },
    )
    assert dumped(compat)["chatTemplateKwargs"] == {
        "enable": {"$var": "thinking.enabled"},
        "effort": {"$var": "thinking.effort", "omitWhenOff": True},
        "flag": True,
        "number": 0.5,
        "count": 3,
        "word": "high",
        "nothing": None,
    }
    assert ModelCompat.model_validate_json(compat.model_dump_json()) == compat


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), [1], {"$var": "thinking.mood"}, {"$var": 1}, {"other": 1}],
)
def test_other_chat_template_values_are_refused(value):
    """Lists, unknown variables and numbers that JSON has not are errors."""
    with pytest.raises(ValidationError):
        ModelCompat(chat_template_kwargs={"x": value})


def test_pis_spelling_of_grammar_tools_is_read():
    """Both spellings are read, one is written."""
    for key in ("supportsOpenaiGrammarTools", "supportsOpenAIGrammarTools"):
        assert dumped(ModelCompat.model_validate({key: True})) == {"supportsOpenaiGrammarTools": True}


def test_flags_can_be_laid_over_others():
    """What the upper one sets wins, a None that was set as well; the rest stays."""
    below = ModelCompat(supports_store=True, supports_strict_mode=True)
    assert below.overlaid(ModelCompat(supports_store=False)) == ModelCompat(
        supports_store=False, supports_strict_mode=True
    )
    assert below.overlaid({"supportsStore": None}) == ModelCompat(supports_strict_mode=True)
    assert below.overlaid(None) is below


# Thinking levels


@pytest.mark.parametrize(
    ("model", "supported"),
    [
        (thinker(), LEVELS[:5]),
        (thinker(off=None, minimal=None, low=None, xhigh="x", max="m"), (Medium, High, Xhigh, Max)),
        (thinker(xhigh=None, max="m"), (*LEVELS[:5], Max)),
        (thinker(off=None, minimal=None, xhigh="x"), (Low, Medium, High, Xhigh)),
        (thinker(off=None, minimal=None, low=None, medium=None, high=None), ()),
        (Model("i", reasoning=False, thinking_level_map={"max": "m"}), (Off,)),
        (Model("i"), LEVELS[:5]),
    ],
)
def test_the_map_decides_which_levels_there_are(model, supported):
    """A null removes a level, the two highest need an entry, a model that cannot think has only off."""
    assert get_supported_thinking_levels(model) == supported


@pytest.mark.parametrize(
    ("model", "level", "clamped"),
    [
        (thinker(), Xhigh, High),
        (thinker(), Max, High),
        (thinker(off=None, minimal=None, xhigh="x"), Off, Low),
        (thinker(off=None, minimal=None, xhigh="x"), Minimal, Low),
        (thinker(off=None, minimal=None, xhigh="x"), Max, Xhigh),
        (thinker(xhigh=None, max="m"), Xhigh, Max),
        (thinker(off=None, minimal=None, low=None, medium=None, high=None), High, Off),
        (Model("i", reasoning=False), High, Off),
    ],
)
def test_a_level_is_clamped_to_the_nearest_above_then_below(model, level, clamped):
    """The level itself, else the nearest above, else the nearest below, else off; a level's name is as good."""
    assert clamp_thinking_level(model, level) is clamped
    assert clamp_thinking_level(model, level.value) is clamped


@given(models(), st.sampled_from(LEVELS))
def test_clamping_ends_at_a_supported_level(model, level):
    """Clamping twice changes nothing, and the result is a level of the model (or off)."""
    clamped = clamp_thinking_level(model, level)
    assert clamp_thinking_level(model, clamped) is clamped
    assert clamped in (*get_supported_thinking_levels(model), Off)
    if level in get_supported_thinking_levels(model):
        assert clamped is level


def test_level_names_are_read_and_written():
    """``max`` is a level like the others, and what is no level is refused."""
    assert [level.value for level in LEVELS] == ["off", "minimal", "low", "medium", "high", "xhigh", "max"]
    assert Model.model_validate({**MODEL, "thinkingLevelMap": {"max": "m"}}).thinking_level_map == {Max: "m"}
    with pytest.raises(ValidationError):
        Model("i", thinking_level_map={"utmost": "m"})


# Cost


LARGE = ModelCostTier(272_000, input=10, output=45, cache_read=1, cache_write=12.5)
RATES = ModelCost(input=5, output=30, cache_read=0.5, cache_write=6.25, tiers=[LARGE])


def cost_of(usage, cost=RATES):
    costs = calculate_cost(Model("i", cost=cost), usage).cost
    assert costs.total == pytest.approx(costs.input + costs.output + costs.cache_read + costs.cache_write)
    return [costs.input, costs.output, costs.cache_read, costs.cache_write]


def test_a_tier_begins_above_its_threshold():
    """Base rates hold up to the threshold, cached tokens counted; one token more and the tier prices everything."""
    exactly = Usage(input=200_000, cache_read=72_000, output=100_000)
    assert cost_of(exactly) == pytest.approx([1.0, 3.0, 0.036, 0])
    more = exactly.model_copy(update={"cache_write": 1})
    assert cost_of(more) == pytest.approx([2.0, 4.5, 0.072, 0.0000125])


def test_the_highest_tier_below_the_request_holds():
    """Of several tiers the one with the greatest threshold counts, in whatever order they are listed."""
    tiers = [ModelCostTier(400_000, 20, 60, 2, 25), LARGE]
    for order in (tiers, tiers[::-1]):
        cost = ModelCost(5, 30, 0.5, 6.25, order)
        assert cost_of(Usage(input=272_000), cost)[0] == pytest.approx(1.36)
        assert cost_of(Usage(input=272_001), cost)[0] == pytest.approx(2.72001)
        assert cost_of(Usage(input=400_001, output=1_000_000), cost)[1] == pytest.approx(60.0)


def test_cache_writes_kept_for_an_hour_cost_twice_the_input():
    """Of a million cache writes, those kept longer are priced by the input rate."""
    usage = Usage(cache_write=1_000_000, cache_write_1h=400_000)
    assert cost_of(usage, RATES.model_copy(update={"tiers": ()}))[3] == pytest.approx(7.75)


@given(models(), usages())
def test_cost_changes_nothing_else(model, usage):
    """The token counts stay, the old cost goes, and the input is not touched."""
    copied = usage.model_copy(deep=True)
    priced = calculate_cost(model, usage)
    assert usage == copied
    assert priced.model_copy(update={"cost": usage.cost}) == usage
    assert calculate_cost(model, priced) == priced


# Identity


def test_models_are_equal_by_provider_api_and_id():
    """Another API is another model; a missing one equals nothing, not even itself."""
    one = Model("i", "one", api="a", provider="p")
    assert models_are_equal(one, Model("i", "other name", api="a", provider="p"))
    assert not models_are_equal(one, Model("i", api="b", provider="p"))
    assert not models_are_equal(one, None)
    assert not models_are_equal(None, None)


def test_bindings_do_not_count():
    """A bound model equals an unbound one, is another object, and writes the same JSON."""
    model = Model("i", headers={"x": "y"})
    bound = model.bound(Bindings(language=object()))
    assert bound == model
    assert bound is not model
    assert model.bindings.language is None
    assert bound.bindings.language is not None
    assert bound.model_dump_json() == model.model_dump_json()
    assert Model.model_validate_json(bound.model_dump_json()).bindings.language is None


def test_bindings_survive_copies():
    """A copy of a bound model, changed or deep, is called through the same API object."""
    api = object()
    bound = Model("i").bound(Bindings(language=api))
    for again in (bound.model_copy(update={"name": "x"}), bound.model_copy(deep=True), copy.deepcopy(bound)):
        assert again.bindings.language is api


def test_header_values_are_written_but_not_shown():
    """The repr and the errors of a model do not hold its header values."""
    model = Model("i", headers={"authorization": "Bearer hunter2hunter2"})
    assert dumped(model)["headers"] == {"authorization": "Bearer hunter2hunter2"}
    assert "hunter2" not in repr(model) + str(model)
    assert "'authorization': '***'" in repr(model)
    with pytest.raises(ValidationError) as caught:
        Model("i", headers={"authorization": "Bearer hunter2hunter2", "x": 5}, max_tokens="hunter2")
    assert "hunter2" not in str(caught.value)


def test_an_empty_reply_names_its_model():
    """An empty reply has no content and no usage, and belongs to the model."""
    model = Model("i", api="a", provider="p")
    message = empty_message(model)
    assert same_model(message, model)
    assert (message.content, message.usage, message.stop_reason) == ((), Usage(), StopReason.Stop)
    failed = empty_message(model, StopReason.Error, "no")
    assert (failed.stop_reason, failed.error_message) == (StopReason.Error, "no")
    assert not same_model(AssistantMessage(), model)


def test_models_can_be_pickled():
    """A model without bindings goes through pickle."""
    model = Model("i", cost=RATES, thinking_level_map={"max": "m"})
    assert pickle.loads(pickle.dumps(model)) == model


def test_usage_round_trips_with_and_without_its_parts():
    """The optional counts are absent by default and come back when they are there."""
    assert {"cacheWrite1h", "reasoning"}.isdisjoint(dumped(Usage()))
    usage = Usage(input=1, cache_write=5, cache_write_1h=4, reasoning=7, output=9)
    assert dumped(usage)["cacheWrite1h"] == 4
    assert dumped(usage)["reasoning"] == 7
    assert Usage.model_validate_json(usage.model_dump_json()) == usage
    keys = "input output cacheRead cacheWrite cacheWrite1h reasoning totalTokens cost"
    assert [*dumped(usage)] == keys.split()


def test_context_tokens_are_the_total_or_the_sum():
    """A provider that gives no total has it computed."""
    assert Usage(1, 2, 3, 4).context_tokens == 10
    assert Usage(1, 2, 3, 4, total_tokens=99).context_tokens == 99


def test_a_level_is_its_word():
    """Levels compare and format as their words."""
    assert ThinkingLevel("max") is Max
    assert f"{Max}" == "max" == Max


def test_repr_shows_no_credential_of_the_url():
    """Neither a user nor a query; the JSON has them, because the model could not be called without."""
    model = Model("m", base_url="https://user:word@host.example/v1?api-key=sk-secret-1")
    assert "word" not in repr(model)
    assert "sk-secret-1" not in repr(model)
    assert "https://host.example/v1" in repr(model)
    assert Model.model_validate_json(model.model_dump_json()).base_url == model.base_url
