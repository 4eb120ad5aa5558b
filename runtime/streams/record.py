"""The append-only record of one reply, from which any moment of it can be read.

The assembler writes; a write never changes what an earlier moment shows. Each write that makes an event takes
the next moment, a number. A block remembers how long its text was at which of its moments, so that ``partial`` at
moment k needs no copies along the way: it takes from each block the prefix that had been written by k.
Text is kept in pieces that are joined in the background of writing; appending n characters costs O(n)
whatever the sizes of the pieces.
"""

from array import array
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Generic, TypeVar

from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.usage import Usage

from .partial_json import PartialJson

T = TypeVar("T")
_TAIL = 128


class Versions(Generic[T]):
    """A value that changes now and then, with the moments of its changes."""

    __slots__ = ("_moments", "_values")

    def __init__(self, value: T) -> None:
        self._moments = [-1]
        self._values = [value]

    @property
    def latest(self) -> T:
        return self._values[-1]

    def set(self, moment: int, value: T) -> None:
        if self._moments[-1] == moment:
            self._values[-1] = value
        else:
            self._moments.append(moment)
            self._values.append(value)

    def at(self, moment: int) -> T:
        return self._values[bisect_right(self._moments, moment) - 1]


class TextRecord:
    """Text that only grows, readable as it was at any moment."""

    __slots__ = ("_ends", "_joined", "_moments", "_read", "_starts", "_tail", "_tail_start")

    def __init__(self) -> None:
        self._moments = array("q")  # of each piece
        self._ends = array("q")  # of each piece that has been joined
        self._joined: list[str] = []  # pieces of _TAIL appends each
        self._starts: list[int] = []
        self._tail: list[str] = []
        self._tail_start = 0
        self._read = ""  # the prefix that was read last: readers mostly go forward

    def append(self, moment: int, piece: str) -> None:
        self._moments.append(moment)
        self._tail.append(piece)
        if len(self._tail) == _TAIL:
            self._join_tail()

    def _join_tail(self) -> None:
        """What can be done for many pieces at a time: a reply has more of them than anything else."""
        ends = list(accumulate(map(len, self._tail), initial=self._tail_start))
        self._ends.extend(ends[1:])
        self._starts.append(self._tail_start)
        self._joined.append("".join(self._tail))
        self._tail_start = ends[-1]
        self._tail.clear()

    def at(self, moment: int) -> str:
        """The text as it was."""
        length, read = self.length_at(moment), self._read
        if length != len(read):
            read = read + self.between(len(read), length) if length > len(read) else self.between(0, length)
            self._read = read
        return read

    def length_at(self, moment: int) -> int:
        count, joined = bisect_right(self._moments, moment), len(self._ends)
        if count > joined:
            return self._tail_start + sum(map(len, self._tail[: count - joined]))
        return self._ends[count - 1] if count else 0

    def between(self, start: int, end: int) -> str:
        first = max(0, bisect_right(self._starts, start) - 1)
        offset = self._starts[first] if self._starts else 0
        last = bisect_right(self._starts, end)
        pieces = self._joined[first:last]
        if end > self._tail_start:
            pieces.extend(self._tail)
        return "".join(pieces)[start - offset : end - offset]

    def whole(self) -> str:
        return "".join(self._joined) + "".join(self._tail)


@dataclass(frozen=True, slots=True)
class BlockState:
    """What is known of a block beside its streamed text. ``final`` replaces what was streamed."""

    signature: str | None = None
    redacted: bool | None = None
    id: str = ""
    name: str = ""
    initial: Any = None
    final: Any = None
    ended: bool = False


