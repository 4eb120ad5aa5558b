"""A proxy without a network: replies told and read again, and a server's half over the loopback server."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio
from pydantic_core import to_json

from providers.faux import FauxProvider
from providers.proxy import ProxyRequest, ProxyStreamFn, decode_request, encode_stream, stream_fn
from providers.proxy.decode import ProxyDecoder
from providers.proxy.encode import EventEncoder
from providers.sse import SseReader
from runtime.errors import ProviderError
from runtime.nurseries import SingleVoiceNursery
from runtime.streams.assembler import MessageAssembler
from runtime.streams.call import stream_simple
from runtime.streams.events import AssistantMessageEvent
from runtime.testing.invariants import assert_stream_grammar
from runtime.values.message import AssistantMessage
from runtime.values.model import Model, ModelRef
from tests.providers.loopback import SSE_HEAD, Loopback, Wire, chunk, serve

MODEL = Model("m", api="a", provider="p")
TOKEN = "token-of-the-reader"
Read = tuple[AssistantMessage, list[AssistantMessageEvent]]


def told(events: Iterable[AssistantMessageEvent]) -> bytes:
    """The body that a server sends for these events."""
    encoder = EventEncoder()
    return b"".join(map(encoder.encode, events))


def body_of(*events: Any) -> bytes:
    """A body with these events: values as JSON, bytes as they are."""
    return b"".join(
        b"data: %b\n\n" % (event if isinstance(event, bytes) else to_json(event)) for event in events
    )


def read(pieces: Iterable[bytes]) -> Read:
    """Read a body as the engine does, without one; failures end the message."""
    assembler = MessageAssembler(MODEL, timestamp=0)
    decoder, reader = ProxyDecoder(assembler), SseReader(1 << 22)
    try:
        for events in (*map(reader.feed, pieces), reader.finish()):
            for event in events:
                if not decoder.finished:
                    decoder.feed(event)
        decoder.finish()
    except (ProviderError, ValueError) as error:
        assembler.fail(str(error))
    events = assembler.take()
    assert_stream_grammar(events)
    assert assembler.final is not None
    return assembler.final, events


def heard(*events: Any) -> Read:
    """What becomes of a body with these events."""
    return read([body_of(*events)])


def said(event: AssistantMessageEvent) -> tuple[Any, ...]:
    """What an event says by itself."""
    names = ("content_index", "delta", "content", "tool_call", "reason")
    return (event.type, *(getattr(event, name, None) for name in names))


def named(provider: FauxProvider) -> Model:
    """The same name, for somebody who has no handle."""
    return MODEL.model_copy(
        update={"id": provider.get_model().id, "api": provider.api, "provider": provider.id}
    )


def finding(provider: FauxProvider) -> Callable[[ModelRef], Model | None]:
    """What a server knows that has one model."""
    return lambda ref: provider.get_model() if ref == provider.get_model().ref else None


@asynccontextmanager
async def proxied(
    provider: FauxProvider, asked: list[ProxyRequest] | None = None, left: list[str] | None = None
) -> AsyncIterator[tuple[Loopback, ProxyStreamFn]]:
    """A proxy in front of a scripted provider: the server, and the ``stream_fn`` that calls it.

    ``asked`` collects what was asked, ``left`` how the streams of the provider's models were left.
    """

    async def run(wire: Wire) -> None:
        call = decode_request(server.requests[-1].body, finding(provider))
        if asked is not None:
            asked.append(call)
        await wire.send(SSE_HEAD)
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(cancel_when_closed, wire, nursery.cancel_scope)
            try:
                async with stream_simple(call.model, call.context, call.options) as stream:
                    async for piece in encode_stream(stream):
                        await wire.send(chunk(piece))
            finally:
                if left is not None:
                    left.append(repr(stream))
            nursery.cancel_scope.cancel()
        await wire.send(chunk(b""))

    async with serve(run, repeat=True) as server:
        yield server, stream_fn(server.url, auth_token=TOKEN)


async def cancel_when_closed(wire: Wire, scope: trio.CancelScope) -> None:
    await wire.wait_closed()
    scope.cancel()
