"""Embedding over HTTP: what goes wrong on the way, and what is left afterwards."""

import pytest
import trio

from providers import openai
from providers.pool import current_pool
from runtime.errors import (
    AbortedError,
    ApiStatusError,
    HookError,
    InvalidOptionError,
    InvalidResponseError,
    MissingApiKeyError,
    ProviderError,
    TransportError,
    UnsupportedModelError,
)
from runtime.streams.embeddings import embed, embed_many
from runtime.values.embeddings import EmbeddingUsage
from runtime.values.options import EmbeddingOptions
from tests.providers.embedding_lab import (
    KEY,
    answer,
    item,
    model_at,
    packed,
    says,
    serve_embeddings,
    vector,
)
from tests.providers.loopback import chunk, head, raw, reply, serve

ONCE = EmbeddingOptions(max_retries=0)
FAST = {"retry_after_ms": "1"}
CHUNKED = head(headers={"transfer-encoding": "chunked", "content-type": "application/json"})


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return monkeypatch


@pytest.fixture(autouse=True)
async def nothing_left():
    """After the test: no request has a client, none waits for one."""
    yield
    left = current_pool().statistics()
    assert (left.in_flight, left.waiting) == (0, 0)


def vectors_of(texts):
    return tuple(tuple(vector(text)) for text in texts)


# Requests


async def test_one_text_goes_as_a_list():
    """With the key, to ``/embeddings``; a model that the answer does not name is the one that was asked."""
    async with serve(says(answer([0.5, -0.5], model=None))) as server:
        one = await embed(model_at(f"{server.url}/v1/", KEY), "hello")
    assert (one.embedding, one.model, one.usage) == ((0.5, -0.5), "m", EmbeddingUsage(3, 4))
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/embeddings")
    assert request.json() == {"model": "m", "input": ["hello"]}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"


async def test_options_are_in_the_payload_and_the_answer_is_put_in_order():
    """Two texts, answered the other way round by another model."""
    data = [item(1, packed([1.0, 2.0])), item(0, packed([3.0, 4.0]))]
    options = EmbeddingOptions(dimensions=2, encoding_format="base64", user="u1")
    async with serve(says(answer(data=data, model="upstream"))) as server:
        batch = await embed_many(model_at(server.url, KEY), ["a", "b"], options)
    assert batch.embeddings == (packed([3.0, 4.0]), packed([1.0, 2.0]))
    assert (batch.vectors, batch.model) == (((3.0, 4.0), (1.0, 2.0)), "upstream")
    sent = {"model": "m", "input": ["a", "b"], "dimensions": 2, "encoding_format": "base64", "user": "u1"}
    assert server.requests[0].json() == sent


async def test_a_server_of_ones_own_needs_no_key(environment):
    """It gets none, not even of the environment; usage may be missing."""
    environment.setenv("OPENAI_API_KEY", KEY)
    async with serve(says(answer([1.0], usage=None))) as server:
        one = await embed(openai.embeddings(base_url=server.url).model("m"), "a")
    assert one.usage == EmbeddingUsage()
    assert "authorization" not in server.requests[0].headers


async def test_the_option_outranks_the_handle():
    """As for every call; a scoped variable counts as an option."""
    async with serve_embeddings() as embedder:
        model = openai.embeddings(KEY, base_url=embedder.server.url).model("m")
        for options in (
            None,
            EmbeddingOptions(api_key="sk-option"),
            EmbeddingOptions(env={"OPENAI_API_KEY": "sk-scoped"}),
        ):
            await embed(model, "a", options)
    keys = [request.headers["authorization"] for request in embedder.server.requests]
    assert keys == [f"Bearer {KEY}", "Bearer sk-option", "Bearer sk-scoped"]


async def test_openai_wants_a_key():
    """Before anything is sent; an abort that is set comes first, a model of another API before both."""
    model, abort = openai.embeddings().model("text-embedding-3-small"), trio.Event()
    with pytest.raises(MissingApiKeyError, match="^No API key for provider: openai"):
        await embed(model, "a")
    abort.set()
    with pytest.raises(AbortedError):
        await embed(model, "a", EmbeddingOptions(abort=abort))
    other = model.model_copy(update={"api": "other"})
    with pytest.raises(UnsupportedModelError) as caught:
        await embed(other, "a")
    assert str(caught.value) == "unsupported api: Mismatched api: other expected openai-embeddings"


