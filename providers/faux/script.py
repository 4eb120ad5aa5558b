"""What a faux provider is told to say: replies, factories of replies, and faults to order.

A step answers one call. It is one of

- an ``AssistantMessage``, as ``faux_assistant_message`` makes it: streamed block by block;
- a factory, ``(context, options, state, model)``, async or not: looks at the call and returns one of the others;
- what ``faux_failure``, ``faux_fault`` and ``faux_delayed`` return: a reply that does not arrive as it should.

Where a fault strikes::

    StreamStart  TextStart  TextDelta  TextDelta  TextEnd  ToolCallStart  ToolCallDelta  ToolCallEnd  StreamDone
    ^          ^          ^          ^          ^                       ^              ^            ^
    None       0          block=0    1          2                       block=1        3            more
                          after=0                                       after=0                     (block=2)
"""

import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from runtime.errors import InvalidOptionError, InvalidResponseError, ProviderError
from runtime.values.clock import now_ms
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.model import Model
from runtime.values.options import StreamOptions

FaultKind = Literal["fail", "stall", "cut", "malformed"]
Block: TypeAlias = TextContent | ThinkingContent | ToolCall

DEFAULT_ID = "faux-1"
_counter = itertools.count(1)
_ERRORS = {
    "fail": "The faux provider failed",
    "cut": "Stream ended without finish_reason",
    "malformed": "the faux reply is malformed",
}


@dataclass
class FauxState:
    """What factories see of their provider: ``call_count`` includes the call that they answer."""

    call_count: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two events of a reply.

    ``deltas`` have been written so far, None before the start; ``block`` is open, and has ``block_deltas`` of them.
    ``chunk`` is the delta that comes next, if one does.
    """

    deltas: int | None = None
    block: int | None = None
    block_deltas: int = 0
    chunk: str | None = None


@dataclass(frozen=True, slots=True)
class FauxFault:
    """What goes wrong with a reply, and where; ``faux_fault`` makes one."""

    kind: FaultKind
    after: int | None = 1
    block: int | None = None
    error: str | None = None

    def strikes_at(self, place: Place) -> bool:
        """Whether this is its place."""
        if self.after is None or self.block is None:
            return place.deltas == self.after
        return (place.block, place.block_deltas) == (self.block, self.after)

    def to_error(self) -> ProviderError:
        """What the provider reports when it has struck."""
        text = _ERRORS.get(self.kind, "") if self.error is None else self.error
        return InvalidResponseError(text) if self.kind == "malformed" else ProviderError(text)


@dataclass(frozen=True, slots=True)
class FauxReply:
    """A scripted message with what happens to it on the way."""

    message: AssistantMessage
    fault: FauxFault | None = None
    delay: float = 0.0


FauxAnswer: TypeAlias = AssistantMessage | FauxReply
FauxFactory: TypeAlias = Callable[
    [Context, StreamOptions, FauxState, Model], FauxAnswer | Awaitable[FauxAnswer]
]
FauxStep: TypeAlias = FauxAnswer | FauxFactory


def faux_text(text: str) -> TextContent:
    """A text block."""
    return TextContent(text)


def faux_thinking(thinking: str) -> ThinkingContent:
    """A thinking block, unsigned."""
    return ThinkingContent(thinking)


def faux_tool_call(name: str, arguments: Any, *, id: str | None = None) -> ToolCall:  # noqa: A002 - its name
    """A tool call; without ``id`` it gets one of its own."""
    return ToolCall(unique_id("tool") if id is None else id, name, arguments)


def faux_assistant_message(
    content: str | Block | Sequence[Block],
    *,
    stop_reason: StopReason = StopReason.Stop,
    error_message: str | None = None,
    response_id: str | None = None,
    timestamp: int | None = None,
) -> AssistantMessage:
    """A reply to script: a text, a block, or blocks.

    Its api, provider, model and usage are filled in when it is streamed, and its time unless ``timestamp`` is
    given. With ``stop_reason`` Error or Aborted all blocks are streamed, and then the stream ends so, with
    ``error_message``. Raises InvalidOptionError or pydantic's ValidationError for what no reply can hold.
    """
    given: dict[str, Any] = {} if timestamp is None else {"timestamp": timestamp}
    message = AssistantMessage(
        _blocks(content),
        api="faux",
        provider="faux",
        model=DEFAULT_ID,
        response_id=response_id,
        stop_reason=stop_reason,
        error_message=error_message,
        **given,
    )
    if error_message is not None and not message.failed:
        raise InvalidOptionError(
            f"error_message needs stop_reason error or aborted, not {message.stop_reason}"
        )
    return message


def _blocks(content: object) -> tuple[Any, ...]:
    match content:
        case str():
            return (TextContent(content),)
        case TextContent() | ThinkingContent() | ToolCall():
            return (content,)
        case list() | tuple():
            return tuple(content)
    raise InvalidOptionError(f"content must be a text, a block or a list of them, not {_kind(content)}")


def faux_failure(error: str) -> FauxReply:
    """A call that fails before its reply starts: the stream is one StreamError with this text."""
    return faux_fault(faux_assistant_message([]), after=None, error=error)


def faux_fault(
    reply: FauxAnswer,
    kind: FaultKind = "fail",
    *,
    after: int | None = 1,
    block: int | None = None,
    error: str | None = None,
) -> FauxReply:
    """A reply that goes wrong on the way. The block where it happens stays without an end.

    - ``fail``: the provider reports an error; ``cut``: the connection ends early; ``malformed``: the provider
      sends what its protocol does not allow. All three end as ``Error``, with the text ``error`` or one that
      tells the kind.
    - ``stall``: nothing more arrives, until the call is aborted or cancelled.

    It strikes right after as many deltas as ``after`` says: of the whole reply, or of the content block number
    ``block``. 0 is right after the start of the reply, or of the block; None is before the reply starts. A place
    that the reply does not have is its end: all blocks are complete, but ``StreamDone`` does not come.
    """
    if kind not in get_args(FaultKind):
        raise InvalidOptionError(f"kind must be one of {', '.join(get_args(FaultKind))}, not {kind!r}")
    _check_count("after", after)
    _check_count("block", block)
    if after is None and block is not None:
        raise InvalidOptionError(f"block {block} needs a number in after: before the start there is no block")
    if error is not None and not isinstance(error, str):
        raise InvalidOptionError(f"error must be a string, not {_kind(error)}")
    return dataclasses.replace(as_reply(reply), fault=FauxFault(kind, after, block, error))


def faux_delayed(reply: FauxAnswer, seconds: float) -> FauxReply:
    """A reply that starts only after a while, on trio's clock; with ``math.inf`` it never does."""
    match seconds:
        case bool():
            pass
        case int() | float() if seconds >= 0:
            return dataclasses.replace(as_reply(reply), delay=seconds)
    raise InvalidOptionError(f"seconds must be a number of at least 0, not {seconds!r}")


