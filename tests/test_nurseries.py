"""The nursery that speaks with one voice: whose exception leaves, when several could."""

import pytest
import trio

from runtime.nurseries import SingleVoiceNursery


async def fail():
    raise ValueError("of the child")


async def test_an_exception_of_the_body_leaves_as_itself():
    """Whatever children raise beside it."""
    with pytest.raises(KeyError, match="of the body"):
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(fail)
            raise KeyError("of the body")


async def test_a_child_that_fails_is_heard():
    """Although the body is cancelled by it."""
    with pytest.raises(ValueError, match="of the child"):
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()


async def test_a_child_that_fails_is_heard_over_cancellations_in_a_group():
    """The body waits in a nursery of trio's own, which makes a group of what cancelled it."""
    with pytest.raises(ValueError, match="of the child"):
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(fail)
            async with trio.open_nursery() as inner:
                inner.start_soon(trio.sleep_forever)
                inner.start_soon(trio.sleep_forever)


async def test_a_group_of_the_body_leaves_as_itself():
    """Groups of the application's own making are not taken apart."""
    with pytest.raises(ExceptionGroup) as caught:
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ExceptionGroup("own", [ValueError("one"), ValueError("two")])
    assert caught.value.message == "own"


async def test_a_cancellation_from_outside_goes_on():
    """With nothing else to say, the cancellation leaves, and reaches its scope."""
    with trio.CancelScope() as scope:
        async with SingleVoiceNursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            async with trio.open_nursery() as inner:
                inner.start_soon(trio.sleep_forever)
                scope.cancel()
    assert scope.cancelled_caught
