"""The ASGI application of examples/proxy_server.py, as hypercorn serves it on trio."""

import importlib.util
import json
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from providers import faux, proxy
from runtime.nurseries import SingleVoiceNursery
from runtime.streams.channel import open_message_stream
from runtime.streams.events import TextDelta
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.model import Bindings
from runtime.values.options import SimpleStreamOptions
from tests.providers.proxy_lab import MODEL, TOKEN

PATH = Path(__file__).parents[2] / "examples" / "proxy_server.py"
HELLO = Context(messages=[user("hello")])
BODY = {"model": {"id": "m", "provider": "p", "api": "a"}, "context": {"messages": []}}


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("proxy_server", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def served(example, model):
    """The example's application with one model; where it is."""
    config = Config()
    config.bind, config.loglevel = ["127.0.0.1:0"], "ERROR"
    app = partial(example.application, lambda ref: model if ref.id == model.id else None, TOKEN)
    async with SingleVoiceNursery() as nursery:
        (url,) = await nursery.start(partial(serve, app, config))
        yield url
        nursery.cancel_scope.cancel()


class Endless:
    """A model that says one word and then nothing; it tells when it is called and when its connection was closed."""

    id = MODEL.api

    def __init__(self):
        self.closed = trio.Event()

    @property
    def model(self):
        return MODEL.bound(Bindings(language=self))

    def stream(self, model, context, options):
        return open_message_stream(model, self._produce, abort=options.abort)

    stream_simple = stream

    async def _produce(self, writer):
        try:
            writer.assembler.start()
            writer.assembler.text_delta(writer.assembler.text_start(), "word")
            await writer.flush()
            await trio.sleep_forever()
        finally:
            self.closed.set()


async def test_a_reply_comes_through(example):
    """From the model's name to the whole message."""
    provider = faux.register_faux_provider()
    provider.set_responses([faux.faux_assistant_message("Hello there.", response_id="r1", timestamp=5)])
    async with served(example, provider.get_model()) as url:
        async with proxy.stream_fn(url, auth_token=TOKEN)(provider.get_model(), HELLO) as stream:
            message = await stream.result()
    assert (message.text, message.response_id, message.timestamp) == ("Hello there.", "r1", 5)


@pytest.mark.parametrize("way", ["abort", "break", "cancel"])
async def test_who_aborts_on_the_client_ends_the_call_on_the_server(example, way):
    """The model's connection is closed within seconds, while the server goes on."""
    endless = Endless()
    async with served(example, endless.model) as url:
        with trio.CancelScope() as scope:
            async with proxy.stream_fn(url, auth_token=TOKEN)(MODEL, HELLO) as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        if way == "break":
                            break
                        (stream.abort if way == "abort" else scope.cancel)()
        with trio.fail_after(5):
            await endless.closed.wait()


async def test_a_client_that_is_gone_ends_the_call(example):
    """One that only closes its socket."""
    endless = Endless()
    body = json.dumps(BODY).encode()
    head = f"POST /api/stream HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with served(example, endless.model) as url:
        async with await trio.open_tcp_stream("127.0.0.1", httpx.URL(url).port) as socket:
            await socket.send_all(head.encode() + body)
            seen = b""
            while b"word" not in seen:
                seen += await socket.receive_some()
        with trio.fail_after(5):
            await endless.closed.wait()


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"headers": {"authorization": "Bearer guess"}}, 401, "unknown token"),
        ({"headers": {}}, 401, "unknown token"),
        ({"method": "GET"}, 404, "POST /api/stream"),
        ({"url": "/api/other"}, 404, "POST /api/stream"),
        ({"content": b"{"}, 400, "this is no request"),
        (
            {"json": {**BODY, "model": {"id": "other", "provider": "p"}}},
            400,
            "there is no model p/other here",
        ),
        ({"json": {**BODY, "options": {"temperature": "hot"}}}, 400, "temperature"),
    ],
)
async def test_what_is_refused(example, changes, status, error):
    """With a status and a reason, before any model is called."""
    request = {
        "method": "POST",
        "url": "/api/stream",
        "headers": {"authorization": f"Bearer {TOKEN}"},
        **changes,
    }
    if "content" not in request and "json" not in request:
        request["json"] = BODY
    async with served(example, Endless().model) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.request(**request)
    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert TOKEN not in answer.text


async def test_a_request_may_not_be_too_long(example, monkeypatch):
    """It is not even read to its end."""
    monkeypatch.setattr(proxy, "MAX_REQUEST_BYTES", 1000)
    async with served(example, Endless().model) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.post(
            "/api/stream", content=b"x" * 5000, headers={"authorization": f"Bearer {TOKEN}"}
        )
    assert answer.status_code == 413


async def test_a_refusal_is_what_the_client_says(example):
    """The words of the server are in the message."""
    async with served(example, Endless().model) as url:
        async with proxy.stream_fn(url, auth_token="guess")(MODEL, HELLO, SimpleStreamOptions()) as stream:
            message = await stream.result()
    assert message.stop_reason is StopReason.Error
    assert "401" in message.error_message
    assert "unknown token" in message.error_message
