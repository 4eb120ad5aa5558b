"""One scripted reply on its way to a client: its pace, and what goes wrong with it."""

import trio

from providers.faux.pacing import Pace
from providers.faux.script import FauxFault, FauxReply
from runtime.testing.wire.apis import DIALECTS
from runtime.testing.wire.dialect import play, text_of
from runtime.values.message import AssistantMessage
from runtime.values.text import compact_json
from runtime.values.tokens import estimate_text_tokens
from runtime.values.usage import Usage

from .loopback import SSE_HEAD, Wire, chunk
from .steps import FakeRequest, fake_status

_MALFORMED = b'data: {"cut short\n\n'


class Playing:
    """Sends one reply, as the API of its request writes it."""

    def __init__(self, wire: Wire, request: FakeRequest, reply: FauxReply, pace: Pace) -> None:
        self._wire = wire
        self._request = request
        self._reply = reply
        self._pace = pace
        self._dialect = DIALECTS[request.api](request.model)
        self._begun = False

    async def run(self) -> None:
        """Send it up to its end, or up to where a fault strikes."""
        if self._reply.delay:
            await trio.sleep(self._reply.delay)
        fault = self._reply.fault
        for data, place in play(self._dialect, self._reply.message, self._pace.chunks):
            await self._send(data)
            if fault is not None and fault.strikes_at(place):
                break
            if place.chunk is not None:
                await self._pace.wait(place.chunk)
        if fault is not None:
            await self._strike(fault)
        else:
            await self._finish(self._reply.message)

    async def _finish(self, message: AssistantMessage) -> None:
        if message.failed:
            await self._fail(message.error_message or "An unknown error occurred")
        else:
            await self._send(self._dialect.end(message, _usage(self._request, message)), last=True)

    async def _strike(self, fault: FauxFault) -> None:
        match fault.kind:
            case "stall":
                await self._wire.wait_closed()
            case "cut":
                await self._wire.close()
            case "malformed":
                await self._send(_MALFORMED, last=True)
            case "fail":
                await self._fail(str(fault.to_error()))

    async def _fail(self, text: str) -> None:
        if self._begun:
            await self._send(self._dialect.failure(text), last=True)
        else:
            await self._wire.send(fake_status(400, text).encode(self._request.api))

    async def _send(self, data: bytes, *, last: bool = False) -> None:
        if data:
            begin = b"" if self._begun else SSE_HEAD
            self._begun = True
            await self._wire.send(begin + chunk(data) + (chunk(b"") if last else b""))


def _usage(request: FakeRequest, message: AssistantMessage) -> Usage:
    """A guess from the lengths of what was sent and what is said."""
    sent = estimate_text_tokens(compact_json(request.messages))
    said = estimate_text_tokens("".join(map(text_of, message.content)))
    return Usage(input=sent, output=said, total_tokens=sent + said)
