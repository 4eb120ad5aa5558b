"""One reply on its way: a producer task, a bounded channel, and the stream that is read.

The channel's items are batches: the events of one network chunk cross in one go, so that a token costs no task switch.
Nor does a small chunk: it joins the batch before it, as long as the reader has not come to that.
At most ``BATCHES`` of them wait; then the producer waits, and with it the socket.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self

import trio

from runtime.errors import AgentrioError, HookError, StreamClosedError
from runtime.nurseries import SingleVoiceNursery, when_set
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.model import Model

from .assembler import ABORTED, MessageAssembler
from .events import AssistantMessageEvent, StreamDone, StreamError

BATCHES = 16
_TOGETHER = 256
"""So many events of small chunks cross in one batch."""


class Batch(list[AssistantMessageEvent]):
    """Events that cross in one go. Until the reader has ``taken`` it, more may be put in."""

    taken = False


class MessageWriter:
    """What a producer writes to: ``assembler`` makes events, ``flush`` sends them."""

    def __init__(self, assembler: MessageAssembler, channel: "trio.MemorySendChannel[Batch]") -> None:
        self.assembler = assembler
        self._channel = channel
        self._last = Batch()  # the one that was sent last
        self._last.taken = True

    def flush_nowait(self) -> bool:
        """Send what was made since the last flush, without a checkpoint.

        False if the reader is behind, or has left: ``flush`` waits for the one, and is cancelled by the other.
        """
        events = self.assembler.take()
        if not events:
            return True
        if not self._last.taken and len(self._last) < _TOGETHER:
            self._last += events
            return True
        batch = Batch(events)
        try:
            self._channel.send_nowait(batch)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self.assembler.give_back(events)
            return False
        self._last = batch
        return True

    async def flush(self) -> None:
        """Send what was made since the last flush; waits while the reader is behind.

        If this is cancelled, the events stay with the assembler and go with the next flush.
        """
        events = self.assembler.take()
        if not events:
            return
        batch = Batch(events)
        try:
            await self._channel.send(batch)
        except BaseException:
            self.assembler.give_back(events)
            raise
        self._last = batch


Producer = Callable[[MessageWriter], Awaitable[None]]
"""A provider's half of a call: writes the whole reply, up to ``done``. Its AgentrioErrors end the stream as ``Error``."""


class MessageStream:
    """The events of one reply, and in the end the message. ``stream`` and ``stream_simple`` open one.

    Read it with ``async for``; ``result()`` reads the rest by itself. An event that is already here is returned
    without a checkpoint, at most one network chunk's worth, or 256 of small ones. Leaving the block closes the connection.
    """

    def __init__(self, assembler: MessageAssembler, channel: "trio.MemoryReceiveChannel[Batch]") -> None:
        self._assembler = assembler
        self._channel = channel
        self._batch: Iterator[AssistantMessageEvent] = iter(())
        self._last: StreamDone | StreamError | None = None
        self._abandoned: AssistantMessage | None = None
        self._abort_scope = trio.CancelScope()
        self._crash: BaseException | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        for event in self._batch:
            return event
        return await self._next_batch()

    async def _next_batch(self) -> AssistantMessageEvent:
        if self._last is not None or self._abandoned is not None:
            raise StopAsyncIteration
        batch = await self._receive()
        if batch is None:  # raised out here, so that the crash keeps its own cause and context
            raise self._take_crash() or StreamClosedError
        last = batch[-1]
        if isinstance(last, StreamDone | StreamError):
            self._last = last
        self._batch = iter(batch)
        return next(self._batch)

    async def _receive(self) -> "Batch | None":
        try:
            batch = await self._channel.receive()
        except trio.EndOfChannel:
            return None
        batch.taken = True
        return batch

    async def result(self) -> AssistantMessage:
        """The final message, also after an error or an abort: look at ``stop_reason``.

        Reads what is left of the stream. After an early exit from the block, it is the ``Aborted`` message.
        """
        if self._abandoned is not None:
            return self._abandoned
        async for _ in self:
            pass
        assert self._last is not None  # noqa: S101 - the iteration has ended
        return self._last.message

    def abort(self) -> None:
        """End the reply as ``Aborted``: what had arrived stays in the message. Later calls do nothing."""
        self._abort_scope.cancel()

    async def _produce(self, produce: Producer, channel: "trio.MemorySendChannel[Batch]") -> None:
        with channel:
            writer = MessageWriter(self._assembler, channel)
            try:
                with self._abort_scope:
                    await produce(writer)
                    self._check_ended()
            except AgentrioError as error:
                if self._assembler.final is None:
                    self._assembler.fail(str(error) or type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a broken program: it is raised where the stream is read
                self._crash = error
            if self._abort_scope.cancelled_caught and self._assembler.final is None:
                self._assembler.abort()
            await writer.flush()

    def _check_ended(self) -> None:
        if self._assembler.final is None:
            raise RuntimeError(
                "the provider's producer returned before done() or fail()"
            ) from StreamClosedError()

    def _take_crash(self) -> BaseException | None:
        crash, self._crash = self._crash, None
        return crash

    def _leave(self) -> None:
        """The block is left: unless the reader saw the end, the reply counts as aborted."""
        if self._last is not None and next(self._batch, None) is None:
            return
        self._batch = iter(())
        final = self._assembler.final
        self._abandoned = self._assembler.abort() if final is None else _aborted(final)

    def __repr__(self) -> str:
        message = self._abandoned or self._assembler.message
        state = f"ended as {message.stop_reason}" if self._assembler.final else "streaming"
        return f"<MessageStream {message.provider}/{message.model} {state}, {len(message.content)} blocks>"


def _aborted(message: AssistantMessage) -> AssistantMessage:
    return message.model_copy(update={"stop_reason": StopReason.Aborted, "error_message": ABORTED})


@asynccontextmanager
async def open_message_stream(
    model: Model, produce: Producer, *, abort: trio.Event | None = None
) -> AsyncIterator[MessageStream]:
    """Run a producer beside the block, and give the block its stream. Providers implement their calls with it.

    The producer runs in a task of this block and never outlives it. An ``abort`` that is set already gives a stream of
    one event, without running the producer. What the block raises leaves as itself.
    """
    send, receive = trio.open_memory_channel[Batch](BATCHES)
    stream = MessageStream(MessageAssembler(model), receive)
    async with SingleVoiceNursery() as nursery:
        if abort is not None:
            if abort.is_set():
                produce = produce_nothing
                stream.abort()
            else:
                nursery.start_soon(when_set, abort, stream.abort)
        nursery.start_soon(stream._produce, produce, send)  # noqa: SLF001 - the stream's own half
        try:
            yield stream
        finally:  # nothing here may wait: a cancellation of our own would hide what the block raised
            nursery.cancel_scope.cancel()
            receive.close()
            stream._leave()  # noqa: SLF001
    if crash := stream._take_crash():  # noqa: SLF001
        raise crash


async def produce_nothing(writer: MessageWriter) -> None:
    """Write nothing: the producer of a call that was aborted beforehand, which ends at its first checkpoint."""
    await trio.lowlevel.checkpoint()


async def call_hook(name: str, hook: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Await a hook of the call's options; what it raises becomes a HookError, which ends the call as ``Error``."""
    try:
        return await hook(*args)
    except Exception as error:
        raise HookError(name, error) from error
