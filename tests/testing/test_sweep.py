"""The sweep itself: it cuts where it says, repeats itself, and does not pass without having cut."""

import pytest
import trio

from runtime.testing import cancel_everywhere, run_cut


async def three_steps(cutter):
    done = []
    with trio.CancelScope() as scope:
        cutter.arm(cancel=scope.cancel)
        for step in range(3):
            await trio.sleep(1)
            done.append(step)
    return done


def test_every_step_is_cut_once():
    """From the first to the last, and the run without a cut comes first."""
    seen = []
    report = cancel_everywhere(three_steps, seen.append)
    assert report.uncut == [0, 1, 2]
    assert seen[0] == [0, 1, 2]
    assert {len(done) for done in seen} == {0, 1, 2, 3}
    assert report.total == report.cuts["cancel"] == len(seen) - 2


def test_a_cut_can_be_repeated_alone():
    """The same one gives the same result."""
    first, cutter = run_cut(three_steps, "cancel", 2)
    assert cutter.reached
    assert run_cut(three_steps, "cancel", 2)[0] == first


def test_a_failure_says_where_it_was_cut():
    """Kind and step are in a note of the exception."""

    def check(done):
        assert len(done) != 1

    with pytest.raises(AssertionError) as caught:
        cancel_everywhere(three_steps, check)
    assert caught.value.__notes__[0].startswith("cut by 'cancel' at step ")


def test_a_sweep_that_cuts_nothing_does_not_pass():
    """Neither a scenario that never arms, nor one that is too long."""

    async def unarmed(cutter):
        await trio.sleep(1)

    with pytest.raises(ValueError, match="armed nothing"):
        cancel_everywhere(unarmed, lambda _: None)
    with pytest.raises(ValueError, match="longer than 2 steps"):
        cancel_everywhere(three_steps, lambda _: None, at_most=2)


def test_what_follows_disarm_is_not_cut():
    """A scenario may look around undisturbed after the part that counts."""

    async def scenario(cutter):
        with trio.CancelScope() as scope:
            cutter.arm(cancel=scope.cancel)
            await trio.sleep(1)
        cutter.disarm()
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        return True

    assert cancel_everywhere(scenario, lambda done: None).total < 10
