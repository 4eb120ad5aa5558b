"""Messages on their way into a run, each with a receipt."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import trio

from runtime.errors import InvalidOptionError, QueueFullError
from runtime.values.checks import check_messages
from runtime.values.content import ImageContent
from runtime.values.message import (
    AssistantMessage,
    CustomMessage,
    Message,
    ToolResultMessage,
    UserMessage,
    user,
)

from .hooks import MessageSource, ask

_MESSAGES = UserMessage | AssistantMessage | ToolResultMessage | CustomMessage


class QueueMode(StrEnum):
    """How many messages one poll takes."""

    OneAtATime = "one_at_a_time"
    All = "all"


class DeliveryStatus(StrEnum):
    """Where a queued message is."""

    Queued = "queued"
    Delivered = "delivered"
    Returned = "returned"


class Delivery:
    """The receipt of a steered or followed-up message.

    ``status`` is queued until the message is in the transcript (delivered: ``run`` and ``turn``, from 1, say where), or
    until its queue was cleared or its agent closed (returned). What a turn that begins has taken already cannot be called
    back: it is delivered if the turn goes on, and returned if the run is cut before that.
    """

    def __init__(self, message: Message) -> None:
        self.message = message
        self.status = DeliveryStatus.Queued
        self.run: int | None = None
        self.turn: int | None = None
        self._decided = trio.Event()

    async def wait(self) -> DeliveryStatus:
        """Wait until it is delivered or returned; a tool or listener of the run that is to take it would wait for ever."""
        await self._decided.wait()
        return self.status

    def deliver(self, run: int, turn: int) -> None:
        """The message is in the transcript."""
        self.run, self.turn = run, turn
        self._decide(DeliveryStatus.Delivered)

    def give_up(self) -> None:
        """The message will not be delivered."""
        self._decide(DeliveryStatus.Returned)

    def _decide(self, status: DeliveryStatus) -> None:
        if self.status is DeliveryStatus.Queued:
            self.status = status
            self._decided.set()

    def __repr__(self) -> str:
        where = f" in run {self.run}, turn {self.turn}" if self.run else ""
        return f"<Delivery {self.status}{where}>"


@dataclass(frozen=True, eq=False)
class Envelope:
    """A message for a run. One that was queued has a receipt, and a mailbox to go back to; a prompt has neither."""

    message: Message
    delivery: Delivery | None = None
    origin: "Mailbox | None" = None


class Inbox(Protocol):
    """Where a run asks for messages."""

    async def take(self) -> list[Envelope]:
        """What is to join now."""

    def watched(self, act: Callable[[], None]) -> AbstractContextManager[None]:
        """Have ``act`` called, during the block, whenever a message waits; at once if one does already."""


def as_message(message: object, images: Sequence[ImageContent] = ()) -> Message:
    """What somebody says, as a message: a string is the user's."""
    if isinstance(message, str):
        return user(message, images)
    if not isinstance(message, _MESSAGES):
        raise InvalidOptionError(f"a message is a str or a Message, not {type(message).__name__}")
    return message


def give_back(envelopes: Iterable[Envelope]) -> None:
    """Put what was queued back where it came from, in front, in its order."""
    for origin, queued in groupby(
        (envelope for envelope in envelopes if envelope.origin is not None), key=attrgetter("origin")
    ):
        origin.give_back(queued)


def _return(envelopes: Iterable[Envelope]) -> None:
    for envelope in envelopes:
        if envelope.delivery is not None:
            envelope.delivery.give_up()


_Channel = tuple["trio.MemorySendChannel[Envelope]", "trio.MemoryReceiveChannel[Envelope]"]


class Mailbox:
    """A bounded queue of messages: a memory channel, and a front list for those that came back."""

    def __init__(self, capacity: int, mode: QueueMode) -> None:
        # opened for the first message: most agents never get one, and a channel is a third of what an idle one weighs
        self._channel: _Channel | None = None
        self._front: deque[Envelope] = deque()
        self._watcher: Callable[[], None] | None = None
        self._closed = False
        self._recalled = False
        self.capacity = capacity
        self.mode = mode

    def post(self, message: Message) -> Delivery:
        """Queue a message; raises QueueFullError when ``capacity`` are waiting."""
        if len(self) >= self.capacity:
            raise QueueFullError(
                f"{self.capacity} messages are queued already; wait for a delivery, or clear the queue"
            )
        delivery = Delivery(message)
        if self._channel is None:
            self._channel = trio.open_memory_channel[Envelope](self.capacity)
        self._channel[0].send_nowait(Envelope(message, delivery, self))
        if self._watcher is not None:
            self._watcher()
        return delivery

    @contextmanager
    def watched(self, act: Callable[[], None]) -> Iterator[None]:
        """Have ``act`` called, during the block, whenever a message waits; at once if one does already."""
        self._watcher = act
        if len(self):
            act()
        try:
            yield
        finally:
            self._watcher = None

    async def take(self) -> list[Envelope]:
        """The same as ``take_nowait``, for a run."""
        return self.take_nowait()

    def take_nowait(self) -> list[Envelope]:
        """The oldest message, or all of them, as the mode says."""
        self._recalled = False
        count = len(self) if self.mode is QueueMode.All else min(1, len(self))
        return [self._next() for _ in range(count)]

    def _next(self) -> Envelope:
        if self._front or self._channel is None:
            return self._front.popleft()
        return self._channel[1].receive_nowait()

    def give_back(self, envelopes: Iterable[Envelope]) -> None:
        """What could not join comes first next time; unless the queue was cleared meanwhile: then it is returned, too."""
        if self._closed or self._recalled:
            _return(envelopes)
        else:
            self._front.extendleft(reversed(list(envelopes)))

    def close(self) -> None:
        """Return all messages, also those that come back later."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Return all messages, also those that were taken, should they come back."""
        self._recalled = True
        _return(self._next() for _ in range(len(self)))

    def __len__(self) -> int:
        queued = 0 if self._channel is None else self._channel[1].statistics().current_buffer_used
        return len(self._front) + queued

    def __repr__(self) -> str:
        return f"<Mailbox {self.mode}, {len(self)} of {self.capacity} waiting>"


class PolledInbox:
    """An inbox over a function of the application. What it gave cannot go back: it joins the run in any case.

    What it has is only known when it is asked, at the end of a turn: nobody can watch it.
    """

    def __init__(self, name: str, source: MessageSource | None) -> None:
        self._name = name
        self._source = source

    async def take(self) -> list[Envelope]:
        if self._source is None:
            return []
        messages = check_messages(f"what {self._name} returned", await ask(self._name, self._source))
        return [Envelope(message) for message in messages]

    def watched(self, act: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()
