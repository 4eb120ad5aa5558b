"""The output items of a streamed response. Each is a block of the reply, or something that only the provider can read."""

from typing import Any

from providers.loose_json import rewritten_json, text_at
from runtime.streams.assembler import MessageAssembler

from .grammar import DEFAULT_PROPERTY, GrammarInput
from .responses_signatures import call_signature, reasoning_signature, text_signature

RawItem = dict[str, Any]
PartKey = tuple[Any, ...]
_BETWEEN = "\n\n"
"""Between two parts of a summary."""


class Parts:
    """The text of an item by its parts, of which each is streamed, then told whole."""

    def __init__(self) -> None:
        self._pieces: dict[PartKey, list[str]] = {}
        self.corrected = False
        """A part's whole text is not what was streamed of it, nor what follows that."""

    @property
    def text(self) -> str:
        """All that is known."""
        return "".join(piece for pieces in self._pieces.values() for piece in pieces)

    def append(self, key: PartKey, delta: str) -> None:
        """More of a part."""
        pieces = self._pieces.get(key)
        if pieces is None:
            self._pieces[key] = pieces = []
        pieces.append(delta)

    def complete(self, key: PartKey, value: str, between: str = "") -> str:
        """All of a part; what is to be streamed of it now. ``between`` stands before one of which nothing was streamed."""
        is_last = key not in self._pieces or key == next(reversed(self._pieces))
        gap = between if key not in self._pieces and self.text and not self.text.endswith(between) else ""
        streamed = "".join(self._pieces.get(key, ()))
        self._pieces[key] = [gap + value]
        if is_last and value.startswith(streamed):
            return gap + value[len(streamed) :]
        self.corrected = self.corrected or value != streamed
        return ""


class OutputItem:
    """One item, between ``output_item.added`` and ``output_item.done``. What a kind of item does not have, it ignores."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem) -> None:
        self._assembler = assembler
        self.kind = text_at(raw, "type")
        self.id = text_at(raw, "id")
        self.index: int | None = None
        self.ended = False

    def append(self, delta: str, part: PartKey = ()) -> None:
        """More of it, or of a part of it."""

    def complete(self, value: str, part: PartKey = ()) -> None:
        """All of what was streamed of it, or of a part of it, before the item itself repeats that."""

    def finish(self, raw: RawItem) -> None:
        """Its final value."""
        self.ended = True

    def close(self) -> None:
        """The response is over, and the final value never came."""
        self.ended = True

    def amend(self, raw: RawItem) -> None:
        """The response at its end repeats the item, which is finished."""

    def is_other(self, raw: RawItem) -> bool:
        """Whether this is plainly another item, though it has no index."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} {'finished' if self.ended else 'open'}>"


class ReasoningItem(OutputItem):
    """Thinking, or a summary of it; signed with the whole item, because that goes back as it came."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem) -> None:
        super().__init__(assembler, raw)
        self._block = assembler.thinking_start()
        self._raw: RawItem = {}
        self._parts = Parts()

    def append(self, delta: str, part: PartKey = ()) -> None:
        self._parts.append(part, delta)
        self._assembler.thinking_delta(self._block, delta)

    def complete(self, value: str, part: PartKey = ()) -> None:
        if missing := self._parts.complete(part, value, _BETWEEN) if value else "":
            self._assembler.thinking_delta(self._block, missing)

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        self._raw = raw
        summary, content = raw.get("summary"), raw.get("content")
        told: str | None = _texts(summary, _BETWEEN) or _texts(content, _BETWEEN)
        if not (told or _has_texts(summary) or _has_texts(content)):
            told = self._corrected()
        self._assembler.thinking_end(self._block, told, reasoning_signature(raw))

    def close(self) -> None:
        super().close()
        self._assembler.thinking_end(self._block, self._corrected())

    def _corrected(self) -> str | None:
        """What is known of its parts, unless that is what was streamed."""
        return self._parts.text if self._parts.corrected else None

    def amend(self, raw: RawItem) -> None:
        """The encrypted content may come as late as this."""
        late = raw.get("encrypted_content")
        if (
            late is not None
            and self._raw.get("encrypted_content") is None
            and raw.get("id") == self._raw.get("id")
        ):
            self._raw = {**self._raw, "encrypted_content": late}
            self._assembler.sign(self._block, reasoning_signature(self._raw))


class MessageItem(OutputItem):
    """Text; a refusal is text too."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem) -> None:
        super().__init__(assembler, raw)
        self._initial = _texts(raw.get("content"))
        self._block = assembler.text_start()
        self._parts = Parts()

    def append(self, delta: str, part: PartKey = ()) -> None:
        self._parts.append(part, delta)
        self._assembler.text_delta(self._block, delta)

    def complete(self, value: str, part: PartKey = ()) -> None:
        if missing := self._parts.complete(part, value) if value else "":
            self._assembler.text_delta(self._block, missing)

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        self._assembler.text_end(self._block, _texts(raw.get("content")), text_signature(raw))

    def close(self) -> None:
        super().close()
        told = self._parts.text if self._parts.corrected else self._assembler.text_of(self._block)
        self._assembler.text_end(self._block, told or self._initial)


