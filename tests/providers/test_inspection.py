"""python -m providers: what there is to call, where its key would come from, and whether it answers."""

import json
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers import anthropic, openai
from providers.github_copilot.routing import CopilotApi
from providers.inspection import (
    Endpoint,
    check_endpoints,
    check_url,
    endpoints,
    key_variable,
    parse,
    table,
)
from providers.keys import DEFAULT_BASE_URLS, get_env_api_key
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.store import CredentialStore
from runtime.errors import MissingApiKeyError
from runtime.testing.sweep import cancel_everywhere
from runtime.values.environment import API_KEY_VARIABLES
from tests.providers.loopback import raw, reply, serve

ROOT = Path(__file__).parents[2]
KEY = "sk-of-the-reader"
VARIABLES = ("ANTHROPIC_AUTH_TOKEN", *(name for names in API_KEY_VARIABLES.values() for name in names))


def row(provider, env=(), logins=()):
    return next(row for row in endpoints(dict(env), logins) if row.provider == provider)


# The table


def test_every_provider_is_there():
    """Those that have a place of their own, where that is, and the APIs that its handles make models of."""
    rows = {row.provider: row for row in endpoints({})}
    assert {name: row.base_url for name, row in rows.items()} == dict(DEFAULT_BASE_URLS)
    assert anthropic.messages(KEY).model("m").api in rows["anthropic"].apis
    for handle in (openai.responses(KEY), openai.chat_completions(KEY)):
        assert handle.model("m").api in rows["openai"].apis
    assert set(typing.get_args(CopilotApi)) <= set(rows["github-copilot"].apis)


