"""One reply as it is read: what of it is passed on, and what had arrived if it is cut."""

from collections.abc import Awaitable, Callable
from typing import Any, get_args

from runtime.errors import InvalidOptionError
from runtime.streams.events import AssistantMessageEvent, StreamDone, StreamError, StreamStart
from runtime.values.checks import check_type
from runtime.values.message import AssistantMessage

from .events import AgentEvent, MessageStart, MessageUpdate

Sink = Callable[[AgentEvent], Awaitable[None]]
_EVENTS = get_args(AssistantMessageEvent)


class Reading:
    """The events of one reply on their way out: nothing before its start, the end apart."""

    def __init__(self, emit: Sink) -> None:
        self._emit = emit
        self._last: StreamStart | MessageUpdate | None = None
        self.started = False
        self.final: AssistantMessage | None = None

    async def take(self, event: Any) -> None:
        """Pass on what the stream gave; InvalidOptionError for what is no event of a stream."""
        match event:
            case StreamDone() | StreamError():
                return
            case StreamStart() if self.started:  # a reply starts once, however often its source tries
                return
            case StreamStart():
                self.started = True
                self._last = event
                await self._emit(MessageStart(event.partial))
            case _ if not isinstance(event, _EVENTS):
                raise InvalidOptionError(
                    f"the stream that stream_fn opened gave {type(event).__name__}, which is no event of a stream"
                )
            case _ if self.started:
                self._last = update = MessageUpdate(event)
                await self._emit(update)

    def end(self, message: object) -> None:
        """The final message, which a stream of the application's own may get wrong."""
        check_type("the result() of what stream_fn opened", message, AssistantMessage)
        assert isinstance(message, AssistantMessage)  # noqa: S101 - just checked
        self.final = message

    @property
    def partial(self) -> AssistantMessage | None:
        """What had arrived, as far as it was read."""
        match self._last:
            case None:
                return None
            case StreamStart():
                return self._last.partial
            case MessageUpdate():
                return self._last.message
