"""The login of GitHub Copilot: a device code at GitHub, and a token for Copilot that is renewed every half hour."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from providers.copilot_endpoints import GITHUB, copilot_base_url, normalize_domain
from providers.copilot_headers import COPILOT
from runtime.errors import AgentrioError, ApiStatusError, OAuthError, TransportError
from runtime.values.model import Model
from runtime.values.secret import Secret

from .callbacks import OAuthDeviceCodeInfo, OAuthLoginCallbacks, OAuthPrompt, until_aborted
from .copilot_models import CopilotModels, usable_models
from .credentials import OAuthCredentials
from .device_flow import poll_device_flow
from .github import CopilotToken, GitHub, GitHubToken
from .renewal import OAuthApiKey
from .single_flight import share

if TYPE_CHECKING:
    import httpx

_ENTERPRISE = "enterpriseUrl"
_REFRESH_TOKEN = "githubRefreshToken"  # noqa: S105 - the name of a field
_ACCESS_EXPIRES = "githubAccessExpires"
_MODEL_IDS = "availableModelIds"
_REFUSED = (401, 403)
_PAUSES = (1, 2, 4)
_PROMPT = OAuthPrompt(
    "GitHub Enterprise URL/domain (blank for github.com)", placeholder="company.ghe.com", allow_empty=True
)


@dataclass(frozen=True, kw_only=True)
class GitHubCopilotOAuth:
    """Logs in to GitHub Copilot, at github.com or at an enterprise's GitHub; registered as ``github-copilot``.

    It holds no credentials and may be shared. ``http_client`` is used instead of the pool, and not closed.

    Of the credentials, ``refresh`` is the user's token at GitHub and ``access`` the one for Copilot, good for half an hour.
    Beside them stand ``enterpriseUrl``, ``githubRefreshToken`` and ``githubAccessExpires`` where GitHub's token expires too,
    and ``availableModelIds``.
    """

    http_client: "httpx.AsyncClient | None" = None

    @property
    def id(self) -> str:
        """``github-copilot``, as its models' provider."""
        return COPILOT

    @property
    def name(self) -> str:
        """The name to show to people."""
        return "GitHub Copilot"

    @property
    def uses_callback_server(self) -> bool:
        """It does not: the user enters a code."""
        return False

    async def login(self, callbacks: OAuthLoginCallbacks) -> OAuthCredentials:
        """Have the user enter a code at GitHub, wait for that, and accept the terms of models that ask for it.

        ``on_prompt`` is asked for the domain of an enterprise, ``on_device_code`` gets the code and the page to enter it.

        Raises OAuthError: ``Login cancelled`` once ``callbacks.abort`` is set, ``Device flow timed out``, ``Device flow
        failed`` with GitHub's reason, or for an answer that cannot be used. ApiStatusError, InvalidResponseError,
        TransportError: a request failed; none is made again.
        """
        if callbacks.on_device_code is None:
            raise OAuthError("GitHub Copilot OAuth login requires an on_device_code callback")
        callbacks.check_abort()
        return await until_aborted(callbacks.abort, partial(self._login, callbacks, callbacks.on_device_code))

    async def _login(
        self, callbacks: OAuthLoginCallbacks, on_device_code: Callable[[OAuthDeviceCodeInfo], Awaitable[None]]
    ) -> OAuthCredentials:
        answer = await callbacks.prompt(_PROMPT)
        callbacks.check_abort()
        domain = _enterprise(answer)
        github = GitHub(domain, self.http_client)
        code = await github.device_code()
        await on_device_code(code.shown)
        token = await poll_device_flow(
            partial(github.poll, code.secret),
            interval=code.shown.interval_seconds,
            expires_in=code.shown.expires_in_seconds,
            wait_first=True,
        )
        copilot = await github.mint(token.access)
        models = self._models(copilot, domain)
        await models.accept_policies()
        extra = {_ENTERPRISE: domain} if domain else {}
        credentials = _updated(OAuthCredentials("", "", 0, extra), token, copilot)
        return credentials.replace(extra={_MODEL_IDS: await models.available_ids()})

    async def refresh_token(self, credentials: OAuthCredentials) -> OAuthCredentials:
        """A new Copilot token; first a new GitHub token, where that has expired and can be renewed. Other extras stay.

        The list of available models is brought up to date if it can be had, and kept if not. Raises OAuthError, and
        ApiStatusError, InvalidResponseError, TransportError where a request for a token failed.
        """
        domain = _enterprise(_text(credentials, _ENTERPRISE) or "")
        token, copilot = await _mint(GitHub(domain, self.http_client), _github_token(credentials))
        fresh = _updated(credentials, token, copilot)
        with suppress(AgentrioError):
            ids = await self._models(copilot, domain).available_ids()
            return fresh.replace(extra={_MODEL_IDS: ids})
        return fresh

    def get_api_key(self, credentials: OAuthCredentials) -> str:
        """The Copilot token."""
        return credentials.access

    def modify_models(self, models: Sequence[Model], credentials: OAuthCredentials) -> list[Model]:
        """Copilot's models where these credentials lead, and only those that they open; others as they are."""
        ids = credentials.extra.get(_MODEL_IDS)
        known = isinstance(ids, list) and all(isinstance(model_id, str) for model_id in ids)
        return usable_models(models, base_url_for_credentials(credentials), ids if known else None)

    def _models(self, copilot: CopilotToken, domain: str | None) -> CopilotModels:
        return CopilotModels(copilot_base_url(copilot.token, domain), copilot.token, self.http_client)


