"""OpenAI's APIs, and what speaks them."""

from .handle import chat_completions
from .options import OpenAICompletionsOptions

__all__ = ["OpenAICompletionsOptions", "chat_completions"]
