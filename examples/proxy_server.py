"""A backend that holds the keys, and an agent without one: model calls through a proxy, served by hypercorn on trio.

`application` is ASGI: whatever serves ASGI on trio can serve it. The model here is scripted; for a real one, let `find_model`
return `openai.from_env().model(ref.id)` for the ids that your users may use, and None for all others. Run it (with the
extra `agentrio[proxy]`): it serves itself on loopback, asks once, and aborts once.
"""

import hmac
import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from providers import proxy
from providers.faux import faux_assistant_message, faux_fault, register_faux_provider
from runtime import AgentrioError, MessageUpdate, Model, ModelRef, open_agent, stream_simple

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
MODEL = Model("scripted", api="faux", provider="faux")


async def application(
    find_model: Callable[[ModelRef], Model | None], token: str, scope: Any, receive: Receive, send: Send
) -> None:
    """The ASGI application: who asks, what is asked, and the reply."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    sent = dict(scope["headers"]).get(b"authorization", b"")
    if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
        await refuse(send, 401, "unknown token")
    elif (scope.get("method"), scope["path"]) != ("POST", "/api/stream"):
        await refuse(send, 404, "there is POST /api/stream, and nothing else")
    elif (body := await whole_body(receive)) is None:
        await refuse(send, 413, "the request is too long")
    else:
        try:
            call = proxy.decode_request(body, find_model)
        except AgentrioError as error:
            await refuse(send, 400, str(error))
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when_gone, receive, nursery.cancel_scope)
            await answer(call, send)
            nursery.cancel_scope.cancel()


async def whole_body(receive: Receive) -> bytes | None:
    body = bytearray()
    while len(body) <= proxy.MAX_REQUEST_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)
    return None


async def cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def answer(call: proxy.ProxyRequest, send: Send) -> None:
    """Leaving the block, for whatever reason, closes the connection to the model."""
    async with stream_simple(call.model, call.context, call.options) as stream:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM})
        async for piece in proxy.encode_stream(stream):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def refuse(send: Send, status: int, error: str) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})


async def talk(url: str, token: str) -> None:
    """An agent that knows a URL, a token, and the name of a model."""
    async with open_agent(MODEL, stream_fn=proxy.stream_fn(url, auth_token=token)) as agent:
        print("the reply:", (await agent.prompt("What is a proxy?")).text)
        async with agent.stream("And in full?") as run:
            async for event in run:
                if isinstance(event, MessageUpdate) and event.message.text:
                    agent.abort()
            print("the aborted reply:", (await run.result()).error_message)


async def main() -> None:
    token = os.urandom(16).hex()
    config = Config()
    config.bind, config.loglevel = ["127.0.0.1:0"], "WARNING"
    with register_faux_provider(api="faux", models=[MODEL]) as faux:
        said = faux_assistant_message("Somebody who speaks for you.")
        faux.set_responses([said, faux_fault(said, "stall", after=1)])
        app = partial(application, lambda ref: faux.get_model_by_id(ref.id), token)
        async with trio.open_nursery() as nursery:
            (url,) = await nursery.start(partial(serve, app, config))
            await talk(url, token)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
