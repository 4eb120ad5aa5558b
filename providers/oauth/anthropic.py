"""The login of Anthropic accounts: an authorization code with PKCE, by the browser or pasted by hand."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from providers.loose_json import whole_number
from runtime.errors import InvalidResponseError, OAuthError
from runtime.nurseries import SingleVoiceNursery, when_set
from runtime.values.clock import now_ms
from runtime.values.model import Model
from runtime.values.secret import Secret
from runtime.values.text import clean_text

from .callback_server import LOOPBACK, CallbackServer, open_callback_server
from .callbacks import OAuthAuthInfo, OAuthLoginCallbacks, OAuthPrompt, until_aborted
from .credentials import OAuthCredentials
from .pkce import Pkce, create_pkce
from .web import TIMEOUT, WebRequest, fetch_json, form_encoded

if TYPE_CHECKING:
    import httpx

CLIENT_ID = "9d1c250a-e61b-44d9-88ed-5944d1962f5e"
SCOPES = "org:create_api_key user:profile user:inference user:sessions:claude_code user:mcp_servers user:file_upload"
EXPIRY_MARGIN_MS = 300_000
_LONGEST_LIFE = 10 * 365 * 24 * 3600
_PATH = "/callback"
_INSTRUCTIONS = "Finish the login in the browser. If the browser is on another machine, paste the address of the page it ends on."
_PROMPT = "Paste the authorization code or the full redirect URL"


@dataclass(frozen=True)
class Pasted:
    """What a user's text says: None for a part that is not in it."""

    code: str | None = None
    state: str | None = None

    def __repr__(self) -> str:
        return f"Pasted({'a' if self.code else 'no'} code, {'a' if self.state else 'no'} state)"


def read_pasted(text: str) -> Pasted:
    """Read what users paste: the redirect URL, ``code#state``, a query with ``code=`` in it, or the bare code."""
    text = clean_text(text).strip()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        fields = _fields(text.partition("#")[0].partition("?")[2])
        return Pasted(fields.get("code"), fields.get("state"))
    if "#" in text:
        code, _, state = text.partition("#")
        return Pasted(code or None, state or None)
    if "code=" in text:
        fields = _fields(text.removeprefix("?"))
        return Pasted(fields.get("code") or None, fields.get("state") or None)
    return Pasted(text or None)


def _fields(query: str) -> dict[str, str]:
    """The first value of each field."""
    return dict(reversed(parse_qsl(query, keep_blank_values=True)))


@dataclass(frozen=True, kw_only=True)
class AnthropicOAuth:
    """Logs in to Claude Pro and Max accounts; registered as ``anthropic``.

    It holds no credentials and may be shared. ``http_client`` is used instead of the pool, and not closed. The rest are
    addresses, for a server that stands in: the callback is ``http://localhost:<port>/callback``, heard on ``callback_host``,
    a loopback address; ``port`` 0 takes a free one.

    The ``state`` of a login is its PKCE verifier. That is what the server is known to accept; it also means that
    whoever sees the address bar could redeem the code, so the code's short life and the port are what protects it.
    """

    authorize_url: str = "https://claude.ai/oauth/authorize"
    token_url: str = "https://platform.claude.com/v1/oauth/token"  # noqa: S105 - an address
    callback_host: str = LOOPBACK
    port: int = 53692
    timeout: float = TIMEOUT
    http_client: "httpx.AsyncClient | None" = None

    @property
    def id(self) -> str:
        """``anthropic``, as its models' provider."""
        return "anthropic"

    @property
    def name(self) -> str:
        """The name to show to people."""
        return "Anthropic (Claude Pro/Max)"

    @property
    def uses_callback_server(self) -> bool:
        """It does: the browser comes back to a loopback port."""
        return True

    async def login(self, callbacks: OAuthLoginCallbacks) -> OAuthCredentials:
        """Have the user allow it in a browser, and redeem the code that comes back, or that is pasted.

        ``on_auth`` gets the page to open. Then the browser's return and ``on_manual_code_input``, if there is one, race
        without a time limit; after an empty input ``on_prompt`` is asked in its place. A browser that brings an error or a
        wrong state is told so, and waited for again.

        Raises OAuthError: ``Login cancelled`` once ``callbacks.abort`` is set, the port is taken, ``OAuth state mismatch``,
        ``Missing authorization code``. ApiStatusError, InvalidResponseError, TransportError: the code could not be
        redeemed. However it ends, the port is free then.
        """
        if callbacks.on_auth is None:
            raise OAuthError("Anthropic OAuth login requires an on_auth callback")
        callbacks.check_abort()
        return await until_aborted(callbacks.abort, partial(self._login, callbacks, callbacks.on_auth))

    async def _login(
        self, callbacks: OAuthLoginCallbacks, on_auth: Callable[[OAuthAuthInfo], Awaitable[None]]
    ) -> OAuthCredentials:
        pkce = create_pkce()
        state = pkce.verifier
        async with open_callback_server(state, port=self.port, path=_PATH, host=self.callback_host) as server:
            redirect_uri = f"http://localhost:{server.port}{_PATH}"
            page = Secret(self._page(pkce, state, redirect_uri))  # the state is in it
            await on_auth(OAuthAuthInfo(page, _INSTRUCTIONS))
            pasted = await _wait(server, callbacks, redirect_uri)
        code = _check(pasted, state)
        await callbacks.progress("Exchanging the authorization code for tokens...")
        return await self._ask({
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "code": code,
            "state": state,
            "redirect_uri": redirect_uri,
            "code_verifier": pkce.verifier,
        })  # fmt: skip

    async def refresh_token(self, credentials: OAuthCredentials) -> OAuthCredentials:
        """Trade the refresh token for new tokens; the old one is spent then. Extras stay.

        Raises ApiStatusError, InvalidResponseError, TransportError.
        """
        fresh = await self._ask({
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "refresh_token": credentials.refresh,
        })  # fmt: skip
        return credentials.replace(refresh=fresh.refresh, access=fresh.access, expires=fresh.expires)

    def get_api_key(self, credentials: OAuthCredentials) -> str:
        """The access token, which the Messages API takes as a bearer token."""
        return credentials.access

    def modify_models(self, models: Sequence[Model], credentials: OAuthCredentials) -> list[Model]:
        """The models as they are."""
        return list(models)

    def _page(self, pkce: Pkce, state: str, redirect_uri: str) -> str:
        query = {
            "code": "true",
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": SCOPES,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            "state": state,
        }
        return f"{self.authorize_url}?{form_encoded(query)}"

    async def _ask(self, fields: Mapping[str, str]) -> OAuthCredentials:
        request = WebRequest.json(self.token_url, fields, {"Accept": "application/json"})
        answer = await fetch_json(request, within=self.timeout, http_client=self.http_client)
        return _credentials(answer, request.place)


