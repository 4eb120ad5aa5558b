"""Wire adapters: each provider's APIs, and the handles that configure them."""

from . import anthropic, faux, github_copilot, oauth, openai, openrouter, proxy
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
from .openai.image_options import OpenAIImagesOptions
from .openai.options import OpenAICompletionsOptions
from .openai.responses import (
    complete_openai_responses,
    complete_simple_openai_responses,
    stream_openai_responses,
    stream_simple_openai_responses,
)
from .openai.responses_options import OpenAIResponsesOptions
from .openrouter.options import OpenRouterImagesOptions
from .pool import PoolStatistics, limit_requests, pool_statistics
from .sse import SseEvent
from .whole_answers import embed, embed_many, generate_images

__all__ = [
    "Access",
    "AnthropicOptions",
    "Call",
    "ChatApi",
    "ChatWire",
    "Decoder",
    "OpenAICompletionsOptions",
    "OpenAIImagesOptions",
    "OpenAIResponsesOptions",
    "OpenRouterImagesOptions",
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
    "embed",
    "embed_many",
    "faux",
    "generate_images",
    "get_env_api_key",
    "github_copilot",
    "limit_requests",
    "oauth",
    "openai",
    "openrouter",
    "pool_statistics",
    "proxy",
    "stream_anthropic",
    "stream_openai_completions",
    "stream_openai_responses",
    "stream_simple_anthropic",
    "stream_simple_openai_completions",
    "stream_simple_openai_responses",
]
