"""What all events have in common: frozen data with a tag, written as the JSON that pi and ai.rs write."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel
from pydantic_core import to_json


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. ``type`` is its tag; ``wire`` names its JSON keys and the attributes behind them."""

    type: ClassVar[str]
    wire: ClassVar[tuple[tuple[str, str], ...]] = ()

    def model_dump(self) -> dict[str, Any]:
        """The event as JSON data."""
        return {"type": self.type, **{key: _dump(getattr(self, name)) for key, name in self.wire}}

    def model_dump_json(self) -> str:
        """The event as JSON text."""
        return to_json(self.model_dump()).decode()


def _dump(value: Any) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Event():
            return value.model_dump()
        case tuple():
            return [_dump(item) for item in value]
    return value
