"""A transcript made fit for a model, whoever wrote it: the handoff between providers.

Three passes, each a pure function of what it is given::

    messages -> _paired      every call has its one result, failed replies and custom messages are gone
             -> _rewritten   what only its own model can read becomes text or goes; call ids fit and are distinct
             -> _readable    images become a line of text, for models that cannot see

Each decides about a message from what stands before it, and time stamps are taken from the transcript. So a longer
transcript begins with the same messages, and a provider's prompt cache keeps working: only a result that comes late
takes the place of one that was made up for its call.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias, TypeVar, get_args

from runtime.errors import InvalidOptionError
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, Message, ToolResultMessage, UserMessage
from runtime.values.model import Model, same_model
from runtime.values.options import ForeignThinking
from runtime.values.value import Value

from .call_ids import short_hash

NormalizeId: TypeAlias = Callable[[str, Model, AssistantMessage], str]
LanguageMessage: TypeAlias = UserMessage | AssistantMessage | ToolResultMessage
_V = TypeVar("_V", bound=Value)
_Block: TypeAlias = TextContent | ThinkingContent | ToolCall

NO_RESULT = "No result provided"
USER_IMAGE = "(image omitted: model does not support images)"
TOOL_IMAGE = "(tool image omitted: model does not support images)"


def transform_messages(
    messages: Sequence[Message],
    model: Model,
    normalize_id: NormalizeId | None = None,
    *,
    foreign_thinking: ForeignThinking = "tagged",
) -> list[LanguageMessage]:
    """Make any transcript one that ``model`` can be sent; the input stays as it is.

    - Replies that failed are left out with their results, and so are custom messages and results without a call.
    - The results of a reply follow it, in the order of its calls, one for each; a call that nobody answered gets
      an error result.
    - Of the replies of other models (another provider, API or id) signatures and provider items are dropped, and
      thinking becomes text as ``foreign_thinking`` says: in ``<thinking>`` tags, plain, or not at all.
      ``normalize_id(id, model, reply)`` says how their call ids are written.
    - Call ids that are empty or there already are replaced, whoever made them.
    - Without image input, each run of images becomes one line of text.
    """
    if foreign_thinking not in get_args(ForeignThinking):
        raise InvalidOptionError(f"foreign_thinking must be tagged, plain or drop, not {foreign_thinking!r}")
    rewritten = _rewritten(_paired(messages), model, normalize_id or _same_id, foreign_thinking)
    return list(rewritten if "image" in model.input else map(_readable, rewritten))


# Pass 1: pairing. A result belongs to the last call of its id that has none; the calls of one reply that share an
# id are answered in order.


@dataclass(slots=True)
class _Slot:
    call: ToolCall
    result: ToolResultMessage | None = None


@dataclass(slots=True)
class _Turn:
    message: UserMessage | AssistantMessage
    slots: list[_Slot]


def _paired(messages: Iterable[Message]) -> Iterator[LanguageMessage]:
    for turn in _turns(messages):
        if not (isinstance(turn.message, AssistantMessage) and turn.message.failed):
            yield turn.message
            for slot in turn.slots:
                yield slot.result or _no_result(slot.call, turn.message.timestamp)


def _turns(messages: Iterable[Message]) -> list[_Turn]:
    turns: list[_Turn] = []
    unanswered: defaultdict[str, list[_Slot]] = defaultdict(list)
    made_up: defaultdict[str, list[_Slot]] = defaultdict(list)
    for message in messages:
        if isinstance(message, ToolResultMessage):
            _answer(message, unanswered[message.tool_call_id], made_up[message.tool_call_id])
        elif isinstance(message, AssistantMessage):
            slots = [_Slot(call) for call in message.tool_calls]
            for slot in reversed(slots):
                unanswered[slot.call.id].append(slot)
            turns.append(_Turn(message, slots))
        elif isinstance(message, UserMessage):
            turns.append(_Turn(message, []))
    return turns


def _answer(result: ToolResultMessage, unanswered: list[_Slot], made_up: list[_Slot]) -> None:
    is_made_up = result.is_error and result.text == NO_RESULT
    candidates = unanswered or ([] if is_made_up else made_up)
    if candidates:
        slot = candidates.pop()
        slot.result = result
        if is_made_up:
            made_up.append(slot)


def _no_result(call: ToolCall, timestamp: int) -> ToolResultMessage:
    """An error in place of a result, of the time of the reply, so that the same transcript always gives the same bytes."""
    return ToolResultMessage(
        tool_call_id=call.id,
        tool_name=call.name,
        content=(TextContent(NO_RESULT),),
        is_error=True,
        timestamp=timestamp,
    )


# Pass 2: replies and ids. After pairing, the results of a reply stand behind it, in the order of its calls.


def _rewritten(
    messages: Iterable[LanguageMessage], model: Model, normalize_id: NormalizeId, thinking: ForeignThinking
) -> Iterator[LanguageMessage]:
    ids = _CallIds()
    answering: Iterator[ToolCall] = iter(())
    for message in messages:
        match message:
            case AssistantMessage():
                reply = _reply(message, model, normalize_id, thinking, ids)
                answering = iter(reply.tool_calls)
                yield reply
            case ToolResultMessage():
                yield _with(message, tool_call_id=next(answering).id)
            case UserMessage():
                yield message


def _reply(
    reply: AssistantMessage,
    model: Model,
    normalize_id: NormalizeId,
    thinking: ForeignThinking,
    ids: "_CallIds",
) -> AssistantMessage:
    if same_model(reply, model):
        return _own_reply(_with(reply, content=tuple(_named(block, ids) for block in reply.content)))
    last = max((place for place, block in enumerate(reply.content) if _speaks(block)), default=0)
    content: list[_Block] = []
    for place, block in enumerate(reply.content):
        match block:
            case TextContent():
                content.append(_with(block, text_signature=None))
            case ThinkingContent() if _speaks(block):
                content.extend(_told(block, thinking, is_last=place == last))
            case ToolCall():
                call_id = ids.distinct(block.id, normalize_id(block.id, model, reply))
                content.append(_with(block, id=call_id, thought_signature=None))
    return _with(reply, content=tuple(content), provider_items=())


def _named(block: _Block, ids: "_CallIds") -> _Block:
    return _with(block, id=ids.distinct(block.id, block.id)) if isinstance(block, ToolCall) else block


def _own_reply(reply: AssistantMessage) -> AssistantMessage:
    """Drop only thinking that says nothing to anybody; provider items keep their place between the blocks."""
    kept = [not (isinstance(block, ThinkingContent) and _is_blank(block)) for block in reply.content]
    if all(kept):
        return reply
    dropped = [0, *accumulate(not keep for keep in kept)]
    content = tuple(block for block, keep in zip(reply.content, kept, strict=True) if keep)
    return _with(
        reply, content=content, provider_items=tuple(_moved(item, dropped) for item in reply.provider_items)
    )


def _is_blank(block: ThinkingContent) -> bool:
    return not block.redacted and block.thinking_signature is None and not block.thinking.strip()


def _moved(item: Any, dropped: Sequence[int]) -> Any:
    match item:
        case {"index": int(index)} if index >= 0:
            return {**item, "index": index - dropped[min(index, len(dropped) - 1)]}
    return item


def _speaks(block: _Block) -> bool:
    """Whether a block says something in words."""
    match block:
        case TextContent(text=text):
            return bool(text.strip())
        case ThinkingContent(thinking=text, redacted=redacted):
            return not redacted and bool(text.strip())
    return False


def _told(block: ThinkingContent, thinking: ForeignThinking, *, is_last: bool) -> Iterator[TextContent]:
    """Thinking as text; where only that tells them apart, a blank line parts it from the words behind it."""
    if thinking == "tagged":
        yield TextContent(f"<thinking>\n{block.thinking}\n</thinking>")
    elif thinking == "plain":
        yield TextContent(block.thinking if is_last else f"{block.thinking}\n\n")


def _same_id(call_id: str, model: Model, source: AssistantMessage) -> str:
    del model, source
    return call_id


class _CallIds:
    """The call ids that a transcript has used so far; what counts of ``call id|item id`` is the call id."""

    def __init__(self) -> None:
        self._taken = {""}
        self._again: defaultdict[str, int] = defaultdict(int)

    def distinct(self, original: str, normalized: str) -> str:
        """The normalised id, or where that is empty or taken, one that every API accepts."""
        distinct = normalized
        while distinct.partition("|")[0] in self._taken:
            self._again[original] += 1
            distinct = f"call_{short_hash(f'{self._again[original]}|{original}')}"
        self._taken.add(distinct.partition("|")[0])
        return distinct


# Pass 3: images.


def _readable(message: LanguageMessage) -> LanguageMessage:
    if isinstance(message, AssistantMessage) or isinstance(message.content, str):
        return message
    placeholder = USER_IMAGE if isinstance(message, UserMessage) else TOOL_IMAGE
    return _with(message, content=tuple(_without_images(message.content, placeholder)))


def _without_images(blocks: Iterable[TextContent | ImageContent], placeholder: str) -> Iterator[TextContent]:
    said = False
    for block in blocks:
        if isinstance(block, TextContent):
            yield block
            said = block.text == placeholder
        elif not said:
            yield TextContent(placeholder)
            said = True


def _with(value: _V, **changes: Any) -> _V:
    """The value itself where nothing changes, so that most of a transcript is handed through uncopied."""
    same = all(getattr(value, name) == change for name, change in changes.items())
    return value if same else value.model_copy(update=changes)
