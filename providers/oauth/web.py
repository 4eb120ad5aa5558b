"""One small HTTP exchange with an account server: a form or JSON goes out, a bounded answer comes back.

::

    answer = await fetch(WebRequest.form(url, {"client_id": "...", "code": code}))
    token = answer.raise_for_status().json()["access_token"]
    models = await fetch_json(WebRequest.get(url, {"Authorization": f"Bearer {token}"}), within=5)

It goes through the pool of the running ``trio.run``, which takes proxies and certificates from the environment. Nothing
is retried: a code or a refresh token may be good for one use only. Redirects are not followed: who was asked must answer.

No error holds a secret that was sent, nor what looks like one in the answer.
"""

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import trio

from providers.loose_json import rewritten_json
from providers.pool import current_pool, send
from providers.transport import Request, Response, failure_body, translated
from runtime.errors import AgentrioError, ApiStatusError, InvalidResponseError, TransportError
from runtime.values.redaction import Redactor
from runtime.values.secret import MASK
from runtime.values.text import clean_text, from_html, parse_json

if TYPE_CHECKING:
    import httpx

TIMEOUT = 30.0
MAX_BYTES = 1 << 20
_QUOTED_BYTES = 64 * 1024
_QUOTED_CHARS = 2000
_REMARK_CHARS = 500
_TITLE_CHARS = 200
_KIND_CHARS = 100
_PUBLIC_FIELDS = frozenset({"client_id", "grant_type", "redirect_uri", "response_type", "scope"})


