"""Which environment variables hold a provider's key."""

import os
from collections.abc import Mapping, Sequence

from .secret import Secret

API_KEY_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"),
    "github-copilot": ("COPILOT_GITHUB_TOKEN",),
    "openrouter": ("OPENROUTER_API_KEY",),
}
"""For each provider, the first of these that is not empty."""
ANTHROPIC_AUTH_TOKEN = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - the name of a variable


def find_env_api_key(
    provider_id: str, env: Mapping[str, str] | None = None, *, process: bool = True
) -> str | None:
    """The key of a provider in ``env``, else (unless ``process`` is False) in the environment of the process.

    Values are taken as they are; empty ones do not count. None for a provider without variables of its own.
    """
    return _find(API_KEY_VARIABLES.get(provider_id, ()), env, process=process)


def find_anthropic_auth_token(env: Mapping[str, str] | None = None, *, process: bool = True) -> str | None:
    """The token for Anthropic's ``Authorization: Bearer``, found in the same order; it is no API key."""
    return _find((ANTHROPIC_AUTH_TOKEN,), env, process=process)


def _find(names: Sequence[str], env: Mapping[str, str] | None, *, process: bool) -> Secret | None:
    for variables in (env or {}, os.environ if process else {}):
        for name in names:
            if value := variables.get(name):
                return Secret(value)
    return None
