"""The headers of a Messages request."""

from collections.abc import Iterator, Mapping

from providers.copilot_headers import COPILOT, copilot_headers
from providers.headers import merge_headers
from runtime.errors import InvalidOptionError
from runtime.values.options import check_headers

from . import identity
from .compat import messages_compat
from .credentials import MessagesCall, is_subscription_token, poses_as_claude_code, sent_key
from .thinking import thinks_with_budget

VERSION = "2023-06-01"
BETA = "anthropic-beta"
OAUTH_BETA = "oauth-2025-04-20"
FINE_GRAINED_BETA = "fine-grained-tool-streaming-2025-05-14"
INTERLEAVED_BETA = "interleaved-thinking-2025-05-14"


def messages_headers(call: MessagesCall) -> dict[str, str]:
    """What is nearer to the call replaces what is further, but betas add up; None in the call's headers removes."""
    model, options = call.model, call.options
    layers = (call.access.headers, model.headers, options.headers)
    headers = {"content-type": "application/json"} | merge_headers(
        {
            "accept": "application/json",
            "anthropic-version": VERSION,
            "anthropic-dangerous-direct-browser-access": "true",
        },
        _authentication(call),
        _affinity(call),
        call.access.headers,
        model.headers,
        copilot_headers(call.context) if model.provider == COPILOT else {},
        options.headers,
    )
    headers.pop(BETA, None)
    betas = dict.fromkeys((*_betas(call), *(beta for layer in layers for beta in _listed(layer))))
    return headers | ({BETA: ",".join(betas)} if betas and not _removes_betas(options.headers) else {})


def _authentication(call: MessagesCall) -> Mapping[str, str]:
    key = sent_key(call)
    if key is None:
        return {}
    if call.model.provider != COPILOT and not is_subscription_token(key):
        return {"x-api-key": key}
    posing = identity.HEADERS if poses_as_claude_code(call) else {}
    return {"authorization": f"Bearer {key}", **posing}


def _betas(call: MessagesCall) -> Iterator[str]:
    compat = messages_compat(call.model)
    if poses_as_claude_code(call):
        yield identity.BETA
    if is_subscription_token(sent_key(call)):
        yield OAUTH_BETA
    if call.context.tools and not compat.supports_eager_tool_input_streaming:
        yield FINE_GRAINED_BETA
    if call.options.interleaved_thinking and thinks_with_budget(call.model, call.options, compat):
        yield INTERLEAVED_BETA


def _listed(headers: Mapping[str, str | None]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() == BETA and value:
            yield from (beta.strip() for beta in value.split(",") if beta.strip())


def _removes_betas(headers: Mapping[str, str | None]) -> bool:
    return any(name.lower() == BETA and value is None for name, value in headers.items())


def _affinity(call: MessagesCall) -> Mapping[str, str]:
    """The conversation's name, where the endpoint wants it; nothing for one that no header can carry."""
    session = call.options.session_id
    wanted = (
        messages_compat(call.model).send_session_affinity_headers and call.options.cache_retention != "none"
    )
    if not wanted or not session or not session.isascii():
        return {}
    headers = {"x-session-affinity": session}
    try:
        check_headers(headers)
    except InvalidOptionError:
        return {}
    return headers