class BlockRecord:
    """One block: its text, its other fields, and when they became what they are."""

    __slots__ = ("_arguments", "_parsed", "born", "carry", "kind", "state", "text")

    def __init__(
        self, kind: type[TextContent | ThinkingContent | ToolCall], born: int, state: BlockState
    ) -> None:
        self.kind = kind
        self.born = born
        self.state = Versions(state)
        self.text = TextRecord()
        self.carry = ""  # the first half of a surrogate pair that was cut between two pieces
        self._parsed = 0
        self._arguments = PartialJson()

    def change(self, moment: int, **fields: Any) -> None:
        self.state.set(moment, replace(self.state.latest, **fields))

    def content_at(self, moment: int) -> TextContent | ThinkingContent | ToolCall:
        state = self.state.at(moment)
        if self.kind is ToolCall:
            arguments = state.final if state.ended else self._arguments_at(moment, state.initial)
            return make_tool_call(state, arguments)
        text = self.text.at(moment) if state.final is None else state.final
        return make_text(state, text) if self.kind is TextContent else make_thinking(state, text)

    def _arguments_at(self, moment: int, initial: Any) -> Any:
        length = self.text.length_at(moment)
        if not length:
            return {} if initial is None else initial
        if length < self._parsed:
            self._arguments, self._parsed = PartialJson(), 0
        self._arguments.feed(self.text.between(self._parsed, length))
        self._parsed = length
        return self._arguments.value()


@dataclass(frozen=True, slots=True)
class MessageState:
    """The fields of the message beside its content."""

    response_id: str | None = None
    response_model: str | None = None
    usage: Usage = Usage()  # noqa: RUF009 - frozen
    stop_reason: StopReason = StopReason.Stop
    error_message: str | None = None
    diagnostics: tuple[Any, ...] = ()
    provider_items: tuple[Any, ...] = ()


class MessageRecord:
    """One reply as it grows."""

    __slots__ = ("_last", "_shape", "api", "blocks", "model", "moment", "provider", "state", "timestamp")

    def __init__(self, api: str, provider: str, model: str, timestamp: int) -> None:
        self.api = api
        self.provider = provider
        self.model = model
        self.timestamp = timestamp
        self.blocks: list[BlockRecord] = []
        self.state = Versions(MessageState())
        self.moment = 0
        self._last: tuple[int, AssistantMessage] | None = None
        self._shape: tuple[MessageState, AssistantMessage] | None = None
        """The message without its content: a copy costs a third of making it, and readers of ``partial`` make many."""

    def change(self, **fields: Any) -> None:
        self.state.set(self.moment, replace(self.state.latest, **fields))

    def message_at(self, moment: int) -> AssistantMessage:
        """The message as it stood at a moment; the same object when asked again."""
        if self._last is None or self._last[0] != moment:
            self._last = (moment, self._message_at(moment))
        return self._last[1]

    def _message_at(self, moment: int) -> AssistantMessage:
        state = self.state.at(moment)
        if self._shape is None or self._shape[0] is not state:
            self._shape = state, make_message(self, state)
        content = tuple(block.content_at(moment) for block in self.blocks if block.born <= moment)
        return self._shape[1].model_copy(update={"content": content, "timestamp": self.timestamp})


# The data is the assembler's own and clean already: validating it again at every event would only cost.


def make_message(record: MessageRecord, state: MessageState) -> AssistantMessage:
    return AssistantMessage.model_construct(
        role="assistant",
        api=record.api,
        provider=record.provider,
        model=record.model,
        response_model=state.response_model,
        response_id=state.response_id,
        diagnostics=state.diagnostics,
        usage=state.usage,
        stop_reason=state.stop_reason,
        error_message=state.error_message,
        provider_items=state.provider_items,
    )


def make_text(state: BlockState, text: str) -> TextContent:
    return TextContent.model_construct(type="text", text=text, text_signature=state.signature)


def make_thinking(state: BlockState, text: str) -> ThinkingContent:
    return ThinkingContent.model_construct(
        type="thinking", thinking=text, thinking_signature=state.signature, redacted=state.redacted
    )


def make_tool_call(state: BlockState, arguments: Any) -> ToolCall:
    return ToolCall.model_construct(
        type="toolCall", id=state.id, name=state.name, arguments=arguments, thought_signature=state.signature
    )
