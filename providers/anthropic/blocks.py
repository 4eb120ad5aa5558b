"""The content blocks of a Messages stream, each from its start to its stop."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from providers.loose_json import text_at, text_in
from runtime.streams.assembler import MessageAssembler
from runtime.streams.partial_json import parse_partial_json

from .signatures import CALL_FIELDS, CITATIONS, write_fields

JsonObject = dict[str, Any]

REDACTED = "[Reasoning redacted]"


class OpenBlock(Protocol):
    """A block that has begun. Deltas of a kind that does not fit are ignored."""

    def delta(self, delta: JsonObject) -> None:
        """More of it."""

    def end(self) -> None:
        """It is complete."""


class TextBlock:
    """Text, with citations that go into its signature."""

    def __init__(self, assembler: MessageAssembler, start: JsonObject) -> None:
        self._assembler = assembler
        self._index = assembler.text_start(text_at(start, "text"))
        citations = start.get(CITATIONS)
        self._citations: list[Any] = list(citations) if isinstance(citations, list) else []

    def delta(self, delta: JsonObject) -> None:
        """More text, or another citation."""
        kind = delta.get("type")
        if kind == "text_delta":
            self._assembler.text_delta(self._index, text_in(delta, "text"))
        elif kind == "citations_delta" and isinstance(citation := delta.get("citation"), dict):
            self._citations.append(citation)

    def end(self) -> None:
        """Sign it with its citations."""
        signature = write_fields({CITATIONS: self._citations}, (CITATIONS,))
        self._assembler.text_end(self._index, signature=signature)


class ThinkingBlock:
    """Thinking, whose signature comes in pieces and is set when it is whole: it says nothing before."""

    def __init__(self, assembler: MessageAssembler, start: JsonObject) -> None:
        self._assembler = assembler
        self._signature = [text_at(start, "signature")]
        self._index = assembler.thinking_start(text_at(start, "thinking"), self._signature[0])

    def delta(self, delta: JsonObject) -> None:
        """More thinking, or more of its signature."""
        kind = delta.get("type")
        if kind == "thinking_delta":
            self._assembler.thinking_delta(self._index, text_in(delta, "thinking"))
        elif kind == "signature_delta":
            self._signature.append(text_at(delta, "signature"))

    def end(self) -> None:
        """Sign it."""
        self._assembler.thinking_end(self._index, signature="".join(self._signature))


class RedactedBlock:
    """Thinking that only the provider can read: its data is kept as the signature."""

    def __init__(self, assembler: MessageAssembler, start: JsonObject) -> None:
        self._assembler = assembler
        self._index = assembler.thinking_start(REDACTED, text_at(start, "data"), redacted=True)

    def delta(self, delta: JsonObject) -> None:
        """There are none."""

    def end(self) -> None:
        """Nothing is missing."""
        self._assembler.thinking_end(self._index)


class CallBlock:
    """A call of one of the caller's tools. ``names`` are the caller's names, by what the wire calls them in lower case."""

    def __init__(self, assembler: MessageAssembler, start: JsonObject, names: Mapping[str, str]) -> None:
        self._assembler = assembler
        name = text_at(start, "name")
        self._index = assembler.tool_call_start(
            text_at(start, "id"), names.get(name.lower(), name), start.get("input") or None
        )
        if signature := write_fields(start, CALL_FIELDS):
            assembler.sign(self._index, signature)

    def delta(self, delta: JsonObject) -> None:
        """More of the JSON of its arguments."""
        if delta.get("type") == "input_json_delta":
            self._assembler.tool_call_delta(self._index, text_in(delta, "partial_json"))

    def end(self) -> None:
        """Read the arguments."""
        self._assembler.tool_call_end(self._index)


class ProviderBlock:
    """A block of a server-side tool, or of a kind that came later: kept as a provider item, whole."""

    def __init__(self, assembler: MessageAssembler, start: JsonObject, place: int) -> None:
        self._assembler = assembler
        self._item = dict(start)
        self._place = place
        self._input: list[str] = []
        self._texts: dict[str, list[str]] = {}
        self._citations: list[Any] = []

    def delta(self, delta: JsonObject) -> None:
        """Put it where the documentation of the block says."""
        match delta:
            case {"type": "input_json_delta"}:
                self._input.append(text_at(delta, "partial_json"))
            case {"type": "text_delta" | "thinking_delta" | "signature_delta"}:
                self._append(delta["type"].removesuffix("_delta"), delta)
            case {"type": "citations_delta", "citation": citation}:
                self._citations.append(citation)
            case {"type": "compaction_delta"}:
                self._append("content", delta)
                if "encrypted_content" in delta:
                    self._item["encrypted_content"] = delta["encrypted_content"]

    def _append(self, name: str, delta: JsonObject) -> None:
        if isinstance(delta.get(name), str):
            self._texts.setdefault(name, [text_at(self._item, name)]).append(delta[name])

    def end(self) -> None:
        """Hand it over."""
        if text := "".join(self._input).strip():
            self._item["input"] = parse_partial_json(text)
        if self._citations:
            self._item[CITATIONS] = [*(self._item.get(CITATIONS) or ()), *self._citations]
        self._item |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        self._assembler.add_provider_item(self._item, self._place)


CONTENT_BLOCKS: Mapping[str, Callable[[MessageAssembler, JsonObject], OpenBlock]] = {
    "text": TextBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedBlock,
}
"""What needs nothing but an assembler and the block of its start event."""
