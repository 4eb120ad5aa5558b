"""OpenAI's APIs, and what speaks them."""

from .handle import chat_completions, from_env, responses
from .options import OpenAICompletionsOptions
from .responses_options import OpenAIResponsesOptions

__all__ = ["OpenAICompletionsOptions", "OpenAIResponsesOptions", "chat_completions", "from_env", "responses"]
