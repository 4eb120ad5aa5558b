"""GitHub Copilot on the wire: its three chat APIs and its embeddings, with the headers that it wants."""

import json

import pytest

from providers import github_copilot
from providers.openai.options import OpenAICompletionsOptions
from runtime.errors import MissingApiKeyError
from runtime.streams.call import complete, complete_simple
from runtime.streams.embeddings import embed
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason, ToolResultMessage, user
from runtime.values.options import SimpleStreamOptions, StreamOptions
from runtime.values.thinking import ThinkingLevel
from runtime.values.tool import Tool
from tests.providers import anthropic_lab, completions_lab, responses_lab
from tests.providers.loopback import reply, serve, sse
from tests.providers.oauth.copilot_lab import COPILOT as TOKEN

IMAGE = ImageContent("aGk=", "image/png")
WEATHER = Tool("get_weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = AssistantMessage(
    [ToolCall("call_1", "get_weather", {"city": "Oslo"})], api="x", provider="y", model="z", stop_reason=StopReason.ToolUse
)  # fmt: skip
RESULT = ToolResultMessage("call_1", "get_weather", [TextContent("Rain")])
SEEN = ToolResultMessage("call_1", "get_weather", [IMAGE])
CLIENT = {
    "user-agent": "GitHubCopilotChat/0.35.0",
    "editor-version": "vscode/1.107.0",
    "editor-plugin-version": "copilot-chat/0.35.0",
    "copilot-integration-id": "vscode-chat",
}
APIS = {
    "claude-sonnet-5": (
        "/v1/messages",
        sse(
            anthropic_lab.sse_of(
                anthropic_lab.start_of(), *anthropic_lab.TEXT, anthropic_lab.ending(), anthropic_lab.LAST
            )
        ),
    ),
    "gpt-5.4": (
        "/responses",
        sse(
            responses_lab.sse_of(
                responses_lab.added(0, "message", "msg_1"),
                responses_lab.text_delta(0, "Hello"),
                responses_lab.event_of(
                    "output_item.done", 0, item=responses_lab.message_of("msg_1", "Hello")
                ),
                responses_lab.completed(),
            )
        ),
    ),
    "gpt-4.1": (
        "/chat/completions",
        sse(completions_lab.sse_of(completions_lab.chunk_of({"content": "Hello"}, "stop"))),
    ),
}
each_api = pytest.mark.parametrize("model_id", APIS)


async def sent(model_id, *messages, options=None, api_key=TOKEN, tools=(), **settings):
    """The one request of a call that goes well."""
    path, script = APIS[model_id]
    async with serve(script) as server:
        model = github_copilot.for_model(model_id, api_key, base_url=server.url, **settings)
        answer = await complete(model, Context(messages=list(messages), tools=list(tools)), options)
    assert (answer.stop_reason, answer.text) == (StopReason.Stop, "Hello")
    assert (answer.provider, answer.api) == ("github-copilot", model.api)
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", path)
    return request


def dynamic(request):
    names = ("x-initiator", "openai-intent", "copilot-vision-request")
    return tuple(request.headers.get(name) for name in names)


@each_api
async def test_who_calls(model_id):
    """A client that Copilot knows, with a bearer token; no key in another header, and no betas."""
    request = await sent(model_id, user("hi"), tools=[WEATHER])
    assert CLIENT.items() <= request.headers.items()
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    for absent in ("x-api-key", "anthropic-beta", "x-github-api-version"):
        assert absent not in request.headers
    assert request.json()["model"] == model_id


@each_api
async def test_who_asked_and_what_there_is_to_see(model_id):
    """The last message decides about the first, the whole history about the second."""
    assert dynamic(await sent(model_id, user("hi"))) == ("user", "conversation-edits", None)
    assert dynamic(await sent(model_id, user("look", [IMAGE]))) == ("user", "conversation-edits", "true")
    assert dynamic(await sent(model_id, user("hi"), CALL, RESULT)) == ("agent", "conversation-edits", None)
    assert dynamic(await sent(model_id, user("hi"), CALL, SEEN)) == ("agent", "conversation-edits", "true")
    assert dynamic(await sent(model_id, user("a", [IMAGE]), CALL, RESULT, user("b"))) == (
        "user",
        "conversation-edits",
        "true",
    )


@each_api
async def test_what_is_nearer_to_the_call_wins(model_id):
    """Its own headers, then those that follow from the context, then the model's, which leave room for the handle's."""
    options = StreamOptions(headers={"OpenAI-Intent": "mine", "Editor-Version": None, "X-Initiator": "robot"})
    request = await sent(model_id, user("hi"), options=options, headers={"User-Agent": "own/1"})
    assert dynamic(request) == ("robot", "mine", None)
    assert "editor-version" not in request.headers
    assert request.headers["user-agent"] == "own/1"


@each_api
async def test_the_calls_own_key_outranks_the_handles(model_id, monkeypatch):
    """And the environment's comes last, wherever a handle was made with a key."""
    monkeypatch.setenv("COPILOT_GITHUB_TOKEN", "environment-0123456789")
    request = await sent(model_id, user("hi"))
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    request = await sent(model_id, user("hi"), options=StreamOptions(api_key="fresh-0123456789"))
    assert request.headers["authorization"] == "Bearer fresh-0123456789"
    scoped = StreamOptions(env={"COPILOT_GITHUB_TOKEN": "scoped-0123456789"})
    request = await sent(model_id, user("hi"), options=scoped)
    assert request.headers["authorization"] == "Bearer scoped-0123456789"
    request = await sent(model_id, user("hi"), api_key=None)
    assert "authorization" not in request.headers


