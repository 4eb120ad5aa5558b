"""Traffic of real providers, replayed: ``AGENTRIO_RECORDED`` names the folder that holds it.

Each case is a folder with the body of a response (``response.sse`` or ``response.json``), ``meta.json`` and ``expected.json``, which
says what a client must end with. Each body must give the same message whole, one byte at a time, and cut at random.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers import openai
from runtime import Context, user
from runtime.streams.call import complete
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.options import StreamOptions
from tests.providers.completions_lab import Decoded, replay
from tests.providers.loopback import reply, serve, sse

RECORDED = os.environ.get("AGENTRIO_RECORDED")
FOLDERS = sorted(Path(RECORDED).iterdir()) if RECORDED else []
CASES = [folder for folder in FOLDERS if (folder / "meta.json").exists()]
REASONS = {
    "stop": StopReason.Stop,
    "eos": StopReason.Stop,
    "length": StopReason.Length,
    "tool_calls": StopReason.ToolUse,
    "function_call": StopReason.ToolUse,
}


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


def cases(kind: str) -> list[Any]:
    """The cases of a kind; without a folder, one that is skipped and says why."""
    metas = [(folder, read(folder, "meta")) for folder in CASES]
    found = [
        pytest.param(folder, id=folder.name)
        for folder, meta in metas
        if (meta["api"], meta["kind"]) == ("openai-completions", kind)
    ]
    if RECORDED:
        assert found, f"AGENTRIO_RECORDED={RECORDED} holds no cases of Chat Completions"
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="AGENTRIO_RECORDED names no folder"))]


def chunkings(body: bytes) -> Iterator[list[bytes]]:
    yield [body]
    yield [body[place : place + 1] for place in range(len(body))]
    chance = random.Random(len(body))
    for most in (7, 300):
        places = [0]
        while places[-1] < len(body):
            places.append(places[-1] + chance.randint(1, most))
        yield [body[start:end] for start, end in zip(places, places[1:], strict=False)]


def squeezed(texts: list[str]) -> str:
    return "".join("".join(texts).split())


def check_content(message: AssistantMessage, expected: dict[str, Any]) -> None:
    assert squeezed([message.text]) == squeezed(expected["text"])
    assert squeezed([message.thinking]) == squeezed(expected["thinking"])
    calls = expected["tool_calls"]
    assert [(call.id, call.name) for call in message.tool_calls] == [
        (call["id"], call["name"]) for call in calls
    ]
    for call, wanted in zip(message.tool_calls, calls, strict=True):
        assert not wanted["arguments_valid"] or call.arguments == wanted["arguments"]
    if usage := expected["usage_raw"]:
        assert message.usage.output == usage["completion_tokens"]
    seen = expected["extra"]["response_ids_seen"]
    assert message.response_id in (seen or [None])


def check_end(message: AssistantMessage, expected: dict[str, Any]) -> None:
    stream = expected["stream"]
    if stream["error"] is not None:
        assert stream["error"]["message"] in (message.error_message or "")
    if stream["error"] is not None or not stream["complete"]:
        assert message.stop_reason is StopReason.Error
    elif expected["stop_reason_raw"] is None:
        assert message.stop_reason is (StopReason.ToolUse if expected["tool_calls"] else StopReason.Stop)
    else:
        assert message.stop_reason is REASONS[expected["stop_reason_raw"]]


@pytest.mark.parametrize("folder", cases("stream"))
def test_a_recorded_stream_gives_the_expected_message(folder):
    """Whole, byte by byte and cut at random, with the same events."""
    expected = read(folder, "expected")
    decoded: list[Decoded] = [replay(pieces) for pieces in chunkings((folder / "response.sse").read_bytes())]
    for one in decoded:
        assert one.events == decoded[0].events
        assert one.message == decoded[0].message
    check_content(decoded[0].message, expected)
    check_end(decoded[0].message, expected)


async def call(url: str) -> AssistantMessage:
    model = openai.chat_completions("sk-recorded-0123", base_url=url + "/v1").model("m")
    return await complete(model, Context(messages=[user("hi")]), StreamOptions(max_retries=0))


@pytest.mark.parametrize("folder", cases("stream"))
async def test_a_recorded_stream_arrives_over_http(folder):
    """Through the transport, in packets of any size."""
    body = (folder / "response.sse").read_bytes()
    async with serve(sse(body, size=4099)) as server:
        message = await call(server.url)
    expected = read(folder, "expected")
    check_content(message, expected)
    check_end(message, expected)


@pytest.mark.parametrize("folder", cases("error-body"))
async def test_a_recorded_refusal_is_an_error_with_its_message(folder):
    """The provider's text is in it."""
    meta = read(folder, "meta")
    async with serve(reply((folder / "response.json").read_bytes(), status=meta["status"])) as server:
        message = await call(server.url)
    assert message.stop_reason is StopReason.Error
    assert str(meta["status"]) in message.error_message
    assert read(folder, "expected")["message"] in message.error_message
