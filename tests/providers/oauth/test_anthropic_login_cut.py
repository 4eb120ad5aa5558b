"""Anthropic's login, aborted and cancelled wherever that can be: nothing of it is left."""

from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from providers.oauth.anthropic import AnthropicOAuth
from providers.oauth.callbacks import OAuthLoginCallbacks
from providers.oauth.credentials import OAuthCredentials
from runtime.errors import AgentrioError, OAuthError
from runtime.testing.sweep import cancel_everywhere
from tests.providers.loopback import raw, serve
from tests.providers.oauth.anthropic_login_lab import (
    ACCESS,
    CODE,
    Browser,
    at,
    failing,
    forbidden,
    pasting,
    tokens,
)


async def test_a_login_needs_somebody_to_show_the_page_to():
    """Without ``on_auth`` it says so, also when it is aborted already."""
    abort = trio.Event()
    abort.set()
    for callbacks in (OAuthLoginCallbacks(), OAuthLoginCallbacks(abort=abort)):
        with pytest.raises(OAuthError) as caught:
            await AnthropicOAuth(port=0).login(callbacks)
        assert str(caught.value) == "Anthropic OAuth login requires an on_auth callback"


async def test_an_abort_beforehand_shows_nothing():
    """No callback is called."""
    abort = trio.Event()
    abort.set()
    async with failing(OAuthError, "^Login cancelled"):
        await AnthropicOAuth(port=0).login(OAuthLoginCallbacks(on_auth=forbidden, abort=abort))


@pytest.mark.parametrize("moment", ["on_auth", "waiting", "pasting", "prompting", "on_progress", "exchange"])
async def test_an_abort_ends_the_login(moment):
    """In ``on_auth``, while the browser is waited for, in every other callback, in the exchange; the port is free."""
    abort, browser = trio.Event(), Browser()

    async def at_once(*_):
        abort.set()
        await trio.sleep_forever()

    async def on_auth(info):
        await browser(info)
        if moment == "on_auth":
            await at_once()

    given = {
        "on_auth": {},
        "waiting": {},
        "pasting": {"on_manual_code_input": at_once},
        "prompting": {"on_manual_code_input": pasting(""), "on_prompt": at_once},
        "on_progress": {"on_manual_code_input": pasting(CODE), "on_progress": at_once},
        "exchange": {"on_manual_code_input": pasting(CODE)},
    }[moment]
    async with (
        serve(*[raw(b"", hang=True)] * (moment == "exchange")) as server,
        trio.open_nursery() as nursery,
    ):
        if moment == "waiting":
            nursery.start_soon(when_idle, abort.set)
        if moment == "exchange":
            nursery.start_soon(when_asked, server, abort.set)
        async with failing(OAuthError, "^Login cancelled"):
            await at(server).login(
                OAuthLoginCallbacks(**({"on_prompt": forbidden} | given), on_auth=on_auth, abort=abort)
            )
        await server.wait_closed()
    browser.check_gone()


async def when_idle(act):
    await trio.testing.wait_all_tasks_blocked(0.01)
    act()


async def when_asked(server, act):
    await server.wait_requests()
    act()


@dataclass
class Left:
    """What a login that was cut leaves behind."""

    browser: Browser = field(default_factory=Browser)
    credentials: OAuthCredentials | None = None
    failure: AgentrioError | None = None
    cancelled: bool = False
    tasks: tuple[list[str], list[str]] = ((), ())


def tasks() -> list[str]:
    """What runs for nobody, but for the keeper of the HTTP pool, and how many nurseries this task has open."""
    root = trio.lowlevel.current_root_task()
    detached = [task.name for nursery in root.child_nurseries for task in nursery.child_tasks]
    ours = trio.lowlevel.current_task().child_nurseries
    return [*sorted(name for name in detached if name != "agentrio HTTP pool"), f"{len(ours)} nurseries"]


async def whole_login(cutter):
    """Page, a wrong and a right way back beside a manual input that never ends, exchange."""
    left = Left()

    async def come_back():
        await left.browser.visit("/callback?error=no")
        await left.browser.visit(left.browser.good)
        await trio.sleep_forever()

    async with serve(tokens(), repeat=True) as server:
        before, abort = tasks(), trio.Event()
        callbacks = OAuthLoginCallbacks(on_auth=left.browser, on_manual_code_input=come_back, abort=abort)
        with trio.CancelScope() as scope:
            cutter.arm(cancel=scope.cancel, abort=abort.set)
            try:
                left.credentials = await at(server).login(callbacks)
            except AgentrioError as error:
                left.failure = error
        cutter.disarm()
        left.cancelled = scope.cancelled_caught
        await server.wait_closed(but=1)  # an idle one may stay in the pool
        left.tasks = before, tasks()
    return left


def nothing_is_left(left: Left) -> None:
    """It ended in one way, and everything of it."""
    assert (left.credentials is not None) + (left.failure is not None) + left.cancelled == 1
    assert left.failure is None or str(left.failure).startswith("Login cancelled")
    assert left.tasks[0] == left.tasks[1]
    if left.browser.url:
        left.browser.check_gone()


def test_a_login_can_be_cut_anywhere():
    """Cancelled or aborted at every step of its tasks: no listener, no task, no group is left."""
    report = cancel_everywhere(whole_login, nothing_is_left, clock=lambda: None)
    assert report.uncut.credentials.access == ACCESS
    assert set(report.cuts) == {"cancel", "abort"}
    assert min(report.cuts.values()) > 30