@each_api
async def test_an_environments_key_as_it_is(model_id, monkeypatch):
    """It is no token for something else: nothing is exchanged."""
    monkeypatch.setenv("COPILOT_GITHUB_TOKEN", "environment-0123456789")
    async with serve(APIS[model_id][1]) as server:
        model = github_copilot.from_env(base_url=server.url).model(model_id)
        await complete(model, Context(messages=[user("hi")]))
    assert server.requests[0].headers["authorization"] == "Bearer environment-0123456789"


@each_api
async def test_no_key_at_all(model_id, monkeypatch):
    """Copilot itself is not asked without one."""
    monkeypatch.delenv("COPILOT_GITHUB_TOKEN", raising=False)
    with pytest.raises(MissingApiKeyError, match="github-copilot"):
        await complete(github_copilot.for_model(model_id), Context(messages=[user("hi")]))


@each_api
async def test_no_error_holds_the_token(model_id):
    """Not one that Copilot itself sends back."""
    body = json.dumps({"error": {"message": f"bad token {TOKEN}"}})
    async with serve(reply(body, 401, content_type="application/json")) as server:
        model = github_copilot.for_model(model_id, TOKEN, base_url=server.url)
        answer = await complete(model, Context(messages=[user("hi")]))
    assert answer.stop_reason is StopReason.Error
    assert "401" in answer.error_message
    assert "tid=" not in answer.model_dump_json()


# What is special to one API


async def test_responses_without_a_level():
    """Copilot is not told to leave thinking off; a level is sent as anywhere, and no tool is strict."""
    script = APIS["gpt-5.4"][1]
    async with serve(script, script) as server:
        model = github_copilot.GitHubCopilot(TOKEN, base_url=server.url).model("gpt-5.4", reasoning=True)
        context = Context(messages=[user("hi")], tools=[WEATHER])
        await complete_simple(model, context)
        await complete_simple(
            model, context, SimpleStreamOptions(reasoning=ThinkingLevel.Low, session_id="s-1")
        )
    without, low = (request.json() for request in server.requests)
    assert without.keys().isdisjoint({"reasoning", "include"})
    assert low["reasoning"] == {"effort": "low", "summary": "auto"}
    assert low["prompt_cache_key"] == server.requests[1].headers["session_id"] == "s-1"
    assert [tool for tool in low["tools"] if "strict" in tool] == []


async def test_chat_completions_leave_out_what_copilot_lacks():
    """No store, no developer, no effort; also where an API was named for a model of another."""
    options = OpenAICompletionsOptions(reasoning_effort=ThinkingLevel.High)
    path, script = APIS["gpt-4.1"]
    async with serve(script) as server:
        model = github_copilot.chat_completions(TOKEN, base_url=server.url).model(
            "claude-sonnet-5", reasoning=True
        )
        await complete(model, Context("Be brief.", [user("hi")]), options)
    (request,) = server.requests
    body = request.json()
    assert request.target == path
    assert body.keys().isdisjoint({"store", "reasoning_effort"})
    assert body["messages"][0]["role"] == "system"


async def test_claude_thinks_adaptively_without_a_beta():
    """Where a model is declared to."""
    async with serve(APIS["claude-sonnet-5"][1]) as server:
        model = github_copilot.GitHubCopilot(TOKEN, base_url=server.url).model(
            "claude-sonnet-5", reasoning=True, compat={"force_adaptive_thinking": True}
        )
        await complete_simple(
            model,
            Context(messages=[user("hi")], tools=[WEATHER]),
            SimpleStreamOptions(reasoning=ThinkingLevel.High),
        )
    (request,) = server.requests
    assert request.json()["thinking"]["type"] == "adaptive"
    assert "anthropic-beta" not in request.headers


async def test_a_conversation_moves_to_claude():
    """Ids of Responses become such as Claude takes, and foreign thinking becomes text, without its signature."""
    item = "I9b95oN1wD/" + "xK3+" * 100
    gpt = {"api": "openai-responses", "provider": "github-copilot", "model": "gpt-5.4"}
    history = [
        user("hi"),
        AssistantMessage(
            [
                ThinkingContent("Hm.", '{"id":"rs_1"}'),
                ToolCall(f"call_1|{item}", "get_weather", {"city": "Oslo"}, thought_signature="sig"),
            ],
            **gpt,
            stop_reason=StopReason.ToolUse,
        ),
        ToolResultMessage(f"call_1|{item}", "get_weather", [TextContent("Rain")]),
    ]
    request = await sent("claude-sonnet-5", *history, tools=[WEATHER])
    (_, said, result) = request.json()["messages"]
    thought, call = said["content"]
    assert thought == {"type": "text", "text": "<thinking>\nHm.\n</thinking>"}
    assert call.keys() <= {"type", "id", "name", "input", "cache_control"}
    assert call["id"] == result["content"][0]["tool_use_id"]
    assert len(call["id"]) <= 64
    assert call["id"].replace("_", "").replace("-", "").isalnum()
    assert "rs_1" not in request.body.decode()


async def test_embeddings():
    """A client that Copilot knows; nothing about a conversation."""
    document = {"data": [{"index": 0, "embedding": [1.0, 2.0]}], "model": "m", "usage": {"prompt_tokens": 1}}
    async with serve(reply(json.dumps(document), content_type="application/json")) as server:
        handle = github_copilot.messages(TOKEN, base_url=server.url)
        embedding = await embed(handle.embedding_model("text-embedding-3-small"), "hi")
    assert embedding.vector == (1.0, 2.0)
    (request,) = server.requests
    assert request.target == "/embeddings"
    assert CLIENT.items() <= request.headers.items()
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert dynamic(request) == (None, None, None)
