"""What was encoded for one turn of a conversation, kept for the next one.

A turn adds a few messages to a transcript that may hold thousands, and never changes what stands before them. So an API
keeps what it made of a transcript, and makes the rest of it from the new messages alone. Two things have to hold for that:
the same message objects at the start, and no call id in both parts. For ids are all that the handoff looks back for: it
pairs results with calls by them, and replaces one that is there already. Where one returns, everything is made anew.

What is kept hangs on the last message of its transcript, and goes with that.
"""

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import is_
from typing import Generic, TypeVar

from runtime.streams.handoff import LanguageMessage
from runtime.values.message import AssistantMessage, Message, ToolResultMessage

_T = TypeVar("_T")
_R = TypeVar("_R")
Handoff = Callable[[Sequence[Message]], list[LanguageMessage]]


@dataclass
class Encoded(Generic[_T]):
    """The messages of a transcript but the last one, the ids in it, and what an API made of it all."""

    made: _T
    settings: tuple[object, ...]
    earlier: list[Message] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    sent_ids: set[str] = field(default_factory=set)

    def begins(self, messages: Sequence[Message], settings: tuple[object, ...]) -> bool:
        """Whether the messages begin with those of this one, but for its last one, and are encoded in the same way."""
        return (
            len(self.settings) == len(settings)
            and all(map(is_, self.settings, settings))
            and all(map(is_, self.earlier, messages))
        )

    def admit(self, messages: Iterable[Message], handed: Iterable[LanguageMessage]) -> bool:
        """Whether nothing refers from one part to the other; then the ids of these messages are known from now on."""
        ids, sent_ids = set(_ids(messages)), {call_id.partition("|")[0] for call_id in _call_ids(handed)}
        if not (self.ids.isdisjoint(ids) and self.sent_ids.isdisjoint(sent_ids)):
            return False
        self.ids |= ids
        self.sent_ids |= sent_ids
        return True


class Continuations(Generic[_T]):
    """What one API has made of transcripts. ``start`` makes the ``_T`` of an empty one; it is changed as messages come.

    Safe in any thread: what is kept is taken out by whoever goes on with it.
    """

    def __init__(self, start: Callable[[], _T]) -> None:
        self._start = start
        self._kept: dict[int, tuple[weakref.ref[Message], Encoded[_T]]] = {}

    def go_on(
        self,
        messages: Sequence[Message],
        settings: tuple[object, ...],
        handoff: Handoff,
        encode: Callable[[_T, list[LanguageMessage]], _R],
    ) -> _R:
        """What ``encode`` returns, when it has added what is new to what was kept from the last time.

        ``settings`` are all objects beside the messages that it depends on; the same objects, not equal ones, count. What
        is returned must be complete: from then on, somebody else may go on with what is kept.
        """
        encoded, new = self._take(messages, settings)
        handed = handoff(new)
        if not encoded.admit(new, handed):
            encoded, handed = Encoded(self._start(), settings), handoff(messages)
            encoded.admit(messages, handed)
        result = encode(encoded.made, handed)
        self._keep(encoded, messages)
        return result

    def _take(
        self, messages: Sequence[Message], settings: tuple[object, ...]
    ) -> tuple[Encoded[_T], Sequence[Message]]:
        for place in range(len(messages) - 1, -1, -1):
            if id(messages[place]) not in self._kept:
                continue
            last, encoded = self._kept.pop(id(messages[place]), (None, None))
            if last is None or encoded is None or last() is not messages[place]:
                break
            if len(encoded.earlier) == place and encoded.begins(messages, settings):
                return encoded, messages[place + 1 :]
            break
        return Encoded(self._start(), settings), messages

    def _keep(self, encoded: Encoded[_T], messages: Sequence[Message]) -> None:
        if not messages:
            return
        encoded.earlier += islice(messages, len(encoded.earlier), len(messages) - 1)
        last, key = messages[-1], id(messages[-1])

        def forget(gone: "weakref.ref[Message]") -> None:
            if key in self._kept and self._kept[key][0] is gone:
                del self._kept[key]

        self._kept[key] = weakref.ref(last, forget), encoded


def _ids(messages: Iterable[Message]) -> Iterable[str]:
    for message in messages:
        if isinstance(message, ToolResultMessage):
            yield message.tool_call_id
        elif isinstance(message, AssistantMessage):
            yield from (call.id for call in message.tool_calls)


def _call_ids(messages: Iterable[LanguageMessage]) -> Iterable[str]:
    for message in messages:
        if isinstance(message, AssistantMessage):
            yield from (call.id for call in message.tool_calls)
