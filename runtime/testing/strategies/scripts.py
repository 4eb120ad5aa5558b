"""Scripts for the faux provider and the fake server: replies that an agent can live with, and trouble with them."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from providers.faux import FauxReply, FauxStep, faux_assistant_message, faux_delayed, faux_fault
from providers.faux.script import FaultKind
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason

from .values import json_values, texts

_Blocks = list[TextContent | ThinkingContent | ToolCall]
_TOOLS = ("look", "search")
_ENDING: tuple[FaultKind, ...] = ("fail", "cut", "malformed")


def scripted_replies(
    tool_names: Sequence[str] = _TOOLS, *, min_calls: int = 0, max_calls: int = 3
) -> SearchStrategy[AssistantMessage]:
    """Replies to script: texts, thoughts and calls of these tools in any order, ended as such a reply ends.

    The ids of calls differ within a reply; their arguments are any object.
    """
    said = st.lists(texts(60).map(TextContent) | texts(30).map(ThinkingContent), max_size=3)
    arguments = st.dictionaries(texts(8), json_values(4), max_size=3)
    called = st.tuples(st.sampled_from(tool_names or ("",)), arguments).map(
        lambda drawn: ToolCall("", *drawn)
    )
    calls = st.lists(called, min_size=min_calls, max_size=max_calls if tool_names else 0)
    blocks = st.tuples(said, calls).flatmap(lambda parts: st.permutations([*parts[0], *parts[1]]))
    return st.builds(_reply, blocks, st.sampled_from((StopReason.Stop, StopReason.Length)))


def _reply(blocks: _Blocks, reason: StopReason) -> AssistantMessage:
    named = [
        block.model_copy(update={"id": f"call_{place}"}) if isinstance(block, ToolCall) else block
        for place, block in enumerate(blocks)
    ]
    calls = any(isinstance(block, ToolCall) for block in blocks)
    return faux_assistant_message(named, stop_reason=StopReason.ToolUse if calls else reason)


def faux_troubles(
    replies: SearchStrategy[AssistantMessage], *, stalls: bool = False
) -> SearchStrategy[FauxReply]:
    """The same replies with a fault at any place: an error, a connection that is cut, bytes that make no sense.

    With ``stalls``, also replies that go on no more, which only an abort or a time-out ends.
    """
    kinds = st.sampled_from((*_ENDING, "stall") if stalls else _ENDING)
    places = st.tuples(st.none() | st.integers(0, 12), st.none())
    in_a_block = st.tuples(st.integers(0, 3), st.integers(0, 3))
    return st.builds(
        lambda reply, kind, place: faux_fault(reply, kind, after=place[0], block=place[1]),
        replies,
        kinds,
        places | in_a_block,
    )


def faux_scripts(
    tool_names: Sequence[str] = _TOOLS, *, max_turns: int = 4, faults: bool = True, stalls: bool = False
) -> SearchStrategy[list[FauxStep]]:
    """What a model says in one run of an agent with these tools: replies with calls, then one without, or with a fault.

    A run takes all of it, unless it is aborted, or its tools or hooks end it. Some replies begin late, on trio's clock.
    """
    turns = scripted_replies(tool_names, min_calls=1)
    last = scripted_replies((), max_calls=0)
    ends: SearchStrategy[AssistantMessage | FauxReply] = last
    if faults:
        ends = ends | faux_troubles(turns | last if tool_names else last, stalls=stalls)
    before = st.lists(_delayed(turns), max_size=max_turns - 1 if tool_names else 0)
    return st.builds(lambda replies, end: [*replies, end], before, _delayed(ends))


def _delayed(replies: SearchStrategy[AssistantMessage | FauxReply]) -> SearchStrategy[FauxStep]:
    return st.builds(faux_delayed, replies, st.sampled_from((0.0, 0.0, 0.5, 60.0)))
