"""GitHub Copilot: models of many makers, each behind the API that it speaks."""

from providers.oauth.github_copilot import base_url_for_credentials
from providers.oauth.github_copilot import get_github_copilot_api_key as get_oauth_api_key

from .handle import GitHubCopilot, chat_completions, for_model, from_env, messages, oauth, responses
from .routing import CopilotApi, api_for_model

__all__ = [
    "CopilotApi",
    "GitHubCopilot",
    "api_for_model",
    "base_url_for_credentials",
    "chat_completions",
    "for_model",
    "from_env",
    "get_oauth_api_key",
    "messages",
    "oauth",
    "responses",
]
