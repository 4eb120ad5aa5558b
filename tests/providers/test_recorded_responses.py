"""Traffic of servers that speak the Responses API, replayed: ``AGENTRIO_RECORDED`` names the folder that holds it."""

import json
from typing import Any

import pytest

from providers import openai
from runtime import Context, user
from runtime.streams.call import complete
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.options import StreamOptions
from tests.providers.loopback import reply, serve, sse
from tests.providers.responses_lab import input_of, model_of, replay, result_of
from tests.providers.test_recorded import CASES, RECORDED, chunkings, read, squeezed

BLOCKS = {
    "message": TextContent,
    "reasoning": ThinkingContent,
    "function_call": ToolCall,
    "custom_tool_call": ToolCall,
}
REASONS = {"completed": StopReason.Stop, "incomplete": StopReason.Length}


def cases(kind: str) -> list[Any]:
    """The cases of a kind; without a folder, one that is skipped and says why."""
    metas = [(folder, read(folder, "meta")) for folder in CASES]
    found = [
        pytest.param(folder, id=folder.name)
        for folder, meta in metas
        if (meta["api"], meta["kind"]) == ("openai-responses", kind)
    ]
    if RECORDED:
        assert found, f"AGENTRIO_RECORDED={RECORDED} holds no cases of the Responses API"
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="AGENTRIO_RECORDED names no folder"))]


def check_content(message: AssistantMessage, expected: dict[str, Any]) -> None:
    extra, calls = expected["extra"], expected["tool_calls"]
    refusal = [extra["refusal"]] if extra["refusal"] else []
    assert squeezed([message.text]) == squeezed([*expected["text"], *refusal])
    assert squeezed([message.thinking]) == squeezed(expected["thinking"])
    ids = [call.id.partition("|")[0] for call in message.tool_calls]
    assert ids == [call["id"] for call in calls]
    assert [call.name for call in message.tool_calls] == [call["name"] for call in calls]
    for call, wanted in zip(message.tool_calls, calls, strict=True):
        assert not wanted["arguments_valid"] or call.arguments == wanted["arguments"]
    if usage := expected["usage_raw"]:
        assert message.usage.output == usage["output_tokens"]
        assert message.usage.total_tokens == usage["total_tokens"]
    assert message.response_id == expected["response_id"]


def check_items(message: AssistantMessage, expected: dict[str, Any]) -> None:
    """Every item of the response is a block of its kind, or kept as it is; what is encrypted is in a signature."""
    extra = expected["extra"]
    kinds = extra["item_types"]
    assert [type(block) for block in message.content] == [BLOCKS[kind] for kind in kinds if kind in BLOCKS]
    kept = [entry["item"]["type"] for entry in message.provider_items]
    assert kept == [kind for kind in kinds if kind not in BLOCKS]
    signatures = [
        json.loads(block.thinking_signature)
        for block in message.content
        if isinstance(block, ThinkingContent)
    ]
    # The end of a response encrypts them anew; the first one counts.
    assert [bool(item.get("encrypted_content")) for item in signatures] == [
        bool(content) for content in extra["encrypted_reasoning"]
    ]
    item_ids = [call.id.partition("|")[2] for call in message.tool_calls]
    assert item_ids == extra["function_call_item_ids"]


def check_end(message: AssistantMessage, expected: dict[str, Any]) -> None:
    stream = expected["stream"]
    if stream["error"] is not None:
        assert stream["error"]["message"] in (message.error_message or "")
    if stream["error"] is not None or not stream["complete"]:
        assert message.stop_reason is StopReason.Error
    else:
        reason = REASONS[expected["stop_reason_raw"]]
        calls = reason is StopReason.Stop and expected["tool_calls"]
        assert message.stop_reason is (StopReason.ToolUse if calls else reason)


@pytest.mark.parametrize("folder", cases("stream"))
def test_a_recorded_stream_gives_the_expected_message(folder):
    """Whole, byte by byte and cut at random, with the same events."""
    expected = read(folder, "expected")
    decoded = [replay(pieces) for pieces in chunkings((folder / "response.sse").read_bytes())]
    for one in decoded:
        assert one.events == decoded[0].events
        assert one.message == decoded[0].message
    check_content(decoded[0].message, expected)
    check_end(decoded[0].message, expected)
    if expected["stream"]["complete"]:
        check_items(decoded[0].message, expected)


@pytest.mark.parametrize("folder", cases("stream"))
def test_a_recorded_reply_goes_back_in_the_items_that_it_came_in(folder):
    """Their kinds, their order, their ids, and everything in those that only the provider can read."""
    expected = read(folder, "expected")
    message = replay([(folder / "response.sse").read_bytes()]).message
    results = [result_of(call.id, name=call.name) for call in message.tool_calls]
    sent = input_of(model_of(), message, *results)
    kinds = expected["extra"]["item_types"]
    assert [item["type"] for item in sent[: len(kinds)]] == kinds
    assert all(item["type"] == "function_call_output" for item in sent[len(kinds) :])
    assert [item["id"] for item in sent if item["type"] == "function_call"] == expected["extra"][
        "function_call_item_ids"
    ]
    reasoning = [item for item in sent if item["type"] == "reasoning"]
    signed = [block.thinking_signature for block in message.content if isinstance(block, ThinkingContent)]
    assert reasoning == [json.loads(signature) for signature in signed]
    provided = [item for item in sent[: len(kinds)] if item["type"] not in BLOCKS]
    assert provided == [entry["item"] for entry in message.provider_items]
    callers = [item["caller"] for item in sent if "caller" in item]
    assert len(callers) in (0, 2)
    assert all(caller == callers[0] for caller in callers)


async def call(url: str) -> AssistantMessage:
    model = openai.responses("sk-recorded-0123", base_url=url + "/v1").model("m")
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
    """The provider's text comes first."""
    meta, expected = read(folder, "meta"), read(folder, "expected")
    async with serve(reply((folder / "response.json").read_bytes(), status=meta["status"])) as server:
        message = await call(server.url)
    assert message.stop_reason is StopReason.Error
    assert message.error_message.startswith(f"OpenAI API error ({meta['status']}): {expected['message']}")
