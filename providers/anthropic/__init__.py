"""Anthropic's Messages API, and what speaks it."""

from .handle import from_env, messages
from .options import AnthropicOptions

__all__ = ["AnthropicOptions", "from_env", "messages"]
