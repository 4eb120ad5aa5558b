"""What the tests of Anthropic's login have in common: a browser, a token server, and who pastes what."""

import json
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from providers.oauth.anthropic import AnthropicOAuth
from providers.oauth.web import form_encoded
from tests.providers.loopback import Loopback, reply

CODE = "the-code-4711"
ACCESS, REFRESH = "sk-ant-oat01-access", "sk-ant-ort01-refresh"
TOKENS = {
    "access_token": ACCESS,
    "refresh_token": REFRESH,
    "expires_in": 3600,
    "scope": "x",
    "token_type": "Bearer",
}


def tokens(**changed):
    return reply(json.dumps({name: value for name, value in (TOKENS | changed).items() if value is not ...}))


class Browser:
    """What ``on_auth`` was shown, and a browser that goes back to the program."""

    def __init__(self, *visits: str | None) -> None:
        """``visits``: queries of the callback, one after the other; None is the right one."""
        self.visits = visits
        self.pages: list[str] = []
        self.url = ""

    async def __call__(self, info) -> None:
        self.url = info.url
        for visit in self.visits:
            await self.visit(self.good if visit is None else visit)

    @property
    def query(self) -> dict[str, str]:
        return {name: value for name, (value,) in parse_qs(urlsplit(self.url).query).items()}

    @property
    def state(self) -> str:
        return self.query["state"]

    @property
    def port(self) -> int:
        return urlsplit(self.query["redirect_uri"]).port

    @property
    def good(self) -> str:
        return "/callback?" + form_encoded({"code": CODE, "state": self.state})

    async def visit(self, target: str) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.pages.append(b"".join([data async for data in stream]).decode())

    def check_gone(self) -> None:
        """Nothing listens any more."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", self.port))
            sock.listen()


def at(server: Loopback, **options) -> AnthropicOAuth:
    return AnthropicOAuth(token_url=f"{server.url}/v1/oauth/token", port=0, **options)


def pasting(*texts):
    """A manual input, and a prompt, that give these texts in turn."""
    left = list(texts)

    async def paste(*_):
        await trio.lowlevel.checkpoint()
        return left.pop(0)

    return paste


async def forbidden(*_):
    raise AssertionError("this was not to be asked")


@asynccontextmanager
async def failing(kind, match) -> AsyncIterator[None]:
    """The block fails in time, with an error that holds no secret."""
    with pytest.raises(kind, match=match) as caught, trio.fail_after(5):
        yield
    text = str(caught.value) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in (CODE, ACCESS, REFRESH) if secret in text]
