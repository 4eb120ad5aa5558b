"""Logins from a terminal: what is asked and shown, and how it ends."""

import io
import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
import trio
import trio.testing

from providers.oauth import (
    CredentialStore,
    OAuthAuthInfo,
    OAuthCredentials,
    OAuthDeviceCodeInfo,
    OAuthPrompt,
    OAuthSelectOption,
    OAuthSelectPrompt,
)
from providers.oauth.terminal import Arguments, Terminal, expiry, in_words, parse, run
from runtime.errors import OAuthError
from runtime.terminal import LineReader
from runtime.values.clock import now_ms
from tests.providers.oauth.accounts_lab import NEVER, Accounts, registered, written

ROOT = Path(__file__).parents[3]
CODE = OAuthDeviceCodeInfo("ABCD-1234", "https://acme.example/device", 5, 900)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "credentials.json"


@pytest.fixture
def acme():
    """A registered account system."""
    accounts = Accounts()
    with registered(accounts):
        yield accounts


async def command(path, *words, typed=b""):
    """Run a command; its status, what it wrote, and what it wrote where errors go."""
    out, errors = io.StringIO(), io.StringIO()
    reading, writing = os.pipe()
    os.write(writing, typed)
    os.close(writing)
    terminal = Terminal(LineReader(reading), out, errors)
    status = await run(parse([*words, "--file", str(path)]), terminal)
    os.close(reading)
    assert "access-" not in out.getvalue() + errors.getvalue()
    assert "refresh-" not in out.getvalue() + errors.getvalue()
    return status, out.getvalue(), errors.getvalue()


async def test_a_login_is_kept(path, acme):
    """What the provider shows is shown, and its credentials are in the file that is named."""

    async def script(callbacks):
        await callbacks.on_device_code(CODE)
        await callbacks.on_progress("Waiting for GitHub...")

    acme.script = script
    status, out, errors = await command(path, "login", "acme")
    assert (status, errors) == (0, "")
    for part in ("https://acme.example/device", "ABCD-1234 there, within 15 minutes", "Waiting", str(path)):
        assert part in out
    assert await CredentialStore(path).get("acme") == OAuthCredentials("refresh-1", "access-1", NEVER)


async def test_questions_are_asked_until_they_are_answered(path, acme):
    """An empty line answers only where that is allowed; choices are numbers or ids; the end of input answers nothing."""
    answers = []
    required = OAuthPrompt("Name?", placeholder="you")
    choice = OAuthSelectPrompt("Plan?", (OAuthSelectOption("p", "Pro"), OAuthSelectOption("m", "Max")))

    async def script(callbacks):
        answers.append(await callbacks.on_prompt(required))
        answers.append(await callbacks.on_prompt(OAuthPrompt("Domain?", allow_empty=True)))
        for _ in range(3):
            answers.append(await callbacks.on_select(choice))
        answers.append(await callbacks.on_prompt(OAuthPrompt("Domain?", allow_empty=True)))

    acme.script = script
    status, out, _ = await command(path, "login", "acme", typed=b"\n  \nTom\r\n\n9\n2\np\n\n")
    assert (status, answers) == (0, ["Tom", "", "m", "p", None, ""])
    assert out.count("Name? (such as you):") == 3
    assert "  2. Max" in out


async def test_a_question_that_nobody_can_answer_ends_the_login(path, acme):
    """At the end of input a required answer cannot come; nothing is kept."""

    async def script(callbacks):
        await callbacks.on_prompt(OAuthPrompt("Name?"))

    acme.script = script
    status, _, errors = await command(path, "login", "acme")
    assert status == 1
    assert "error: Login cancelled (the input ended" in errors
    assert not path.exists()


@pytest.mark.parametrize(("typed", "winner"), [(b"", "browser"), (b"pasted#code\n", "pasted#code")])
async def test_browser_and_paste_race(path, acme, typed, winner):
    """What is pasted counts; where nobody can paste, the browser has all the time it needs."""
    won = []

    async def script(callbacks):
        await callbacks.on_auth(OAuthAuthInfo("https://acme.example/authorize?x=1", "Finish there."))

        async def paste():
            won.append(await callbacks.on_manual_code_input())
            nursery.cancel_scope.cancel()

        async def browse():
            await trio.testing.wait_all_tasks_blocked(0.05)
            won.append("browser")
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(paste)
            if not typed:
                nursery.start_soon(browse)

    acme.script = script
    status, out, _ = await command(path, "login", "acme", typed=typed)
    assert (status, won) == (0, [winner])
    assert "https://acme.example/authorize?x=1\n\nFinish there.\n" in out


