"""Every row of the README's endpoint table makes the request that its server takes."""

import json
import re
from pathlib import Path

import httpx
import pytest
import trio

from providers import anthropic, openai
from runtime import AssistantMessage, Context, SimpleStreamOptions, TextContent, Tool, complete_simple, user

README = (Path(__file__).parent.parent / "README.md").read_text()
TABLE = README.split("### Endpoints")[1].split("### One conversation")[0]
ROWS = dict(re.findall(r"^\| ([^|`]+?) \| `(.+)` \|$", TABLE, re.MULTILINE))
KEY = "sk-of-the-reader"
CONTEXT = Context(
    "Be kind.",
    [user("hi"), AssistantMessage([TextContent("yes?")]), user("go on")],
    [Tool.define("look", "Look.", {"type": "object", "properties": {}})],
)


def request(row):
    """URL, headers and payload of a simple call with thinking on a model of that row's handle, as they are sent."""
    sent = []

    def answer(asked):
        sent.append(asked)
        return httpx.Response(400, text="enough seen")

    async def call():
        model = eval(ROWS[row], {"openai": openai, "anthropic": anthropic, "KEY": KEY}).model(
            "m", reasoning=True
        )
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            options = SimpleStreamOptions(
                reasoning="low", session_id="s-1", max_tokens=9000, http_client=client
            )
            message = await complete_simple(model, CONTEXT, options)
        assert "enough seen" in message.error_message

    trio.run(call)
    (asked,) = sent
    url = f"{asked.url.scheme}://{asked.url.netloc.decode()}{asked.url.raw_path.decode()}"
    return url, dict(asked.headers), json.loads(asked.content)


def test_the_table_is_read():
    """It has a row for each kind of server that the page speaks of."""
    assert len(ROWS) >= 16
    for name in ("Ollama", "llama.cpp", "vLLM", "LM Studio", "MLX", "OpenRouter", "Azure, by header"):
        assert name in ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_makes_a_whole_request(row):
    """Its own credential and nobody else's, the model, the messages, the tools; and it is JSON."""
    url, headers, payload = request(row)
    keys = [value for value in headers.values() if KEY in value]
    assert len(keys) == ("KEY" in ROWS[row])
    assert payload["model"] == "m"
    assert payload["stream"] is True
    assert len(payload["tools"]) == 1
    assert url.startswith(("https://", "http://localhost"))


LOCAL = ["Ollama", "llama.cpp", "LM Studio", "MLX"]


@pytest.mark.parametrize("row", LOCAL)
def test_local_servers_get_the_fields_that_they_know(row):
    """max_tokens by its old name, a system role, no store."""
    _, headers, payload = request(row)
    assert payload["max_tokens"] == 9000
    assert "max_completion_tokens" not in payload
    assert "store" not in payload
    assert payload["messages"][0] == {"role": "system", "content": "Be kind."}
    assert "authorization" not in headers


def test_what_asks_for_thinking_differs():
    """Each server has its own words for it."""
    assert request("OpenAI, Chat Completions")[2]["reasoning_effort"] == "low"
    assert request("OpenAI")[2]["reasoning"]["effort"] == "low"
    assert request("llama.cpp")[2]["chat_template_kwargs"] == {"enable_thinking": True}
    assert request("vLLM")[2]["chat_template_kwargs"]["enable_thinking"] is True
    assert request("OpenRouter")[2]["reasoning"] == {"effort": "low"}
    assert request("Anthropic")[2]["thinking"]["type"] == "enabled"
    for row in ("MLX", "a Copilot-style gateway"):
        assert not {"reasoning_effort", "reasoning", "thinking"} & request(row)[2].keys()


@pytest.mark.parametrize(
    ("row", "url"),
    [
        ("OpenAI", "https://api.openai.com/v1/responses"),
        ("Anthropic", "https://api.anthropic.com/v1/messages"),
        ("Azure, by header", "https://name.openai.azure.com/openai/v1/chat/completions"),
        (
            "Azure, by deployment",
            "https://name.openai.azure.com/openai/deployments/D/chat/completions?api-version=2024-10-21",
        ),
        ("Azure Foundry, Claude", "https://name.services.ai.azure.com/anthropic/v1/messages"),
        ("llama.cpp, Messages", "http://localhost:8080/v1/messages"),
    ],
)
def test_the_path_follows_the_base_url(row, url):
    """A query stays at the end."""
    assert request(row)[0] == url


def test_azure_takes_its_key_in_a_header_of_its_own():
    """And no Authorization beside it."""
    for row in ROWS:
        if row.startswith("Azure"):
            headers = request(row)[1]
            assert headers["api-key"] == KEY
            assert "authorization" not in headers


def test_openrouter_is_told_the_session():
    """So that one conversation stays on one upstream cache."""
    assert request("OpenRouter")[1]["x-session-id"] == "s-1"
