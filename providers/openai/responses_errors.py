"""Failures as the Responses API reports them: instead of a stream, inside one, and in a response that failed."""

from typing import Any

from providers.loose_json import text_at
from runtime.errors import ApiStatusError
from runtime.values.text import parse_json

from .stream_errors import reported_error


def status_text(error: ApiStatusError) -> str:
    """What an HTTP status says: the provider's sentence, then its whole answer and where that came from."""
    _, _, rest = str(error).partition(": ")
    told = _sentence(error.body) or ("" if error.body.strip() else f"{error.status} status code (no body)")
    told += "\n" if told else ""
    return f"OpenAI API error ({error.status}): {told}{rest}"


def _sentence(body: str) -> str | None:
    try:
        parsed = parse_json(body)
    except ValueError:
        return None
    said = (text_at(parsed, "error", "message"), text_at(parsed, "message"), text_at(parsed, "error"))
    return next((text for text in said if text.strip()), parsed if isinstance(parsed, str) else None)


def event_failure(kind: str, name: str | None, event: Any) -> str | None:
    """What an event that is none of the API's own says went wrong; None if it reports no failure.

    ``error`` events have their fields at the top, or in an object of their own; other servers send all kinds of shapes.
    """
    if kind != "error" or not isinstance(event, dict):
        return reported_error(name, event)
    inner = event.get("error")
    fields = inner if isinstance(inner, dict) and event.get("message") is None else event
    code = _code(fields, "code", *(("type",) if fields is inner else ()))
    told = text_at(fields, "message") or text_at(fields, "detail") or text_at(event, "error")
    return f"Error Code {code}: {told or 'Unknown error'}"


def response_failure(response: dict[str, Any]) -> str:
    """Why a response failed, as its ``error`` or its ``incomplete_details`` say."""
    error = response.get("error")
    if isinstance(error, dict):
        return f"{_code(error)}: {text_at(error, 'message') or 'no message'}"
    if reason := text_at(response, "incomplete_details", "reason"):
        return f"incomplete: {reason}"
    if error and isinstance(error, str):
        return error
    return "Unknown error (no error details in response)"


def _code(fields: dict[str, Any], *names: str) -> str:
    codes = (fields.get(name) for name in names or ("code",))
    return next(
        (str(code) for code in codes if code and isinstance(code, str | int) and code is not True), "unknown"
    )
