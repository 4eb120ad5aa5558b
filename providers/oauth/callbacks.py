"""How a login talks to the user: what it shows, and what it asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

from runtime.errors import OAuthError
from runtime.nurseries import SingleVoiceNursery, when_set

_T = TypeVar("_T")
LOGIN_CANCELLED = "Login cancelled"


@dataclass(frozen=True)
class OAuthAuthInfo:
    """A page to open in the browser, and what to do there."""

    url: str
    instructions: str | None = None


@dataclass(frozen=True)
class OAuthDeviceCodeInfo:
    """A code to enter at ``verification_uri`` on any device; the login polls meanwhile."""

    user_code: str
    verification_uri: str
    interval_seconds: float | None
    expires_in_seconds: float


@dataclass(frozen=True)
class OAuthPrompt:
    """A question that a line of text answers."""

    message: str
    placeholder: str | None = None
    allow_empty: bool = False


@dataclass(frozen=True)
class OAuthSelectOption:
    """One of the answers to an ``OAuthSelectPrompt``."""

    id: str
    label: str


@dataclass(frozen=True)
class OAuthSelectPrompt:
    """A question that one of the options answers."""

    message: str
    options: tuple[OAuthSelectOption, ...]


@dataclass(frozen=True)
class OAuthLoginCallbacks:
    """What a login may call, all async, each optional; a login that needs a missing one says so.

    They run in the login's own task: while one waits, the login waits, and what one raises ends the login and
    leaves it as itself. Only ``on_manual_code_input``, and the ``on_prompt`` that follows an empty input, run beside
    the wait for the browser, and are cancelled when the browser was faster; without ``on_manual_code_input`` only the
    browser is waited for. Setting ``abort`` ends the login with OAuthError ``Login cancelled``; a cancelled scope
    around the login is trio's ``Cancelled``, as everywhere.
    """

    on_auth: Callable[[OAuthAuthInfo], Awaitable[None]] | None = None
    on_device_code: Callable[[OAuthDeviceCodeInfo], Awaitable[None]] | None = None
    on_prompt: Callable[[OAuthPrompt], Awaitable[str]] | None = None
    on_progress: Callable[[str], Awaitable[None]] | None = None
    on_manual_code_input: Callable[[], Awaitable[str]] | None = None
    on_select: Callable[[OAuthSelectPrompt], Awaitable[str | None]] | None = None
    abort: trio.Event | None = None

    async def prompt(self, prompt: OAuthPrompt) -> str:
        """The answer; an empty one where nobody can be asked."""
        return "" if self.on_prompt is None else await self.on_prompt(prompt)

    async def progress(self, text: str) -> None:
        """Say what is being done, if somebody listens."""
        if self.on_progress is not None:
            await self.on_progress(text)

    def check_abort(self) -> None:
        """Raise OAuthError ``Login cancelled`` when ``abort`` is set."""
        if self.abort is not None and self.abort.is_set():
            raise OAuthError(LOGIN_CANCELLED)


async def until_aborted(abort: trio.Event | None, work: Callable[[], Awaitable[_T]]) -> _T:
    """Do the work; when ``abort`` is set before it is done, cancel it and raise OAuthError ``Login cancelled``."""
    if abort is None:
        return await work()
    async with SingleVoiceNursery() as nursery:
        nursery.start_soon(when_set, abort, nursery.cancel_scope.cancel)
        result = await work()
        nursery.cancel_scope.cancel()
        return result
    raise OAuthError(LOGIN_CANCELLED)
