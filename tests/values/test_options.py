import dataclasses
import json

import pytest
import trio

from runtime.errors import InvalidOptionError
from runtime.values.options import SimpleStreamOptions, StreamOptions, ThinkingBudgets, check_headers
from runtime.values.thinking import ThinkingLevel

NAN, INF = float("nan"), float("inf")
SIMPLE_ONLY = ("reasoning", "thinking_budgets")


def options(**given):
    return (SimpleStreamOptions if given.keys() & set(SIMPLE_ONLY) else StreamOptions)(**given)


BAD = [
    *(("temperature", value) for value in (True, "1", NAN, INF, -0.1)),
    *(("max_tokens", value) for value in (True, 1.0, "1", -1, NAN)),
    *(("max_retries", value) for value in (None, True, 1.5, -1)),
    *(("max_retry_delay", value) for value in (None, -1, NAN, INF, "60")),
    *((name, value) for name in ("connect_timeout", "first_event_timeout", "event_timeout") for value in (None, 0, -1)),
    *((name, value) for name in ("connect_timeout", "first_event_timeout", "event_timeout", "timeout") for value in (NAN, "1", True)),
    *(("timeout", value) for value in (0, -1)),
    *(("max_event_bytes", value) for value in (None, 0, -1, 1.0, INF)),
    *(("api_key", value) for value in (5, b"key", ["key"])),
    *(("session_id", value) for value in (5, b"id")),
    *(("cache_retention", value) for value in ("forever", True, 0)),
    *(("transport", value) for value in (None, "carrier pigeon")),
    *(("foreign_thinking", value) for value in (None, "tags")),
    *((name, value) for name in ("on_payload", "on_response") for value in ("print", 1)),
    *(("abort", value) for value in (True, object(), "now")),
    *(("headers", value) for value in (None, [("a", "b")], {"a b": "c"}, {"": "c"}, {"a": "b\nc"}, {"a": 5}, {5: "a"}, {"a": "\u20ac"})),
    *(("env", value) for value in (None, {"A": None}, {"A": 5}, {5: "A"}, "A=B")),
    *(("metadata", value) for value in (NAN, object(), {1: 2}, {"a": {5}})),
    *(("provider_options", value) for value in (None, [1], {"a": NAN}, {1: 2}, {"a": object()})),
    *(("reasoning", value) for value in ("utmost", 5, True, "")),
    *(("thinking_budgets", value) for value in ({"low": 5}, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda part: str(part)[:30])
def test_a_bad_option_is_refused_by_name(name, value):
    """A wrong type or value raises at once, and the message names the option."""
    with pytest.raises(InvalidOptionError, match=name.removesuffix("s")) as caught:
        options(**{name: value})
    assert isinstance(caught.value, ValueError)


GOOD = [
    *(("temperature", value) for value in (None, 0, 2, 0.7)),
    *(("max_tokens", value) for value in (None, 0, 1, 10**9)),
    ("max_retries", 0),
    *(("max_retry_delay", value) for value in (0, 0.5)),
    *((name, value) for name in ("connect_timeout", "first_event_timeout", "event_timeout") for value in (1, 0.5, INF)),
    *(("timeout", value) for value in (None, 1, INF)),
    ("max_event_bytes", 1),
    *(("cache_retention", value) for value in (None, "none", "short", "long")),
    *(("transport", value) for value in ("sse", "websocket", "websocket-cached", "auto")),
    *(("foreign_thinking", value) for value in ("tagged", "plain", "drop")),
    *(("headers", value) for value in ({}, {"X-A": "b", "x-c": None, "x-d": ""}, {"a": "caf\xe9"})),
    ("env", {"A": "b", "B": ""}),
    *(("metadata", value) for value in (None, {"user_id": "u"}, [1], "x")),
    ("provider_options", {"toolChoice": {"type": "auto"}, "n": None}),
    ("reasoning", None),
    ("thinking_budgets", ThinkingBudgets(low=5)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), GOOD, ids=lambda part: str(part)[:30])
def test_a_good_option_is_kept(name, value):
    """What an option may be, it is."""
    assert getattr(options(**{name: value}), name) == value


@pytest.mark.parametrize("level", ["off", "max", ThinkingLevel.Low])
def test_a_level_may_be_given_by_name(level):
    """``reasoning`` takes a level or its word, and holds a level."""
    assert options(reasoning=level).reasoning is ThinkingLevel(level)


@pytest.mark.parametrize("name", ["minimal", "low", "medium", "high"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "5"])
def test_a_bad_budget_is_refused_by_name(name, value):
    """Budgets are whole numbers."""
    with pytest.raises(InvalidOptionError, match=f"{name} must be a whole number"):
        ThinkingBudgets(**{name: value})


def test_an_abort_event_is_kept():
    """The abort signal is the caller's own event, not a copy."""
    abort = trio.Event()
    assert options(abort=abort).abort is abort


def test_options_are_frozen():
    """Neither a field nor what it was made from changes options."""
    headers, metadata = {"x-a": "b"}, {"deep": ["a"]}
    made = options(headers=headers, metadata=metadata, env={"A": "b"})
    headers["x-a"] = "changed"
    metadata["deep"].append("changed")
    assert (made.headers, made.metadata) == ({"x-a": "b"}, {"deep": ["a"]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.max_tokens = 5


def test_options_can_be_replaced_and_compared():
    """``dataclasses.replace`` gives changed options, checked again."""
    made = options(api_key="secret-key", reasoning="low")
    changed = dataclasses.replace(made, max_tokens=5)
    assert (changed.api_key, changed.reasoning, changed.max_tokens) == ("secret-key", ThinkingLevel.Low, 5)
    assert dataclasses.replace(changed, max_tokens=None) == made
    with pytest.raises(InvalidOptionError):
        dataclasses.replace(made, max_tokens=-1)


def test_headers_may_remove_others():
    """None says that a header is not to be sent, and is null in JSON."""
    made = options(headers={"x-keep": "value", "x-remove": None})
    assert json.dumps(made.headers, separators=(",", ":")) == '{"x-keep":"value","x-remove":null}'


def test_credentials_do_not_show():
    """The repr of options holds no key, no header value and no variable, but can be used as they are."""
    secret = "hunter2hunter2"
    made = options(
        api_key=secret, headers={"authorization": secret}, env={"OPENAI_API_KEY": secret}, max_tokens=5
    )
    assert secret not in repr(made) + str(made) + f"{made}"
    assert "max_tokens=5" in repr(made)
    assert (made.api_key, made.headers["authorization"], made.env["OPENAI_API_KEY"]) == (secret,) * 3


def test_the_repr_says_what_was_changed():
    """Defaults are left out."""
    assert repr(StreamOptions()) == "StreamOptions()"
    assert repr(SimpleStreamOptions(max_retries=0)) == "SimpleStreamOptions(max_retries=0)"


@pytest.mark.parametrize("value", ["hunter2\nhunter2", "hunter2\x00", "hunter2 \U0001f600"])
def test_a_refused_header_value_does_not_show(value):
    """The error names the header and hides what it was."""
    with pytest.raises(InvalidOptionError) as caught:
        check_headers({"authorization": value})
    assert str(caught.value).startswith("invalid header value for authorization: ")
    assert "hunter2" not in str(caught.value)


def test_a_refused_header_name_shows():
    """The error begins with the name that HTTP cannot carry."""
    with pytest.raises(InvalidOptionError, match=r"invalid header name: 'a b' in headers"):
        check_headers({"a b": "c"})


@pytest.mark.parametrize(
    "given", [{"api_key": {"hunter2": 1}}, {"env": {"A": ["hunter2"]}}, {"headers": {"a": ["hunter2"]}}]
)
def test_errors_about_secret_options_do_not_show_them(given):
    """A credential of a wrong type is refused without being shown."""
    with pytest.raises(InvalidOptionError) as caught:
        options(**given)
    assert "hunter2" not in str(caught.value)
