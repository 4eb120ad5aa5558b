"""Failures that a server reports inside a stream that began well, in any of the shapes that servers use."""

from typing import Any

from runtime.values.text import clean_json, compact_json


def reported_error(event: str | None, chunk: Any) -> str | None:
    """What an event says went wrong: the provider's message first; None if it reports no failure."""
    if not isinstance(chunk, dict):
        return _told(chunk) if event == "error" else None
    if error := chunk.get("error"):
        return _told(error)
    if event == "error" or "error" in (chunk.get("object"), chunk.get("type")):
        return _told(chunk)
    if "choices" in chunk:
        return None
    for name in ("errors", "detail"):
        if reported := chunk.get(name):
            return _told(reported)
    return _told(chunk) if "code" in chunk and isinstance(chunk.get("message"), str) else None


def _told(error: Any) -> str:
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, dict):
        return error if isinstance(error, str) else _as_json(error)
    message = next((error[name] for name in ("message", "msg", "detail") if _says(error.get(name))), None)
    told = message or _as_json(error)
    code = error.get("code") or error.get("type")
    if message and isinstance(code, str | int) and not isinstance(code, bool) and str(code) not in told:
        told += f" (code: {code})"
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{told}\n{raw if isinstance(raw, str) else _as_json(raw)}" if raw else told


def _says(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _as_json(value: Any) -> str:
    try:
        return compact_json(clean_json(value))
    except ValueError:
        return "an error that cannot be shown"
