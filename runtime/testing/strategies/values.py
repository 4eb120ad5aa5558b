"""Hypothesis strategies for what is said: texts, JSON, messages, contexts, models."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import (
    AssistantMessage,
    CustomMessage,
    Message,
    StopReason,
    ToolResultMessage,
    UserMessage,
)
from runtime.values.model import Model, ModelCost, ModelCostTier
from runtime.values.thinking import ThinkingLevel
from runtime.values.tool import GrammarSampling, GrammarVariants, JsonSchemaSampling, Tool
from runtime.values.usage import Usage, UsageCost

_T = TypeVar("_T")
_EMOJI = "😀👩🏽‍🚀🇳🇴"
_MAX_COUNT = 10_000_000
_MAX_TIME = 2**45
_COLLIDING_IDS = (
    "call_0",
    "call_1",
    "call.1",
    "call|1",
    "call_1|fc_1",
    "call_1|fc_2",
    "",
    "c" * 70,
    "c" * 71,
)
_MODELS = (("faux", "faux", "one"), ("faux", "faux", "two"), ("openai-completions", "openai", "one"))


def _made(make: Callable[..., _T], **fields: SearchStrategy[Any]) -> SearchStrategy[_T]:
    """As ``st.builds``, without a look at the constructor's signature, which speaks of JSON names."""
    return st.fixed_dictionaries(fields).map(lambda drawn: make(**drawn))


@cache
def texts(max_size: int = 20) -> SearchStrategy[str]:
    """Any text that can be sent: emoji and control characters included, lone surrogates not."""
    letters = st.sampled_from('ab <>"\\\n\x00é' + _EMOJI) | st.characters(codec="utf-8")
    return st.text(letters, max_size=max_size)


@cache
def texts_with_lone_surrogates(max_size: int = 20) -> SearchStrategy[str]:
    """Text as ``json.loads`` or a careless slice makes it: halves of surrogate pairs, some of them in order."""
    halves = st.sampled_from(("\ud83d", "\ude00", "\ud83d\ude00", "\udfff"))
    return st.lists(halves | texts(3), max_size=max_size).map("".join)


@cache
def json_values(max_leaves: int = 8) -> SearchStrategy[Any]:
    """Any value that JSON can say, integers up to 64 bits and more, floats finite."""
    numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | texts()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(8), inner, max_size=3),
        max_leaves=max_leaves,
    )


@cache
def call_ids() -> SearchStrategy[str]:
    """Ids of tool calls, some alike, too long, or alike once they are written for another provider."""
    return st.sampled_from(_COLLIDING_IDS) | texts(8)


@cache
def tool_calls() -> SearchStrategy[ToolCall]:
    """Tool calls with arguments of any shape; mostly objects."""
    arguments = st.dictionaries(texts(8), json_values(4), max_size=3) | json_values(4)
    return _made(
        ToolCall, id=call_ids(), name=texts(8), arguments=arguments, thought_signature=st.none() | texts(8)
    )


@cache
def text_contents() -> SearchStrategy[TextContent]:
    """Text blocks, signed or not."""
    return _made(TextContent, text=texts(), text_signature=st.none() | texts(8))


@cache
def thinking_contents() -> SearchStrategy[ThinkingContent]:
    """Thinking blocks: blank, signed, redacted, or plain."""
    redacted = st.none() | st.booleans()
    return _made(
        ThinkingContent, thinking=texts(), thinking_signature=st.none() | texts(8), redacted=redacted
    )


@cache
def user_contents() -> SearchStrategy[TextContent | ImageContent]:
    """The blocks of user messages and tool results."""
    mime_types = st.sampled_from(("image/png", "image/jpeg"))
    return text_contents() | _made(ImageContent, data=st.sampled_from(("", "aGk=")), mime_type=mime_types)


@cache
def usages() -> SearchStrategy[Usage]:
    """Token counts with their costs."""
    counts, money = st.integers(0, _MAX_COUNT), st.floats(0, 1e6)
    cost = _made(UsageCost, **dict.fromkeys(("input", "output", "cache_read", "cache_write", "total"), money))
    return _made(
        Usage,
        **dict.fromkeys(("input", "output", "cache_read", "cache_write", "total_tokens"), counts),
        **dict.fromkeys(("cache_write_1h", "reasoning"), st.none() | counts),
        cost=cost,
    )


@cache
def timestamps() -> SearchStrategy[int]:
    """Unix times in milliseconds, often equal."""
    return st.sampled_from((0, 1_700_000_000_000)) | st.integers(0, _MAX_TIME)


@cache
def user_messages() -> SearchStrategy[UserMessage]:
    """What users say: a string, or blocks."""
    content: SearchStrategy[Any] = texts() | st.lists(user_contents(), max_size=4)
    return _made(UserMessage, content=content, timestamp=timestamps())


