"""A login that is called off: by an abort or by a cancelled scope, at every point, it leaves nothing behind."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from providers.oauth.callbacks import OAuthLoginCallbacks
from runtime.errors import OAuthError
from runtime.testing import cancel_everywhere
from tests.providers.loopback import raw
from tests.providers.oauth.copilot_lab import (
    COPILOT,
    GPT,
    SUCCESS,
    User,
    answers,
    device,
    github,
    granted,
    listed,
    minted,
    model,
)

HANGS = raw(b"", hang=True)
PENDING = listed(model("claude-sonnet-5", policy="unconfigured"))
SOON = device(interval=1)
STAGES = {
    "the code": (HANGS,),
    "the question": (SOON, HANGS),
    "the token": (SOON, granted(), HANGS),
    "the listing of terms": (SOON, granted(), minted(), HANGS),
    "the terms": (SOON, granted(), minted(), PENDING, HANGS),
    "the models": (SOON, granted(), minted(), answers({}), HANGS),
}


@pytest.mark.parametrize("scripts", STAGES.values(), ids=STAGES)
async def test_an_abort_closes_the_connection(scripts, mock_clock):
    """Whatever GitHub was being asked."""
    mock_clock.rate = 5
    abort = trio.Event()
    async with github(*scripts) as lab, trio.open_nursery() as nursery:
        nursery.start_soon(_when_asked, lab, len(scripts), abort.set)
        with trio.fail_after(60), pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await lab.oauth.login(User(abort=abort).callbacks)
        await lab.server.wait_closed()


@pytest.mark.parametrize("scripts", STAGES.values(), ids=STAGES)
async def test_a_cancelled_scope_closes_the_connection(scripts, mock_clock):
    """And is a cancellation, no error."""
    mock_clock.rate = 5
    async with github(*scripts) as lab, trio.open_nursery() as nursery:
        with trio.fail_after(60), trio.CancelScope() as scope:
            nursery.start_soon(_when_asked, lab, len(scripts), scope.cancel)
            await lab.oauth.login(User(abort=trio.Event()).callbacks)
        assert scope.cancelled_caught
        await lab.server.wait_closed()


async def test_an_abort_while_the_user_is_asked():
    """A prompt that waits is called off, too."""
    abort = trio.Event()

    async def ask(_):
        abort.set()
        await trio.sleep_forever()

    async with github() as lab:
        with pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await lab.oauth.login(OAuthLoginCallbacks(on_prompt=ask, on_device_code=ask, abort=abort))


async def test_an_abort_that_comes_with_the_answer():
    """Nobody is asked, also when the callback itself has set it."""
    abort = trio.Event()

    async def ask(_):
        abort.set()
        return "not a host"

    async with github() as lab:
        with pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await lab.oauth.login(OAuthLoginCallbacks(on_prompt=ask, on_device_code=ask, abort=abort))
        with pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await lab.oauth.login(User(abort=abort).callbacks)


async def test_an_abort_between_two_questions(autojump_clock):
    """The wait ends at once."""
    user = User(abort=trio.Event())
    async with github(device(interval=60)) as lab, trio.open_nursery() as nursery:
        nursery.start_soon(_after, 7, user.callbacks.abort.set)
        with pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await lab.oauth.login(user.callbacks)
        assert trio.current_time() - lab.times[0] == pytest.approx(7, abs=0.1)


async def test_an_abort_that_comes_too_late(autojump_clock):
    """A login that has ended well stays so."""
    user = User(abort=trio.Event())
    async with github(*SUCCESS) as lab:
        credentials = await lab.oauth.login(user.callbacks)
        user.callbacks.abort.set()
    assert credentials.access == COPILOT


# At every checkpoint


@dataclass
class Left:
    """What a login leaves behind."""

    credentials: Any = None
    error: Exception | None = None
    cancelled: bool = False
    aborted: bool = False
    tasks: int = 0
    in_use: list[str] = field(default_factory=list)


async def _login(cutter):
    left, abort = Left(), trio.Event()
    scripts = (SOON, granted(), minted(), PENDING, answers({}), GPT)
    async with github(*scripts, repeat=True) as lab:
        before = _tasks()
        with trio.CancelScope() as scope:
            cutter.arm(cancel=scope.cancel, abort=abort.set)
            try:
                left.credentials = await lab.oauth.login(User(abort=abort).callbacks)
            except OAuthError as error:
                left.error = error
        cutter.disarm()
        left.cancelled, left.aborted = scope.cancelled_caught, abort.is_set()
        left.tasks = _tasks() - before
        left.in_use = [str(connection) for connection in lab.connections if not connection.is_idle()]
    return left


def _holds(left):
    assert left.tasks == 0
    assert left.in_use == []
    assert [left.credentials is not None, left.error is not None, left.cancelled].count(True) == 1
    if left.error is not None:
        assert str(left.error) == "Login cancelled"
        assert left.aborted


def test_cut_at_every_step():
    """It ends with credentials, as cancelled, or with the one error; no task and no connection in use is left."""
    report = cancel_everywhere(_login, _holds)
    assert report.uncut.credentials.access == COPILOT
    assert min(report.cuts.values()) > 20


def _tasks():
    """How many tasks this one has begun, and system tasks; the server's are in a nursery of its own."""
    here, root = trio.lowlevel.current_task(), trio.lowlevel.current_root_task()
    nurseries = here.child_nurseries[1:] + [n for n in root.child_nurseries if here not in n.child_tasks]
    return len(nurseries) + sum(len(nursery.child_tasks) for nursery in nurseries)


async def _when_asked(lab, count, act):
    await lab.server.wait_requests(count)
    act()


async def _after(seconds, act):
    await trio.sleep(seconds)
    act()
