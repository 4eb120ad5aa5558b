"""The body of a Responses request, and its headers."""

from typing import Any

from providers.chat import Call
from providers.copilot_headers import COPILOT
from runtime.streams.call_ids import normalize_responses_id
from runtime.streams.handoff import transform_messages
from runtime.values.model import Model
from runtime.values.options import CacheRetention
from runtime.values.thinking import ThinkingLevel

from .grammar import grammar_properties
from .request_headers import request_headers
from .responses_compat import ResponsesCompat, responses_compat
from .responses_input import input_items
from .responses_options import OpenAIResponsesOptions
from .responses_tools import ToolLoader, deferred_names, immediate_tools
from .session import affinity_headers, prompt_cache_key

ResponsesCall = Call[OpenAIResponsesOptions]
Payload = dict[str, Any]

_FEWEST_TOKENS = 16
_XAI = "xai"
_INCLUDE: Payload = {"include": ["reasoning.encrypted_content"]}
_CHAT_ONLY_HEADER = "x-session-affinity"


def responses_payload(call: ResponsesCall) -> Payload:
    """The body of a request. Nothing is stored at the server: what it has to know goes with each request."""
    model, context, options = call.model, call.context, call.options
    compat = responses_compat(model)
    grammar = grammar_properties(context.tools, enabled=compat.supports_openai_grammar_tools)
    transcript = transform_messages(
        context.messages, model, normalize_responses_id, foreign_thinking=options.foreign_thinking
    )
    deferred = deferred_names(context.messages, transcript, compat)
    payload: Payload = {
        "model": model.id,
        "input": input_items(
            model,
            context.system_prompt,
            transcript,
            grammar,
            ToolLoader(context.tools, deferred, compat, grammar),
            developer=bool(model.reasoning and compat.supports_developer_role),
        ),
        "stream": True,
        "store": False,
    }
    if options.max_tokens:
        payload["max_output_tokens"] = max(options.max_tokens, _FEWEST_TOKENS)
    if options.temperature is not None:
        payload["temperature"] = options.temperature
    if options.service_tier is not None:
        payload["service_tier"] = options.service_tier
    if tools := immediate_tools(context.tools, deferred, compat, grammar):
        payload["tools"] = tools
    if options.tool_choice is not None:
        payload["tool_choice"] = options.tool_choice
    return payload | _cache_fields(options, compat) | reasoning_fields(model, options)


def responses_headers(call: ResponsesCall) -> dict[str, str]:
    """The headers of a request."""
    options, affinity = call.options, dict[str, str]()
    if options.session_id and _retention(options) != "none":
        affinity = affinity_headers(options.session_id, responses_compat(call.model).session_affinity_format)
        affinity.pop(_CHAT_ONLY_HEADER, None)
    return request_headers(call, affinity)


def reasoning_fields(model: Model, options: OpenAIResponsesOptions) -> Payload:
    """The fields that ask for thinking, or for none.

    A model that does not reason gets neither. One of which that is not known gets what the call or its own map says.
    """
    if model.reasoning is False:
        return {}
    effort, summary = options.reasoning_effort, options.reasoning_summary
    if effort is ThinkingLevel.Off:
        effort = None
    if effort is not None or summary is not None:
        return {"reasoning": {"effort": _word(model, effort), "summary": summary or "auto"}, **_INCLUDE}
    off = model.thinking_level_map.get(ThinkingLevel.Off, "none" if model.reasoning else None)
    fields: Payload = {} if off is None or model.provider == COPILOT else {"reasoning": {"effort": off}}
    return fields | (_INCLUDE if model.provider == _XAI and model.reasoning else {})


def _word(model: Model, level: ThinkingLevel | None) -> str:
    if level is None:
        return ThinkingLevel.Medium.value
    return model.thinking_level_map.get(level) or level.value


def _retention(options: OpenAIResponsesOptions) -> CacheRetention:
    return options.cache_retention or "short"


def _cache_fields(options: OpenAIResponsesOptions, compat: ResponsesCompat) -> Payload:
    retention = _retention(options)
    if retention == "none":
        explicit = compat.supports_explicit_prompt_cache_mode
        return {"prompt_cache_options": {"mode": "explicit"}} if explicit else {}
    key = prompt_cache_key(options.session_id)
    fields: Payload = {"prompt_cache_key": key} if key else {}
    if retention == "long" and compat.supports_long_cache_retention:
        fields["prompt_cache_retention"] = "24h"
    return fields
