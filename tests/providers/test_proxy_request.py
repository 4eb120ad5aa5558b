"""What a client asks of a proxy, and what a server makes of what strangers ask."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from providers import openai
from providers.proxy import CLIENT_OPTIONS, decode_request
from providers.proxy.request import request_payload
from runtime.errors import InvalidOptionError, UnsupportedModelError
from runtime.testing.strategies import contexts, json_values, models
from runtime.values.context import Context
from runtime.values.message import CustomMessage, ToolResultMessage, user
from runtime.values.options import SimpleStreamOptions, ThinkingBudgets
from runtime.values.thinking import ThinkingLevel

SECRET = "sk-of-the-application"
HELLO = Context("Be kind.", [user("hello")])
OWN = openai.responses(SECRET, base_url="https://models.example/v1").model("gpt-5")
REQUEST = {
    "model": {"id": "gpt-5", "provider": "openai", "api": "openai-responses", "baseUrl": "https://evil.example", "headers": {"x": "y"}},
    "context": {"messages": [{"role": "user", "content": "hi", "timestamp": 0}]},
    "options": {},
}  # fmt: skip


def body(**changes):
    return json.dumps({**REQUEST, **changes}).encode()


def decoded(*, options=None, **settings):
    return decode_request(body(options=options or {}), lambda ref: OWN, **settings)


async def hook(*_):
    return None


ALL = SimpleStreamOptions(
    temperature=0.5,
    max_tokens=9,
    reasoning=ThinkingLevel.High,
    thinking_budgets=ThinkingBudgets(low=5),
    cache_retention="long",
    session_id="s",
    foreign_thinking="drop",
    metadata={"user_id": "u"},
    provider_options={"toolChoice": "auto"},
)


# The client's half


def test_what_pi_sends_is_there():
    """Model, context and the three options that its servers know, by their names."""
    payload = request_payload(
        OWN, HELLO, SimpleStreamOptions(temperature=0, max_tokens=5, reasoning=ThinkingLevel.Low)
    )
    assert payload["options"] == {"temperature": 0, "maxTokens": 5, "reasoning": "low"}
    assert payload["model"] == json.loads(OWN.model_dump_json())
    assert payload["context"]["systemPrompt"] == "Be kind."
    assert payload["context"]["messages"][0]["content"] == "hello"


def test_nothing_secret_is_sent():
    """Neither keys nor headers, variables, users and queries of URLs, or what only hooks know."""
    handle = openai.chat_completions(
        SECRET,
        base_url=f"https://name:{SECRET}@h.example/v1?key={SECRET}",
        headers={"x-own": SECRET},
        env={"A": SECRET},
    )
    model = handle.model("m", headers={"x-model": SECRET})
    options = SimpleStreamOptions(
        api_key=SECRET, headers={"x-call": SECRET}, env={"OPENAI_API_KEY": SECRET}, on_payload=hook
    )
    payload = request_payload(model, HELLO, options)
    assert SECRET not in to_json(payload).decode()
    assert payload["options"] == {}
    assert payload["model"]["baseUrl"] == "https://h.example/v1"
    assert "headers" not in payload["model"]


def test_what_no_model_reads_is_not_sent():
    """Custom messages, and the details of tool results."""
    result = ToolResultMessage("c", "look", [], details={"log": "a\nb"})
    payload = request_payload(
        OWN, Context(None, [CustomMessage("note", text="mine"), result]), SimpleStreamOptions()
    )
    (message,) = payload["context"]["messages"]
    assert message["role"] == "toolResult"
    assert "details" not in message


def test_defaults_are_left_out():
    """A server of pi has no word for Off."""
    options = SimpleStreamOptions(reasoning=ThinkingLevel.Off, max_retries=0, timeout=3)
    assert request_payload(OWN, HELLO, options)["options"] == {}


@given(contexts(), models())
def test_a_request_is_read_as_it_was_meant(context, model):
    """The context arrives whole, but for what is not sent; the model is found by its name."""
    asked = []

    def find(ref):
        asked.append(ref)
        return OWN

    read = decode_request(to_json(request_payload(model, context, ALL)), find, allow=CLIENT_OPTIONS | {"metadata", "provider_options"})  # fmt: skip
    assert asked == [model.ref]
    assert read.model is OWN
    assert (read.options, read.ignored) == (ALL, ())
    sent = [
        message.model_copy(update={"details": None}) if isinstance(message, ToolResultMessage) else message
        for message in context.messages
        if not isinstance(message, CustomMessage)
    ]
    assert read.context == context.model_copy(update={"messages": sent})


# The server's half


def test_only_the_name_of_a_model_counts():
    """Where it is and what is sent there is the server's."""
    model = decoded().model
    assert model is OWN
    assert model.base_url == "https://models.example/v1"
    assert model.headers == {}


