"""From a payload to the bytes of a body, past the hook that may change it."""

import json
from copy import deepcopy
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from runtime.errors import InvalidOptionError
from runtime.streams.channel import call_hook
from runtime.values.model import Model
from runtime.values.options import RequestOptions
from runtime.values.text import clean_json


async def hooked_body(payload: dict[str, Any], options: RequestOptions, model: Model) -> bytes:
    """The body of a request: what ``options.on_payload`` makes of the payload, as JSON.

    Raises HookError when the hook raises, InvalidOptionError when what it returns, or did to the payload, is no JSON object.
    """
    if options.on_payload is None:
        return _plain_body(payload)
    streams = (
        payload.get("stream") is True
    )  # the answer will be read as one, whatever the hook makes of the payload
    payload = deepcopy(payload)  # parts of it belong to values that are shared
    changed = await call_hook("on_payload", options.on_payload, payload, model)
    if not isinstance(changed, dict | None):
        raise InvalidOptionError(f"on_payload must return a dict or None, not {type(changed).__name__}")
    final = payload if changed is None else changed
    return _strict_body({**final, "stream": True} if streams else final)


def _plain_body(payload: dict[str, Any]) -> bytes:
    """Payloads are made of values, which are clean; copies that were changed by hand may not be."""
    try:
        return to_json(payload)
    except (PydanticSerializationError, ValueError):
        return _strict_body(payload)


def _strict_body(payload: dict[str, Any]) -> bytes:
    try:
        try:
            return _dump(payload)
        except UnicodeEncodeError:
            return _dump(clean_json(payload))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidOptionError(f"the payload is no JSON (after on_payload): {error}") from error


def _dump(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
