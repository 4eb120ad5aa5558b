"""Traffic of Anthropic and of servers like it, replayed: ``AGENTRIO_RECORDED`` names the folder that holds it."""

from typing import Any

import pytest

from providers import anthropic
from runtime import Context, user
from runtime.streams.call import complete
from runtime.values.content import ThinkingContent
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.options import StreamOptions
from tests.providers.anthropic_lab import messages_of, model_of, replay
from tests.providers.loopback import reply, serve, sse
from tests.providers.test_recorded import CASES, RECORDED, chunkings, read, squeezed

REASONS = {
    "end_turn": StopReason.Stop,
    "stop_sequence": StopReason.Stop,
    "pause_turn": StopReason.Stop,
    "max_tokens": StopReason.Length,
    "tool_use": StopReason.ToolUse,
}
CONTENT = ("text", "thinking", "redacted_thinking", "tool_use")


def cases(kind: str) -> list[Any]:
    """The cases of a kind; without a folder, one that is skipped and says why."""
    metas = [(folder, read(folder, "meta")) for folder in CASES]
    found = [
        pytest.param(folder, id=folder.name)
        for folder, meta in metas
        if (meta["api"], meta["kind"]) == ("anthropic-messages", kind)
    ]
    if RECORDED:
        assert found, f"AGENTRIO_RECORDED={RECORDED} holds no cases of the Messages API"
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="AGENTRIO_RECORDED names no folder"))]


def check_content(message: AssistantMessage, expected: dict[str, Any]) -> None:
    thoughts = [block for block in message.content if isinstance(block, ThinkingContent)]
    told = [block.thinking for block in thoughts if not block.redacted]
    extra = expected["extra"]
    assert squeezed([message.text]) == squeezed(expected["text"])
    assert [text for text in told if text] == [text for text in expected["thinking"] if text]
    assert [block.thinking_signature for block in thoughts if block.redacted] == extra["redacted_thinking"]
    signatures = [block.thinking_signature for block in thoughts if not block.redacted]
    assert [signature for signature in signatures if signature] == extra["thinking_signatures"]
    calls = expected["tool_calls"]
    assert [(call.id, call.name) for call in message.tool_calls] == [
        (call["id"], call["name"]) for call in calls
    ]
    for call, wanted in zip(message.tool_calls, calls, strict=True):
        assert not wanted["arguments_valid"] or call.arguments == wanted["arguments"]
    kinds = [kind for kind in extra["block_types"] if kind not in CONTENT]
    assert [entry["item"]["type"] for entry in message.provider_items] == kinds
    assert message.response_id == expected["response_id"]
    assert {message.model, message.response_model} >= {expected["model"]} - {None}


def check_usage(message: AssistantMessage, expected: dict[str, Any]) -> None:
    usage = expected["usage_raw"] or {}
    assert message.usage.output == usage.get("output_tokens", 0)
    assert message.usage.input == usage.get("input_tokens", 0)
    assert message.usage.cache_read == usage.get("cache_read_input_tokens", 0)
    assert message.usage.cache_write == usage.get("cache_creation_input_tokens", 0)


def check_end(message: AssistantMessage, expected: dict[str, Any]) -> None:
    stream = expected["stream"]
    if stream["error"] is not None:
        assert stream["error"]["message"] in (message.error_message or "")
    if stream["error"] is not None or not stream["complete"]:
        assert message.stop_reason is StopReason.Error
    else:
        assert message.stop_reason is REASONS[expected["stop_reason_raw"]]


def check(message: AssistantMessage, expected: dict[str, Any]) -> None:
    check_content(message, expected)
    check_usage(message, expected)
    check_end(message, expected)


@pytest.mark.parametrize("folder", cases("stream"))
def test_a_recorded_stream_gives_the_expected_message(folder):
    """Whole, byte by byte and cut at random, with the same events."""
    decoded = [replay(pieces) for pieces in chunkings((folder / "response.sse").read_bytes())]
    for one in decoded:
        assert one.events == decoded[0].events
        assert one.message == decoded[0].message
    check(decoded[0].message, read(folder, "expected"))


async def call(url: str) -> AssistantMessage:
    model = anthropic.messages("sk-ant-recorded-0123", base_url=url + "/v1").model("m")
    return await complete(model, Context(messages=[user("hi")]), StreamOptions(max_retries=0))


@pytest.mark.parametrize("folder", cases("stream"))
async def test_a_recorded_stream_arrives_over_http(folder):
    """Through the transport, in packets of any size."""
    async with serve(sse((folder / "response.sse").read_bytes(), size=4099)) as server:
        check(await call(server.url), read(folder, "expected"))


@pytest.mark.parametrize("folder", cases("stream"))
def test_a_recorded_reply_can_be_sent_back(folder):
    """Block for block in the order that it came in, the provider's own ones among them; one that failed is left out."""
    message = replay([(folder / "response.sse").read_bytes()]).message
    sent = messages_of(model_of(), user("hi"), message)[1:2]
    kinds = [block["type"] for wire in sent for block in wire["content"]]
    if message.failed:
        assert kinds == []
        return
    expected = read(folder, "expected")["extra"]["block_types"]
    blank = sum(not block.text.strip() for block in message.content if block.type == "text")
    assert len(kinds) == len(expected) - blank
    assert blank or kinds == expected


@pytest.mark.parametrize("folder", cases("error-body"))
async def test_a_recorded_refusal_is_an_error_with_its_message(folder):
    """The provider's text is in it."""
    meta = read(folder, "meta")
    async with serve(reply((folder / "response.json").read_bytes(), status=meta["status"])) as server:
        message = await call(server.url)
    assert message.stop_reason is StopReason.Error
    assert str(meta["status"]) in message.error_message
    assert read(folder, "expected")["message"] in message.error_message
