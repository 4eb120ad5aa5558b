"""The body of a Chat Completions request, and its headers."""

from typing import Any

from providers.chat import Call
from runtime.values.options import CacheRetention

from .completions_cache import mark_cache
from .completions_compat import CompletionsCompat, completions_compat
from .completions_messages import wire_messages
from .completions_reasoning import reasoning_fields
from .completions_tools import wire_tools
from .grammar import grammar_properties
from .options import OpenAICompletionsOptions
from .request_headers import request_headers
from .session import affinity_headers, prompt_cache_key

CompletionsCall = Call[OpenAICompletionsOptions]
Payload = dict[str, Any]


def completions_payload(call: CompletionsCall) -> Payload:
    """The body of a request, its fields in the order of the documentation."""
    model, context, options = call.model, call.context, call.options
    compat = completions_compat(model)
    grammar = grammar_properties(context.tools, enabled=compat.supports_openai_grammar_tools)
    payload: Payload = {
        "model": model.id,
        "messages": wire_messages(model, context, compat, grammar, options.foreign_thinking),
        "stream": True,
    }
    if compat.supports_usage_in_streaming:
        payload["stream_options"] = {"include_usage": True}
    if compat.supports_store:
        payload["store"] = False
    if options.max_tokens:
        payload[compat.max_tokens_field] = options.max_tokens
    if options.temperature is not None:
        payload["temperature"] = options.temperature
    if (tools := wire_tools(context, compat, grammar)) is not None:
        payload["tools"] = tools
        if tools and compat.zai_tool_stream:
            payload["tool_stream"] = True
    if options.tool_choice is not None:
        payload["tool_choice"] = options.tool_choice
    payload |= reasoning_fields(model, options.reasoning_effort, compat)
    payload |= _cache_fields(call, compat) | _routing_fields(model.base_url, compat)
    mark_cache(payload, _retention(options), compat)
    return payload


def completions_headers(call: CompletionsCall) -> dict[str, str]:
    """The headers of a request."""
    options, compat = call.options, completions_compat(call.model)
    affine = options.session_id and compat.send_session_affinity_headers and _retention(options) != "none"
    names = compat.session_affinity_format
    return request_headers(call, affinity_headers(options.session_id or "", names) if affine else {})


def _retention(options: OpenAICompletionsOptions) -> CacheRetention:
    return options.cache_retention or "short"


def _cache_fields(call: CompletionsCall, compat: CompletionsCompat) -> Payload:
    retention = _retention(call.options)
    long = retention == "long" and compat.supports_long_cache_retention
    openai = retention != "none" and "api.openai.com" in call.model.base_url
    key = prompt_cache_key(call.options.session_id)
    fields: Payload = {"prompt_cache_key": key} if key and (openai or long) else {}
    return fields | {"prompt_cache_retention": "24h"} if long else fields


def _routing_fields(base_url: str, compat: CompletionsCompat) -> Payload:
    fields: Payload = {}
    if isinstance(compat.open_router_routing, dict):
        fields["provider"] = compat.open_router_routing
    routing = compat.vercel_gateway_routing
    if "ai-gateway.vercel.sh" in base_url and isinstance(routing, dict):
        gateway = {name: routing[name] for name in ("only", "order") if routing.get(name) is not None}
        if gateway:
            fields["providerOptions"] = {"gateway": gateway}
    return fields
