"""Logins with an account in place of an API key: how to get one, where it is kept, and how it stays fresh."""

from .anthropic import AnthropicOAuth, login_anthropic, refresh_anthropic_token
from .callbacks import (
    OAuthAuthInfo,
    OAuthDeviceCodeInfo,
    OAuthLoginCallbacks,
    OAuthPrompt,
    OAuthSelectOption,
    OAuthSelectPrompt,
)
from .credentials import OAuthCredentials
from .device_flow import (
    DeviceComplete,
    DeviceFailed,
    DevicePending,
    DevicePoll,
    DeviceSlowDown,
    poll_device_flow,
)
from .github_copilot import GitHubCopilotOAuth, login_github_copilot, refresh_github_copilot_token
from .provider import OAuthProvider
from .registry import (
    OAuthProviderInfo,
    get_oauth_provider,
    get_oauth_provider_info_list,
    get_oauth_providers,
    register_oauth_provider,
    reset_oauth_providers,
    unregister_oauth_provider,
)
from .renewal import OAuthApiKey, get_oauth_api_key, refresh_oauth_token
from .store import CredentialStore

__all__ = [
    "AnthropicOAuth",
    "CredentialStore",
    "DeviceComplete",
    "DeviceFailed",
    "DevicePending",
    "DevicePoll",
    "DeviceSlowDown",
    "GitHubCopilotOAuth",
    "OAuthApiKey",
    "OAuthAuthInfo",
    "OAuthCredentials",
    "OAuthDeviceCodeInfo",
    "OAuthLoginCallbacks",
    "OAuthPrompt",
    "OAuthProvider",
    "OAuthProviderInfo",
    "OAuthSelectOption",
    "OAuthSelectPrompt",
    "get_oauth_api_key",
    "get_oauth_provider",
    "get_oauth_provider_info_list",
    "get_oauth_providers",
    "login_anthropic",
    "login_github_copilot",
    "poll_device_flow",
    "refresh_anthropic_token",
    "refresh_github_copilot_token",
    "refresh_oauth_token",
    "register_oauth_provider",
    "reset_oauth_providers",
    "unregister_oauth_provider",
]
