"""Token counts in what a server reports: numbers that cannot be trusted."""

from typing import Any

from .loose_json import whole_number

_LARGEST = 2**53 - 1


def details(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """A breakdown of a count; empty if there is none."""
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def count(raw: dict[str, Any], name: str) -> int:
    """A count; 0 for what is none."""
    return told_count(raw.get(name)) or 0


def told_count(value: Any) -> int | None:
    """A count; None for what is none, where that differs from 0."""
    number = whole_number(value)
    return number if number is not None and 0 <= number <= _LARGEST else None
