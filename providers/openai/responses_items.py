"""The output items of a streamed response. Each is a block of the reply, or something that only the provider can read."""

from typing import Any

from providers.loose_json import rewritten_json, text_at
from runtime.streams.assembler import MessageAssembler

from .grammar import DEFAULT_PROPERTY, GrammarInput
from .responses_signatures import call_signature, reasoning_signature, text_signature

RawItem = dict[str, Any]


class OutputItem:
    """One item, between ``output_item.added`` and ``output_item.done``. What a kind of item does not have, it ignores."""

    def __init__(self, assembler: MessageAssembler, raw: RawItem) -> None:
        self._assembler = assembler
        self.kind = text_at(raw, "type")
        self.id = text_at(raw, "id")
        self.index: int | None = None
        self.ended = False

    def append(self, delta: str) -> None:
        """More of it."""

    def complete(self, value: str) -> None:
        """All of what was streamed, before the item itself repeats it."""

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

    def append(self, delta: str) -> None:
        self._assembler.thinking_delta(self._block, delta)

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        self._raw = raw
        told = _texts(raw.get("summary"), "\n\n") or _texts(raw.get("content"), "\n\n")
        self._assembler.thinking_end(self._block, told or None, reasoning_signature(raw))

    def close(self) -> None:
        super().close()
        self._assembler.thinking_end(self._block)

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

    def append(self, delta: str) -> None:
        self._assembler.text_delta(self._block, delta)

    def finish(self, raw: RawItem) -> None:
        super().finish(raw)
        self._assembler.text_end(self._block, _texts(raw.get("content")), text_signature(raw))

    def close(self) -> None:
        super().close()
        self._assembler.text_end(self._block, self._assembler.text_of(self._block) or self._initial)


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

    def append(self, delta: str) -> None:
        self._assembler.tool_call_delta(self._block, delta)

    def complete(self, value: str) -> None:
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

    def append(self, delta: str) -> None:
        if delta:
            self._stream(self._input.append(delta))

    def complete(self, value: str) -> None:
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


def _arguments(raw: RawItem) -> str:
    """The JSON text of a call's arguments, also where a server sends them as an object."""
    arguments = raw.get("arguments")
    if isinstance(arguments, dict):
        return rewritten_json(arguments)
    return arguments if isinstance(arguments, str) else ""