async def test_the_handle_may_bring_its_own_client():
    """The pool stays out of it; the call's client outranks the handle's."""
    import httpx

    async with serve_embeddings() as embedder, httpx.AsyncClient() as own, httpx.AsyncClient() as other:
        url = embedder.server.url
        model = openai.embeddings(base_url=url, http_client=own, headers={"X-A": "1"}).model("m")
        await embed(model, "a")
        await embed(model, "a", EmbeddingOptions(http_client=other))
        assert current_pool().statistics().shards == 0
        await own.aclose()
        await embedder.server.wait_closed(but=1)
    assert embedder.server.requests[0].headers["x-a"] == "1"


# Hooks


async def test_the_payload_hook_may_change_everything_but_what_is_expected():
    """What was asked for is what must come: as many vectors as there were texts."""

    async def ask_for_text(payload, model):
        return {**payload, "encoding_format": "base64"}

    async def drop_one(payload, model):
        payload["input"].pop()

    async with serve_embeddings() as embedder:
        model = model_at(embedder.server.url)
        batch = await embed_many(model, ["a", "bb"], EmbeddingOptions(on_payload=ask_for_text))
        assert batch.embeddings == vectors_of(["a", "bb"])
        with pytest.raises(
            InvalidResponseError, match=r"expected 2 indexed embeddings, received indices \[0\]"
        ):
            await embed_many(model, ["a", "bb"], EmbeddingOptions(on_payload=drop_one))
    assert embedder.inputs == [["a", "bb"], ["a"]]


async def test_hooks_that_fail_end_the_call():
    """Before a request, and after a success."""

    async def wrong(*args):
        return [1]

    async def broken(*args):
        raise ValueError("not today")

    async with serve_embeddings() as embedder:
        model = model_at(embedder.server.url)
        with pytest.raises(InvalidOptionError, match="on_payload must return a dict or None, not list"):
            await embed(model, "a", EmbeddingOptions(on_payload=wrong))
        with pytest.raises(HookError, match="on_payload failed: not today"):
            await embed(model, "a", EmbeddingOptions(on_payload=broken))
        assert embedder.server.requests == []
        with pytest.raises(HookError, match="on_response failed: not today"):
            await embed(model, "a", EmbeddingOptions(on_response=broken))


async def test_the_response_hook_sees_each_success():
    """Once for each request, none for a failure."""
    seen = []

    async def hook(info, model):
        seen.append((info.status, info.headers["content-type"], model.id))

    options = EmbeddingOptions(on_response=hook, max_retries=1, max_batch_size=1, max_concurrent_requests=1)
    async with serve(reply("no", 503, **FAST), says(answer([1.0])), says(answer([2.0]))) as server:
        await embed_many(model_at(server.url), ["a", "b"], options)
    assert seen == [(200, "application/json", "m")] * 2


# Failures


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [
        (reply('{"error":{"message":"too many dimensions"}}', 400), 400, "too many dimensions"),
        (reply("<html>Bad Gateway</html>", 502), 502, "<html>Bad Gateway</html>"),
        (reply("", 401), 401, ""),
        (reply(f"wrong key {KEY}", 403), 403, "wrong key ***"),
    ],
)
async def test_a_status_that_is_no_success_is_raised(script, status, told):
    """With what the server says, and where that was."""
    async with serve(script) as server:
        with pytest.raises(ApiStatusError) as caught:
            await embed(model_at(server.url, KEY), "a", ONCE)
    assert caught.value.status == status
    assert told in caught.value.body
    assert KEY not in str(caught.value)
    assert f"(POST {server.url}/embeddings)" in str(caught.value)


async def test_a_limit_of_the_rate_is_waited_for():
    """429 is tried again after the time that the server asks for, as are its other troubles."""
    troubles = [reply("slow down", 429, **FAST), raw(b"", close=True), reply("oops", 500, **FAST)]
    async with serve(*troubles, says(answer([1.0]))) as server:
        one = await embed(model_at(server.url), "a", EmbeddingOptions(max_retries=3))
    assert one.vector == (1.0,)
    assert len({request.body for request in server.requests}) == 1
    assert len(server.requests) == 4


