"""A conversation that wanders between providers: whatever it went through, every API gets a payload that it takes."""

import json
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.streams.call_ids import normalize_anthropic_id, normalize_completions_id, normalize_responses_id
from runtime.streams.handoff import transform_messages
from runtime.testing.strategies import contexts
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, ToolResultMessage, parse_message, user
from tests.providers import anthropic_lab, completions_lab, responses_lab

SECRET = "signed-by-another"
TARGETS = {
    "anthropic": (anthropic_lab.model_of(), normalize_anthropic_id, anthropic_lab.payload_of),
    "completions": (completions_lab.model_of(), normalize_completions_id, completions_lab.payload_of),
    "responses": (responses_lab.model_of(), normalize_responses_id, responses_lab.payload_of),
}
ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
RESPONSES_ID = re.compile(r".{1,64}", re.DOTALL)


def wander(messages, route):
    """Through the handoff of each stop, and through JSON after each."""
    for stop in route:
        model, normalize, _ = TARGETS[stop]
        handed = transform_messages(messages, model, normalize)
        messages = [parse_message(message.model_dump_json()) for message in handed]
    return messages


def assert_new(used, ids):
    """None of these call ids is empty, or was used before in the payload."""
    assert all(ids)
    assert len({*used, *ids}) == len(used) + len(ids)
    used.update(ids)


def assert_anthropic(payload):
    """The next message answers each tool_use once, first of all, no reply follows a reply, and no id comes twice."""
    messages = payload["messages"]
    used = set()
    for place, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert all(ANTHROPIC_ID.fullmatch(call_id) for call_id in asked)
        assert_new(used, asked)
        if asked:
            assert messages[place + 1]["role"] == "user"
            answer = messages[place + 1]["content"]
            assert [block["tool_use_id"] for block in answer[: len(asked)]] == asked
        for block in blocks:
            assert block.get("text") != ""


def assert_completions(payload):
    """The messages right after a reply with calls answer each of them once, in order, and no id comes twice."""
    waiting = []
    used = set()
    for message in payload["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert waiting == []
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        assert_new(used, waiting)


def assert_responses(payload):
    """Each call has one output, after it and before anything of the user; ids are short, and none comes twice."""
    waiting = set()
    used = set()
    for item in payload["input"]:
        match item.get("type"):
            case "function_call" | "custom_tool_call":
                assert_new(used, [item["call_id"]])
                assert RESPONSES_ID.fullmatch(item["call_id"])
                assert len(item.get("id", "")) <= 64
                waiting.add(item["call_id"])
            case "function_call_output" | "custom_tool_call_output":
                waiting.remove(item["call_id"])
        if item.get("role") in ("user", "developer", "system"):
            assert not waiting
    assert not waiting


CHECKS = {"anthropic": assert_anthropic, "completions": assert_completions, "responses": assert_responses}


@settings(max_examples=60)
@given(contexts(), st.lists(st.sampled_from(sorted(TARGETS)), max_size=4))
def test_every_api_takes_what_wandered(context, route):
    """Calls are answered, roles are right, ids fit, and it is UTF-8 JSON without NaN."""
    messages = wander(context.messages, route)
    for name, check in CHECKS.items():
        model, _, payload_of = TARGETS[name]
        payload = payload_of(model, *messages, system_prompt=context.system_prompt, tools=list(context.tools))
        json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
        check(payload)


def own_call(author, call_id):
    """A reply of a target's own model that calls once."""
    model, _, _ = TARGETS[author]
    names = (model.api, model.provider, model.id)
    return AssistantMessage([ToolCall(call_id, "look", {})], *names, stop_reason=StopReason.ToolUse)


POOR_IDS = {
    "anthropic": ["", "call_0", "call_1"],
    "completions": ["", "call_0", "call_1"],
    "responses": ["", "call_0", "|fc_0", "call_0|fc_0", "call_0|fc_1"],
}


@st.composite
def poorly_named(draw):
    """Turns of the targets' own models, whose servers send no call ids, or count them anew in each reply."""
    messages = [user("hi")]
    for author in draw(st.lists(st.sampled_from(sorted(TARGETS)), min_size=1, max_size=4)):
        model, _, _ = TARGETS[author]
        ids = draw(st.lists(st.sampled_from(POOR_IDS[author]), min_size=1, max_size=3))
        calls = [ToolCall(call_id, "look", {}) for call_id in ids]
        reply = AssistantMessage(calls, model.api, model.provider, model.id, stop_reason=StopReason.ToolUse)
        results = [ToolResultMessage(call_id, "look", [TextContent("seen")]) for call_id in ids]
        messages += [reply, *results, user("next")]
    return messages


@settings(max_examples=60)
@given(poorly_named(), st.lists(st.sampled_from(sorted(TARGETS)), max_size=2))
@example([user("hi"), *(own_call("anthropic", "") for _ in "ab")], [])
@example([own_call("completions", "call_0"), own_call("anthropic", "call_0")], [])
@example([own_call("responses", "call_0|fc_0"), own_call("responses", "call_0|fc_1")], [])
def test_no_call_id_comes_twice_whoever_made_it(messages, route):
    """Ids that are empty or repeat are told apart, also those of the target model's own replies."""
    messages = wander(messages, route)
    for name, check in CHECKS.items():
        model, _, payload_of = TARGETS[name]
        check(payload_of(model, *messages))


def reply_of(model, number):
    signature = f"{SECRET}-{model.api}"
    if model.api == "openai-responses":  # whose signatures are items of its wire
        signature = json.dumps(
            {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": signature}
        )
    blocks = [
        ThinkingContent(f"thought {number}", thinking_signature=signature),
        TextContent("said", text_signature=signature),
        ToolCall(f"call_{number}|fc_{number}", "look", {}, thought_signature=signature),
    ]
    return AssistantMessage(
        blocks, model.api, model.provider, model.id, stop_reason=StopReason.ToolUse,
        provider_items=[{"index": 0, "item": {"type": "odd", "secret": f"{SECRET}-{model.api}"}}],
    )  # fmt: skip


@given(st.lists(st.sampled_from(sorted(TARGETS)), min_size=1, max_size=5))
def test_no_signature_travels(authors):
    """What one API signed or kept is not sent to another."""
    messages = [user("hi")]
    for number, author in enumerate(authors):
        messages += [reply_of(TARGETS[author][0], number), user("next")]
    for model, _, payload_of in TARGETS.values():
        sent = json.dumps(payload_of(model, *messages))
        for other, _, _ in TARGETS.values():
            if other.api != model.api:
                assert f"{SECRET}-{other.api}" not in sent


@given(contexts(), st.sampled_from(sorted(TARGETS)))
def test_the_input_is_not_touched(context, name):
    """Encoding reads, and writes nothing."""
    before = Context.model_validate_json(context.model_dump_json())
    model, _, payload_of = TARGETS[name]
    payload_of(model, *context.messages, tools=list(context.tools))
    assert context == before
