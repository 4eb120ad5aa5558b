"""What HTTP clients add, follow, log and send again: the caller's own, and those behind an environment's proxy."""

import base64
import json
import logging
import time

import httpx
import pytest
from trio.testing import wait_all_tasks_blocked

from providers import openai
from runtime import Context, EmbeddingOptions, SimpleStreamOptions, embed, stream_simple
from runtime.errors import TransportError
from runtime.values.message import user
from tests.providers.loopback import SSE_HEAD, Wire, chunk, raw, reply, serve

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
PASSWORD = "hunter2-Zq8!vTn3Wx5y"
BASIC = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()
VECTOR = '{"data": [{"index": 0, "embedding": [1.0]}]}'


async def told(url, key=KEY, **options):
    """The error of a call."""
    model = openai.chat_completions(base_url=f"{url}/v1", provider_id="openai", api_key=key).model("m")
    call = stream_simple(model, Context(messages=[user("hi")]), SimpleStreamOptions(max_retries=0, **options))
    async with call as stream:
        return (await stream.result()).error_message


def embedding(url):
    return openai.embeddings(base_url=f"{url}/v1", provider_id="openai", api_key=KEY).model("m")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"headers": {"X-Gateway-Key": PASSWORD}}, PASSWORD),
        ({"cookies": {"session": "C00kie"}}, "C00kie"),
        ({"params": {"api-key": PASSWORD}}, PASSWORD),
        ({"headers": {"Authorization": f"Basic {BASIC}"}}, PASSWORD),
    ],
)
@pytest.mark.parametrize("answer", [lambda said: reply(f"no {said}", 401), lambda said: raw(f"{said}\r\n\r\n".encode(), close=True)])  # fmt: skip
async def test_what_a_client_of_the_caller_adds_is_hidden(settings, said, answer):
    """Headers, cookies and parameters that the request has from its client, in an answer or in what is none."""
    async with serve(answer(said)) as server, httpx.AsyncClient(trust_env=False, **settings) as client:
        error = await told(server.url, http_client=client, headers={"Authorization": None})
    assert server.url in error
    assert said not in error


async def test_the_parameters_of_a_client_are_sent():
    """They stand behind those of the address."""
    async with serve(reply(VECTOR)) as server, httpx.AsyncClient(params={"v": "1"}) as client:
        await embed(embedding(server.url), "x", EmbeddingOptions(http_client=client))
    assert server.requests[0].target == "/v1/embeddings?v=1"


async def test_redirects_are_not_followed(caplog):
    """Whatever the client is set to: no other host gets the key, and none is asked."""
    caplog.set_level(logging.INFO, "httpx")
    async with serve() as other, serve(reply("", 307, location=f"{other.url}/?said={KEY}")) as server:
        async with httpx.AsyncClient(follow_redirects=True) as client:
            error = await told(server.url, http_client=client)
        assert "HTTP 307" in error
        assert not other.requests
    assert KEY not in caplog.text


# The environment's proxy


async def test_a_proxy_of_the_environment(monkeypatch, caplog):
    """What it repeats of its password, in its answer or as the reason, is neither told nor logged."""
    caplog.set_level(logging.INFO, "httpx")
    body = f"bad {PASSWORD}".encode()
    answer = f"HTTP/1.1 407 no {PASSWORD}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    async with serve(raw(answer)) as server:
        monkeypatch.setenv("http_proxy", server.url.replace("//", f"//joe:{PASSWORD}@"))
        monkeypatch.setenv("no_proxy", "")
        error = await told("http://192.0.2.1:9")
    assert "bad ***" in error
    assert "407 Proxy Authentication Required" in caplog.text
    assert PASSWORD not in error + caplog.text


# Sent again


@pytest.mark.parametrize("retries", [0, 1])
async def test_no_retries_means_sent_once(retries):
    """A used connection that closes without an answer is a reason to send a request again only where retries are allowed."""

    async def close(wire: Wire) -> None:
        await wire.close()

    async with serve(reply(VECTOR), close, *[reply(VECTOR)] * retries) as server:
        model = embedding(server.url)
        await embed(model, "x", EmbeddingOptions())
        await wait_all_tasks_blocked()
        if retries:
            await embed(model, "x", EmbeddingOptions(max_retries=1))
        else:
            with pytest.raises(TransportError):
                await embed(model, "x", EmbeddingOptions(max_retries=0))
        assert len(server.requests) == 2 + retries


# Long errors


@pytest.mark.parametrize("unit", ["&amp;", "%25252541", f"{KEY} "])
async def test_a_long_error_of_a_stream_is_cut_before_it_is_searched(unit):
    """Megabytes of escapes hold nothing up, and what is shown ends where nothing is unsure."""
    event = json.dumps({"error": {"message": unit * (3_000_000 // len(unit))}})
    async with serve(raw(SSE_HEAD + chunk(f"data: {event}\n\n".encode()), close=True)) as server:
        begin = time.process_time()
        error = await told(server.url)
    assert time.process_time() - begin < 1.5  # seconds; all of it would take several
    assert error.endswith(f" [...] (POST {server.url}/v1/chat/completions)")
    assert len(error) < 70_000
    assert "sk-proj" not in error


@pytest.mark.parametrize("status", [200, 400])
async def test_an_endless_reference_in_an_error_is_an_error(status):
    """What no reader takes does not end the application."""
    body = json.dumps({"error": {"message": f"no &#{'9' * 5000}; such"}})
    kind = {"content_type": "text/event-stream"} if status == 200 else {}
    async with serve(reply(f"data: {body}\n\n" if kind else body, status, **kind)) as server:
        assert "such" in await told(server.url)


async def test_the_host_that_was_asked_is_readable():
    """Local servers take any key, such as their own name."""
    assert "cannot connect to http://localhost:1/v1/chat/completions" in await told(
        "http://localhost:1", "localhost"
    )
