"""What we send, checked with the request types of the official SDKs: any context, any options."""

import json
import os
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator, from_json, to_json

from providers import ProviderHandle, anthropic, openai
from providers.access import Access
from providers.anthropic.messages_api import MESSAGES
from providers.chat import Call, ChatWire
from providers.openai.completions import COMPLETIONS
from providers.openai.responses import RESPONSES
from providers.sse import SseReader
from runtime import (
    AssistantMessage,
    Context,
    ImageContent,
    Message,
    Model,
    SimpleStreamOptions,
    StopReason,
    StreamOptions,
    TextContent,
    ThinkingContent,
    ThinkingLevel,
    Tool,
    ToolCall,
    ToolResultMessage,
    user,
)
from runtime.errors import ProviderError, ToolDefinitionError
from runtime.streams.assembler import MessageAssembler
from runtime.testing.strategies import contexts, texts
from runtime.values.tool import JsonSchemaSampling

pytest.importorskip("openai", reason="the SDKs are in agentrio[sdk]")
pytest.importorskip("anthropic", reason="the SDKs are in agentrio[sdk]")

LEVELS = st.none() | st.sampled_from(ThinkingLevel)
Json = dict[str, Any]


@dataclass(frozen=True)
class Sdk:
    """An API: our wire, models of it, the SDK's type for its requests, and what that type must refuse."""

    wire: ChatWire[Any]
    handle: ProviderHandle
    models: tuple[str, ...]
    request_type: Callable[[], Any]
    knobs: Json
    compat: Json
    wrong: dict[str, Callable[[Json], Any]]
    signed: Callable[[ThinkingContent], ThinkingContent] = lambda block: block
    retired: frozenset[str] = frozenset()
    """Keys that the SDK no longer has, because only older models take them."""

    def payload(self, model: Model, context: Context, options: StreamOptions) -> Any:
        """The body of a request as it is on the wire."""
        wish = (
            self.wire.simple_options(model, context, options)
            if isinstance(options, SimpleStreamOptions)
            else self.wire.options(options)
        )
        return from_json(to_json(self.wire.payload(Call(model, context, wish, Access(), "sk-test"))))


def _completions_type() -> Any:
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    return CompletionCreateParamsStreaming


def _responses_type() -> Any:
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

    return ResponseCreateParamsStreaming


def _messages_type() -> Any:
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    return MessageCreateParamsStreaming


def _beta_messages_type() -> Any:
    """The same with the blocks of tools and features that are in beta."""
    from anthropic.types.beta.message_create_params import MessageCreateParamsStreaming

    return MessageCreateParamsStreaming


def _reasoning_item(block: ThinkingContent) -> ThinkingContent:
    """Thinking as the Responses API signs it: with the whole item."""
    summary = [{"type": "summary_text", "text": block.thinking}] if block.thinking else []
    item = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "b3BhcXVl"}
    return block.model_copy(update={"thinking_signature": json.dumps(item)})


def _the(things: Iterable[Json], **sought: str) -> Json:
    """The first that has these values."""
    return next(thing for thing in things if sought.items() <= thing.items())


FLAGS = (
    "supportsStrictMode",
    "supportsOpenaiGrammarTools",
    "supportsDeveloperRole",
    "supportsLongCacheRetention",
)

