"""What a reply says while it arrives: the whole vocabulary.

::

    stream = StreamStart block* (StreamDone | StreamError)  |  StreamError
    block  = TextStart TextDelta* TextEnd
           | ThinkingStart ThinkingDelta* ThinkingEnd
           | ToolCallStart ToolCallDelta* ToolCallEnd

Blocks may interleave; ``content_index`` tells them apart and is their place in ``message.content``. A stream
that ends in ``StreamError`` may leave blocks without an end.

``partial`` is the whole message as it stood at exactly that event, for ever. It is computed when it is read,
so that it costs nothing when it is not. Two events are equal when what they say by themselves is equal.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from runtime.values.content import ToolCall
from runtime.values.event import Event
from runtime.values.message import AssistantMessage, StopReason

if TYPE_CHECKING:
    from .record import MessageRecord

TerminalReason = Literal[StopReason.Stop, StopReason.Length, StopReason.ToolUse]


_PARTIAL = ("partial", "partial")
_INDEX = ("contentIndex", "content_index")
_DELTA = ("delta", "delta")


@dataclass(frozen=True, slots=True, match_args=False)
class _Snapshot(Event):
    """An event with a moment: the record that it belongs to, and how much of that had been written."""

    __match_args__ = ()

    _record: "MessageRecord" = field(repr=False, compare=False)
    _moment: int = field(repr=False, compare=False)

    @property
    def partial(self) -> AssistantMessage:
        """The message as it stood at this event."""
        return self._record.message_at(self._moment)


@dataclass(frozen=True, slots=True, match_args=False)
class StreamStart(_Snapshot):
    """The provider began to answer; nothing is in the message yet."""

    type: ClassVar = "start"
    wire: ClassVar = (_PARTIAL,)


@dataclass(frozen=True, slots=True, match_args=False)
class _BlockEvent(_Snapshot):
    __match_args__ = ("content_index",)

    content_index: int


@dataclass(frozen=True, slots=True, match_args=False, init=False)
class _DeltaEvent(_BlockEvent):
    __match_args__ = ("content_index", "delta")

    delta: str

    wire: ClassVar = (_INDEX, _DELTA, _PARTIAL)

    def __init__(self, _record: "MessageRecord", _moment: int, content_index: int, delta: str) -> None:
        _set_record(self, _record)
        _set_moment(self, _moment)
        _set_index(self, content_index)
        _set_delta(self, delta)


# Nearly all events are deltas. Setting their slots directly makes one in half the time of a frozen dataclass's own __init__.
_set_record = vars(_Snapshot)["_record"].__set__
_set_moment = vars(_Snapshot)["_moment"].__set__
_set_index = vars(_BlockEvent)["content_index"].__set__
_set_delta = vars(_DeltaEvent)["delta"].__set__


@dataclass(frozen=True, slots=True, match_args=False)
class _ContentEvent(_BlockEvent):
    __match_args__ = ("content_index", "content")

    content: str

    wire: ClassVar = (_INDEX, ("content", "content"), _PARTIAL)


@dataclass(frozen=True, slots=True, match_args=False)
class TextStart(_BlockEvent):
    """A text block begins; ``partial`` shows its initial value, mostly ``""``."""

    type: ClassVar = "text_start"
    wire: ClassVar = (_INDEX, _PARTIAL)


@dataclass(frozen=True, slots=True, match_args=False, init=False)
class TextDelta(_DeltaEvent):
    """More text."""

    type: ClassVar = "text_delta"


@dataclass(frozen=True, slots=True, match_args=False)
class TextEnd(_ContentEvent):
    """A text block is complete: ``content`` is all of it."""

    type: ClassVar = "text_end"


@dataclass(frozen=True, slots=True, match_args=False)
class ThinkingStart(_BlockEvent):
    """A thinking block begins."""

    type: ClassVar = "thinking_start"
    wire: ClassVar = (_INDEX, _PARTIAL)


@dataclass(frozen=True, slots=True, match_args=False, init=False)
class ThinkingDelta(_DeltaEvent):
    """More thinking."""

    type: ClassVar = "thinking_delta"


@dataclass(frozen=True, slots=True, match_args=False)
class ThinkingEnd(_ContentEvent):
    """A thinking block is complete: ``content`` is all of it."""

    type: ClassVar = "thinking_end"


@dataclass(frozen=True, slots=True, match_args=False)
class ToolCallStart(_BlockEvent):
    """A tool call begins; its name and id are in ``partial`` as far as they are known."""

    type: ClassVar = "toolcall_start"
    wire: ClassVar = (_INDEX, _PARTIAL)


@dataclass(frozen=True, slots=True, match_args=False, init=False)
class ToolCallDelta(_DeltaEvent):
    """More of the JSON text of a call's arguments."""

    type: ClassVar = "toolcall_delta"


@dataclass(frozen=True, slots=True, match_args=False)
class ToolCallEnd(_BlockEvent):
    """A tool call is complete."""

    __match_args__ = ("content_index", "tool_call")

    tool_call: ToolCall

    type: ClassVar = "toolcall_end"
    wire: ClassVar = (_INDEX, ("toolCall", "_untyped"), _PARTIAL)

    @property
    def _untyped(self) -> dict[str, Any]:
        """The one place where the format leaves the block's type out."""
        return self.tool_call.model_dump(mode="json", exclude={"type"})


@dataclass(frozen=True, slots=True, match_args=False)
class StreamDone(Event):
    """The reply is complete: ``reason`` is Stop, Length or ToolUse."""

    __match_args__ = ("reason", "message")

    reason: StopReason
    message: AssistantMessage

    type: ClassVar = "done"
    wire: ClassVar = (("reason", "reason"), ("message", "message"))


@dataclass(frozen=True, slots=True, match_args=False)
class StreamError(Event):
    """The reply failed or was aborted (``reason``); ``error`` holds what had arrived, and why."""

    __match_args__ = ("reason", "error")

    reason: StopReason
    error: AssistantMessage

    type: ClassVar = "error"
    wire: ClassVar = (("reason", "reason"), ("error", "error"))

    @property
    def message(self) -> AssistantMessage:
        """The same as ``error``: the final message of the stream."""
        return self.error


AssistantMessageEvent = (
    StreamStart
    | TextStart
    | TextDelta
    | TextEnd
    | ThinkingStart
    | ThinkingDelta
    | ThinkingEnd
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
    | StreamDone
    | StreamError
)