@cache
def assistant_messages() -> SearchStrategy[AssistantMessage]:
    """Replies of a few models, failed ones included, with any blocks in any order."""
    items = st.fixed_dictionaries({"index": st.integers(0, 5), "item": json_values(2)})
    return _made(
        _reply,
        names=st.sampled_from(_MODELS),
        content=st.lists(text_contents() | thinking_contents() | tool_calls(), max_size=5),
        response_model=st.none() | texts(8),
        response_id=st.none() | texts(8),
        diagnostics=st.lists(json_values(2), max_size=1),
        usage=usages(),
        stop_reason=st.sampled_from(StopReason),
        error_message=st.none() | texts(),
        provider_items=st.lists(items, max_size=2),
        timestamp=timestamps(),
    )


def _reply(names: tuple[str, str, str], **fields: Any) -> AssistantMessage:
    return AssistantMessage(api=names[0], provider=names[1], model=names[2], **fields)


@cache
def tool_results() -> SearchStrategy[ToolResultMessage]:
    """Tool results, for calls of any id."""
    return _made(
        ToolResultMessage,
        tool_call_id=call_ids(),
        tool_name=texts(8),
        content=st.lists(user_contents(), max_size=3),
        details=json_values(3),
        usage=st.none() | usages(),
        added_tool_names=st.lists(texts(8), max_size=2),
        is_error=st.booleans(),
        timestamp=timestamps(),
    )


@cache
def custom_messages() -> SearchStrategy[CustomMessage]:
    """What an application keeps beside the conversation."""
    return _made(
        lambda role, fields: CustomMessage.model_validate({**fields, "role": role}),
        role=st.sampled_from(("custom", "note", "toolresult", "")),
        fields=st.dictionaries(texts(8), json_values(3), max_size=3),
    )


@cache
def messages() -> SearchStrategy[Message]:
    """Any message."""
    return st.one_of(user_messages(), assistant_messages(), tool_results(), custom_messages())


@cache
def transcripts(max_size: int = 6) -> SearchStrategy[list[Message]]:
    """Messages in any order, good and bad: results mostly name a call that was made, soon, late, twice or never."""
    steps = st.tuples(messages(), st.integers(0, 7))
    return st.lists(steps, max_size=max_size).map(_with_answers)


def _with_answers(steps: list[tuple[Message, int]]) -> list[Message]:
    asked: list[str] = []
    transcript: list[Message] = []
    for drawn, which in steps:
        message = drawn
        if isinstance(message, AssistantMessage):
            asked.extend(call.id for call in message.tool_calls)
        elif isinstance(message, ToolResultMessage) and which < len(asked):
            message = message.model_copy(update={"tool_call_id": asked[-1 - which]})
        transcript.append(message)
    return transcript


@cache
def tools() -> SearchStrategy[Tool]:
    """Definitions of tools, with and without constrained sampling."""
    properties = st.dictionaries(texts(8), st.just({"type": "string"}), max_size=3)
    variants = _made(GrammarVariants, openai_lark=st.none() | texts(8), openai_regex=st.none() | texts(8))
    sampling = st.sampled_from((None, False, JsonSchemaSampling("prefer"), JsonSchemaSampling("require")))
    return _made(
        Tool,
        name=texts(8),
        description=texts(),
        parameters=properties.map(lambda known: {"type": "object", "properties": known}),
        constrained_sampling=sampling | _made(GrammarSampling, variants=variants),
    )


@cache
def contexts() -> SearchStrategy[Context]:
    """Whole contexts: a system prompt, a transcript, and tools of different names."""
    distinct = st.lists(tools(), max_size=2, unique_by=lambda tool: tool.name)
    return _made(Context, system_prompt=st.none() | texts(), messages=transcripts(), tools=distinct)


@cache
def models() -> SearchStrategy[Model]:
    """Models that wrote some of the assistant messages, and others; with any price and any limit."""
    counts = st.integers(0, _MAX_COUNT)
    rates = dict.fromkeys(("input", "output", "cache_read", "cache_write"), st.floats(0, 1000))
    tiers = st.lists(_made(ModelCostTier, input_tokens_above=counts, **rates), max_size=2)
    return _made(
        _model,
        names=st.sampled_from((*_MODELS, ("anthropic-messages", "anthropic", "three"))),
        name=texts(8),
        base_url=st.just("https://example.com/v1"),
        reasoning=st.none() | st.booleans(),
        thinking_level_map=st.dictionaries(st.sampled_from(ThinkingLevel), st.none() | texts(8), max_size=3),
        input=st.sampled_from(((), ("text",), ("text", "image"))),
        cost=_made(ModelCost, tiers=tiers, **rates),
        context_window=counts,
        max_tokens=counts,
        headers=st.dictionaries(st.sampled_from(("x-one", "x-two")), texts(4), max_size=2),
    )


def _model(names: tuple[str, str, str], **fields: Any) -> Model:
    return Model(api=names[0], provider=names[1], id=names[2], **fields)