SDKS = {
    "completions": Sdk(
        COMPLETIONS,
        openai.chat_completions("sk-test", provider_id="openai", base_url="https://api.openai.com/v1"),
        ("gpt-5", "one"),
        _completions_type,
        {
            "toolChoice": ("auto", "none", "required", {"type": "function", "function": {"name": "look"}}),
            "reasoningEffort": tuple(ThinkingLevel),
        },
        {
            **dict.fromkeys(FLAGS, (False, True)),
            **dict.fromkeys(("supportsStore", "supportsReasoningEffort", "supportsUsageInStreaming"), (False, True)),
            **dict.fromkeys(("requiresAssistantAfterToolResult", "requiresThinkingAsText"), (False, True)),
            "maxTokensField": ("max_tokens", "max_completion_tokens"),
        },
        {
            "a key that is not known": lambda p: p.update(top_k=1),
            "a key that is missing": lambda p: p.pop("model"),
            "a number as text": lambda p: p.update(temperature="0.5"),
            "no stream": lambda p: p.update(stream=False),
            "a role that is not known": lambda p: _the(p["messages"], role="user").update(role="human"),
            "a part that is not known": lambda p: _the(p["messages"], role="user")["content"].append({"type": "image"}),
            "a result for no call": lambda p: _the(p["messages"], role="tool").pop("tool_call_id"),
            "arguments as an object": lambda p: p["messages"][2]["tool_calls"][0]["function"].update(arguments={}),
            "a tool without a name": lambda p: p["tools"][0]["function"].pop("name"),
            "an effort that is not known": lambda p: p.update(reasoning_effort="enormous"),
        },
    ),
    "responses": Sdk(
        RESPONSES,
        openai.responses("sk-test"),
        ("gpt-5.4", "gpt-4o"),
        _responses_type,
        {
            "toolChoice": ("auto", "none", "required", {"type": "function", "name": "look"}),
            "reasoningEffort": tuple(ThinkingLevel),
            "reasoningSummary": ("auto", "concise", "detailed", ""),
            "serviceTier": ("auto", "default", "flex", "priority"),
        },
        {
            **dict.fromkeys(FLAGS, (False, True)),
            "supportsStrictMode": (True,),  # the SDK always says which
            **dict.fromkeys(("supportsToolSearch", "supportsExplicitPromptCacheMode"), (False, True)),
        },
        {
            "a key that is not known": lambda p: p.update(max_tokens=1),
            "a number as text": lambda p: p.update(temperature="0.5"),
            "no stream": lambda p: p.update(stream=False),
            "a role that is not known": lambda p: _the(p["input"], role="user").update(role="human"),
            "a part of the other API": lambda p: _the(p["input"], role="user")["content"].append({"type": "text", "text": ""}),
            "a result that says nothing": lambda p: _the(p["input"], type="function_call_output").pop("output"),
            "arguments as an object": lambda p: _the(p["input"], type="function_call").update(arguments={}),
            "a tool of the other API": lambda p: p.update(tools=[{"type": "function", "function": p["tools"][0]}]),
            "an item that is not known": lambda p: p["input"].append({"type": "thought"}),
            "an effort that is not known": lambda p: p["reasoning"].update(effort="enormous"),
            "an include that is not known": lambda p: p["include"].append("everything"),
        },
        _reasoning_item,
    ),
    "messages": Sdk(
        MESSAGES,
        anthropic.messages("sk-test"),
        ("claude-sonnet-4-5", "claude-opus-4-8"),
        _messages_type,
        {
            "toolChoice": ("auto", "any", "none", {"type": "tool", "name": "look"}),
            "thinkingEnabled": (False, True),
            "thinkingBudgetTokens": (0, 1024, 5000),
            "effort": ("low", "medium", "high", "xhigh", "max"),
            "thinkingDisplay": ("summarized", "omitted"),
        },
        dict.fromkeys(
            (
                "supportsEagerToolInputStreaming",
                "supportsLongCacheRetention",
                "supportsCacheControlOnTools",
                "supportsTemperature",
                "forceAdaptiveThinking",
                "allowEmptySignature",
                "supportsStrictTools",
                "supportsToolReferences",
            ),
            (False, True),
        ),
        {
            "a key that is not known": lambda p: p.update(max_completion_tokens=1),
            "a key that is missing": lambda p: p.pop("max_tokens"),
            "a number as text": lambda p: p.update(max_tokens="100"),
            "no stream": lambda p: p.update(stream=False),
            "a role that is not known": lambda p: p["messages"][0].update(role="human"),
            "a part of the other API": lambda p: p["messages"][0]["content"].append({"type": "input_text", "text": ""}),
            "thinking without a signature": lambda p: _the(p["messages"][1]["content"], type="thinking").pop("signature"),
            "input as text": lambda p: _the(p["messages"][1]["content"], type="tool_use").update(input="{}"),
            "a result for no call": lambda p: p["messages"][2]["content"][0].pop("tool_use_id"),
            "a tool of the other API": lambda p: p["tools"][0].update(parameters=p["tools"][0].pop("input_schema")),
            "a mark that is not known": lambda p: p["system"][0].update(cache_control={"type": "for ever"}),
            "a choice as text": lambda p: p.update(tool_choice="auto"),
        },
        retired=frozenset({"temperature"}),
    ),
}  # fmt: skip