async def test_what_a_server_says_does_not_steer_the_terminal(path, acme):
    """Control characters are shown as replaced."""

    async def script(callbacks):
        await callbacks.on_device_code(OAuthDeviceCodeInfo("\x1b[2J\x07A", "https://x\u202e\r", None, 90))
        raise OAuthError("no \x1b]0;title")

    acme.script = script
    _, out, errors = await command(path, "login", "acme")
    assert not set(out + errors) & set("\x1b\x07\r\u202e")


async def test_a_login_that_could_not_be_kept_is_not_begun(path, acme):
    """The file is looked at first."""
    acme.script = pytest.fail
    for document in (b"{", {"acme": {"type": "api_key", "key": "k"}}):
        status, _, errors = await command(written(path, document), "login", "acme")
        assert status == 1
        assert "not overwritten" in errors


async def test_an_unknown_provider_is_an_error(path):
    """It says which ones there are."""
    status, _, errors = await command(path, "login", "nobody")
    assert status == 1
    assert "Unknown OAuth provider: nobody (there are: anthropic, github-copilot)" in errors


async def test_the_status_lists_logins_in_words(path, acme):
    """Each with its name and its time; one alone; a damaged one does not hide the others."""
    assert (await command(path, "status"))[:2] == (0, f"No login in {path}.\n")
    store = CredentialStore(path)
    await store.set("acme", acme.credentials(now_ms() + 26 * 60_000))
    await store.set("somebody", acme.credentials(now_ms() - 7_500_000))
    status, out, _ = await command(path, "status")
    assert status == 0
    assert out.splitlines() == [
        f"Logins in {path}:",
        "  acme      Acme, expires in 25 minutes",
        "  somebody  unknown provider, expired 2 hours ago, refreshed when it is next used",
    ]
    assert "somebody" not in (await command(path, "status", "acme"))[1]
    assert (await command(path, "status", "x"))[:2] == (1, f"No login of x in {path}.\n")
    written(path, {"bad": {"access": 1}, "acme": {"access": "a", "refresh": "r", "expires": 0}})
    status, out, _ = await command(path, "status")
    assert status == 1
    assert "the login of bad is damaged" in out
    assert "acme  Acme, expired" in out


async def test_a_logout_forgets(path, acme):
    """A login that is not there is an error."""
    await CredentialStore(path).set("acme", acme.credentials())
    status, out, _ = await command(path, "logout", "acme")
    assert (status, "Forgot the login of acme" in out) == (0, True)
    assert await command(path, "logout", "acme") == (1, "", f"error: no login of acme in {path}\n")


def test_durations_in_words():
    """The largest unit, rounded down."""
    given = [0, 1, 59.9, 60, 119, 3600, 86_399, 86_400, 200_000]
    assert [in_words(each) for each in given] == [
        "0 seconds", "1 second", "59 seconds", "1 minute", "1 minute", "1 hour", "23 hours", "1 day", "2 days",
    ]  # fmt: skip
    assert expiry(OAuthCredentials("r", "a", now_ms() + 90_000_000)) == "expires in 1 day"


def test_a_wrong_command_line_says_how(capsys):
    """Status 2 and a usage line."""
    for words in ([], ["login"], ["logout"], ["forget", "x"], ["login", "x", "--fil", "y"]):
        with pytest.raises(SystemExit, match="2"):
            parse(words)
        assert "usage: python -m providers.oauth" in capsys.readouterr().err
    assert parse(["status"]) == Arguments("status")


# Lines


# The program


async def test_ctrl_c_ends_it_with_130(path):
    """While it waits for an answer: no traceback, nothing kept."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "providers.oauth", "login", "github-copilot", "--file", str(path)],
        cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    async with process.stdin, process.stdout, process.stderr:
        with trio.fail_after(60):
            shown = b""
            while b"GitHub Enterprise URL/domain" not in shown:
                shown += await process.stdout.receive_some()
            process.send_signal(signal.SIGINT)
            errors = b"".join([data async for data in process.stderr])
            assert (await process.wait(), errors) == (130, b"")
    assert not path.exists()


async def test_it_ends_when_nobody_reads_it(path):
    """As ``status | true``: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = await trio.run_process(
        [sys.executable, "-m", "providers.oauth", "status", "--file", str(path)],
        cwd=ROOT, stdout=writing, capture_stderr=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
