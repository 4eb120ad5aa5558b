"""Wire adapters: each provider's APIs, and the handles that configure them."""

from . import faux, openai
from .handle import ProviderHandle
from .keys import get_env_api_key
from .openai.completions import (
    complete_openai_completions,
    complete_simple_openai_completions,
    stream_openai_completions,
    stream_simple_openai_completions,
)
from .openai.options import OpenAICompletionsOptions

__all__ = [
    "OpenAICompletionsOptions",
    "ProviderHandle",
    "complete_openai_completions",
    "complete_simple_openai_completions",
    "faux",
    "get_env_api_key",
    "openai",
    "stream_openai_completions",
    "stream_simple_openai_completions",
]