async def login_github_copilot(callbacks: OAuthLoginCallbacks) -> OAuthCredentials:
    """Log in to GitHub Copilot: ``GitHubCopilotOAuth().login``."""
    return await GitHubCopilotOAuth().login(callbacks)


async def refresh_github_copilot_token(
    github_token: str, enterprise_domain: str | None = None
) -> OAuthCredentials:
    """Credentials for a user's token at GitHub, which is not renewed: ``GitHubCopilotOAuth().refresh_token``."""
    extra = {_ENTERPRISE: enterprise_domain} if enterprise_domain else {}
    return await GitHubCopilotOAuth().refresh_token(OAuthCredentials(github_token, "", 0, extra))


async def get_github_copilot_api_key(credentials: OAuthCredentials) -> OAuthApiKey:
    """The API key, its credentials refreshed when they have expired; store ``new_credentials``.

    Tasks that ask at the same time make one refresh. Raises what ``GitHubCopilotOAuth.refresh_token`` raises.
    """
    if credentials.is_expired:
        refresh = partial(GitHubCopilotOAuth().refresh_token, credentials)
        credentials = await share((COPILOT, credentials.refresh), refresh)
    return OAuthApiKey(credentials, credentials.access)


def base_url_for_credentials(credentials: OAuthCredentials) -> str:
    """Where Copilot is for these credentials: what the token says, else the enterprise's place, else that of individuals.

    A refresh may change it.
    """
    return copilot_base_url(credentials.access, _text(credentials, _ENTERPRISE))


def _enterprise(text: str) -> str | None:
    """The domain that somebody typed; None for GitHub's own."""
    domain = normalize_domain(text)
    if domain is None and text.strip():
        raise OAuthError("Invalid GitHub Enterprise URL/domain")
    return None if domain == GITHUB else domain


async def _mint(github: GitHub, token: GitHubToken) -> tuple[GitHubToken, CopilotToken]:
    """A Copilot token and the GitHub token that it came from: renewed if that is due, or if GitHub refuses it."""
    if token.refresh and token.expired:
        return await _renew_and_mint(github, token)
    try:
        return token, await github.mint(token.access)
    except ApiStatusError as error:
        if error.status not in _REFUSED or not token.refresh:
            raise
    return await _renew_and_mint(github, token)


async def _renew_and_mint(github: GitHub, token: GitHubToken) -> tuple[GitHubToken, CopilotToken]:
    """The old GitHub token is spent, and a failure takes the new one away, too: so what may pass is given some time."""
    token = await github.renew(token)
    for pause in _PAUSES:
        try:
            return token, await github.mint(token.access)
        except (ApiStatusError, TransportError) as error:
            if isinstance(error, ApiStatusError) and error.status < 500:
                raise
        await trio.sleep(pause)
    return token, await github.mint(token.access)


def _github_token(credentials: OAuthCredentials) -> GitHubToken:
    refresh, expires = _text(credentials, _REFRESH_TOKEN), credentials.extra.get(_ACCESS_EXPIRES)
    return GitHubToken(
        Secret(credentials.refresh),
        Secret(refresh) if refresh else None,
        expires if isinstance(expires, int) and not isinstance(expires, bool) else None,
    )


def _updated(credentials: OAuthCredentials, token: GitHubToken, copilot: CopilotToken) -> OAuthCredentials:
    return credentials.replace(
        refresh=token.access,
        access=copilot.token,
        expires=copilot.expires,
        extra={_REFRESH_TOKEN: token.refresh, _ACCESS_EXPIRES: token.expires},
    )


def _text(credentials: OAuthCredentials, name: str) -> str | None:
    value = credentials.extra.get(name)
    return value if isinstance(value, str) else None
