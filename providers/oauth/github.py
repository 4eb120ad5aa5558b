"""GitHub's side of a Copilot login: codes for devices, tokens for users, and the tokens for Copilot that they are worth."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from providers.copilot_endpoints import GITHUB, normalize_domain
from providers.copilot_headers import CLIENT_HEADERS
from runtime.errors import OAuthError
from runtime.values.clock import now_ms
from runtime.values.secret import Secret

from .callbacks import OAuthDeviceCodeInfo
from .device_flow import DeviceComplete, DeviceFailed, DevicePending, DevicePoll, DeviceSlowDown
from .web import Answer, WebRequest, fetch

if TYPE_CHECKING:
    import httpx

CLIENT_ID = "Iv1.b507a08c87ecfe98"
SCOPE = "read:user"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_FORM_HEADERS = {"Accept": "application/json", "User-Agent": CLIENT_HEADERS["User-Agent"]}
_MARGIN_MS = 5 * 60 * 1000
_LARGEST = 1 << 53
_TOKEN = re.compile(r"[!-~]{1,8192}")  # fits into a header
_CODE = re.compile(r"[ -~]{1,64}")  # fits onto a terminal
_PAGE = re.compile(r"(?i)(?P<scheme>https?)://(?P<place>[^/\\?#@\s]+)(?P<rest>[/?#][!-\[\]-~]{0,2000})?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_QUOTED_CHARACTERS = 1000


@dataclass(frozen=True)
class DeviceCode:
    """What the login asks with, and what the user is shown."""

    secret: Secret
    shown: OAuthDeviceCodeInfo


@dataclass(frozen=True)
class GitHubToken:
    """A user's token at GitHub; where such tokens expire, what renews it, and when in Unix milliseconds."""

    access: Secret
    refresh: Secret | None = None
    expires: int | None = None

    @property
    def expired(self) -> bool:
        """Whether it is known to be too old; five minutes early."""
        return self.expires is not None and now_ms() >= self.expires


@dataclass(frozen=True)
class CopilotToken:
    """A token for Copilot's API, and until when it is good in Unix milliseconds, five minutes taken off."""

    token: Secret
    expires: int


class GitHub:
    """One GitHub: the public one, or an enterprise's. Its methods raise OAuthError, or an error of ``web``."""

    def __init__(self, domain: str | None = None, http_client: "httpx.AsyncClient | None" = None) -> None:
        self._domain = domain or GITHUB
        self._http_client = http_client

    async def device_code(self) -> DeviceCode:
        """A new code for the user to enter."""
        fields = {"client_id": CLIENT_ID, "scope": SCOPE}
        answer = await self._post("/login/device/code", fields)
        return read_device_code(answer.json())

    async def poll(self, code: str) -> DevicePoll[GitHubToken]:
        """Whether the user has entered it."""
        fields = {"client_id": CLIENT_ID, "device_code": code, "grant_type": _DEVICE_GRANT}
        return await self._ask_token(fields)

    async def renew(self, token: GitHubToken) -> GitHubToken:
        """A new token for an expired one. The old one must not be used again: GitHub takes it once."""
        fields = {"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": token.refresh or ""}
        match await self._ask_token(fields):
            case DeviceComplete(value=renewed):
                return GitHubToken(renewed.access, renewed.refresh or token.refresh, renewed.expires)
            case DeviceFailed(message=message):
                raise OAuthError(message)
        raise OAuthError("Unexpected polling response while refreshing GitHub token")

    async def mint(self, access: str) -> CopilotToken:
        """A token for Copilot's API; ApiStatusError 401 or 403 where GitHub does not know the user's token any more."""
        headers = {"Accept": "application/json", **CLIENT_HEADERS, "Authorization": f"Bearer {access}"}
        request = WebRequest.get(f"https://api.{self._domain}/copilot_internal/v2/token", headers)
        answer = await fetch(request, http_client=self._http_client)
        return read_copilot_token(answer.raise_for_status().json())

    async def _ask_token(self, fields: Mapping[str, str]) -> DevicePoll[GitHubToken]:
        answer = await self._post("/login/oauth/access_token", fields)
        match read_token(answer.json()):
            case DeviceFailed(message=message):
                return DeviceFailed(answer.request.redactor.known(message)[:_QUOTED_CHARACTERS])
            case poll:
                return poll

    async def _post(self, path: str, fields: Mapping[str, str]) -> Answer:
        request = WebRequest.form(f"https://{self._domain}{path}", fields, _FORM_HEADERS)
        return (await fetch(request, http_client=self._http_client)).raise_for_status()


# What GitHub answers


def read_device_code(answer: Any) -> DeviceCode:
    """Take the answer apart. What the user will be shown must be fit for that, and lead to a web page."""
    match answer:
        case {"device_code": str(secret), "user_code": str(code), "verification_uri": str(uri), **rest}:
            expires_in, interval = rest.get("expires_in"), rest.get("interval")
        case _:
            raise OAuthError(
                "Invalid device code response: it lacks device_code, user_code or verification_uri"
            )
    if not _is_count(expires_in) or not (interval is None or _is_count(interval)):
        raise OAuthError("Invalid device code response: expires_in and interval must be whole numbers")
    if not _TOKEN.fullmatch(secret) or not _CODE.fullmatch(code) or not expires_in:
        raise OAuthError("Invalid device code response fields")
    shown = OAuthDeviceCodeInfo(code, verification_page(uri), interval, expires_in)
    return DeviceCode(Secret(secret), shown)


def verification_page(uri: str) -> str:
    """A web page's URL in its normal form; OAuthError for what is none, or hides where it leads."""
    page = _PAGE.fullmatch(uri)
    domain = normalize_domain(page["place"]) if page else None
    if page is None or domain is None:
        raise OAuthError("Untrusted verification_uri in device code response")
    scheme, rest = page["scheme"].lower(), page["rest"] or ""
    port = int(page["place"].partition(":")[2] or _DEFAULT_PORTS[scheme])
    place = domain if port == _DEFAULT_PORTS[scheme] else f"{domain}:{port}"
    return f"{scheme}://{place}{'' if rest.startswith('/') else '/'}{rest}"


def read_token(answer: Any) -> DevicePoll[GitHubToken]:
    """What became of the question for a token."""
    fields: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    access, error = fields.get("access_token"), fields.get("error")
    if isinstance(access, str) and _TOKEN.fullmatch(access):
        return DeviceComplete(_github_token(access, fields))
    match error:
        case "authorization_pending":
            return DevicePending()
        case "slow_down":
            interval = fields.get("interval")
            return DeviceSlowDown(interval if _is_count(interval) else None)
        case str():
            said = fields.get("error_description")
            why = [error, said] if isinstance(said, str) and said else [error]
            return DeviceFailed(": ".join(["Device flow failed", *why]))
    raise OAuthError("Invalid device token response")


def read_copilot_token(answer: Any) -> CopilotToken:
    """Take the answer apart."""
    if not isinstance(answer, dict):
        raise OAuthError("Invalid Copilot token response")
    token, expires_at = answer.get("token"), answer.get("expires_at")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or not _is_count(expires_at):
        raise OAuthError("Invalid Copilot token response fields")
    return CopilotToken(Secret(token), max(0, expires_at * 1000 - _MARGIN_MS))


def _github_token(access: str, fields: Mapping[str, Any]) -> GitHubToken:
    refresh, lifetime = fields.get("refresh_token"), fields.get("expires_in")
    return GitHubToken(
        Secret(access),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        max(0, now_ms() + lifetime * 1000 - _MARGIN_MS) if _is_count(lifetime) else None,
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
