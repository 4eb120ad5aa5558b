"""Tool call ids that another provider made, brought into the form that a target accepts.

The Responses API names a call twice, ``call id|item id``; the others know one id of a limited length and alphabet.
"""

import re
import struct

from runtime.values.message import AssistantMessage
from runtime.values.model import Model

_MASK = 0xFFFFFFFF
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_COMPLETIONS_LENGTH = 40
_HASH_LENGTH = 8
_ITEM_PROVIDERS = frozenset({"openai", "openai-codex", "opencode"})
"""Providers whose Responses API accepts item ids of its own form."""


def short_hash(text: str) -> str:
    """A stable hash of up to 14 lower-case letters and digits, the same that pi and ai.rs compute. Not for security."""
    one, two = 0xDEADBEEF, 0x41C6CE57
    for (unit,) in struct.iter_unpack("<H", text.encode("utf-16-le", "surrogatepass")):
        one = (one ^ unit) * 2654435761 & _MASK
        two = (two ^ unit) * 1597334677 & _MASK
    one = _mix(one, two)
    two = _mix(two, one)
    return _base36(two) + _base36(one)


def normalize_anthropic_id(call_id: str, model: Model, source: AssistantMessage) -> str:
    """Letters, digits, ``_`` and ``-``, at most 64."""
    del model, source
    return _sanitize(call_id)[:64]


def normalize_completions_id(call_id: str, model: Model, source: AssistantMessage) -> str:
    """At most 40 characters where that matters: ids of the Responses API become one part, OpenAI's own are cut."""
    del source
    if "|" not in call_id:
        return call_id[:_COMPLETIONS_LENGTH] if model.provider == "openai" else call_id
    call, item = (_sanitize(part) for part in call_id.split("|", 1))
    joined = f"{call}_{item}" if item else call
    if len(joined) <= _COMPLETIONS_LENGTH:
        return joined
    return f"{call[: _COMPLETIONS_LENGTH - 1 - _HASH_LENGTH]}_{short_hash(call_id)[:_HASH_LENGTH]}"


def normalize_responses_id(call_id: str, model: Model, source: AssistantMessage) -> str:
    """``call id|fc_item id`` for providers that take item ids, one part of at most 64 characters for the others.

    An item id of another provider or API is hashed: the target could take it for an item that it has stored.
    """
    call, pipe, item = call_id.partition("|")
    if model.provider not in _ITEM_PROVIDERS or not pipe:
        return _part(call_id)
    foreign = (source.provider, source.api) != (model.provider, model.api)
    item = f"fc_{short_hash(item)}" if foreign else _part(item)
    return f"{_part(call)}|{_part(item if item.startswith('fc_') else f'fc_{item}')}"


def _sanitize(text: str) -> str:
    return _FOREIGN.sub("_", text)


def _part(text: str) -> str:
    return _sanitize(text)[:64].rstrip("_")


def _mix(one: int, two: int) -> int:
    return (one ^ one >> 16) * 2246822507 & _MASK ^ (two ^ two >> 13) * 3266489909 & _MASK


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
