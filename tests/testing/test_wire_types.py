"""What the fake server sends, checked with the event types of the official SDKs."""

import json
from functools import cache
from typing import get_args

import pytest
from hypothesis import given

from providers.faux.pacing import Pace
from providers.sse import SseReader
from runtime import Usage
from runtime.testing.strategies import scripted_replies
from runtime.testing.wire.apis import DIALECTS
from runtime.testing.wire.dialect import whole

pytest.importorskip("openai", reason="the SDKs are in agentrio[sdk]")
pytest.importorskip("anthropic", reason="the SDKs are in agentrio[sdk]")
USAGE = Usage(input=7, output=3, total_tokens=10)


@cache
def event_types(api):
    """The SDK's types of the events of an API, by name; Chat Completions has one without."""
    if api == "chat_completions":
        from openai.types.chat import ChatCompletionChunk

        return {None: ChatCompletionChunk}
    if api == "responses":
        from openai.types.responses import ResponseStreamEvent as Event
    else:
        from anthropic.types import RawMessageStreamEvent as Event
    members = get_args(get_args(Event)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}


def events_of(body):
    reader = SseReader(1 << 20)
    return [*reader.feed(body), *reader.finish()]


@pytest.mark.parametrize("api", DIALECTS)
@given(message=scripted_replies())
def test_every_event_is_one_that_the_sdk_knows(api, message):
    """Any reply, from its start to its end."""
    for event in events_of(whole(DIALECTS[api]("m"), message, USAGE, Pace().chunks)):
        if event.data not in (b"[DONE]", b'{"type": "ping"}'):
            fields = json.loads(event.data)
            event_types(api)[fields.get("type")].model_validate(fields)


@pytest.mark.parametrize(
    ("api", "start", "end"),
    [
        ("responses", "response.output_item.added", "response.output_item.done"),
        ("messages", "content_block_start", "content_block_stop"),
    ],
)
@given(message=scripted_replies())
def test_every_block_has_its_end(api, start, end, message):
    """As many ends as starts, as many as blocks; clients of ours would do without."""
    names = [event.event for event in events_of(whole(DIALECTS[api]("m"), message, USAGE, Pace().chunks))]
    assert names.count(start) == names.count(end) == len(message.content)


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_failures_are_events_that_the_sdk_knows(api):
    """In the middle of a stream."""
    if api == "messages":
        from anthropic.types import ErrorResponse as Event
    else:
        from openai.types.responses import ResponseErrorEvent as Event
    (event,) = events_of(DIALECTS[api]("m").failure("no"))
    assert event.event == "error"
    Event.model_validate({"sequence_number": 1} | json.loads(event.data))
