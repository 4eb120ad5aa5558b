"""Chat calls whose server repeats the credential that it was sent: only what it says as its reply may hold that."""

import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runtime.testing.wire.apis import DIALECTS
from runtime.testing.wire.dialect import whole
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.usage import Usage
from tests.secrets.calls_lab import CHAT, call, credentials
from tests.secrets.echo_lab import REFUSALS, STREAMS, Echo, echoing, stream, with_header
from tests.secrets.secrets_lab import Hidden, few

ANSWERS = REFUSALS | STREAMS


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("api", CHAT)
@few(2)
@given(st.data())
def test_a_failure_that_repeats_a_credential(api, name, data):
    """Whatever a server answers, and however the credential was given: no event, message, repr, hook or log line shows it."""
    credential = data.draw(credentials(api, name))
    retries = 1 if "after a failure" in name else 0

    async def main():
        async with echoing(credential.secret, ANSWERS[name]) as server:
            return await call(api, server.url, credential.way, name, max_retries=retries)

    shown, hidden = trio.run(main), Hidden(credential.secret)
    hidden.check(f"{credential.how}: the rest", *shown.rest)
    hidden.check(f"{credential.how}: the reply", *shown.reply)
    hidden.check(f"{credential.how}: httpx's log", *shown.requests)


@pytest.mark.parametrize("api", CHAT)
@few(10)
@given(st.data())
def test_a_hook_that_raises_what_it_was_told(api, data):
    """A hook is not told the credential, whatever a server writes into its headers; so its error cannot give it away."""
    credential = data.draw(credentials(api))
    hook = data.draw(st.sampled_from(["on_response", "on_payload"]))

    async def fail(told, model):
        raise LookupError(f"{told} {model!r}", told)

    async def main():
        async with echoing(credential.secret, with_header("x-echo", 200)) as server:
            return await call(api, server.url, credential.way, **{hook: fail})

    shown = trio.run(main)
    assert f"{hook} failed" in str(shown.rest) or "a space" in credential.how  # which cannot be sent
    Hidden(credential.secret).check(credential.how, *shown.rest, *shown.reply, *shown.requests)


REPLY = AssistantMessage(
    [ThinkingContent("Well."), TextContent("Hello."), ToolCall("call_1", "look", {"at": "x", "depth": 1})],
    "a",
    "p",
    "m",
    stop_reason=StopReason.ToolUse,
)


def events(api):
    """The data of the events of a good reply, and every place in them where something stands."""
    name = "chat_completions" if api == "completions" else api
    body = whole(DIALECTS[name]("m"), REPLY, Usage(input=1, output=2), lambda text: [text])
    data = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: {")]
    parsed = [json.loads(each) for each in data]
    return parsed, [(number, *path) for number, event in enumerate(parsed) for path in leaves(event)]


def leaves(value, path=()):
    """The paths of all that is no container."""
    match value:
        case dict():
            return [leaf for name, item in value.items() for leaf in leaves(item, (*path, name))]
        case list():
            return [leaf for place, item in enumerate(value) for leaf in leaves(item, (*path, place))]
    return [path]


def saying(api, path, as_list):
    """A good reply in which another text stands at one place."""

    def answer(echo: Echo) -> bytes:
        parsed, _ = events(api)
        inner = parsed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = [echo.line] if as_list else echo.line
        framed = [f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n" for event in parsed]
        return stream(*framed, "data: [DONE]\n\n")

    return answer


@pytest.mark.parametrize("api", CHAT)
@few(25)
@given(st.data())
def test_a_reply_that_repeats_a_credential(api, data):
    """Anywhere in a reply, as a text or in place of one: our messages, diagnostics, reprs and log lines do not show it."""
    credential = data.draw(credentials(api))
    answer = saying(api, data.draw(st.sampled_from(events(api)[1])), data.draw(st.booleans()))

    async def main():
        async with echoing(credential.secret, answer) as server:
            return await call(api, server.url, credential.way)

    shown = trio.run(main)
    Hidden(credential.secret).check(f"{credential.how}: the rest", *shown.rest, *shown.requests)
