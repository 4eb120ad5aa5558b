"""A provider of your own: a payload, a decoder, and one handle.

The wire here is imaginary: server-sent events {"say": text}, {"call": name, "with": arguments} and {"bye": reason}. What is
special to it are the two pure parts below. Retries, time-outs, limits, hooks, cancellation, redaction and the grammar of
events come with the engine. Run it: it serves itself on loopback.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import trio
from pydantic_core import from_json

from providers import Access, Call, ChatApi, ProviderHandle, SseEvent
from runtime import (
    Bindings,
    Context,
    InvalidResponseError,
    MessageAssembler,
    Model,
    SimpleStreamOptions,
    StopReason,
    StreamOptions,
    open_agent,
    transform_messages,
)


class ParrotDecoder:
    """Wire events in, assembler calls out. No I/O, so any recorded byte string replays through it."""

    finished = False

    def __init__(self, assembler: MessageAssembler) -> None:
        self._assembler = assembler
        self._text: int | None = None

    def feed(self, event: SseEvent) -> bool:
        match from_json(event.data):
            case {"say": str(words)}:
                if self._text is None:
                    self._text = self._assembler.text_start()
                self._assembler.text_delta(self._text, words)
            case {"call": str(name), "with": arguments}:
                call = self._assembler.tool_call_start(f"call_{name}", name, arguments)
                self._assembler.tool_call_end(call)
            case {"bye": _}:
                self.finished = True
        return True

    def finish(self) -> None:
        if not self.finished:
            raise InvalidResponseError("the stream ended without a bye")
        self._assembler.close_open_blocks()
        self._assembler.done(StopReason.ToolUse if self._assembler.message.tool_calls else StopReason.Stop)


@dataclass(frozen=True)
class ParrotWire:
    """What is special to the API: where, what, and how to read the answer."""

    id: str = "parrot"
    path: str = "/squawk"

    def options(self, options: StreamOptions) -> StreamOptions:
        return options

    def simple_options(self, model: Model, context: Context, options: SimpleStreamOptions) -> StreamOptions:
        return options

    def payload(self, call: Call[StreamOptions]) -> dict[str, Any]:
        messages = transform_messages(call.context.messages, call.model)
        lines = [[message.role, plain(message.content)] for message in messages]
        return {"model": call.model.id, "lines": lines}

    def headers(self, call: Call[StreamOptions]) -> dict[str, str]:
        return {"authorization": f"Parrot {call.api_key}"} if call.api_key else {}

    def decoder(self, call: Call[StreamOptions], assembler: MessageAssembler) -> ParrotDecoder:
        return ParrotDecoder(assembler)


def plain(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(getattr(block, "text", "") for block in content)


def parrot(api_key: str, base_url: str) -> ProviderHandle:
    """The handle: a value, to be shared."""
    access = Access(api_key)
    return ProviderHandle("parrot", base_url, access, Bindings(language=ChatApi(ParrotWire(), access)))


async def squawk(stream: trio.SocketStream) -> None:
    """A server that speaks it."""
    await stream.receive_some(65536)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for line in (b'{"say": "Polly wants "}', b'{"say": "a trio."}', b'{"bye": "enough"}'):
        await stream.send_all(b"data: %b\n\n" % line)
    await stream.aclose()


async def main() -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, squawk, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        async with open_agent(parrot("secret", f"http://127.0.0.1:{port}").model("polly-1")) as agent:
            reply = await agent.prompt("What do you want?")
            print(reply.text, reply.stop_reason)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
