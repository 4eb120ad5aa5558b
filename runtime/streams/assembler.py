"""The one maker of stream events: whoever decodes a wire tells it what arrived.

It holds the grammar of ``events``: an ill-formed sequence cannot be written, because the call that would write it
raises ``GrammarError``, which is a bug of the decoder and never of the wire.
"""

from collections.abc import Callable
from typing import Any

from runtime.errors import InvalidResponseError
from runtime.values.clock import now_ms
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.model import Model
from runtime.values.redaction import redacted
from runtime.values.text import clean_json, clean_text
from runtime.values.usage import Usage

from .events import (
    AssistantMessageEvent,
    StreamDone,
    StreamError,
    StreamStart,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from .partial_json import parse_partial_json
from .record import BlockRecord, BlockState, MessageRecord, make_tool_call

ABORTED = "Request was aborted"
MAX_BLOCKS = 10_000


class GrammarError(RuntimeError):
    """The decoder asked for an event that cannot stand here."""


class MessageAssembler:
    """Builds one reply. Each method says what happened on the wire; ``take()`` gives the events made since.

    Blocks are named by the index that their start returns. Several may be open at once. Strings may hold halves of
    surrogate pairs: pairs are joined across deltas, and what stays alone is dropped.
    """

    def __init__(self, model: Model, timestamp: int | None = None) -> None:
        self._record = MessageRecord(
            model.api, model.provider, model.id, now_ms() if timestamp is None else timestamp
        )
        self._events: list[AssistantMessageEvent] = []
        self._open: dict[int, BlockRecord] = {}
        self._started = False
        self._final: AssistantMessage | None = None
        self.redact: Callable[[str], str] = str
        """Takes credentials out of what a server reports beside the reply; set by who knows them."""

    @property
    def started(self) -> bool:
        """Whether the reply has begun."""
        return self._started

    @property
    def final(self) -> AssistantMessage | None:
        """The finished message; None until ``done`` or ``fail``."""
        return self._final

    @property
    def message(self) -> AssistantMessage:
        """The message as it stands now."""
        return self._final or self._record.message_at(self._record.moment)

    @property
    def open_blocks(self) -> list[int]:
        """The indexes of blocks that go on, in content order; none when the reply is over."""
        return list(self._open)

    @property
    def usage(self) -> Usage:
        """The usage as far as it is known."""
        return self._record.state.latest.usage

    def take(self) -> list[AssistantMessageEvent]:
        """The events made since the last call."""
        events, self._events = self._events, []
        return events

    def give_back(self, events: list[AssistantMessageEvent]) -> None:
        """Put events that could not be delivered back in front."""
        self._events[:0] = events

    # The message

    def start(self, timestamp: int | None = None) -> None:
        """The provider began to answer; ``timestamp`` replaces the time at which the call was made."""
        if self._started or self._final is not None:
            raise GrammarError("a reply starts once")
        if timestamp is not None:
            self._record.timestamp = timestamp
        self._started = True
        self._events.append(StreamStart(self._record, self._tick()))

    def update(
        self,
        *,
        response_id: str | None = None,
        response_model: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Set fields of the message; None leaves one as it is. Shown from the next event on."""
        self._check_running()
        self._record.moment += 1
        fields = {
            "response_id": response_id and clean_text(response_id),
            "response_model": response_model and clean_text(response_model),
            "usage": usage,
        }
        self._record.change(**{name: value for name, value in fields.items() if value is not None})

    def add_provider_item(self, item: Any, index: int | None = None) -> None:
        """Keep a block of the provider's own kind; ``index`` is its place among the content blocks (default: here).

        One that cannot be kept as JSON (too deep, numbers out of range) leaves a diagnostic in its place.
        """
        self._check_running()
        place = len(self._record.blocks) if index is None else index
        try:
            entry = clean_json({"index": place, "item": item})
        except ValueError as error:
            self.add_diagnostic(
                {"type": "provider_item_lost", "index": place, "error": {"message": str(error)}}
            )
            return
        self._record.moment += 1
        self._record.change(provider_items=(*self._record.state.latest.provider_items, entry))

    def add_diagnostic(self, entry: Any) -> None:
        """Keep a note of something odd that did not stop the reply."""
        self._check_running()
        self._record.moment += 1
        note = redacted(clean_json(entry), self.redact)
        self._record.change(diagnostics=(*self._record.state.latest.diagnostics, note))

    def done(self, reason: StopReason = StopReason.Stop) -> AssistantMessage:
        """The reply is complete; every block must have its end."""
        if reason in (StopReason.Error, StopReason.Aborted):
            raise GrammarError(f"a reply that ends as {reason} has failed")
        self._check_running()
        if self.open_blocks:
            raise GrammarError(f"blocks {self.open_blocks} have no end")
        message = self._finish(stop_reason=reason)
        self._events.append(StreamDone(reason, message))
        return message

    def fail(self, error_message: str, reason: StopReason = StopReason.Error) -> AssistantMessage:
        """The reply failed; open blocks stay as they are. May come before ``start``."""
        if self._final is not None:
            raise GrammarError("a reply ends once")
        message = self._finish(stop_reason=reason, error_message=clean_text(error_message))
        self._events.append(StreamError(reason, message))
        return message

    def abort(self) -> AssistantMessage:
        """Somebody asked to stop."""
        return self.fail(ABORTED, StopReason.Aborted)

    def _finish(self, **fields: Any) -> AssistantMessage:
        moment = self._tick()
        self._record.change(**fields)
        self._final = self._record.message_at(moment)
        self._open.clear()
        return self._final

    # Blocks

    def text_start(self, initial: str = "", signature: str | None = None) -> int:
        """A text block begins, maybe with its first text; returns its index."""
        return self._begin(TextContent, TextStart, BlockState(signature=signature), initial)

    def text_delta(self, index: int, delta: str) -> None:
        """More text."""
        self._grow(TextDelta, index, TextContent, delta)

    def text_end(self, index: int, content: str | None = None, signature: str | None = None) -> None:
        """A text block is complete; ``content`` is its final value if the wire repeats it."""
        text = self._close_text(index, TextContent, TextDelta, content, signature)
        self._events.append(TextEnd(self._record, self._tick(), index, text))

    def thinking_start(
        self, initial: str = "", signature: str | None = None, redacted: bool | None = None
    ) -> int:
        """A thinking block begins; returns its index."""
        return self._begin(
            ThinkingContent, ThinkingStart, BlockState(signature=signature, redacted=redacted), initial
        )

    def thinking_delta(self, index: int, delta: str) -> None:
        """More thinking."""
        self._grow(ThinkingDelta, index, ThinkingContent, delta)

    def thinking_end(self, index: int, content: str | None = None, signature: str | None = None) -> None:
        """A thinking block is complete."""
        text = self._close_text(index, ThinkingContent, ThinkingDelta, content, signature)
        self._events.append(ThinkingEnd(self._record, self._tick(), index, text))

    def tool_call_start(self, id: str = "", name: str = "", arguments: Any = None) -> int:  # noqa: A002 - its name
        """A tool call begins; ``arguments`` is the wire's initial value, which holds if no delta follows."""
        initial = None if arguments is None else clean_json(arguments)
        state = BlockState(id=clean_text(id), name=clean_text(name), initial=initial)
        return self._begin(ToolCall, ToolCallStart, state, "")

    def tool_call_delta(self, index: int, delta: str) -> None:
        """More of the JSON text of the arguments."""
        self._grow(ToolCallDelta, index, ToolCall, delta)

    def tool_call_update(self, index: int, id: str | None = None, name: str | None = None) -> None:  # noqa: A002
        """Its id or name became known; None leaves one as it is."""
        fields = {"id": id and clean_text(id), "name": name and clean_text(name)}
        self._change(index, ToolCall, **{key: value for key, value in fields.items() if value is not None})

    def tool_call_end(self, index: int, text: str | None = None) -> ToolCall:
        """A tool call is complete; ``text`` is the JSON text of its arguments if the wire repeats it."""
        block = self._block(index, ToolCall)
        streamed = self._complete(index, block, ToolCallDelta, text)
        initial = block.state.latest.initial
        arguments = parse_partial_json(streamed) if streamed.strip() else {} if initial is None else initial
        self._record.moment += 1
        block.change(self._record.moment, final={} if arguments is None else arguments, ended=True)
        del self._open[index]
        call = make_tool_call(block.state.latest, block.state.latest.final)
        self._events.append(ToolCallEnd(self._record, self._tick(), index, call))
        return call

    def sign(self, index: int, signature: str) -> None:
        """Set the provider's signature of a block, open or not."""
        self._check_running()
        self._record.moment += 1
        self._record.blocks[index].change(self._record.moment, signature=clean_text(signature))

    def text_of(self, index: int) -> str:
        """What has been streamed into a block so far."""
        return self._record.blocks[index].text.whole()

    def close_open_blocks(self) -> None:
        """End every open block, in content order."""
        for index in self.open_blocks:
            match self._record.blocks[index].kind:
                case kind if kind is TextContent:
                    self.text_end(index)
                case kind if kind is ThinkingContent:
                    self.thinking_end(index)
                case _:
                    self.tool_call_end(index)

    # Underneath

    def _tick(self) -> int:
        self._record.moment += 1
        return self._record.moment

    def _check_running(self) -> None:
        if not self._started or self._final is not None:
            raise GrammarError("nothing can happen before the start or after the end of a reply")

    def _block(self, index: int, kind: type) -> BlockRecord:
        block = self._open.get(index)
        if block is None or block.kind is not kind:
            self._check_running()
            raise GrammarError(f"block {index} is no open {kind.__name__}")
        return block

    def _begin(
        self,
        kind: type[TextContent | ThinkingContent | ToolCall],
        event: type[TextStart | ThinkingStart | ToolCallStart],
        state: BlockState,
        initial: str,
    ) -> int:
        self._check_running()
        blocks = self._record.blocks
        if len(blocks) >= MAX_BLOCKS:
            raise InvalidResponseError(f"a reply of more than {MAX_BLOCKS} blocks")
        moment = self._tick()
        block = BlockRecord(kind, moment, state)
        self._open[len(blocks)] = block
        blocks.append(block)
        if initial:
            block.text.append(moment, _heal(block, initial))
        self._events.append(event(self._record, moment, len(blocks) - 1))
        return len(blocks) - 1

    def _grow(
        self, event: type[TextDelta | ThinkingDelta | ToolCallDelta], index: int, kind: type, delta: str
    ) -> None:
        """More of a block. Most of a reply goes through here, so it does nothing that can be done once."""
        block = self._open.get(index)
        if block is None or block.kind is not kind:
            block = self._block(index, kind)  # says what is wrong
        if block.carry or not delta.isascii():
            delta = _heal(block, delta)
        record = self._record
        record.moment = moment = record.moment + 1
        block.text.append(moment, delta)
        self._events.append(event(record, moment, index, delta))

    def _change(self, index: int, kind: type, **fields: Any) -> None:
        block = self._block(index, kind)
        self._record.moment += 1
        block.change(self._record.moment, **fields)

    def _complete(
        self,
        index: int,
        block: BlockRecord,
        event: type[TextDelta | ThinkingDelta | ToolCallDelta],
        final: str | None,
    ) -> str:
        """What the block says in the end; a final value that says more is streamed up to there first."""
        block.carry = ""
        streamed = block.text.whole()
        if final is None or (final := clean_text(final)) == streamed:
            return streamed
        if final.startswith(streamed):
            self._grow(event, index, block.kind, final[len(streamed) :])
        return final

    def _close_text(
        self,
        index: int,
        kind: type[TextContent | ThinkingContent],
        event: type[TextDelta | ThinkingDelta],
        content: str | None,
        signature: str | None,
    ) -> str:
        block = self._block(index, kind)
        text = self._complete(index, block, event, content)
        contradicts = text != block.text.whole() if content is not None else False
        self._record.moment += 1
        block.change(self._record.moment, ended=True, final=text if contradicts else None)
        del self._open[index]
        if signature is not None:
            block.change(self._record.moment, signature=clean_text(signature))
        return text

    def __repr__(self) -> str:
        state = (
            f"ended as {self._final.stop_reason}"
            if self._final
            else "running"
            if self._started
            else "not started"
        )
        return f"<MessageAssembler {state}, {len(self._record.blocks)} blocks>"


def _heal(block: BlockRecord, delta: str) -> str:
    """Join a surrogate pair that was cut between two deltas; keep a first half until the next one."""
    delta = block.carry + delta
    block.carry = ""
    if delta and "\ud800" <= delta[-1] <= "\udbff":
        block.carry, delta = delta[-1], delta[:-1]
    return clean_text(delta)
