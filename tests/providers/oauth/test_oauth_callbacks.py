"""How a login is ended from outside, and what it may ask."""

import pytest
import trio
import trio.testing

from providers.oauth import OAuthLoginCallbacks, OAuthPrompt
from providers.oauth.callbacks import until_aborted
from runtime.errors import OAuthError

QUESTION = OAuthPrompt("Domain?")


async def seven():
    await trio.lowlevel.checkpoint()
    return 7


async def test_nobody_to_ask_answers_nothing():
    """Without callbacks a prompt is answered with nothing, and progress is not told."""
    assert await OAuthLoginCallbacks().prompt(QUESTION) == ""
    await OAuthLoginCallbacks().progress("working")


async def test_answers_and_news_go_through():
    """With callbacks, they are asked and told."""
    told = []

    async def answer(prompt):
        return f"re: {prompt.message}"

    async def tell(text):
        told.append(text)

    callbacks = OAuthLoginCallbacks(on_prompt=answer, on_progress=tell)
    assert await callbacks.prompt(QUESTION) == "re: Domain?"
    await callbacks.progress("working")
    assert told == ["working"]


async def test_work_that_is_done_is_not_aborted():
    """The result comes, with and without an event to watch."""
    assert await until_aborted(None, seven) == 7
    assert await until_aborted(trio.Event(), seven) == 7


async def test_an_abort_ends_the_work():
    """The work is cancelled where it waits, and the error is ``Login cancelled``."""
    abort, left = trio.Event(), []

    async def work():
        try:
            await trio.sleep_forever()
        finally:
            left.append("work")

    async def abort_it():
        await trio.testing.wait_all_tasks_blocked()
        abort.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(abort_it)
        with pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await until_aborted(abort, work)
    assert left == ["work"]


async def test_an_abort_from_before_is_seen():
    """``check_abort`` raises once the event is set, and not before."""
    callbacks = OAuthLoginCallbacks(abort=trio.Event())
    callbacks.check_abort()
    OAuthLoginCallbacks().check_abort()
    callbacks.abort.set()
    with pytest.raises(OAuthError, match=r"^Login cancelled$"):
        callbacks.check_abort()


async def test_a_failure_of_the_work_comes_as_itself():
    """No group is around it."""

    async def work():
        await trio.lowlevel.checkpoint()
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await until_aborted(trio.Event(), work)


async def test_a_cancellation_from_outside_is_a_cancellation():
    """The surrounding scope catches it; it is no OAuthError."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await until_aborted(trio.Event(), trio.sleep_forever)
    assert scope.cancelled_caught