@pytest.mark.parametrize(
    ("provider", "env", "name"),
    [
        ("openai", {}, None),
        ("openai", {"OPENAI_API_KEY": KEY}, "OPENAI_API_KEY"),
        ("openai", {"OPENAI_API_KEY": " "}, None),
        ("openai", {"ANTHROPIC_API_KEY": KEY}, None),
        ("anthropic", {"ANTHROPIC_API_KEY": KEY}, "ANTHROPIC_API_KEY"),
        ("anthropic", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_OAUTH_TOKEN": KEY}, "ANTHROPIC_OAUTH_TOKEN"),
        ("anthropic", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": KEY}, "ANTHROPIC_AUTH_TOKEN"),
        ("anthropic", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": " "}, "ANTHROPIC_API_KEY"),
        ("github-copilot", {"COPILOT_GITHUB_TOKEN": KEY}, "COPILOT_GITHUB_TOKEN"),
        ("openrouter", {"OPENROUTER_API_KEY": KEY}, "OPENROUTER_API_KEY"),
    ],
)
def test_the_variable_that_counts_is_named(provider, env, name):
    """In the order in which handles look."""
    assert row(provider, env).key_variable == name


@given(st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from(("", " ", "a", "b"))))
def test_a_variable_is_named_where_a_handle_would_find_a_key(env):
    """And none where it would not."""
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in env.items():
            patch.setenv(name, value)
        for provider in ("openai", "openrouter", "github-copilot"):
            assert bool((get_env_api_key(provider) or "").strip()) == bool(key_variable(provider, env))
        try:
            anthropic.from_env()
        except MissingApiKeyError:
            assert key_variable("anthropic", env) is None
        else:
            assert key_variable("anthropic", env)


def test_nothing_shows_a_key():
    """Neither the table nor its JSON, nor a repr; of a URL, neither user nor query."""
    env = dict.fromkeys(VARIABLES, KEY)
    odd = f"http://me:[{KEY}]@localhost:2/v1"  # which Python's urlsplit refuses, and quotes
    rows = endpoints(env, ["anthropic"], [f"http://me:{KEY}@localhost:1/v1?key={KEY}", odd])
    shown = table(rows, "store.json") + json.dumps([row.as_json() for row in rows]) + repr(rows)
    assert KEY not in shown
    assert KEY[:4] not in shown
    assert "http://localhost:1/v1" in shown


def test_the_table_says_what_there_is():
    """A paragraph for each: APIs, key, login."""
    rows = endpoints({"OPENAI_API_KEY": KEY}, ["github-copilot"], ["http://localhost:11434/v1"])
    first, *_, copilot, _, own = table(rows, "/home/me/credentials.json").split("\n\n")
    assert first.splitlines() == [
        "openai  https://api.openai.com/v1",
        "  APIs     openai-responses, openai-completions, openai-images, openai-embeddings",
        "  key      from OPENAI_API_KEY",
    ]
    assert "none; COPILOT_GITHUB_TOKEN would be one" in copilot
    assert "login    in /home/me/credentials.json" in copilot
    assert own.startswith("localhost  http://localhost:11434/v1")


# Whether they answer


@pytest.mark.parametrize("status", [200, 401, 404, 503])
async def test_every_status_is_an_answer(status):
    """One request, without a key; the query stays where it belongs."""
    async with serve(reply("{}", status=status)) as server:
        (checked,) = await check_endpoints([Endpoint("mine", f"{server.url}/v1/?v=1", ())])
    assert checked.check.answers
    assert checked.check.outcome.startswith(f"HTTP {status} ")
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/v1/models?v=1")
    assert not {"authorization", "api-key", "x-api-key"} & request.headers.keys()


async def test_a_redirect_is_not_followed():
    """It is the answer."""
    async with serve(reply("", status=302, location="http://127.0.0.1:1/")) as server:
        assert (await check_url(server.url)).outcome == "HTTP 302 Found"


async def test_nobody_there_is_told():
    """With the reason that the system gives."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    check = await check_url(f"http://127.0.0.1:{port}/v1/models")
    assert not check.answers
    assert "refused" in check.outcome


async def test_a_name_that_nobody_has_is_told(monkeypatch):
    """As the resolver puts it."""

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_):
            raise OSError(-2, "Name or service not known")

        async def getnameinfo(self, *_):
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    check = await check_url("http://nowhere.invalid/v1/models")
    assert not check.answers
    assert "Name or service not known" in check.outcome


@pytest.mark.parametrize("script", [raw(b"", hang=True), raw(b"HTTP/1.1 200 OK\r\n\r\n{", hang=True)])
async def test_who_says_nothing_is_not_waited_for(script):
    """Nor who does not come to an end."""
    async with serve(script) as server:
        with trio.fail_after(3):
            check = await check_url(server.url, within=0.2)
        await server.wait_closed()
    assert not check.answers
    assert "within 0.2 seconds" in check.outcome


async def test_who_is_no_server_is_told():
    """Bytes that are no HTTP, and a closed connection."""
    async with serve(raw(b"SSH-2.0-OpenSSH_9.6\r\n", close=True), raw(b"", close=True)) as server:
        for _ in range(2):
            check = await check_url(server.url)
            assert not check.answers
            assert "did not keep to HTTP" in check.outcome


async def test_all_are_asked_at_a_time():
    """A slow one does not hold up the others; the order stays."""
    async with serve(raw(b"", hang=True)) as slow, serve(reply("{}")) as quick:
        rows = [Endpoint("slow", slow.url, ()), Endpoint("quick", quick.url, ())]
        async with trio.open_nursery() as nursery:
            done = []

            async def check():
                done.extend(await check_endpoints(rows, within=1))

            nursery.start_soon(check)
            with trio.fail_after(5):
                await slow.wait_requests()
                await quick.wait_requests()
    assert [(row.provider, row.check.answers) for row in done] == [("slow", False), ("quick", True)]


def test_a_check_can_be_cut_anywhere():
    """No connection is left."""

    async def scenario(cutter):
        async with serve(reply("{}"), repeat=True) as server:
            rows = [Endpoint("one", server.url, ()), Endpoint("two", server.url, ())]
            with trio.CancelScope() as scope:
                cutter.arm(outside=scope.cancel)
                await check_endpoints(rows)
            cutter.disarm()
            await server.wait_closed(but=2)

    assert cancel_everywhere(scenario, lambda _: None, clock=lambda: None).total > 5


# The command


async def run(*arguments, **env):
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return await trio.run_process(
        [sys.executable, "-W", "error", "-m", "providers", *arguments],
        cwd=ROOT, env={**clean, **env}, capture_stdout=True, capture_stderr=True, check=False,
    )  # fmt: skip


async def test_the_command_prints_the_table(tmp_path):
    """With the logins of the credential store."""
    store = CredentialStore(tmp_path / "agentrio" / "credentials.json")
    await store.set(
        "anthropic", OAuthCredentials(refresh="refresh-secret", access="access-secret", expires=0)
    )
    done = await run(XDG_CONFIG_HOME=str(tmp_path), OPENAI_API_KEY=KEY)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode()
    assert "key      from OPENAI_API_KEY" in shown
    assert f"login    in {store.path}" in shown
    assert "answers" not in shown
    assert not any(secret in shown for secret in (KEY, "refresh-secret", "access-secret"))


async def test_the_command_prints_json(tmp_path):
    """One object for each endpoint."""
    done = await run("--json", "--base-url", "http://localhost:11434/v1", XDG_CONFIG_HOME=str(tmp_path))
    rows = json.loads(done.stdout)
    assert [row["provider"] for row in rows] == [
        "openai",
        "anthropic",
        "github-copilot",
        "openrouter",
        "localhost",
    ]
    assert rows[0] == {
        "provider": "openai",
        "baseUrl": "https://api.openai.com/v1",
        "apis": ["openai-responses", "openai-completions", "openai-images", "openai-embeddings"],
        "variables": ["OPENAI_API_KEY"],
        "keyVariable": None,
        "login": False,
        "check": None,
    }


async def test_the_command_says_what_is_wrong_with_the_store(tmp_path):
    """And shows the rest."""
    (tmp_path / "agentrio").mkdir(mode=0o700)
    file = tmp_path / "agentrio" / "credentials.json"
    file.write_text("no json")
    file.chmod(0o600)
    done = await run(XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == 0
    assert b"logins are not shown: " in done.stderr
    assert b"openrouter" in done.stdout


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1"])
async def test_the_status_tells_whether_all_answer(tmp_path, proxy):
    """The server of the user's own answers; the others are behind a proxy that is not there."""
    async with serve(reply("{}")) as server:
        done = await run(
            "--check", "--base-url", f"{server.url}/v1", XDG_CONFIG_HOME=str(tmp_path),
            HTTPS_PROXY=proxy, https_proxy=proxy, ALL_PROXY="", all_proxy="", OPENAI_API_KEY=KEY,
        )  # fmt: skip
    assert done.returncode == 1
    shown = done.stdout.decode()
    assert shown.count("answers  no: ") == 4
    assert shown.rstrip().endswith("answers  yes: HTTP 200 OK")
    assert KEY not in shown + str(server.requests)


@pytest.mark.parametrize("wrong", [["--base-url", "localhost:11434"], ["--chec"], ["x"]])
def test_a_wrong_command_line_says_so(wrong, capsys):
    """With the usage, and status 2."""
    with pytest.raises(SystemExit, match="2"):
        parse(wrong)
    assert "usage: python -m providers" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """As ``head`` does: nothing is said about it."""
    reads, writes = os.pipe()
    os.close(reads)
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "providers"]
    done = subprocess.run(command, cwd=ROOT, stdout=writes, stderr=subprocess.PIPE, env=env, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, b"")
