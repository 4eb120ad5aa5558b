"""Anthropic's login by the browser, against a token server on loopback that grants, refuses or breaks."""

import json

import pytest
import trio
import trio.testing

from providers.oauth import anthropic
from providers.oauth.anthropic import (
    CLIENT_ID,
    SCOPES,
    AnthropicOAuth,
    login_anthropic,
    refresh_anthropic_token,
)
from providers.oauth.callbacks import OAuthLoginCallbacks
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.pkce import challenge_of
from providers.oauth.provider import OAuthProvider
from runtime.errors import ApiStatusError, InvalidResponseError, OAuthError, TransportError
from runtime.values.clock import now_ms
from runtime.values.model import Model
from tests.providers.loopback import head, raw, reply, serve
from tests.providers.oauth.anthropic_login_lab import (
    ACCESS,
    CODE,
    REFRESH,
    TOKENS,
    Browser,
    at,
    failing,
    forbidden,
    pasting,
    tokens,
)

# By the browser


async def test_a_whole_login():
    """The page is shown, the browser comes back, the code is redeemed, the credentials say when they expire."""
    said, browser = [], Browser(None)

    async def progress(text):
        said.append(text)

    async with serve(tokens()) as server:
        before = now_ms()
        credentials = await at(server).login(OAuthLoginCallbacks(on_auth=browser, on_progress=progress))
    assert credentials == OAuthCredentials(REFRESH, ACCESS, credentials.expires)
    assert before + 3_300_000 <= credentials.expires <= now_ms() + 3_300_000
    assert credentials.extra == {}
    assert browser.pages[0].startswith("HTTP/1.1 200 OK")
    assert len(said) == 1
    browser.check_gone()
    (sent,) = server.requests
    assert (sent.method, sent.target, sent.headers["accept"]) == (
        "POST",
        "/v1/oauth/token",
        "application/json",
    )
    assert sent.json() == {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "code": CODE,
        "state": browser.state,
        "redirect_uri": browser.query["redirect_uri"],
        "code_verifier": browser.state,
    }


async def test_the_page_asks_for_what_the_server_expects():
    """Every parameter in its order, spaces as plus; the challenge is that of the verifier."""
    browser = Browser(None)
    async with serve(tokens()) as server:
        await at(server).login(OAuthLoginCallbacks(on_auth=browser))
        verifier = server.requests[0].json()["code_verifier"]
    base, _, query = browser.url.partition("?")
    assert base == "https://claude.ai/oauth/authorize"
    assert list(browser.query) == [
        "code", "client_id", "response_type", "redirect_uri", "scope", "code_challenge", "code_challenge_method", "state"
    ]  # fmt: skip
    assert browser.query == {
        "code": "true",
        "client_id": "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
        "response_type": "code",
        "redirect_uri": f"http://localhost:{browser.port}/callback",
        "scope": SCOPES,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "state": verifier,
    }
    assert "scope=org%3Acreate_api_key+user%3Aprofile+user%3Ainference" in query
    assert "=" not in verifier
    assert len(verifier) == 43


async def test_the_page_is_shown_but_its_repr_is_not():
    """The state is in its address."""
    shown = []

    async def on_auth(info):
        shown.append(repr(info))
        await browser(info)

    browser = Browser(None)
    async with serve(tokens()) as server:
        await at(server).login(OAuthLoginCallbacks(on_auth=on_auth))
    assert browser.state not in shown[0]


async def test_the_browser_may_come_back_late():
    """Long after ``on_auth`` has returned."""
    browser = Browser()
    async with serve(tokens()) as server, trio.open_nursery() as nursery:

        async def on_auth(info):
            browser.url = info.url
            nursery.start_soon(later)

        async def later():
            await trio.testing.wait_all_tasks_blocked(0.01)
            await browser.visit(browser.good)

        assert (await at(server).login(OAuthLoginCallbacks(on_auth=on_auth))).access == ACCESS


@pytest.mark.parametrize(
    ("visit", "told"),
    [
        ("/callback?code=evil&state=tampered", "400"),
        ("/callback?error=access_denied&error_description=no", "400"),
        ("/callback?state=STATE", "400"),
        ("/callback?code=evil", "400"),
        ("/another?code=evil&state=STATE", "404"),
        ("callback", "400"),
    ],
)
async def test_a_wrong_way_back_is_told_and_the_right_one_waited_for(visit, told):
    """A tampered state, a denial, a missing code or state, another path: only the right code is redeemed."""

    async def on_auth(info):
        browser.url = info.url
        await browser.visit(visit.replace("STATE", browser.state))
        await browser.visit(browser.good)

    browser = Browser()
    async with serve(tokens()) as server:
        await at(server).login(OAuthLoginCallbacks(on_auth=on_auth))
        assert server.requests[0].json()["code"] == CODE
    assert [page.split(" ")[1] for page in browser.pages] == [told, "200"]


