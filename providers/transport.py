"""Bytes out, bytes in: one POST with its retries, and whatever can go wrong on the way.

Nothing above this module sees an httpx error, and no text that it makes holds a credential.
"""

import random
import re
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import trio

from runtime.errors import AgentrioError, ApiStatusError, InvalidOptionError, ProviderError, TransportError
from runtime.streams.channel import call_hook
from runtime.values.model import Model
from runtime.values.options import RequestOptions, ResponseInfo, check_headers
from runtime.values.redaction import Redactor, redacted
from runtime.values.secret import secret_header_values, secrets_in, without_secrets
from runtime.values.text import parse_json

from .pool import Pieces, current_pool, post, proxy_secrets
from .retry import over_limit, retry_delay, server_delay, should_retry

if TYPE_CHECKING:
    import httpx

_ERROR_BODY_BYTES = 64 * 1024
_ERROR_BODY_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_DRAIN_CHUNKS = 20_000
_INFLATED_BYTES = 1 << 20
_UNSURE = 96
"""The end of what was cut may be the beginning of a credential, too short to be known: so many characters are left out, too."""


def join_url(base_url: str, path: str) -> str:
    """Append a path to a base URL, before its query: ``http://h/x/?v=1`` and ``/chat`` give ``http://h/x/chat?v=1``."""
    base, _, query = base_url.strip().partition("?")
    path, _, own_query = path.partition("?")
    joined = "&".join(part for part in (own_query, query) if part)
    return base.rstrip("/") + path + (joined and "?" + joined)


@dataclass(frozen=True, eq=False, repr=False)
class Request:
    """One POST, ready to be sent any number of times. ``secrets`` are the credentials that it carries."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_headers(self.headers)
        if not re.match(r"https?://[^/?#\s]", self.url, re.IGNORECASE):
            raise InvalidOptionError(
                f"invalid URL: {self.endpoint!r} (base_url must begin with http:// or https:// and name a host)"
            )

    @property
    def endpoint(self) -> str:
        """Where it goes, fit to be shown: without user, query and fragment."""
        return without_secrets(self.url)

    @cached_property
    def redactor(self) -> Redactor:
        """Takes the credentials of this request out of a text, however they are spelled there."""
        return Redactor(self._credentials(), place=self.endpoint)

    def _credentials(self) -> Iterable[str]:
        own = (*self.secrets, *secret_header_values(self.headers), *secrets_in(self.url))
        return (*own, *proxy_secrets())

    def learn(self, sent: "httpx.Request | None") -> None:
        """Hide from now on what a client of the caller's own has put into the request, too."""
        if sent is not None:
            query = f"?{sent.url.query.decode()}"
            self.redactor.learn((*secret_header_values(sent.headers), *secrets_in(query)))

    def quote(self, said: bytes | str, limit: int) -> str:
        """What a server sent, fit to be shown: as text, at most ``limit`` bytes or characters, without credentials.

        It is cut first: to search megabytes takes seconds in which nothing else runs.
        """
        start = said[:limit]
        text = self.redactor(start if isinstance(start, str) else start.decode(errors="replace"))
        return text if len(said) <= limit else f"{text[:-_UNSURE]} [...]"

    def describe(self, data: bytes, limit: int) -> str:
        """The same, with the sentence for people where JSON escapes have made it unreadable."""
        return "".join(self.told(data, limit))

    def told(self, data: bytes, limit: int) -> tuple[str, str]:
        """The same in two parts. Where only reading the JSON brings a credential to light, its sentence stands for all."""
        text = self.quote(data, limit)
        sentence = _told(text) or ""
        message = self.redactor(sentence)
        if message != sentence:
            return message, ""
        return text, "" if message in text else f" [{message}]"

    def __repr__(self) -> str:
        return f"<Request POST {self.endpoint}, {len(self.body)} bytes, headers {', '.join(self.headers)}>"


