"""``python -m providers.oauth``: logins from a terminal. It opens no browser, and never shows a token."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import trio

from runtime.errors import AgentrioError, OAuthError
from runtime.terminal import LineReader
from runtime.values.clock import now_ms

from .callbacks import (
    OAuthAuthInfo,
    OAuthDeviceCodeInfo,
    OAuthLoginCallbacks,
    OAuthPrompt,
    OAuthSelectPrompt,
)
from .credentials import OAuthCredentials
from .registry import get_oauth_provider, require_oauth_provider
from .store import CredentialStore

_DESCRIPTION = """\
Log in to a provider with an account of yours, see which logins there are, and forget one.
The login is kept in a file that only you can read. The exit status is 0, 1 if it failed or there is
no such login, 130 after Ctrl-C.
"""
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True)
class Arguments:
    """What was asked for."""

    command: str
    provider: str | None = None
    file: str | None = None


def parse(argv: Sequence[str]) -> Arguments:
    """Read the command line; what is wrong with it ends the program with a usage line and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m providers.oauth",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    file = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    file.add_argument("--file", metavar="PATH", help="keep logins in this file, not where `status` says")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, number, text in (
        ("login", None, "log in, and keep the login"),
        ("status", "?", "list the logins, or one, and when they expire"),
        ("logout", None, "forget a login"),
    ):
        command = commands.add_parser(
            name, parents=[file], help=text, description=f"{text.capitalize()}.", allow_abbrev=False
        )
        command.add_argument("provider", metavar="PROVIDER", nargs=number, help="anthropic, github-copilot")
    return Arguments(**vars(parser.parse_args(argv)))


class Terminal:
    """Where people read and type. Control characters never get through: what a server says must not steer it."""

    def __init__(self, lines: LineReader, out: TextIO, errors: TextIO) -> None:
        self._lines = lines
        self._out = out
        self._errors = errors

    def say(self, text: str) -> None:
        """Write a line."""
        print(_printable(text), file=self._out, flush=True)

    def complain(self, text: str) -> None:
        """Write a line where errors go."""
        print(_printable(text), file=self._errors, flush=True)

    async def ask(self, question: str) -> str | None:
        """Write a question, and return the line that answers it; None at the end of input."""
        print(_printable(question), end=" ", file=self._out, flush=True)
        try:
            return await self._lines.line()
        except trio.Cancelled:
            self.say("")
            raise


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


class Dialogue:
    """A login's questions and news, on a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def callbacks(self) -> OAuthLoginCallbacks:
        """For a login."""
        return OAuthLoginCallbacks(
            on_auth=self._auth,
            on_device_code=self._device_code,
            on_prompt=self._prompt,
            on_progress=self._progress,
            on_manual_code_input=self._manual_code_input,
            on_select=self._select,
        )

    async def _auth(self, info: OAuthAuthInfo) -> None:
        self._terminal.say(f"Open this page in a browser:\n\n  {info.url}\n")
        if info.instructions:
            self._terminal.say(info.instructions)

    async def _device_code(self, info: OAuthDeviceCodeInfo) -> None:
        self._terminal.say(f"Open this page in a browser:\n\n  {info.verification_uri}\n")
        self._terminal.say(
            f"Enter the code {info.user_code} there, within {in_words(info.expires_in_seconds)}."
        )

    async def _prompt(self, prompt: OAuthPrompt) -> str:
        example = f" (such as {prompt.placeholder})" if prompt.placeholder else ""
        while (answer := await self._terminal.ask(f"{prompt.message}{example}:")) is not None:
            if answer.strip() or prompt.allow_empty:
                return answer
        if prompt.allow_empty:
            return ""
        raise OAuthError("Login cancelled (the input ended before the question was answered)")

    async def _progress(self, text: str) -> None:
        self._terminal.say(text)

    async def _manual_code_input(self) -> str:
        answer = await self._terminal.ask("Waiting for the browser; or paste here:")
        if answer is None:
            await trio.sleep_forever()  # nobody types: only the browser can end it
        return answer or ""

    async def _select(self, prompt: OAuthSelectPrompt) -> str | None:
        self._terminal.say(prompt.message)
        for number, option in enumerate(prompt.options, 1):
            self._terminal.say(f"  {number}. {option.label}")
        choices = {str(number): option.id for number, option in enumerate(prompt.options, 1)}
        choices |= {option.id: option.id for option in prompt.options}
        while answer := (await self._terminal.ask("Number (nothing for none):") or "").strip():
            if answer in choices:
                return choices[answer]
        return None


async def run(arguments: Arguments, terminal: Terminal) -> int:
    """Do what the command line asks for; the exit status."""
    store = CredentialStore(arguments.file)
    commands = {"login": _login, "status": _status, "logout": _logout}
    try:
        return await commands[arguments.command](arguments.provider or "", store, terminal)
    except AgentrioError as error:
        terminal.complain(f"error: {error}")
        return 1


async def _login(provider_id: str, store: CredentialStore, terminal: Terminal) -> int:
    provider = require_oauth_provider(provider_id)
    await store.check(provider_id)
    credentials = await provider.login(Dialogue(terminal).callbacks())
    await store.set(provider_id, credentials)
    terminal.say(f"Logged in to {provider.name}, {expiry(credentials)}. Kept in {store.path}.")
    return 0


async def _status(provider_id: str, store: CredentialStore, terminal: Terminal) -> int:
    held = await store.providers()
    wanted = [each for each in held if provider_id in ("", each)]
    if not wanted:
        terminal.say(f"No login{provider_id and ' of ' + provider_id} in {store.path}.")
        return 1 if provider_id else 0
    terminal.say(f"Logins in {store.path}:")
    shown = [await _shown(each, store) for each in wanted]
    for provider, (_, text) in zip(wanted, shown, strict=True):
        terminal.say(f"  {provider.ljust(max(map(len, wanted)))}  {text}")
    return 0 if all(readable for readable, _ in shown) else 1


async def _shown(provider_id: str, store: CredentialStore) -> tuple[bool, str]:
    """Whether a login can be read, and what to say of it."""
    try:
        credentials = await store.get(provider_id)
    except OAuthError as error:
        return False, str(error)
    provider = get_oauth_provider(provider_id)
    name = provider.name if provider else "unknown provider"
    return True, f"{name}, {expiry(credentials) if credentials else 'logged out just now'}"


async def _logout(provider_id: str, store: CredentialStore, terminal: Terminal) -> int:
    if not await store.remove(provider_id):
        terminal.complain(f"error: no login of {provider_id} in {store.path}")
        return 1
    terminal.say(
        f"Forgot the login of {provider_id}. The provider was not told: its page of your account can revoke it."
    )
    return 0


def expiry(credentials: OAuthCredentials) -> str:
    """When they expire, in words."""
    left = (credentials.expires - now_ms()) / 1000
    if left <= 0:
        return f"expired {in_words(-left)} ago, refreshed when it is next used"
    return f"expires in {in_words(left)}"


def in_words(seconds: float) -> str:
    """A duration in its largest unit."""
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    count = int(seconds // size)
    return f"{count} {unit}{'' if count == 1 else 's'}"
