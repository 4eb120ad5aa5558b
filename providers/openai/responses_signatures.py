"""What signatures of blocks hold on this wire: the parts of an item that no block has room for, to go back with it."""

from collections.abc import Mapping
from typing import Any

from providers.loose_json import rewritten_json
from runtime.values.text import parse_json

_PHASES = ("commentary", "final_answer")
_CALL_EXTRAS = ("caller", "namespace", "async")
"""Which program made a call, where its tool belongs, how it runs: a call that loses them is another call."""


def text_signature(item: Mapping[str, Any]) -> str | None:
    """The id and the phase of a message item; None without an id. The form is shared with pi and ai.rs."""
    item_id, phase = item.get("id"), item.get("phase")
    if not isinstance(item_id, str):
        return None
    return rewritten_json({"v": 1, "id": item_id} | ({"phase": phase} if isinstance(phase, str) else {}))


def text_identity(signature: str | None) -> tuple[str, str | None]:
    """The id, maybe empty, and the phase, if it is a known one. Older signatures are the id itself."""
    match _parsed(signature):
        case {"v": 1 as version, "id": str(item_id), **rest} if type(version) is int:
            phase = rest.get("phase")
            return item_id, phase if phase in _PHASES else None
    return signature or "", None


def call_signature(item: Mapping[str, Any]) -> str | None:
    """What a call's item says beside its ids, name and arguments; None for most calls."""
    extras = {name: item[name] for name in _CALL_EXTRAS if item.get(name)}
    return rewritten_json({"v": 1, **extras}) if extras else None


def call_extras(signature: str | None) -> dict[str, Any]:
    """The same, to be sent with the call; nothing for signatures of another kind."""
    match _parsed(signature):
        case {"v": 1, **extras}:
            return {name: extras[name] for name in _CALL_EXTRAS if name in extras}
    return {}


def reasoning_signature(item: Mapping[str, Any]) -> str:
    """The whole item."""
    return rewritten_json(dict(item))


def reasoning_item(signature: str | None) -> dict[str, Any] | None:
    """The item, to be sent as it came; None for a signature of another kind."""
    item = _parsed(signature)
    return item if isinstance(item, dict) and item.get("type") == "reasoning" else None


def _parsed(signature: str | None) -> Any:
    try:
        return parse_json(signature) if signature else None
    except ValueError:
        return None