def _strict(schema: Any) -> Any:
    """A schema of pydantic-core's that refuses unknown keys, and looks into iterables at once."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_strict, schema))
    if not isinstance(schema, dict):
        return schema
    changed = {name: _strict(value) for name, value in schema.items()}
    if schema.get("type") == "typed-dict" and schema.get("extra_behavior") != "allow":
        changed["extra_behavior"] = "forbid"
    elif schema.get("type") == "generator":
        changed["type"] = "list"
    return changed


@cache
def validator(request_type: Callable[[], Any]) -> SchemaValidator:
    return SchemaValidator(_strict(TypeAdapter(request_type()).core_schema))


def check(name: str, payload: Json, request_type: Callable[[], Any] | None = None) -> None:
    """Raise ValidationError unless the SDK's own type describes the payload, as it is, without conversions."""
    sdk = SDKS[name]
    current = {key: value for key, value in payload.items() if key not in sdk.retired}
    validator(request_type or sdk.request_type).validate_python(current, strict=True)


def some(values: Json) -> st.SearchStrategy[Json]:
    """Some of these keys, each with one of its values."""
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(among) for name, among in values.items()}
    )


@st.composite
def options(draw: st.DrawFn, knobs: Json) -> StreamOptions:
    same: Json = draw(
        st.fixed_dictionaries(
            {"provider_options": some(knobs)},
            optional={
                "temperature": st.floats(0, 2) | st.integers(0, 2),
                "max_tokens": st.integers(0, 10**6),
                "cache_retention": st.sampled_from(("none", "short", "long")),
                "session_id": texts(8),
                "metadata": st.fixed_dictionaries({"user_id": texts(8) | st.integers(0, 9)}),
                "foreign_thinking": st.sampled_from(("tagged", "plain", "drop")),
            },
        )
    )
    if draw(st.booleans()):
        return SimpleStreamOptions(**same, reasoning=draw(LEVELS))
    return StreamOptions(**same)


def own(context: Context, model: Model, sdk: Sdk) -> Context:
    """The same, with the replies of one of the models there written by this one, and signed as its provider does."""
    names = {"api": model.api, "provider": model.provider, "model": model.id, "provider_items": ()}

    def taken(message: Message) -> Message:
        if not isinstance(message, AssistantMessage) or message.api != "openai-completions":
            return message
        content = (
            sdk.signed(block) if isinstance(block, ThinkingContent) else block for block in message.content
        )
        return message.model_copy(update={**names, "content": tuple(content)})

    return context.model_copy(update={"messages": [taken(message) for message in context.messages]})


@pytest.mark.parametrize("name", SDKS)
def test_any_payload_is_of_the_type_that_the_sdk_sends(name: str) -> None:
    """Whatever the context and the options: no key too many, none too few, each of its type."""
    sdk = SDKS[name]

    @given(
        contexts(),
        options(sdk.knobs),
        st.sampled_from(sdk.models),
        st.none() | st.booleans(),
        some(sdk.compat),
    )
    def holds(
        context: Context, wish: StreamOptions, model_id: str, reasoning: bool | None, compat: Json
    ) -> None:
        model = sdk.handle.model(model_id, reasoning=reasoning, compat=compat)
        try:
            payload = sdk.payload(model, own(context, model, sdk), wish)
        except ToolDefinitionError:
            reject()
        check(name, payload)

    holds()


@pytest.mark.parametrize(
    ("model_id", "takes"),
    [
        ("claude-haiku-4-5", True),
        ("claude-opus-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5-5", False),
    ],
)
def test_a_retired_key_goes_to_older_models_only(model_id: str, takes: bool) -> None:
    """Newer Claude models refuse a temperature, with and without thinking; a flag of the model's own has the last word."""
    sdk, context, wish = SDKS["messages"], Context(messages=[user("hi")]), StreamOptions(temperature=0.5)
    told = sdk.handle.model(model_id, compat={"supportsTemperature": True})
    assert ("temperature" in sdk.payload(sdk.handle.model(model_id), context, wish)) is takes
    assert sdk.payload(told, context, wish)["temperature"] == 0.5


WEATHER = Tool(
    "get_weather",
    "Weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    JsonSchemaSampling("prefer"),
)  # fmt: skip


