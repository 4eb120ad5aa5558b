"""A GitHub on loopback: whatever host is asked, it answers with its scripts, and remembers who was asked when."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import httpx
import trio

from providers.oauth.callbacks import OAuthLoginCallbacks
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.github_copilot import GitHubCopilotOAuth
from tests.providers.loopback import Loopback, Received, Script, Wire, reply, serve

USER = "ghu_usertoken0123456789"
RENEWED = "ghu_renewed0123456789"
REFRESH = "ghr_refreshtoken0123456789"
ROTATED = "ghr_rotated0123456789"
DEVICE = "devicecode0123456789abcdef"
COPILOT = "tid=abc0123456789;exp=4102444800;proxy-ep=proxy.business.githubcopilot.com"
PLAIN = "tid=abc0123456789;exp=4102444800"
EXPIRES_AT = 4_102_444_800
BUSINESS = "api.business.githubcopilot.com"
INDIVIDUAL = "api.individual.githubcopilot.com"
SECRETS = (USER, RENEWED, REFRESH, ROTATED, DEVICE, COPILOT, PLAIN)


def answers(value: Any, status: int = 200, **headers: str) -> Script:
    """A JSON answer."""
    return reply(json.dumps(value), status, content_type="application/json", **headers)


def device(**changes: Any) -> Script:
    """A device code; a change of None takes a field away."""
    fields = {
        "device_code": DEVICE,
        "user_code": "ABCD-1234",
        "verification_uri": "https://github.com/login/device",
        "expires_in": 900,
        "interval": 5,
    } | changes
    return answers({name: value for name, value in fields.items() if value is not None})


def granted(access: str = USER, **more: Any) -> Script:
    """The user has agreed."""
    return answers({"access_token": access, "token_type": "bearer", "scope": "read:user", **more})


def waits(error: str = "authorization_pending", **more: Any) -> Script:
    """The user has not agreed yet."""
    return answers({"error": error, **more})


def minted(token: str = COPILOT, expires_at: Any = EXPIRES_AT) -> Script:
    """A Copilot token."""
    return answers({"token": token, "expires_at": expires_at, "refresh_in": 1500})


def listed(*models: dict[str, Any]) -> Script:
    """The list of models."""
    return answers({"data": list(models)})


def model(model_id: Any, picker: Any = True, policy: Any = None, tools: Any = True) -> dict[str, Any]:
    """One of them."""
    item = {
        "id": model_id,
        "model_picker_enabled": picker,
        "capabilities": {"supports": {"tool_calls": tools}},
    }
    return item | ({"policy": {"state": policy}} if policy else {})


GPT = listed(model("gpt-4.1"))
SUCCESS = (device(), granted(), minted(), GPT, GPT)
"""A login in the shortest way."""


class ToLoopback(httpx.AsyncBaseTransport):
    """Takes every request to one server on loopback; the ``Host`` header still says where it was to go."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._inner = httpx.AsyncHTTPTransport(verify=False)  # loading certificates takes long

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https", "credentials go out encrypted only"
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    @property
    def connections(self) -> list[Any]:
        """Those that are open, as httpcore has them."""
        return self._inner._pool.connections


class GitHubLab:
    """What a test looks at."""

    def __init__(self, server: Loopback, client: httpx.AsyncClient, times: list[float]) -> None:
        self.server = server
        self.client = client
        self.times = times
        self.oauth = GitHubCopilotOAuth(http_client=client)

    @property
    def connections(self) -> list[Any]:
        return self.client._transport.connections

    @property
    def requests(self) -> list[Received]:
        return self.server.requests

    @property
    def asked(self) -> list[str]:
        """Method, host and path of every request."""
        return [f"{sent.method} {sent.headers['host']}{sent.target}" for sent in self.requests]

    def form(self, number: int) -> dict[str, str]:
        """The fields of a request."""
        return {name: value for name, (value,) in parse_qs(self.requests[number].body.decode()).items()}


@asynccontextmanager
async def github(*scripts: Script, repeat: bool = False) -> AsyncIterator[GitHubLab]:
    """Run a GitHub, and an account system that asks it; ``times`` are those of the requests on trio's clock.

    With ``repeat``, the last script answers all further requests.
    """
    times: list[float] = []

    def timed(script: Script) -> Script:
        async def run(wire: Wire) -> None:
            times.append(trio.current_time())
            await script(wire)

        return run

    async with serve(*map(timed, scripts), repeat=repeat) as server:
        port = int(server.url.rpartition(":")[2])
        async with httpx.AsyncClient(transport=ToLoopback(port), trust_env=False) as client:
            yield GitHubLab(server, client, times)


class User:
    """Somebody who logs in: what they were asked and shown, and what they answer."""

    def __init__(self, domain: str = "", abort: trio.Event | None = None) -> None:
        self.asked: list[Any] = []
        self.shown: list[Any] = []
        self._domain = domain
        self.callbacks = OAuthLoginCallbacks(on_prompt=self._answer, on_device_code=self._look, abort=abort)

    async def _answer(self, prompt: Any) -> str:
        self.asked.append(prompt)
        return self._domain

    async def _look(self, info: Any) -> None:
        self.shown.append(info)


def held(expires: int = 0, **extra: Any) -> OAuthCredentials:
    """Credentials from an earlier login."""
    return OAuthCredentials(USER, "tid=old", expires, extra)
