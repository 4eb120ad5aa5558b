"""An image API made of pure parts: from a call to a request, from an answer to images, and the exchange between them.

Each API is an ``ImagesWire``. An ``ImagesApi`` is a wire with what a handle knows; it is what models are bound to.
"""

from dataclasses import dataclass
from types import NoneType
from typing import Any, Protocol, TypeVar

from runtime.errors import InvalidOptionError, ProviderError, UnsupportedModelError
from runtime.values.content import ImageContent, TextContent
from runtime.values.images import AssistantImages, ImagesContext
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from runtime.values.usage import Usage

from .access import Access
from .document import Document, fetch_document
from .headers import merge_headers
from .keys import resolve_api_key
from .payload import hooked_body
from .transport import Request

_T = TypeVar("_T")
_KINDS: dict[type[Any], str] = {
    str: "a string",
    list: "a list",
    dict: "an object",
    bool: "a boolean",
    NoneType: "null",
}


@dataclass(frozen=True, eq=False, repr=False)
class ImagesCall:
    """One call as its wire sees it."""

    model: Model
    context: ImagesContext
    options: StreamOptions
    access: Access
    api_key: str | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials that its request carries."""
        return (self.api_key,) if self.api_key else ()

    def headers(self, api_key: str | None) -> dict[str, str]:
        """The headers of its request; what is nearer to the call replaces what is further."""
        return merge_headers(
            {"content-type": "application/json"},
            {"authorization": f"Bearer {api_key}"} if api_key else {},
            self.access.headers,
            self.model.headers,
            self.options.headers,
        )


@dataclass(frozen=True)
class ImagesAnswer:
    """What came back."""

    output: tuple[TextContent | ImageContent, ...]
    usage: Usage
    response_id: str | None


class ImagesWire(Protocol):
    """What is special to one API; everything here is pure. What it raises ends the call as ``Error``."""

    @property
    def id(self) -> str:
        """The API's name, as ``model.api`` has it."""

    @property
    def own_options(self) -> type[StreamOptions]:
        """Its typed options; plain StreamOptions are taken, too."""

    def payload(self, call: ImagesCall) -> dict[str, Any]:
        """What ``on_payload`` sees."""

    def request(self, call: ImagesCall, body: bytes) -> Request:
        """The request; ``body`` is the JSON of the payload, as the hook has left it."""

    def read(self, call: ImagesCall, body: bytes, answer: Any) -> ImagesAnswer:
        """The images of an answer. ProviderError if it tells of a failure, ValueError if it is none."""


class ImagesApi:
    """A wire and what a handle adds to it: a value without a connection, safe to share between runs and threads."""

    def __init__(self, wire: ImagesWire, access: Access | None = None) -> None:
        self._wire = wire
        self._access = access or Access()

    @property
    def id(self) -> str:
        """The API's name."""
        return self._wire.id

    async def generate_images(
        self, model: Model, context: ImagesContext, options: StreamOptions
    ) -> AssistantImages:
        """Make images; raises AgentrioErrors, which ``runtime.generate_images`` turns into results."""
        wire, call = self._wire, self._prepare(model, context, options)
        body = await hooked_body(wire.payload(call), call.options, model)
        document = await fetch_document(wire.request(call, body), call.options, model)
        answer = document.json("could not decode the images")
        try:
            return _result(model, wire.read(call, body, answer), document)
        except ProviderError as error:
            raise ProviderError(document.quoted(str(error))) from error
        except Exception as error:  # whatever it is, the bytes have caused it
            raise document.invalid(f"could not decode the images: {error}") from error

    def _prepare(self, model: Model, context: ImagesContext, options: StreamOptions) -> ImagesCall:
        wire = self._wire
        if model.api != wire.id:
            raise UnsupportedModelError.mismatch(model.api, wire.id)
        if not isinstance(options, wire.own_options) and type(options) is not StreamOptions:
            known = f"{wire.own_options.__name__} or StreamOptions"
            raise InvalidOptionError(f"options of {wire.id} must be {known}, not {type(options).__name__}")
        options = self._access.with_client(options)
        return ImagesCall(
            model, context, options, self._access, resolve_api_key(model, options, self._access)
        )

    def __repr__(self) -> str:
        return f"<ImagesApi {self.id}>"


def _result(model: Model, answer: ImagesAnswer, document: Document) -> AssistantImages:
    """The result of a call. No credential is in its texts: servers have been seen to repeat what they were sent."""
    redact = document.request.redactor.known
    return AssistantImages(
        api=model.api,
        provider=model.provider,
        model=model.id,
        response_id=redact(answer.response_id) if answer.response_id is not None else None,
        output=[
            TextContent(text=redact(block.text)) if isinstance(block, TextContent) else block
            for block in answer.output
        ],
        usage=answer.usage,
    )


# Reading answers


def refuse_failure(answer: dict[str, Any], where: str = "the answer") -> None:
    """Raise ProviderError for a failure that is told in the body of a success."""
    if answer.get("error"):
        raise ProviderError(f"{where} is an error")


def shaped(value: Any, kind: type[_T], place: str) -> _T:
    """A JSON value of a kind; ValueError, which names its place, for another."""
    if not isinstance(value, kind):
        found = _KINDS.get(type(value), "a number")
        raise ValueError(f"{place} must be {_KINDS[kind]}, not {found}")  # noqa: TRY004 - of the wire
    return value


def text_in(item: dict[str, Any], name: str, place: str) -> str:
    """A string of an object; empty where it is null or absent."""
    value = item.get(name)
    return "" if value is None else shaped(value, str, f"{place}{name}")