async def login_anthropic(callbacks: OAuthLoginCallbacks) -> OAuthCredentials:
    """Log in to a Claude Pro or Max account: ``AnthropicOAuth().login``."""
    return await AnthropicOAuth().login(callbacks)


async def refresh_anthropic_token(refresh_token: str) -> OAuthCredentials:
    """New credentials for a refresh token, which is spent then: ``AnthropicOAuth().refresh_token``."""
    return await AnthropicOAuth().refresh_token(OAuthCredentials(refresh_token, "", 0))


async def _wait(server: CallbackServer, callbacks: OAuthLoginCallbacks, redirect_uri: str) -> Pasted:
    """What the browser brings or the user pastes, whichever is first."""
    if callbacks.on_manual_code_input is None:
        await server.arrived.wait()
        return Pasted(server.code)
    question = OAuthPrompt(_PROMPT, placeholder=redirect_uri, allow_empty=False)
    pasted = await _race(server, callbacks.on_manual_code_input)
    return pasted if pasted.code is not None else await _race(server, partial(callbacks.prompt, question))


async def _race(server: CallbackServer, ask: Callable[[], Awaitable[str]]) -> Pasted:
    text = ""
    if server.code is None:
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(when_set, server.arrived, nursery.cancel_scope.cancel)
            text = await ask()
            nursery.cancel_scope.cancel()
    return read_pasted(text) if server.code is None else Pasted(server.code)  # whose state is right already


def _check(pasted: Pasted, state: str) -> str:
    """The code, if it belongs to this login."""
    if pasted.state is not None and not compare_digest(pasted.state.encode(), state.encode()):
        raise OAuthError("OAuth state mismatch (what was pasted belongs to another login: log in again)")
    if not pasted.code:
        raise OAuthError(
            "Missing authorization code (paste the code, or the whole address the browser ended on)"
        )
    return pasted.code


def _credentials(answer: Any, place: str) -> OAuthCredentials:
    """Read the answer to a token request; no error shows what is in it."""
    fields = answer if isinstance(answer, dict) else {}
    life = whole_number(fields.get("expires_in"))
    fit = {name: _is_token(fields.get(name)) for name in ("access_token", "refresh_token")}
    fit["expires_in"] = life is not None and 0 <= life <= _LONGEST_LIFE
    if life is None or not all(fit.values()):
        unfit = ", ".join(name for name, fits in fit.items() if not fits)
        raise InvalidResponseError(f"no usable {unfit} in the answer to {place}")
    expires = max(0, now_ms() + life * 1000 - EXPIRY_MARGIN_MS)
    return OAuthCredentials(fields["refresh_token"], fields["access_token"], expires)


def _is_token(value: object) -> bool:
    """Whether it can be sent in a header."""
    return isinstance(value, str) and re.fullmatch(r"[!-~]+", value) is not None