@dataclass(frozen=True, eq=False, repr=False)
class WebRequest(Request):
    """A request to an account server. What its fields and headers hold counts as secret, but for a few public names."""

    method: str = "POST"

    @classmethod
    def form(cls, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Self:
        """A POST of a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return cls(url, kind | dict(headers or {}), form_encoded(fields).encode(), _secrets(fields))

    @classmethod
    def json(cls, url: str, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Self:
        """A POST of a JSON object."""
        kind = {"Content-Type": "application/json"}
        return cls(url, kind | dict(headers or {}), rewritten_json(fields).encode(), _secrets(fields))

    @classmethod
    def get(cls, url: str, headers: Mapping[str, str] | None = None) -> Self:
        """A GET."""
        return cls(url, dict(headers or {}), b"", method="GET")

    @cached_property
    def redactor(self) -> Redactor:
        """Takes what was sent out of a text, and what looks like a token."""
        return Redactor(self._credentials(), _hide, self.endpoint)

    @property
    def place(self) -> str:
        """Where it goes, fit to be shown: method and URL, without user, query and fragment."""
        return f"{self.method} {self.endpoint}"

    def __repr__(self) -> str:
        return f"<WebRequest {self.place}, {len(self.body)} bytes>"


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """What came back, whatever the status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request: WebRequest

    @property
    def ok(self) -> bool:
        """Whether the status is a success, 200-299."""
        return 200 <= self.status < 300

    def raise_for_status(self) -> Self:
        """Itself if it is a success; ApiStatusError with the beginning of the body if not."""
        if self.ok:
            return self
        shown, remark = self._shown()
        redirect = "; redirects are not followed" if 300 <= self.status < 400 else ""
        raise ApiStatusError(self.status, shown, f"{remark} ({self.request.place}{redirect})")

    def json(self) -> Any:
        """The JSON in the body; InvalidResponseError if there is none."""
        try:
            return parse_json(self.body)
        except ValueError:
            kind = self._hidden(
                self.headers.get("content-type", "something without a content type"), _KIND_CHARS
            )
            shown = "".join(self._shown()) or "an empty body"
            what = f"JSON was expected from {self.request.place}, {kind} came: {shown}"
        raise InvalidResponseError(what)

    def _shown(self) -> tuple[str, str]:
        """The body and a remark on it, fit to be shown."""
        text, remark = self.request.told(self.body, _QUOTED_BYTES)
        if re.match(r"\s*<", text):
            return f"[an HTML page: {self._hidden(_words(text), _TITLE_CHARS)}]", ""
        return self._hidden(text, _QUOTED_CHARS), self._hidden(remark, _REMARK_CHARS)

    def _hidden(self, text: str, limit: int) -> str:
        """So much of a text, in one line, without what was sent, and without what looks like a token."""
        text = " ".join(self.request.redactor(text).split())
        return text if len(text) <= limit else text[:limit] + " [...]"

    def __repr__(self) -> str:
        return f"<Answer {self.status} of {self.request.place}, {len(self.body)} bytes>"


async def fetch(
    request: WebRequest, *, within: float = TIMEOUT, http_client: "httpx.AsyncClient | None" = None
) -> Answer:
    """Send a request once and return the whole answer, whatever its status.

    Raises TransportError when the connection fails, when there is no whole answer within ``within`` seconds of trio's
    clock, or when it is longer than ``MAX_BYTES``; of a failure, the beginning is enough. Waiting for a place in a pool
    that has a limit does not count. Cancelled, it leaves no socket open. ``http_client`` is used instead of the pool, and
    not closed.
    """
    lending = current_pool().lease() if http_client is None else nullcontext(http_client)
    async with lending as client:
        with trio.move_on_after(within):
            return await _exchange(request, client)
    raise TransportError(f"no whole answer from {request.place} within {within:g} seconds")


async def fetch_json(
    request: WebRequest, *, within: float = TIMEOUT, http_client: "httpx.AsyncClient | None" = None
) -> Any:
    """The JSON of a success. Raises what ``fetch``, ``Answer.raise_for_status`` and ``Answer.json`` raise."""
    answer = await fetch(request, within=within, http_client=http_client)
    return answer.raise_for_status().json()


async def _exchange(request: WebRequest, client: "httpx.AsyncClient") -> Answer:
    response = None
    try:
        response = await _send(request, client)
        return Answer(response.status, response.headers, await _read(response), request)
    except AgentrioError as error:
        failure = _told(error, request)
    finally:
        if response is not None:
            await response.aclose()  # noqa: ASYNC102 - what waits in there is shielded
    raise failure


async def _send(request: WebRequest, client: "httpx.AsyncClient") -> Response:
    what = request.method, request.url, request.headers, request.body
    try:
        http = await send(client, *what, connect_timeout=math.inf, once=True)
    except Exception as error:
        raise translated(error, request) from error
    request.learn(http.request)
    resources = AsyncExitStack()
    resources.push_async_callback(http.aclose)
    return Response(request, http, resources)


async def _read(response: Response) -> bytes:
    """The whole body; of a failure, as much as comes."""
    if not 200 <= response.status < 300:
        return await failure_body(response)
    body = bytearray()
    async for piece in response:
        body += piece
        if len(body) > MAX_BYTES:
            raise TransportError(
                f"the answer from {response.request.endpoint} is longer than {MAX_BYTES} bytes"
            )
    return bytes(body)


def _told(error: AgentrioError, request: WebRequest) -> AgentrioError:
    """The same error without tokens that the server gave away in what is quoted of it. Its cause quotes it, too."""
    error.args = (request.redactor(str(error)),)
    error.__cause__ = error.__context__ = None
    return error


# Encoding


def form_encoded(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """A query as WHATWG's URLSearchParams writes it: a space is ``+``, and ``*-._`` stay as they are."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)


def _encoded(text: str) -> str:
    escaped = quote(clean_text(text), safe="* ")
    return escaped.replace("~", "%7E").replace(" ", "+")


def _secrets(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        value for name, value in fields.items() if isinstance(value, str) and name not in _PUBLIC_FIELDS
    )


# What a server wrote, fit to be shown

_NAMED = re.compile(
    r"""(?isx)
    ( (?:token(?!_type)|secret|verifier|password|passwd|assertion|(?:device|user|authorization)_code)
      [\w-]{0,40} \\{0,3} ["']? \s{0,8} [:=] \s{0,8} )
    (?: \\{0,3}" (?:[^"\\]|\\.)*+ "? | '[^']*+ '? | [^\s"'&<>,]++ )""",
)
_MARKED = re.compile(r"\b(?:sk-|gh[a-z]_|github_pat_|eyJ|tid=)[\w.~+/=:;-]{6,}")
_LONG = re.compile(r"[A-Za-z0-9_-]{24,}")
_TITLE = re.compile(r"(?is)<title[^>]{0,200}>(.{0,400}?)</title")
_TAG = re.compile(r"(?is)<(?:script|style)\b.*?(?:</|\Z)|<[^>]{0,1000}>?")


def _hide(text: str) -> str:
    """Take out of a text what is called a token there, and what looks like one."""
    text = _MARKED.sub(MASK, _NAMED.sub(rf'\1"{MASK}"', text))
    return _LONG.sub(lambda run: MASK if _looks_random(run[0]) else run[0], text)


def _looks_random(run: str) -> bool:
    return any(map(str.isdigit, run)) and any(map(str.isalpha, run))


def _words(page: str) -> str:
    """What an HTML page says: its title if it has one."""
    title = _TITLE.search(page)
    return from_html(title[1] if title else _TAG.sub(" ", page))
