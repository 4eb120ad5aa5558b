"""Wire adapters: each provider's APIs, and the handles that configure them."""

from . import faux, openai
from .access import Access
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
from .pool import PoolStatistics, limit_requests, pool_statistics
from .sse import SseEvent

__all__ = [
    "Access",
    "Call",
    "ChatApi",
    "ChatWire",
    "Decoder",
    "OpenAICompletionsOptions",
    "PoolStatistics",
    "ProviderHandle",
    "SseEvent",
    "complete_openai_completions",
    "complete_simple_openai_completions",
    "faux",
    "get_env_api_key",
    "limit_requests",
    "openai",
    "pool_statistics",
    "stream_openai_completions",
    "stream_simple_openai_completions",
]