def as_reply(answer: object) -> FauxReply:
    """A message, or a message with trouble on the way, as the latter; InvalidOptionError for anything else."""
    match answer:
        case FauxReply():
            return answer
        case AssistantMessage():
            return FauxReply(answer)
    raise InvalidOptionError(
        f"a faux reply is an AssistantMessage (faux_assistant_message makes one), not {_kind(answer)}"
    )


def checked_steps(steps: object) -> list[FauxStep]:
    """The steps as a list; InvalidOptionError says which one is none."""
    if isinstance(steps, str | AssistantMessage) or not isinstance(steps, Iterable):
        raise InvalidOptionError(f"responses must be a list of steps, not {_kind(steps)}")
    return [_checked(number, step) for number, step in enumerate(steps)]


def _checked(number: int, step: object) -> FauxStep:
    if isinstance(step, AssistantMessage | FauxReply):
        return step
    if callable(step):
        return cast("FauxFactory", step)
    raise InvalidOptionError(
        f"step {number} must be an AssistantMessage, a faux reply or a factory, not {_kind(step)}"
    )


def describe_step(step: FauxStep) -> str:
    """A step in a few words, for people who look for one that was not used."""
    match step:
        case AssistantMessage():
            return _describe(step)
        case FauxReply(message=message, fault=None):
            return _describe(message)
        case FauxReply(message=message, fault=FauxFault(kind=kind)):
            return f"{_describe(message)} that ends as {kind}"
    return f"factory {getattr(step, '__qualname__', type(step).__name__)}"


def _describe(message: AssistantMessage) -> str:
    text = message.text
    said = [repr(text if len(text) <= 40 else f"{text[:37]}...")] if text else []
    called = [f"a call of {call.name}" for call in message.tool_calls]
    return f"reply {' and '.join(said + called)}" if said or called else "reply without text"


def unique_id(kind: str) -> str:
    """A name that no other of this process has."""
    return f"{kind}:{now_ms()}:{next(_counter)}"


def _check_count(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise InvalidOptionError(f"{name} must be a whole number of at least 0, or None, not {value!r}")


def _kind(value: object) -> str:
    return type(value).__name__
