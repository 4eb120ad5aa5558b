"""The fake server: it plays a script over HTTP, in the language of each of the three chat APIs."""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from inspect import isawaitable

from providers import ProviderHandle, anthropic, openai
from providers.faux.pacing import LARGEST, SMALLEST, Pace
from providers.faux.script import as_reply
from runtime.errors import InvalidOptionError

from .loopback import Loopback, Received, Wire, open_loopback
from .playing import Playing
from .steps import (
    FakeAnswer,
    FakeBytes,
    FakeRequest,
    FakeStatus,
    FakeStep,
    checked_steps,
    describe,
    fake_status,
)

_KEY = "fake-key"
_APIS = {"/chat/completions": "chat_completions", "/responses": "responses", "/messages": "messages"}


class FakeServer:
    """A scripted provider behind a socket. ``open_fake_server`` opens one, and says what a script may hold."""

    def __init__(self, steps: Iterable[FakeStep] = (), pace: Pace | None = None) -> None:
        self._steps = deque(checked_steps(steps))
        self._pace = Pace() if pace is None else pace
        self._engine: Loopback | None = None
        self.requests: list[FakeRequest] = []
        """What was asked, oldest first; also by requests that found no step."""

    # Where it is

    @property
    def url(self) -> str:
        """The ``base_url`` for any client of it."""
        return f"{self._running.url}/v1"

    @property
    def chat_completions(self) -> ProviderHandle:
        """A handle that speaks Chat Completions with it: ``server.chat_completions.model("any")``."""
        return openai.chat_completions(_KEY, base_url=self.url, provider_id="fake")

    @property
    def responses(self) -> ProviderHandle:
        """A handle that speaks the Responses API with it."""
        return openai.responses(_KEY, base_url=self.url, provider_id="fake")

    @property
    def messages(self) -> ProviderHandle:
        """A handle that speaks the Messages API with it."""
        return anthropic.messages(_KEY, base_url=self.url, provider_id="fake")

    # Its script

    def set_responses(self, steps: Iterable[FakeStep]) -> None:
        """Replace what is left of the script; InvalidOptionError for what is no step, and then nothing changes."""
        self._steps = deque(checked_steps(steps))

    def append_responses(self, steps: Iterable[FakeStep]) -> None:
        """Add to the script."""
        self._steps.extend(checked_steps(steps))

    def get_pending_response_count(self) -> int:
        """How many steps are left."""
        return len(self._steps)

    def assert_no_pending_responses(self) -> None:
        """Raise an AssertionError that names the steps that are left, if any are."""
        if unused := [describe(step) for step in self._steps]:
            raise AssertionError(f"{len(unused)} fake responses not used: {'; '.join(unused)}")

    # Its connections

    @property
    def open_connections(self) -> int:
        """Connections that the client has not closed, idle ones included."""
        return self._running.open_connections

    def drop_connections(self) -> None:
        """Break off all connections, in the middle of whatever they are sending."""
        for wire in self._running.wires:
            wire.lose()

    async def wait_requests(self, count: int = 1) -> None:
        """Wait until so many requests have come."""
        await self._running.wait_requests(count)

    async def wait_closed(self, but: int = 0) -> None:
        """Wait until the client has closed all connections but so many; TooSlowError after five seconds."""
        await self._running.wait_closed(but)

    # Underneath

    @property
    def _running(self) -> Loopback:
        if self._engine is None:
            raise RuntimeError("this fake server does not run: open it with open_fake_server()")
        return self._engine

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve beside the block; what is left of the script is nobody's concern here."""
        async with open_loopback(self._answer) as engine:
            self._engine = engine
            try:
                yield
            finally:
                self._engine = None

    async def _answer(self, wire: Wire, received: Received) -> None:
        request = _read(received)
        if isinstance(request, FakeStatus):
            await wire.send(request.encode(_api_of(received) or ""))
            return
        self.requests.append(request)
        match await self._next(request):
            case FakeStatus() as status:
                await wire.send(status.encode(request.api))
            case FakeBytes(data, hang):
                await wire.send(data)
                await (wire.wait_closed() if hang else wire.close())
            case answer:
                await Playing(wire, request, as_reply(answer), self._pace).run()

    async def _next(self, request: FakeRequest) -> FakeAnswer:
        if not self._steps:
            return fake_status(400, "No more fake responses queued")
        step = self._steps.popleft()
        if isinstance(step, FakeAnswer):
            return step
        answer = step(request)
        answer = await answer if isawaitable(answer) else answer
        if not isinstance(answer, FakeAnswer):
            raise InvalidOptionError(f"{describe(step)} must return a step, not {type(answer).__name__}")
        return answer

    def __repr__(self) -> str:
        where = self.url if self._engine is not None else "not running"
        return f"<FakeServer {where}: {len(self._steps)} responses pending, {len(self.requests)} requests>"


@asynccontextmanager
async def open_fake_server(
    *steps: FakeStep,
    tokens_per_second: float | None = None,
    token_size: int | tuple[int | None, int | None] = (SMALLEST, LARGEST),
) -> AsyncIterator[FakeServer]:
    """Open a server on 127.0.0.1 that answers the three chat APIs from a script, beside the block.

    It takes ``POST {url}/chat/completions``, ``/responses`` and ``/messages``, streaming only, and answers each request
    with the next step, whichever API asks:

    - an AssistantMessage, as ``faux_assistant_message`` makes them: text, thinking, tool calls;
    - one with trouble, of ``faux_fault`` (``fail``, ``stall``, ``cut``, ``malformed``), ``faux_failure`` (a status 400) or
      ``faux_delayed``;
    - ``fake_status(429, retry_after=1)`` and the like, ``fake_bytes(...)``, or a function of the FakeRequest that returns
      one of these. What such a function raises ends the block.

    ``tokens_per_second`` and ``token_size`` are the pace and the grain, as for ``register_faux_provider``. A request too many
    gets a status 400. When the block is left the server is gone, with its connections; AssertionError if steps were not
    used, unless the block raises.

    For the real clock: a MockClock that jumps would pass the deadlines of whoever waits for a socket.
    """
    server = FakeServer(steps, Pace.of(token_size, tokens_per_second))
    async with server.running():
        yield server
    server.assert_no_pending_responses()


def _api_of(received: Received) -> str | None:
    path = received.target.partition("?")[0]
    return next((api for ending, api in _APIS.items() if path.endswith(ending)), None)


def _read(received: Received) -> FakeRequest | FakeStatus:
    """The request; what it is answered if it is none."""
    api = _api_of(received)
    if api is None or received.method != "POST":
        known = ", ".join(_APIS)
        return fake_status(404, f"this server takes POST {known}; not {received.method} {received.target}")
    try:
        body = received.json()
    except ValueError as error:
        return fake_status(400, f"the body is no JSON: {error}")
    if not isinstance(body, dict) or body.get("stream") is not True:
        return fake_status(400, 'this server only streams: the body needs "stream": true')
    return FakeRequest(api, received.target, received.headers, body)
