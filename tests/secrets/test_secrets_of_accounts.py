"""Logins and refreshes that fail: neither what was sent nor what was granted is shown, wherever servers repeat it."""

import io
import json
import os
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers.oauth import (
    AnthropicOAuth,
    CredentialStore,
    GitHubCopilotOAuth,
    OAuthCredentials,
    OAuthLoginCallbacks,
    get_oauth_api_key,
    register_oauth_provider,
    reset_oauth_providers,
)
from providers.oauth.terminal import Arguments, Terminal, run
from providers.oauth.web import form_encoded
from runtime import AgentrioError
from runtime.terminal import LineReader
from runtime.testing.server.loopback import open_loopback, response
from tests.providers.oauth.anthropic_login_lab import Browser
from tests.providers.oauth.copilot_lab import ToLoopback
from tests.secrets.echo_lab import REFUSALS, Echo, check_answered, echoing, patience
from tests.secrets.secrets_lab import SECRETS, Hidden, few, logged, secrets

JSON = {"content-type": "application/json"}


def tokens_for(salt=""):
    """Four of them."""
    return st.lists(secrets(salt), min_size=4, max_size=4, unique=True)


TOKENS = tokens_for()


def granted(fields, status=200, cut=0):
    """An answer with tokens in it."""
    text = json.dumps(fields)
    return response(text[: len(text) - cut].encode(), status, JSON)


def broken_grants(access, refresh):
    """Answers that give tokens away, and are of no use."""
    pair = {"access_token": access, "refresh_token": refresh, "token": access, "device_code": refresh}
    return {
        "no time": granted(pair),
        "an odd time": granted({**pair, "expires_in": "soon", "expires_at": "soon"}),
        "lists of tokens": granted({name: [value] for name, value in pair.items()}),
        "tokens with a line end": granted({name: f"{value}\n" for name, value in pair.items()}),
        "tokens in a failure": granted(pair, 400),
        "tokens in a failure of the server": granted({"error": pair}, 503),
        "cut tokens": granted({"token_type": "bearer", **pair}, cut=4),
        "tokens in a form": response(form_encoded(pair).encode(), 200, {"content-type": "text/plain"}),
        "tokens in JSON in JSON": granted({"error": json.dumps(pair)}, 403),
    }


GRANTS = tuple(broken_grants("", ""))


def answering(name, secret, tokens):
    """The bytes of an answer: the request again, or a grant that is of no use."""
    grants = broken_grants(*tokens)
    return lambda request, number: (
        grants[name] if name in grants else REFUSALS[name](Echo(secret, request, number))
    )


@asynccontextmanager
async def token_server(answer, name=""):
    async with echoing("", lambda echo: answer(echo.request, echo.number)) as server:
        yield AnthropicOAuth(token_url=f"{server.url}/v1/oauth/token", port=0, timeout=patience(name))


async def failure(work, *args):
    """What it fails with."""
    try:
        result = await work(*args)
    except (AgentrioError, ValueError) as error:
        return error
    pytest.fail(f"this went well: {result!r}")


# Anthropic


class Reader:
    """Somebody who logs in, in one of the ways; ``shown`` is all that they saw but for the page's address."""

    def __init__(self, way, code):
        self.shown = []
        self._way = way
        self._code = code
        self._browser = Browser()

    @property
    def state(self):
        return self._browser.state

    @property
    def callbacks(self):
        paste = None if self._way == "browser" else self._paste
        return OAuthLoginCallbacks(on_auth=self._open, on_progress=self._see, on_manual_code_input=paste)

    async def _open(self, info):
        self._browser.url = info.url
        self.shown += [info, info.instructions]
        if self._way == "browser":
            for query in (
                {"code": self._code},
                {"code": self._code, "state": f"{self.state}x"},
                {"code": self._code, "state": self.state},
            ):
                await self._browser.visit("/callback?" + form_encoded(query))
            self.shown += self._browser.pages

    async def _see(self, text):
        self.shown.append(text)

    async def _paste(self):
        sent = form_encoded({"code": self._code, "state": self.state})
        return {"url": f"http://localhost/callback?{sent}", "query": sent}.get(
            self._way, f"{self._way}#{self._code}"
        )


