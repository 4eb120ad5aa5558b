"""A chat API made of pure parts: from a call to a request, from events to a reply, and the engine between them.

Each API is a ``ChatWire``. A ``ChatApi`` is a wire with what a handle knows; it is what models are bound to.
"""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from runtime.errors import ApiStatusError, InvalidOptionError, ProviderError, UnsupportedModelError
from runtime.streams.assembler import MessageAssembler
from runtime.streams.channel import MessageStream, MessageWriter, open_message_stream
from runtime.values.context import Context
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions

from .access import Access
from .exchange import ERROR_CHARACTERS, Decoder, exchange
from .keys import resolve_api_key
from .payload import hooked_body
from .transport import Request, join_url

_O = TypeVar("_O", bound=StreamOptions)
_ERROR_CHARACTERS = 128 * 1024


@dataclass(frozen=True, eq=False, repr=False)
class Call(Generic[_O]):
    """One call as its wire sees it: the options are the wire's own, ``context`` is a copy that nobody appends to."""

    model: Model
    context: Context
    options: _O
    access: Access
    api_key: str | None


class ChatWire(Protocol[_O]):
    """What is special to one API; everything here is pure. What it raises ends the call as ``Error``."""

    @property
    def id(self) -> str:
        """The API's name, as ``model.api`` has it."""

    @property
    def path(self) -> str:
        """What follows the base URL."""

    def options(self, options: StreamOptions) -> _O:
        """The wire's own options: as they are, or read from ``provider_options``."""

    def simple_options(self, model: Model, context: Context, options: SimpleStreamOptions) -> _O:
        """The wire's own options, with thinking level and limits fitted to the model."""

    def payload(self, call: Call[_O]) -> dict[str, Any]:
        """The body of the request."""

    def headers(self, call: Call[_O]) -> dict[str, str]:
        """The headers of the request."""

    def decoder(self, call: Call[_O], assembler: MessageAssembler) -> Decoder:
        """What reads the answer."""


@runtime_checkable
class WordedWire(Protocol):
    """A wire that has words of its own for a status which is no success."""

    def status_text(self, error: ApiStatusError) -> str:
        """What the message of the reply says."""


class ChatApi(Generic[_O]):
    """A wire and what a handle adds to it: a value without a connection, safe to share between runs and threads."""

    def __init__(self, wire: ChatWire[_O], access: Access | None = None) -> None:
        self._wire = wire
        self._access = access or Access()

    @property
    def id(self) -> str:
        """The API's name."""
        return self._wire.id

    @property
    def wire(self) -> ChatWire[_O]:
        """What it speaks."""
        return self._wire

    def stream(
        self, model: Model, context: Context, options: StreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call the model with the options as they are; raises MissingApiKeyError.

        Options that another API has of its own are refused with InvalidOptionError: here they would do nothing.
        """
        own = self._wire.options(options)
        _refuse_foreign(options, type(own), self.id)
        return self._open(model, context, own)

    def stream_simple(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call the model with the thinking level and limits fitted to it; raises MissingApiKeyError."""
        return self._open(model, context, self._wire.simple_options(model, context, options))

    def _open(
        self, model: Model, context: Context, options: _O
    ) -> AbstractAsyncContextManager[MessageStream]:
        aborted = options.abort is not None and options.abort.is_set()
        options = self._access.with_client(options)
        call = Call(
            model,
            context.model_copy(update={"messages": list(context.messages), "tools": list(context.tools)}),
            options,
            self._access,
            None if aborted else resolve_api_key(model, options, self._access),
        )

        async def produce(writer: MessageWriter) -> None:
            await _converse(self._wire, call, writer)

        return open_message_stream(model, produce, abort=options.abort)

    def __repr__(self) -> str:
        return f"<ChatApi {self.id}>"


async def _converse(wire: ChatWire[_O], call: Call[_O], writer: MessageWriter) -> None:
    body = await hooked_body(wire.payload(call), call.options, call.model)
    secrets = (call.api_key,) if call.api_key else ()
    request = Request(join_url(call.model.base_url, wire.path), wire.headers(call), body, secrets)
    writer.assembler.redact = partial(request.quote, limit=ERROR_CHARACTERS)
    try:
        await exchange(request, wire.decoder(call, writer.assembler), writer, call.options, call.model)
    except ProviderError as error:
        error.args = (request.quote(_told(error, wire), _ERROR_CHARACTERS),)
        raise


def _told(error: ProviderError, wire: object) -> str:
    if isinstance(error, ApiStatusError) and isinstance(wire, WordedWire):
        return wire.status_text(error)
    return str(error)


def retyped(kind: type[_O], options: StreamOptions, **more: Any) -> _O:
    """Options of another kind with the same values for all that both have, and ``more``."""
    same = {item.name: getattr(options, item.name) for item in dataclasses.fields(StreamOptions)}
    return kind(**{**same, **more})


@asynccontextmanager
async def open_full(
    wire: ChatWire[_O], model: Model, context: Context, options: StreamOptions | None, kind: type[_O]
) -> AsyncIterator[MessageStream]:
    """Call one API directly, whatever the model is bound to; it must be a model of that API.

    The credentials of the handle that made the model are used. Raises like ``stream``.
    """
    api = _api_of(wire, model, context)
    async with api.stream(model, context, _checked(options, StreamOptions) or kind()) as reply:
        yield reply


@asynccontextmanager
async def open_simple(
    wire: ChatWire[Any], model: Model, context: Context, options: SimpleStreamOptions | None
) -> AsyncIterator[MessageStream]:
    """The same with simple options; raises like ``stream_simple``."""
    api = _api_of(wire, model, context)
    checked = _checked(options, SimpleStreamOptions) or SimpleStreamOptions()
    async with api.stream_simple(model, context, checked) as reply:
        yield reply


def _api_of(wire: ChatWire[_O], model: object, context: object) -> ChatApi[_O]:
    if not isinstance(model, Model):
        raise InvalidOptionError(f"model must be Model, not {type(model).__name__}")
    if not isinstance(context, Context):
        raise InvalidOptionError(f"context must be Context, not {type(context).__name__}")
    if model.api != wire.id:
        raise UnsupportedModelError.mismatch(model.api, wire.id)
    bound = model.bindings.language
    return bound if isinstance(bound, ChatApi) and bound.wire is wire else ChatApi(wire)


def _refuse_foreign(options: StreamOptions, own: type[StreamOptions], api: str) -> None:
    if isinstance(options, own):
        return
    known = {item.name for item in dataclasses.fields(StreamOptions)}
    lost = [
        item.name
        for item in dataclasses.fields(options)
        if item.name not in known and getattr(options, item.name) != item.default
    ]
    if lost:
        raise InvalidOptionError(
            f"{type(options).__name__} has {', '.join(lost)}, which a full call of {api} does not read; "
            f"use {own.__name__}, or a simple call for SimpleStreamOptions"
        )


def _checked(options: object, kind: type[_O]) -> _O | None:
    if options is not None and not isinstance(options, kind):
        raise InvalidOptionError(f"options must be {kind.__name__}, not {type(options).__name__}")
    return options