async def test_a_port_that_is_taken_ends_the_login_before_anything_is_shown():
    """With what to do about it."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        async with failing(OAuthError, f"127.0.0.1, port {port}: .*end it, then try again"):
            await AnthropicOAuth(port=port).login(OAuthLoginCallbacks(on_auth=forbidden))


# What the token server may do


@pytest.mark.parametrize(
    ("script", "kind", "match"),
    [
        (reply('{"error":"invalid_grant","error_description":"Code expired"}', 400), ApiStatusError,
         'provider returned HTTP 400 Bad Request: {"error":"invalid_grant","error_description":"Code expired"}'),
        (reply("<html><head><title>Just a moment...</title></head></html>", 403), ApiStatusError, "HTML page: Just a moment"),
        (reply("<html>Hello</html>"), InvalidResponseError, "JSON was expected .* HTML page: Hello"),
        (reply("", 302, Location="https://evil.test/"), ApiStatusError, "redirects are not followed"),
        (reply("{}"), InvalidResponseError, "no usable access_token, refresh_token, expires_in in the answer to POST http"),
        (reply("[]"), InvalidResponseError, "no usable access_token"),
        (reply("null"), InvalidResponseError, "no usable access_token"),
        (tokens(access_token=...), InvalidResponseError, "no usable access_token in"),
        (tokens(access_token=""), InvalidResponseError, "no usable access_token in"),
        (tokens(access_token=f"{ACCESS}\n"), InvalidResponseError, "no usable access_token in"),
        (tokens(refresh_token=...), InvalidResponseError, "no usable refresh_token in"),
        (tokens(refresh_token=7), InvalidResponseError, "no usable refresh_token in"),
        (tokens(expires_in=...), InvalidResponseError, "no usable expires_in in"),
        (tokens(expires_in="3600"), InvalidResponseError, "no usable expires_in in"),
        (tokens(expires_in=-1), InvalidResponseError, "no usable expires_in in"),
        (tokens(expires_in=10**30), InvalidResponseError, "no usable expires_in in"),
        (tokens(expires_in=True), InvalidResponseError, "no usable expires_in in"),
        (reply(b" " * 2_000_000), TransportError, "longer than 1048576 bytes"),
        (raw(head(200, {"content-length": "999"}) + json.dumps(TOKENS).encode(), close=True), TransportError, "keep to HTTP"),
        (raw(b"", close=True), TransportError, "without sending a response"),
        (raw(b"", hang=True), TransportError, "no whole answer .* within 1.5 seconds"),
    ],
)  # fmt: skip
async def test_a_server_that_does_not_give_tokens(script, kind, match):
    """A login and a refresh both end in an error that says what came from where, and nothing is left open."""
    async with serve(script, script) as server:
        provider = at(server, timeout=1.5 if "within" in match else 30)
        async with failing(kind, match):
            await provider.login(OAuthLoginCallbacks(on_auth=Browser(), on_manual_code_input=pasting(CODE)))
        async with failing(kind, match):
            await provider.refresh_token(OAuthCredentials(REFRESH, ACCESS, 0))
        assert len(server.requests) == 2


async def test_what_was_sent_does_not_come_back_in_an_error():
    """Code and verifier, refresh token: a server that repeats them is quoted without."""

    async def repeat(wire):
        await reply(server.requests[-1].body, 400)(wire)

    browser = Browser(None)
    async with serve(repeat, repeat) as server:
        async with failing(ApiStatusError, r'"code":"\*\*\*"'):
            await at(server).login(OAuthLoginCallbacks(on_auth=browser))
        async with failing(ApiStatusError, r'"refresh_token":"\*\*\*"'):
            await at(server).refresh_token(OAuthCredentials(REFRESH, ACCESS, 0))


@pytest.mark.parametrize(("life", "expires"), [(3600.0, 3_300_000), (0, -300_000)])
async def test_a_life_may_be_a_whole_float_and_short(life, expires):
    """The margin comes off; what is in the past already wants a refresh at once."""
    async with serve(tokens(expires_in=life)) as server:
        before = now_ms()
        fresh = await at(server).refresh_token(OAuthCredentials(REFRESH, ACCESS, 0))
    assert before + expires <= fresh.expires <= now_ms() + expires


# Refresh, and the rest of a provider


async def test_a_refresh_asks_without_a_scope_and_keeps_extras():
    """The new refresh token replaces the old one; what others keep beside the tokens stays."""
    async with serve(tokens(refresh_token="rotated")) as server:
        fresh = await at(server).refresh_token(
            OAuthCredentials("old", "stale", 0, {"type": "oauth", "n": [1]})
        )
    assert server.requests[0].json() == {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "refresh_token": "old",
    }
    assert (fresh.refresh, fresh.access) == ("rotated", ACCESS)
    assert fresh.extra == {"type": "oauth", "n": [1]}


def test_it_is_a_provider():
    """Id, name, the port it wants, and where it goes."""
    provider = AnthropicOAuth()
    assert isinstance(provider, OAuthProvider)
    assert (provider.id, provider.name) == ("anthropic", "Anthropic (Claude Pro/Max)")
    assert provider.uses_callback_server
    assert (provider.port, provider.callback_host) == (53692, "127.0.0.1")
    assert provider.token_url == "https://platform.claude.com/v1/oauth/token"
    assert SCOPES.split(" ") == [
        "org:create_api_key", "user:profile", "user:inference", "user:sessions:claude_code", "user:mcp_servers",
        "user:file_upload",
    ]  # fmt: skip


def test_the_access_token_is_the_key_and_models_stay_as_they_are():
    """Nothing is derived from an Anthropic token."""
    credentials = OAuthCredentials(REFRESH, ACCESS, 0)
    models = [Model(id="m", name="m", api="anthropic-messages", provider="anthropic", base_url="http://x")]
    assert AnthropicOAuth().get_api_key(credentials) == ACCESS
    assert AnthropicOAuth().modify_models(models, credentials) == models


async def test_the_functions_are_those_of_a_provider(monkeypatch):
    """Login and refresh, without one to be made."""
    async with serve(tokens(), tokens(access_token="second")) as server:
        monkeypatch.setattr(anthropic, "AnthropicOAuth", lambda provider=at(server): provider)
        credentials = await login_anthropic(OAuthLoginCallbacks(on_auth=Browser(None)))
        assert (await refresh_anthropic_token(credentials.refresh)).access == "second"
    assert server.requests[1].json()["refresh_token"] == REFRESH