@pytest.mark.parametrize("name", [*REFUSALS, *GRANTS])
@few(2)
@given(data=st.data(), way=st.sampled_from(["browser", "url", "query"]))
def test_a_login_at_anthropic_that_fails(name, data, way):
    """Code, state and tokens stay out of the error, the pages of the callback server, the progress and the log."""
    code, *tokens = data.draw(tokens_for(name))
    reader = Reader(way, code)

    async def main():
        async with token_server(answering(name, code, tokens[:2]), name) as account:
            return await failure(account.login, reader.callbacks), account

    with logged() as lines:
        shown = trio.run(main)
    check_answered(name, *shown)
    Hidden(code, reader.state, *tokens[:2]).check("the login", *shown, *reader.shown, *lines.own)


@few(20)
@given(code=SECRETS, before=SECRETS)
def test_a_paste_of_another_login(code, before):
    """What was pasted is not repeated."""
    reader = Reader(before.replace("#", ""), code)

    async def main():
        async with token_server(answering("JSON", code, ["", ""])) as account:
            return await failure(account.login, reader.callbacks)

    Hidden(code, reader.state if reader.shown else code).check("the login", trio.run(main), *reader.shown)


@pytest.mark.parametrize("name", [*REFUSALS, *GRANTS])
@few(2)
@given(data=st.data())
def test_a_refresh_at_anthropic_that_fails(name, data):
    """By itself, for a key, and by a store, whose file alone holds tokens."""
    tokens = data.draw(tokens_for(name))
    credentials = OAuthCredentials(tokens[0], tokens[1], 0, {"account": tokens[1]})
    hidden = Hidden(*tokens)

    async def main(directory):
        store = CredentialStore(directory / "kept" / "credentials.json")
        async with token_server(answering(name, tokens[0], tokens[2:]), name) as account:
            register_oauth_provider(account)
            await store.set("anthropic", credentials)
            return [
                await failure(account.refresh_token, credentials),
                await failure(get_oauth_api_key, "anthropic", {"anthropic": credentials}),
                await failure(store.get_api_key, "anthropic"),
                store,
            ]

    with tempfile.TemporaryDirectory() as directory, logged() as lines:
        try:
            shown = trio.run(main, Path(directory))
        finally:
            reset_oauth_providers()
        hidden.check_files(Path(directory), Path(directory) / "kept" / "credentials.json")
    check_answered(name, *shown)
    hidden.check("the refresh", *shown, *lines.own)


@few(15)
@given(code=SECRETS, tokens=TOKENS, name=st.sampled_from(["good", *REFUSALS, *GRANTS]))
def test_a_login_at_the_terminal(code, tokens, name):
    """The page's address is shown, as it must be, and nothing else; the file alone holds the tokens."""
    good = granted({"access_token": tokens[0], "refresh_token": tokens[1], "expires_in": 3600})
    answer = answering(name, code, tokens[:2]) if name != "good" else lambda *_: good
    out = io.StringIO()

    async def main(path):
        typed, keys = os.pipe()
        os.write(keys, f"{code}\n".encode())
        os.close(keys)
        terminal = Terminal(LineReader(typed), out, out)
        async with token_server(answer, name) as account:
            register_oauth_provider(account)
            await run(Arguments("login", "anthropic", str(path)), terminal)
            await run(Arguments("status", None, str(path)), terminal)
            await run(Arguments("logout", "anthropic", str(path)), terminal)
        os.close(typed)

    with tempfile.TemporaryDirectory() as directory:
        try:
            trio.run(main, Path(directory) / "kept.json")
        finally:
            reset_oauth_providers()
        Hidden(*tokens, code).check_files(Path(directory))
    check_answered(name, out.getvalue())
    Hidden(*tokens, code).check("the terminal", out.getvalue())


# GitHub Copilot


def steps(device, user, renewal, copilot):
    """What GitHub and Copilot answer to a login, and to a refresh."""
    code = {
        "device_code": device,
        "user_code": "ABCD-1234",
        "verification_uri": "https://github.com/login/device",
        "expires_in": 900,
        "interval": 1,
    }
    token = {"access_token": user, "refresh_token": renewal, "expires_in": 1}
    minted, listed = {"token": copilot, "expires_at": 4_102_444_800}, {"data": [{"id": "gpt"}]}
    return {
        "login": [code, token, minted, listed, listed],
        "refresh": [token, minted, listed],
    }