class Response:
    """The answer to a request, with its body still to be read by ``async for``, unpacked where it is compressed."""

    def __init__(self, request: Request, http: "httpx.Response", resources: AsyncExitStack) -> None:
        self.request = request
        self.status = http.status_code
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("ascii")
            for name, value in http.headers.raw
            if value.isascii()
        }
        self._raw: AsyncIterator[bytes] = aiter(http.stream)  # type: ignore[arg-type]  # an async client's
        self._unpack = _unpacker(self.headers.get("content-encoding", ""))
        if http.is_stream_consumed:  # a hook of the caller's own client has read it, and unpacked it
            self._raw, self._unpack = Pieces([http.content]), _unpacker("")
        self._pieces: Iterator[bytes] = iter(())
        self._resources = resources
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            while True:
                for piece in self._pieces:
                    return piece
                self._pieces = self._unpack(await anext(self._raw))
        except StopAsyncIteration:
            raise
        except Exception as error:
            raise translated(error, self.request) from error

    async def aclose(self, patience: float = 0.0) -> None:
        """Close it, once. A connection whose rest arrives within ``patience`` seconds can be used again.

        httpx's body is a chain of async generators, and only one that ends by itself ends them all: so it is read on
        to its end, or until its next read is cancelled.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with trio.move_on_after(patience), suppress(Exception):
                for _ in range(_DRAIN_CHUNKS):
                    await anext(self._raw)
        finally:
            with trio.move_on_after(_CLOSE_SECONDS, shield=True):
                if isinstance(self._raw, AsyncGenerator):
                    await self._raw.aclose()
                await self._resources.aclose()

    def __repr__(self) -> str:
        return f"<Response {self.status} of {self.request.endpoint}>"


class Patience:
    """What the sender of a request has to know of its time-outs; this one has none.

    ``failure`` is set to what became of the last attempt. ``pause()`` is held while no server is to blame for the waiting.
    """

    failure: str | None = None

    def pause(self) -> AbstractContextManager[object]:
        """Stop the clocks."""
        return nullcontext()


@asynccontextmanager
async def open_response(
    request: Request, options: RequestOptions, model: Model, patience: Patience | None = None
) -> AsyncIterator[Response]:
    """Send a request, again where that may help, and give the block the response that succeeded.

    Statuses that ask for it and broken connections are retried up to ``options.max_retries`` times, all before a success
    has arrived. Raises ApiStatusError for any other status, ProviderError where the server asks for a longer wait
    than ``options.max_retry_delay``, TransportError for what breaks on the way, HookError when ``on_response`` raises.
    Leaving the block closes the connection, unless the body was read to its end.
    """
    patience = patience or Patience()
    response = await _send(request, options, patience)
    try:
        if options.on_response is not None:
            info = ResponseInfo(response.status, redacted(response.headers, request.redactor.known))
            with patience.pause():
                await call_hook("on_response", options.on_response, info, model)
        yield response
    finally:
        await response.aclose()


async def _send(request: Request, options: RequestOptions, patience: Patience) -> Response:
    attempt = 0
    while True:
        headers: Mapping[str, str] = {}
        try:
            response = await _attempt(request, options, patience)
        except TransportError as error:
            if attempt >= options.max_retries:
                raise
            patience.failure = str(error)
        else:
            if 200 <= response.status < 300:
                return response
            await _refuse_or_close(response, options, attempt)
            headers, patience.failure = response.headers, f"HTTP {response.status}"
        await trio.sleep(retry_delay(headers, attempt, time.time(), random.random()))  # noqa: S311 - jitter
        attempt += 1


async def _refuse_or_close(response: Response, options: RequestOptions, attempt: int) -> None:
    """Raise what a failed response says, unless another attempt is due."""
    try:
        if attempt >= options.max_retries or not should_retry(response.status, response.headers):
            raise await _status_error(response)
        asked = server_delay(response.headers, time.time())
        if refusal := over_limit(asked, options.max_retry_delay):
            raise ProviderError(f"{refusal} {await _status_error(response)}")
    finally:
        await response.aclose()


async def _attempt(request: Request, options: RequestOptions, patience: Patience) -> Response:
    async with AsyncExitStack() as stack:
        client = options.http_client
        if client is None:
            with patience.pause():
                client = await stack.enter_async_context(current_pool().lease())
        try:
            http = await post(
                client,
                request.url,
                request.headers,
                request.body,
                options.connect_timeout,
                once=not options.max_retries,
            )
        except Exception as error:
            raise translated(error, request, options.connect_timeout) from error
        if options.http_client is not None:
            request.learn(http.request)
        stack.push_async_callback(http.aclose)
        return Response(request, http, stack.pop_all())


# Bodies


def _unpacker(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    match encoding.strip().lower():
        case "" | "identity":
            return _as_it_is
        case "gzip" | "x-gzip" | "deflate":
            return _Inflater().feed
        case _:
            return lambda _: _refuse(encoding)


def _as_it_is(raw: bytes) -> Iterator[bytes]:
    return iter((raw,))


def _refuse(encoding: str) -> Iterator[bytes]:
    raise zlib.error(f"content-encoding {encoding!r} was not asked for")


class _Inflater:
    """Unpacks gzip and deflate in pieces of bounded size: a small packet may hold a gigabyte of nothing."""

    def __init__(self) -> None:
        self._zlib: Any = None

    def feed(self, raw: bytes) -> Iterator[bytes]:
        piece = b""
        while raw or len(piece) == _INFLATED_BYTES:
            if self._zlib is None or self._zlib.eof:
                self._zlib = zlib.decompressobj(_window(raw))
            piece = self._zlib.decompress(raw, _INFLATED_BYTES)
            raw = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if piece:
                yield piece


def _window(start: bytes) -> int:
    """gzip and zlib say what they are by their first byte; some servers send bare deflate, which does not."""
    return 32 + zlib.MAX_WBITS if start[:1] in (b"\x1f", b"\x78") else -zlib.MAX_WBITS


# Failures


async def _status_error(response: Response) -> ApiStatusError:
    request, data = response.request, await failure_body(response)
    body, remark = request.told(data, _ERROR_BODY_BYTES)
    return ApiStatusError(response.status, body, f"{remark} (POST {request.endpoint})")


async def failure_body(response: Response) -> bytes:
    """The body of a failure as far as it comes in time and is not too long; a broken one counts as it is."""
    body = bytearray()
    with trio.move_on_after(_ERROR_BODY_SECONDS), suppress(TransportError):
        async for piece in response:
            body += piece
            if len(body) > _ERROR_BODY_BYTES:
                break
    return bytes(body)


def _told(body: str) -> str | None:
    """The sentence for people in a JSON error body of any of the usual shapes."""
    try:
        return _sentence(parse_json(body))
    except ValueError:
        return None


def _sentence(value: Any) -> str | None:
    match value:
        case {"error": {"message": str(message), "metadata": {"raw": raw}}}:  # OpenRouter, of those behind it
            inner = (_told(raw) or raw) if isinstance(raw, str) else _sentence(raw)
            return f"{message}: {inner}" if inner else message
        case {"error": {"message": str(message)} | str(message)}:
            return message
        case {"message": str(message)} | {"detail": str(message)}:
            return message
        case [first, *_]:
            return _sentence(first)
        case str():
            return value
    return None


def translated(error: Exception, request: Request, connect_timeout: float = 0) -> AgentrioError:
    """Say what an exception of httpx, ssl or the system means, where it happened, and why."""
    import httpx

    request.learn(getattr(error, "_request", None))  # its property raises where there is none
    where, why = request.endpoint, request.redactor(_why(error))[:1000]
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | UnicodeError():
            return InvalidOptionError(f"invalid URL: {where!r} ({why})")
        case httpx.LocalProtocolError() | RuntimeError():
            return InvalidOptionError(f"cannot send to {where}: {why}")
        case httpx.ConnectTimeout():
            return TransportError(
                f"no connection to {where} within connect_timeout={connect_timeout:g} seconds"
            )
        case httpx.ConnectError():
            return TransportError(f"cannot connect to {where}: {why}")
        case httpx.ProxyError():
            return TransportError(f"the proxy on the way to {where} refused: {why}")
        case httpx.RemoteProtocolError():
            return TransportError(f"{where} did not keep to HTTP: {why}")
        case zlib.error():
            return TransportError(f"the body from {where} cannot be unpacked: {why}")
        case httpx.NetworkError() | OSError():
            return TransportError(f"the connection to {where} broke: {why}")
    return TransportError(f"the exchange with {where} failed: {why}")


def _why(error: BaseException) -> str:
    """The texts of an exception and of what caused it, the same ones once."""
    texts: list[str] = []
    cause: BaseException | None = error
    for _ in range(6):
        if cause is None:
            break
        if isinstance(cause, BaseExceptionGroup):  # one for each address that was tried
            cause = cause.exceptions[0]
        text = str(cause) or type(cause).__name__
        if not any(text in earlier for earlier in texts):
            texts.append(text)
        cause = cause.__cause__ or cause.__context__
    return "; ".join(texts)
