"""The bytes of streams as the three chat APIs send them: whole, damaged, and cut into chunks in any way."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from providers.faux.pacing import Pace
from runtime.testing.wire.apis import DIALECTS, ChatApiName
from runtime.testing.wire.dialect import whole
from runtime.values.message import AssistantMessage
from runtime.values.usage import Usage

from .scripts import scripted_replies

_JUNK = (
    b"data: \n\n",
    b"data: {}\n\n",
    b"data: [1]\n\n",
    b'data: {"type\n\n',
    b"event: error\n",
    b"\xff\xfe",
    b"\0",
    b"data: null\n\n",
)


@dataclass(frozen=True)
class WireReply:
    """A reply, and the body of the response that says it."""

    api: ChatApiName
    message: AssistantMessage
    usage: Usage
    body: bytes = field(repr=False)


def wire_replies(api: ChatApiName) -> SearchStrategy[WireReply]:
    """Whole bodies of one API, each with what it says: texts, thoughts, calls, and how it ends.

    Chat Completions joins all texts to one, and all thoughts; the Responses API adds its own ids to those of calls.
    """
    counts = st.integers(0, 10_000)
    usages = st.builds(
        lambda sent, said: Usage(input=sent, output=said, total_tokens=sent + said), counts, counts
    )
    grains = st.sampled_from((1, 4, 1000))
    return st.builds(lambda *drawn: _reply(api, *drawn), scripted_replies(), usages, grains)


def _reply(api: ChatApiName, message: AssistantMessage, usage: Usage, grain: int) -> WireReply:
    body = whole(DIALECTS[api]("fake-1"), message, usage, Pace(grain, grain).chunks)
    return WireReply(api, message, usage, body)


def damaged_bodies(api: ChatApiName) -> SearchStrategy[bytes]:
    """Bodies that were cut, lost a part, got one twice, or have other bytes in between; some by chance still make sense."""
    bodies = wire_replies(api).map(lambda reply: reply.body)
    places = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))
    junk = st.sampled_from(_JUNK) | st.binary(max_size=8)
    damages = st.lists(
        st.tuples(st.sampled_from(("cut", "lose", "repeat", "insert")), places, junk), min_size=1, max_size=3
    )
    return st.builds(_damaged, bodies, damages)


def _damaged(body: bytes, damages: list[tuple[str, tuple[int, int], bytes]]) -> bytes:
    for kind, places, junk in damages:
        first, last = sorted(place % (len(body) + 1) for place in places)
        match kind:
            case "cut":
                body = body[:first]
            case "lose":
                body = body[:first] + body[last:]
            case "repeat":
                body = body[:last] + body[first:]
            case _:
                body = body[:first] + junk + body[first:]
    return body


def chunkings(body: bytes) -> SearchStrategy[list[bytes]]:
    """The ways to cut these bytes into chunks: at a few places, byte by byte, or not at all; empty chunks included."""
    bytewise = [body[place : place + 1] for place in range(len(body))]
    places = st.lists(st.integers(0, len(body)), max_size=20).map(sorted)
    return st.sampled_from(([body], bytewise)) | places.map(lambda cuts: _cut(body, cuts))


def _cut(body: bytes, places: list[int]) -> list[bytes]:
    return [body[start:end] for start, end in pairwise([0, *places, len(body)])]