class CallItem(OutputItem):
    """A call of a tool. Id and name are those that it began with, as far as it had any."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem, arguments: Any = None) -> None:
        super().__init__(assembler, raw)
        self._call_id, self._name = text_at(raw, "call_id"), text_at(raw, "name")
        self._block = assembler.tool_call_start(f"{self._call_id}|{self.id}", self._name, arguments)

    def is_other(self, raw: RawItem) -> bool:
        return bool(self._call_id) and text_at(raw, "call_id") not in ("", self._call_id)

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        call_id, item_id, name = (text_at(raw, key) for key in ("call_id", "id", "name"))
        if (call_id and not self._call_id) or (item_id and not self.id) or (name and not self._name):
            known = f"{self._call_id or call_id}|{self.id or item_id}"
            self._assembler.tool_call_update(self._block, id=known, name=self._name or name)
        if (signature := call_signature(raw)) is not None:
            self._assembler.sign(self._block, signature)


class FunctionCallItem(CallItem):
    """A call with JSON arguments. What the item begins with counts only if nothing else comes."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem) -> None:
        super().__init__(assembler, raw)
        self._initial = _arguments(raw)
        self._complete: str | None = None

    def append(self, delta: str, part: PartKey = ()) -> None:
        self._assembler.tool_call_delta(self._block, delta)

    def complete(self, value: str, part: PartKey = ()) -> None:
        """Stream what is missing; where it contradicts what was streamed, it holds, unless the item says otherwise."""
        streamed = self._assembler.text_of(self._block) if self._complete is None else value
        self._complete = value
        if value.startswith(streamed) and len(value) > len(streamed):
            self._assembler.tool_call_delta(self._block, value[len(streamed) :])

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        self._end(_arguments(raw))

    def close(self) -> None:
        super().close()
        self._end("")

    def _end(self, final: str) -> None:
        said = (final, self._complete or "", self._assembler.text_of(self._block), self._initial)
        self._assembler.tool_call_end(self._block, next((text for text in said if text.strip()), "{}"))


class CustomCallItem(CallItem):
    """A call of a grammar tool: its input becomes one argument, streamed as the JSON text of an object."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem, argument: str = DEFAULT_PROPERTY) -> None:
        initial = text_at(raw, "input")
        super().__init__(assembler, raw, {argument: initial})
        self._input = GrammarInput(argument)
        self._unsent = self._input.append(initial) if initial else ""

    def append(self, delta: str, part: PartKey = ()) -> None:
        if delta:
            self._stream(self._input.append(delta))

    def complete(self, value: str, part: PartKey = ()) -> None:
        self._stream(self._input.close(value))

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        final = raw.get("input")
        self._end(final if isinstance(final, str) else None)

    def close(self) -> None:
        super().close()
        self._end(None)

    def _end(self, final: str | None) -> None:
        self._stream(self._input.close(final))
        self._assembler.tool_call_end(self._block)

    def _stream(self, fragment: str) -> None:
        if fragment:
            self._assembler.tool_call_delta(self._block, self._unsent + fragment)
            self._unsent = ""


class ProviderItem(OutputItem):
    """What the provider's own tools did; it is kept as it is, at the place where it began."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem, place: int) -> None:
        super().__init__(assembler, raw)
        self._place = place

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        self._assembler.add_provider_item(raw, self._place)


def _texts(parts: Any, between: str = "") -> str:
    """The texts and refusals of a list of parts, joined."""
    told = (
        text_at(part, "text") or text_at(part, "refusal")
        for part in (parts if isinstance(parts, list) else ())
    )
    return between.join(text for text in told if text)


def _has_texts(parts: Any) -> bool:
    """Whether a list of parts tells texts, be they empty."""
    return any(
        isinstance(part, dict) and isinstance(part.get("text"), str)
        for part in (parts if isinstance(parts, list) else ())
    )


def _arguments(raw: RawItem) -> str:
    """The JSON text of a call's arguments, also where a server sends them as an object."""
    arguments = raw.get("arguments")
    if isinstance(arguments, dict):
        return rewritten_json(arguments)
    return arguments if isinstance(arguments, str) else ""