def conversation(model: Model, sdk: Sdk) -> Context:
    """A bit of everything: an image, thinking, text, parallel calls, results with text and images."""
    names = {"api": model.api, "provider": model.provider, "model": model.id}
    calls = [ToolCall(f"call_{number}", "get_weather", {"city": "Oslo"}) for number in (1, 2)]
    thought = sdk.signed(ThinkingContent("They want the weather.", "c2lnbmVk"))
    return Context(
        "Be brief.",
        [
            user("What is it like there?", [ImageContent("aGk=", "image/png")]),
            AssistantMessage([thought, TextContent("Let me see."), *calls], **names, stop_reason=StopReason.ToolUse),
            ToolResultMessage("call_1", "get_weather", [TextContent("Sunny."), ImageContent("aGk=", "image/png")]),
            ToolResultMessage("call_2", "get_weather", [TextContent("No such city.")], is_error=True),
            AssistantMessage([TextContent("Sunny.")], **names, stop_reason=StopReason.Stop),
            user("And tomorrow?"),
        ],
        [WEATHER],
    )  # fmt: skip


def full_payload(name: str) -> Any:
    sdk = SDKS[name]
    model = sdk.handle.model(sdk.models[0], reasoning=True)
    wish = SimpleStreamOptions(
        temperature=1.0, max_tokens=5000, session_id="s", reasoning=ThinkingLevel.Medium
    )
    return sdk.payload(model, conversation(model, sdk), wish)


@pytest.mark.parametrize("name", SDKS)
def test_a_full_conversation_is_of_the_type_that_the_sdk_sends(name: str) -> None:
    """Images, thinking, parallel calls, failed results, strict tools."""
    check(name, full_payload(name))


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, sdk in SDKS.items() for fault in sdk.wrong]
)
def test_a_payload_with_one_fault_is_refused(name: str, fault: str) -> None:
    """The check sees what it is there for."""
    payload = full_payload(name)
    broken = deepcopy(payload)
    SDKS[name].wrong[fault](broken)
    assert broken != payload, json.dumps(payload)
    with pytest.raises(ValidationError):
        check(name, broken)


# What providers sent

RECORDED = os.environ.get("AGENTRIO_RECORDED")
BODIES = sorted(Path(RECORDED).glob("*/response.sse")) if RECORDED else []
NAMES = {sdk.wire.id: name for name, sdk in SDKS.items()}
OTHER_SERVERS = {"reasoning", "reasoning_content", "reasoning_text", "reasoning_details"}


def replayed(sdk: Sdk, model: Model, body: bytes) -> AssistantMessage:
    """What becomes of a recorded stream."""
    assembler, reader = MessageAssembler(model, timestamp=0), SseReader(1 << 26)
    call = Call(model, Context(), sdk.wire.options(StreamOptions()), Access(), None)
    decoder = sdk.wire.decoder(call, assembler)
    assembler.start()
    try:
        for event in [*reader.feed(body), *reader.finish()]:
            if not decoder.finished:
                decoder.feed(event)
        decoder.finish()
    except (ProviderError, ValueError) as error:
        assembler.fail(str(error))
    assert assembler.final is not None
    return assembler.final


@pytest.mark.skipif(not RECORDED, reason="AGENTRIO_RECORDED names no folder")
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.parent.name)
def test_what_a_provider_sent_can_be_sent_back(body: Path) -> None:
    """Text with citations, thinking, calls, the provider's own items: as the SDK's types have them.

    Chat Completions has fields for thinking at other servers only; they are left out here.
    """
    name = NAMES[json.loads(body.with_name("meta.json").read_text())["api"]]
    sdk = SDKS[name]
    model = sdk.handle.model(sdk.models[0], reasoning=True)
    message = replayed(sdk, model, body.read_bytes())
    results = [ToolResultMessage(call.id, call.name, [TextContent("ok")]) for call in message.tool_calls]
    payload = sdk.payload(
        model, Context(messages=[user("hi"), message, *results, user("go on")]), StreamOptions()
    )
    for sent in payload.get("messages", ()):
        for field in OTHER_SERVERS & sent.keys():
            del sent[field]
    check(name, payload, _beta_messages_type if name == "messages" else None)