def test_a_client_sets_what_is_allowed():
    """The rest is left out, and named; a null is nothing."""
    given = {
        "temperature": 1, "reasoning": "high", "cacheRetention": None, "metadata": {"user_id": "somebody else"},
        "providerOptions": {"serviceTier": "priority"}, "apiKey": "k", "api_key": "k", "headers": {"x": "y"},
        "baseUrl": "https://evil.example", "env": {"OPENAI_API_KEY": "k"}, "onPayload": "f", "max_retries": 99, "maxRetries": 99,
        "httpClient": {}, "topP": 1, "timeout": 1, "__class__": 1,
    }  # fmt: skip
    read = decoded(options=given)
    assert read.options == SimpleStreamOptions(temperature=1, reasoning=ThinkingLevel.High)
    assert set(read.ignored) == set(given) - {"temperature", "reasoning", "cacheRetention"}


def test_a_server_decides_what_is_allowed():
    """More, or less."""
    assert decoded(options={"metadata": {"a": 1}}, allow={"metadata"}).options.metadata == {"a": 1}
    assert decoded(options={"maxTokens": 9}, allow=()).ignored == ("maxTokens",)


@pytest.mark.parametrize("name", ["api_key", "headers", "env", "on_payload", "http_client", "baseUrl"])
def test_some_things_cannot_be_allowed(name):
    """The mistake is the server's, and it is told on the first request."""
    with pytest.raises(InvalidOptionError, match=f"allow has {name}"):
        decoded(allow={name})


def test_a_server_adds_options_of_its_own():
    """Options are a frozen value."""
    own = dataclasses.replace(decoded(options={"temperature": 1}).options, metadata={"user_id": "alice"})
    assert (own.temperature, own.metadata) == (1, {"user_id": "alice"})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff", "body: "),
        (b"[" * 100_000, "body: "),
        (b"[]", "body: "),
        (b"{}", "model: "),
        (body(model={"id": "gpt-5"}), "model.provider: "),
        (body(model={"id": 1, "provider": "openai"}), "model.id: "),
        (body(context=None), "context: "),
        (body(context={"messages": [{"role": "user"}]}), "context.messages.0.user"),
        (body(context={"messages": [{"content": "x"}]}), "missing message role"),
        (body(context={"messages": [{}] * 9}), "and 6 more"),
        (body(context={"tools": [{"name": "a", "description": "b", "parameters": {}}] * 2}), "two tools are called 'a'"),
        (body(options=[]), "options: "),
        (body(options={"temperature": "hot"}), "temperature must be a number"),
        (body(options={"maxTokens": -1}), "max_tokens must be a whole number"),
        (body(options={"reasoning": ["high"]}), "reasoning must be one of"),
        (body(options={"thinkingBudgets": 5}), "thinkingBudgets must be an object"),
        (body(options={"thinkingBudgets": {"low": "5"}}), "low must be a whole number"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(wrong, why):
    """With the place and the reason, in words that the client may read."""
    with pytest.raises(InvalidOptionError) as caught:
        decode_request(wrong, lambda ref: OWN)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_request_may_not_be_too_long():
    """The limit is the server's to set."""
    long = body(context={"messages": [{"role": "user", "content": "x" * 5000, "timestamp": 0}]})
    with pytest.raises(InvalidOptionError, match="may have 5000"):
        decode_request(long, lambda ref: OWN, max_bytes=5000)
    decode_request(long, lambda ref: OWN, max_bytes=6000)


def test_a_model_that_is_not_there_is_refused():
    """By the name that the client gave it."""
    with pytest.raises(UnsupportedModelError, match="there is no model openai/gpt-5 here"):
        decode_request(body(), lambda ref: None)


def test_find_model_returns_a_model():
    """Anything else is a mistake of the server."""
    with pytest.raises(InvalidOptionError, match="what find_model returned"):
        decode_request(body(), lambda ref: "gpt-5")


def test_halves_of_surrogate_pairs_are_let_through():
    """JavaScript writes them; they are joined, or dropped."""
    broken = body().replace(b'"hi"', b'"\\ud83d\\ude00 \\ud83d"')
    assert decode_request(broken, lambda ref: OWN).context.messages[0].content == "😀 "


@given(st.binary(max_size=60) | json_values(6).map(to_json))
def test_strangers_get_an_error_and_nothing_else(wrong):
    """No other exception, whatever they send."""
    with pytest.raises(InvalidOptionError):
        decode_request(wrong, lambda ref: OWN)


VALUES = json_values(3) | st.sampled_from(("low", "long", "drop", {"low": 1}))


@given(st.dictionaries(st.sampled_from(sorted({"temperature", "maxTokens", "reasoning", "thinkingBudgets", "cacheRetention", "sessionId", "foreignThinking", "metadata", "providerOptions", "apiKey"})), VALUES))  # fmt: skip
def test_options_of_strangers_are_options_or_an_error(given_options):
    """And never a key."""
    try:
        read = decoded(options=given_options, allow=CLIENT_OPTIONS | {"metadata", "provider_options"})
    except InvalidOptionError:
        return
    assert read.options.api_key is None


def test_a_conversation_shows_nothing_of_itself():
    """The repr of a request has no context."""
    assert "systemPrompt" not in repr(decoded())
    assert "content=" not in repr(decoded())
