"""Wire adapters: each provider's APIs, and the handles that configure them."""

from . import anthropic, faux, openai
from .access import Access
from .anthropic.messages_api import (
    complete_anthropic,
    complete_simple_anthropic,
    stream_anthropic,
    stream_simple_anthropic,
)
from .anthropic.options import AnthropicOptions
from .chat import Call, ChatApi, ChatWire
from .exchange import Decoder
from .handle import ProviderHandle
from .keys import get_env_api_key
from .openai.completions import (
    complete_openai_completions,
    complete_simple_openai_completions,
    stream_openai_completions,
    stream_simple_openai_completions,
)
from .openai.options import OpenAICompletionsOptions
from .openai.responses import (
    complete_openai_responses,
    complete_simple_openai_responses,
    stream_openai_responses,
    stream_simple_openai_responses,
)
from .openai.responses_options import OpenAIResponsesOptions
from .pool import PoolStatistics, limit_requests, pool_statistics
from .sse import SseEvent

__all__ = [
    "Access",
    "AnthropicOptions",
    "Call",
    "ChatApi",
    "ChatWire",
    "Decoder",
    "OpenAICompletionsOptions",
    "OpenAIResponsesOptions",
    "PoolStatistics",
    "ProviderHandle",
    "SseEvent",
    "anthropic",
    "complete_anthropic",
    "complete_openai_completions",
    "complete_openai_responses",
    "complete_simple_anthropic",
    "complete_simple_openai_completions",
    "complete_simple_openai_responses",
    "faux",
    "get_env_api_key",
    "limit_requests",
    "openai",
    "pool_statistics",
    "stream_anthropic",
    "stream_openai_completions",
    "stream_openai_responses",
    "stream_simple_anthropic",
    "stream_simple_openai_completions",
    "stream_simple_openai_responses",
]
