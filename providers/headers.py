"""Headers in layers."""

from collections.abc import Mapping


def merge_headers(*layers: Mapping[str, str | None]) -> dict[str, str]:
    """Lay headers over each other, whatever the case of their names; None removes what lies below. Names come out in lower case."""
    merged: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            if value is None:
                merged.pop(name.lower(), None)
            else:
                merged[name.lower()] = value
    return merged