@asynccontextmanager
async def github(answer):
    """A GitHub that answers the requests by their number; all hosts are this one."""

    async def respond(wire, request):
        await wire.send(answer(request, len(server.requests) - 1))
        await wire.close()

    async with open_loopback(respond) as server:
        port = int(server.url.rpartition(":")[2])
        async with httpx.AsyncClient(transport=ToLoopback(port), trust_env=False) as client:
            yield GitHubCopilotOAuth(http_client=client)


def scripted(answers, number, odd):
    """Good answers, but for one, and all that follow."""
    return lambda request, at: odd(request, at) if at >= number else granted(answers[at])


@pytest.mark.parametrize("name", [*(name for name in REFUSALS if not name.startswith("silence")), *GRANTS])
@few(2)
@given(st.data())
def test_a_login_or_refresh_at_copilot_that_fails(name, data):
    """Device code, GitHub's tokens and Copilot's stay out of the error, whichever request it is that fails."""
    tokens = data.draw(tokens_for(name))
    kind = data.draw(st.sampled_from(["login", "refresh"]))
    answers = steps(*tokens)[kind]
    number = data.draw(st.integers(0, len(answers) - 1))
    secret = {
        "login": ["", tokens[0], tokens[1], tokens[3], tokens[3]],
        "refresh": [tokens[2], tokens[1], tokens[3]],
    }
    held = OAuthCredentials(
        tokens[1], tokens[3], 0, {"githubRefreshToken": tokens[2], "githubAccessExpires": 1}
    )
    shown = []

    async def look(info):
        shown.append(info)

    async def main():
        odd = answering(name, secret[kind][number], [tokens[1], tokens[2]])
        async with github(scripted(answers, number, odd)) as account:
            try:
                if kind == "login":
                    return await account.login(OAuthLoginCallbacks(on_device_code=look))
                return await account.refresh_token(held)
            except (AgentrioError, ValueError) as error:
                return error

    with logged() as lines:
        outcome = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))
    check_answered(name, outcome)
    Hidden(*tokens).check("the outcome", outcome, held, *shown, *lines.own)


# The store


def damages(credentials, secret):
    """Files that are not as they must be."""
    entry = {"type": "oauth", **json.loads(credentials.model_dump_json())}
    whole = json.dumps({"anthropic": entry})
    return {
        "cut": whole[: len(whole) - 3],
        "no JSON": secret,
        "a JSON string": json.dumps(secret),
        "a list": json.dumps([entry]),
        "another version": json.dumps({"version": 2, "logins": [entry]}),
        "entries that are none": json.dumps({"anthropic": secret}),
        "no time": json.dumps({"anthropic": {**entry, "expires": secret}}),
        "no text": json.dumps({"anthropic": {**entry, "access": [secret], "refresh": {secret: secret}}}),
        "a name as key": json.dumps({"anthropic": {"type": "api_key", "access": secret}}),
        "twice": whole + whole,
        "a byte that is none": whole.encode().replace(b'"type"', b'"\xfftype"').decode("latin-1"),
        "too deep": "[" * 5000 + whole,
        "too long": whole + " " * (1 << 20),
    }


@few(25)
@given(tokens=TOKENS, data=st.data())
def test_a_damaged_store(tokens, data):
    """What is wrong with the file is said without a word of it, and nothing else is written."""
    credentials, hidden, out = OAuthCredentials(tokens[0], tokens[1], 0), Hidden(*tokens), io.StringIO()
    files = damages(credentials, tokens[2])
    text = files[data.draw(st.sampled_from(list(files)))]
    mode = data.draw(st.sampled_from([0o600, 0o600, 0o644]))

    async def main(path):
        store = CredentialStore(path)
        for work in (
            store.providers,
            partial(store.get, "anthropic"),
            partial(store.check, "anthropic"),
            partial(store.set, "anthropic", OAuthCredentials(tokens[3], tokens[3], 0)),
            partial(store.get_api_key, "another"),
            partial(store.remove, "another"),
        ):
            try:
                hidden.check("a result", await work())
            except AgentrioError as error:
                hidden.check("an error", error)
        for command in ("status", "logout"):
            await run(Arguments(command, "anthropic", str(path)), Terminal(LineReader(-1), out, out))

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "credentials.json"
        path.write_bytes(text.encode("latin-1"))
        path.chmod(mode)
        trio.run(main, path)
        hidden.check_files(Path(directory), path)
    hidden.check("the terminal", out.getvalue())