async def test_a_limit_of_the_rate_is_not_waited_for_too_long():
    """The server's words are in the error."""
    async with serve(reply("quota is used up", 429, retry_after="3600")) as server:
        with pytest.raises(ProviderError, match="Server requested 3600s retry delay.*quota is used up"):
            await embed(model_at(server.url), "a")


WHOLE = b'{"data":[{"index":0,"embedding":[1.0]}]}'


@pytest.mark.parametrize(
    "script",
    [
        raw(head(headers={"content-length": "999"}) + WHOLE, close=True),
        raw(CHUNKED + chunk(WHOLE), close=True),
        raw(CHUNKED + chunk(WHOLE[:20]), close=True),
        raw(head(headers={"content-length": "40", "content-encoding": "gzip"}) + WHOLE, close=True),
    ],
)
async def test_an_answer_that_is_cut_is_an_error(script):
    """Even if what came would make sense; it is not asked for again."""
    async with serve(script) as server:
        with pytest.raises(TransportError, match=f"{server.url}/embeddings"):
            await embed(model_at(server.url), "a")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "''"),
        ("<html>Login</html>", "text/html came: '<html>Login</html>'"),
        (WHOLE[:-2], "EOF"),
        (f'{{"error":{{"message":"{KEY} is no good"}}}}', "*** is no good"),
    ],
)
async def test_a_success_that_is_no_answer_is_an_error(body, told):
    """It is quoted, and not asked for again."""
    async with serve(reply(body, content_type="text/html")) as server:
        with pytest.raises(InvalidResponseError) as caught:
            await embed(model_at(server.url, KEY), "a")
    assert str(caught.value).startswith("invalid provider response: could not decode embeddings response: ")
    assert told in str(caught.value)
    assert KEY not in str(caught.value)


async def test_one_index_twice_is_an_error():
    """Nothing is guessed."""
    async with serve(says(answer(data=[item(0, [1.0]), item(0, [2.0])]))) as server:
        with pytest.raises(
            InvalidResponseError, match=r"expected 2 indexed embeddings, received indices \[0, 0\]"
        ):
            await embed_many(model_at(server.url), ["a", "b"])


async def test_an_endless_answer_is_an_error():
    """It is read up to ``max_event_bytes``."""

    async def endless(wire):
        await wire.send(CHUNKED + chunk(b"["))
        while not wire.closed.is_set():
            await wire.send(chunk(b"0," * 10_000))

    async with serve(endless) as server:
        with pytest.raises(TransportError, match="longer than max_event_bytes=1000000"):
            await embed(model_at(server.url), "a", EmbeddingOptions(max_event_bytes=1_000_000))
        await server.wait_closed()


@pytest.mark.parametrize(
    ("begin", "name"),
    [
        (b"", "first_event_timeout=0.1"),
        (head(headers={"content-length": "999"}), "first_event_timeout=0.1"),
        (head(headers={"content-length": "999"}) + WHOLE, "event_timeout=0.1"),
    ],
)
async def test_a_server_that_falls_silent_is_given_up(begin, name):
    """Before its answer, and in it."""
    async with serve(raw(begin, hang=True)) as server:
        with pytest.raises(TransportError, match=f"{server.url}/embeddings within {name}"):
            await embed(
                model_at(server.url), "a", EmbeddingOptions(first_event_timeout=0.1, event_timeout=0.1)
            )
        await server.wait_closed()


async def test_a_slow_answer_in_pieces_is_no_stall():
    """A body that takes longer than event_timeout, but never so long between two pieces."""

    async def drip(wire):
        body = b'{"data":[{"index":0,"embedding":[1.0,2.0]}]}'
        await wire.send(head(headers={"content-length": str(len(body))}))
        for byte in body:
            await wire.send(bytes([byte]))
            await trio.sleep(0.01)

    async with serve(drip) as server:
        one = await embed(model_at(server.url), "a", EmbeddingOptions(event_timeout=0.3))
    assert one.vector == (1.0, 2.0)
