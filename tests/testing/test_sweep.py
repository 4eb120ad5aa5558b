"""The sweep itself: it cuts where it says, repeats itself, and does not pass without having cut."""

import functools
import itertools

import pytest
import trio
import trio._core._run as scheduler
from trio.testing import MockClock

from runtime.testing import cancel_everywhere, run_cut


async def three_steps(cutter):
    done = []
    with trio.CancelScope() as scope:
        cutter.arm(cancel=scope.cancel)
        for step in range(3):
            await trio.sleep(1)
            done.append(step)
    return done


def not_just_one(done):
    assert len(done) != 1


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
    """Kind and step are in a note of the exception, and what fails in the same way alone."""
    with pytest.raises(AssertionError) as caught:
        cancel_everywhere(three_steps, not_just_one)
    (note,) = caught.value.__notes__
    step = int(note.split()[5].rstrip(";"))
    alone = f"not_just_one(run_cut(three_steps, 'cancel', {step})[0])"
    assert note == f"cut by 'cancel' at step {step}; alone: {alone}"
    with pytest.raises(AssertionError):
        eval(alone)
    eval(f"not_just_one(run_cut(three_steps, 'cancel', {step - 1})[0])")


def test_a_failure_without_a_cut_says_so():
    """It has nothing to do with cancellation."""

    async def broken(cutter):
        raise OSError

    with pytest.raises(OSError) as caught:
        cancel_everywhere(broken, lambda _: None)
    assert caught.value.__notes__ == ["in the run without a cut"]


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


def test_a_cut_that_fails_is_no_cut():
    """What the function raises is raised, though trio only logs what an instrument raises."""

    async def scenario(cutter):
        cutter.arm(broken=lambda: 1 / 0)
        await trio.sleep(1)

    with pytest.raises(ZeroDivisionError) as caught:
        cancel_everywhere(scenario, holds)
    alone = f"holds(run_cut({scenario.__qualname__}, 'broken', 1)[0])"
    assert caught.value.__notes__ == [f"cut by 'broken' at step 1; alone: {alone}"]


def holds(_):
    """A check that finds nothing."""


def test_the_clock_and_a_check_without_a_name_are_told_too():
    """The note holds for what the sweep was given."""
    check = functools.partial(not_just_one)
    with pytest.raises(AssertionError) as caught:
        cancel_everywhere(three_steps, check, clock=lambda: MockClock(autojump_threshold=0))
    (note,) = caught.value.__notes__
    assert ", clock=...)[0])" in note
    assert f"; alone: {check!r}(run_cut(three_steps, 'cancel', " in note


def test_a_scope_is_cut_as_long_as_it_is_open():
    """Each kind has the steps of its own block."""

    async def scenario(cutter):
        done = []
        with cutter.scope("outer"):
            with cutter.scope("inner") as inner:
                await trio.sleep(1)
                done.append("inner")
            await trio.sleep(1)
            done.append("outer")
        return done, inner.cancel_called

    seen = []
    report = cancel_everywhere(scenario, seen.append)
    assert report.cuts == {"outer": 2, "inner": 1}
    assert (["inner", "outer"], True) not in seen
    assert {(tuple(done), cut) for done, cut in seen} == {
        (("inner", "outer"), False), ((), False), (("inner",), False), (("outer",), True),
    }  # fmt: skip


def test_a_kind_can_be_disarmed_alone():
    """The others go on."""

    async def scenario(cutter):
        with trio.CancelScope() as scope:
            cutter.arm(one=scope.cancel, two=scope.cancel)
            await trio.sleep(1)
            cutter.disarm("one")
            await trio.sleep(1)

    assert cancel_everywhere(scenario, lambda _: None).cuts == {"one": 1, "two": 2}


def test_the_report_can_be_read():
    """How many cuts of what, and how long the scenario is."""
    report = cancel_everywhere(three_steps, lambda _: None)
    assert str(report) == "3 cuts of a scenario of 3 steps: cancel 3"
    assert (
        repr(run_cut(three_steps, "cancel", 2)[1])
        == "<Cutter cut by 'cancel' at step 2, made, 2 steps so far>"
    )


@pytest.mark.parametrize("clock", [None, lambda: None])
def test_on_the_real_clock_steps_may_vary(clock):
    """The sweep does not stop where one run was shorter than the one before."""
    lengths = itertools.cycle([5, 1])

    async def scenario(cutter):
        with cutter.scope("cancel"):
            for _ in range(next(lengths)):
                await trio.lowlevel.checkpoint()

    assert cancel_everywhere(scenario, lambda _: None, clock=clock).total == 5


def test_with_a_thread_a_step_may_or_may_not_be_reached():
    """It ends all the same, and every cut was checked."""

    async def scenario(cutter):
        with cutter.scope("cancel"):
            await trio.to_thread.run_sync(lambda: None)
            return True

    seen = []
    report = cancel_everywhere(scenario, seen.append, clock=None)
    assert 1 <= report.total < 10
    assert len(seen) >= report.total + 1


def test_a_trio_that_cannot_be_seeded_is_named(monkeypatch):
    """Before anything is run."""
    monkeypatch.delattr(scheduler, "_r")
    with pytest.raises(RuntimeError, match=rf"trio {trio.__version__} has no _r in trio._core._run"):
        cancel_everywhere(three_steps, lambda _: None)


def test_the_order_of_tasks_is_put_back():
    """A sweep changes nothing for the tests after it."""
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r
    cancel_everywhere(three_steps, lambda _: None)
    assert (scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r) == before
