"""One whole JSON document for a request: for APIs that do not stream.

::

    document = await fetch_document(request, options, model)    # raises AgentrioErrors, each says where it happened
    value = document.json("could not decode embeddings response")    # InvalidResponseError: "<that>: <why>, <what came>"
    raise document.invalid("expected 2 embeddings, received 1")      # the same for JSON of a wrong shape
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from runtime.errors import InvalidResponseError, TransportError
from runtime.values.model import Model
from runtime.values.options import RequestOptions

from .exchange import ERROR_CHARACTERS, Watch, placed
from .loose_json import read_event_json
from .transport import Request, Response, open_response

_QUOTED_BYTES = 500
_BLANK = b" \t\r\n"


@dataclass(frozen=True, eq=False, repr=False)
class Document:
    """The body of a success, whole, and what it answers."""

    request: Request
    headers: Mapping[str, str]
    data: bytes

    def json(self, refusal: str = "could not decode the response") -> Any:
        """The JSON in it; InvalidResponseError, which begins with ``refusal``, if it is none.

        NaN and infinities are refused, but a number may be out of the range of floats; a string may hold half of a
        surrogate pair. Values repair or refuse these when they are made.
        """
        try:
            return read_event_json(self.data)
        except ValueError as error:
            raise self.invalid(f"{refusal}: {error}") from error

    def invalid(self, why: str) -> InvalidResponseError:
        """An error that says what is wrong with this document, where it came from, and how it begins."""
        return InvalidResponseError(self.quoted(why))

    def quoted(self, why: str) -> str:
        """The same as a text, without credentials."""
        kind = self.headers.get("content-type", "no content type")
        shown = self.request.describe(self.data, _QUOTED_BYTES)
        place = self.request.redactor(f" (POST {self.request.endpoint}; {kind} came: ")
        return self.request.quote(why, ERROR_CHARACTERS) + place + f"{shown!r})"

    def __repr__(self) -> str:
        return f"<Document of {len(self.data)} bytes from {self.request.endpoint}>"


async def fetch_document(request: Request, options: RequestOptions, model: Model) -> Document:
    """Send a request, again where that may help, and read the answer to its end.

    Raises what ``open_response`` raises, and TransportError when a time-out passes or the body is longer than
    ``options.max_event_bytes``. The answer begins with its first byte that is not blank: until then
    ``first_event_timeout`` runs, from then on ``event_timeout`` for each further piece, and ``timeout`` for the whole call.
    Cancelled, it leaves no socket open. ``options.abort`` is the caller's to watch.
    """
    document, watch = None, _Watch(options)
    with placed(request), watch.scope:
        async with open_response(request, options, model, watch) as response:
            body = await _read(response, watch, options.max_event_bytes)
            document = Document(request, response.headers, body)
    if document is None:
        raise watch.error(request.endpoint)
    return document


async def _read(response: Response, watch: "_Watch", limit: int) -> bytes:
    """The body without what keeps a connection alive before it: some gateways send blank lines while they wait."""
    body = bytearray()
    async for piece in response:
        body += piece if body else piece.lstrip(_BLANK)
        if len(body) > limit:
            raise TransportError(f"the answer is longer than max_event_bytes={limit}")
        if body:
            watch.progressed()
    return bytes(body)


class _Watch(Watch):
    """The time-outs of a document."""

    def progressed(self) -> None:
        """A piece of it has come: the next one has its full time."""
        self._begun = True
        self._go_on(trio.current_time() + self._options.event_timeout)
