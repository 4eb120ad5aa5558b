"""The headers of a request to one of OpenAI's chat APIs."""

from collections.abc import Mapping
from typing import Any

from providers.chat import Call
from providers.copilot_headers import COPILOT, copilot_headers
from providers.headers import merge_headers


def request_headers(call: Call[Any], affinity: Mapping[str, str]) -> dict[str, str]:
    """All of them; what is nearer to the call replaces what is further. ``affinity`` names the conversation."""
    model = call.model
    return {"content-type": "application/json"} | merge_headers(
        {"authorization": f"Bearer {call.api_key}"} if call.api_key else {},
        call.access.headers,
        model.headers,
        copilot_headers(call.context) if model.provider == COPILOT else {},
        affinity,
        call.options.headers,
    )
