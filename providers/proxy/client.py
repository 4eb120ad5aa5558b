"""Calling a model through a proxy: what an agent takes as its ``stream_fn``."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from providers.access import Access
from providers.exchange import ERROR_CHARACTERS, exchange
from providers.headers import merge_headers
from providers.payload import hooked_body
from providers.transport import Request, join_url
from runtime.errors import InvalidOptionError
from runtime.streams.assembler import MessageAssembler
from runtime.streams.channel import MessageStream, MessageWriter, call_hook, open_message_stream
from runtime.values.checks import check_type
from runtime.values.context import Context
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions
from runtime.values.secret import Secret, without_secrets

from .decode import ProxyDecoder
from .request import request_payload

if TYPE_CHECKING:
    import httpx

PATH = "/api/stream"
TokenSource = Callable[[], Awaitable[str]]


def stream_fn(
    url: str,
    *,
    auth_token: str | TokenSource | None = None,
    headers: Mapping[str, str] | None = None,
    http_client: "httpx.AsyncClient | None" = None,
) -> "ProxyStreamFn":
    """A ``stream_fn`` for agents whose models are called by a server of yours, which holds the keys; it posts to ``{url}/api/stream``.

    Called with model, context and options, it gives what ``stream_simple`` gives: the same events and the same message, the same
    behaviour on abort, cancellation and an early exit, which close the connection, so that the server closes its own. The
    model needs no handle: ``Model("gpt-5", api="openai-responses", provider="openai")`` names it.

    - ``auth_token`` goes out as ``Authorization: Bearer``. An async function is asked before every call; if it raises, the call ends
      as ``Error``.
    - ``headers`` go with every request, and those of the options over them. ``http_client`` replaces the pool; it is not closed.

    Time-outs, retries, limits and hooks of the options apply to the way to the server. What a model is called with goes
    there (temperature, max_tokens, reasoning, thinking_budgets, cache_retention, session_id, foreign_thinking, metadata,
    provider_options), and the server decides what of it counts. Keys, ``env`` and the model's headers go nowhere.

    Raises InvalidOptionError for a URL, a token or a header that cannot be sent.
    """
    if auth_token is not None and not isinstance(auth_token, str) and not callable(auth_token):
        raise InvalidOptionError(
            f"auth_token must be a string or an async function, not {type(auth_token).__name__}"
        )
    fixed = auth_token if isinstance(auth_token, str) else None
    access = Access(fixed, headers=headers or {}, http_client=http_client)
    return ProxyStreamFn(url, access, None if isinstance(auth_token, str) else auth_token)


class ProxyStreamFn:
    """Calls models through one server. A value without a connection, safe to share; ``stream_fn`` makes one."""

    def __init__(self, url: str, access: Access, ask_token: TokenSource | None = None) -> None:
        check_type("url", url, str)
        self._url = join_url(url, PATH)
        self._access = access
        self._ask_token = ask_token
        self._request(access.api_key, SimpleStreamOptions(), b"")  # says now what cannot be sent

    def __call__(
        self, model: Model, context: Context, options: SimpleStreamOptions | None = None
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call a model through the server; like ``stream_simple``, but for the key, which is the server's business."""
        check_type("model", model, Model)
        check_type("context", context, Context)
        check_type("options", options, SimpleStreamOptions | None)
        own = self._access.with_client(options or SimpleStreamOptions())
        payload = request_payload(model, context, own)  # now: the context may be appended to

        async def produce(writer: MessageWriter) -> None:
            body = await hooked_body(payload, own, model)
            request = self._request(await self._token(), own, body)
            decoder = ProxyDecoder(writer.assembler, partial(request.quote, limit=ERROR_CHARACTERS))
            await exchange(request, decoder, cast("MessageWriter", _LateStart(writer)), own, model)

        return open_message_stream(model, produce, abort=own.abort)

    async def _token(self) -> str | None:
        if self._ask_token is None:
            return self._access.api_key
        token = await call_hook("auth_token", self._ask_token)
        check_type("what auth_token returned", token, str)
        return Secret.or_none(token)

    def _request(self, token: str | None, options: SimpleStreamOptions, body: bytes) -> Request:
        own = {"content-type": "application/json", "accept": "text/event-stream"}
        if token:
            own["authorization"] = f"Bearer {token}"
        headers = merge_headers(own, self._access.headers, options.headers)
        return Request(self._url, headers, body, (token,) if token else ())

    def __repr__(self) -> str:
        return f"<ProxyStreamFn POST {without_secrets(self._url)}>"


class _LateStart:
    """The writer as the engine sees it. Its word that a response has come is no start: the wire has an event that says so."""

    def __init__(self, writer: MessageWriter) -> None:
        self._writer = writer
        self.assembler = _Unstarted(writer.assembler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


class _Unstarted:
    def __init__(self, assembler: MessageAssembler) -> None:
        self._assembler = assembler

    def start(self) -> None:
        """Leave that to the decoder."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._assembler, name)
