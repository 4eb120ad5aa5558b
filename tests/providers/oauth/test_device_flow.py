"""The pace of a device login: when it asks, how long it waits, and when it gives up."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from providers.oauth.device_flow import (
    DeviceComplete,
    DeviceFailed,
    DevicePending,
    DeviceSlowDown,
    poll_device_flow,
)
from runtime.errors import OAuthError

PENDING = DevicePending()


class Server:
    """Answers in order, the last one for ever; remembers when it was asked."""

    def __init__(self, *script):
        self.script = list(script)
        self.times = []

    async def poll(self):
        await trio.lowlevel.checkpoint()
        self.times.append(trio.current_time() - self.start)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask(self, **options):
        self.start = trio.current_time()
        return await poll_device_flow(self.poll, **options)


async def test_a_first_answer_that_completes_is_the_end(autojump_clock):
    """It asks at once, unless it is told to wait."""
    server = Server(DeviceComplete("token"))
    assert await server.ask(interval=5, expires_in=900) == "token"
    assert server.times == [0]


@pytest.mark.parametrize(
    ("script", "options", "times"),
    [
        ((PENDING, DeviceSlowDown(), DeviceComplete(1)), {"interval": 1}, [0, 1, 7]),
        ((DeviceComplete(1),), {"interval": 2, "wait_first": True}, [2]),
        ((DeviceSlowDown(30), DeviceComplete(1)), {"interval": 5}, [0, 30]),
        ((PENDING, DeviceSlowDown(10), DeviceComplete(1)), {"interval": 5, "wait_first": True}, [5, 10, 20]),
        ((PENDING, PENDING, DeviceComplete(1)), {}, [0, 5, 10]),
        ((PENDING, PENDING, DeviceComplete(1)), {"interval": 0}, [0, 5, 10]),
        ((PENDING, PENDING, DeviceComplete(1)), {"interval": 0.01}, [0, 1, 2]),
        ((DeviceSlowDown(0), PENDING, DeviceComplete(1)), {"interval": 1}, [0, 6, 12]),
        ((DeviceSlowDown(-3), PENDING, DeviceComplete(1)), {"interval": 1}, [0, 6, 12]),
        ((DeviceSlowDown(0.5), PENDING, DeviceComplete(1)), {"interval": 4}, [0, 1, 2]),
        ((DeviceSlowDown(), DeviceSlowDown(), DeviceComplete(1)), {"interval": 1}, [0, 6, 17]),
        ((PENDING, DeviceComplete(1)), {"interval": 10**400}, [0, 86_400]),
    ],
)
async def test_the_pace_is_the_servers(script, options, times, autojump_clock):
    """Exactly its interval, in whole or what it says later, and never less than a second."""
    server = Server(*script)
    await server.ask(**options)
    assert server.times == pytest.approx(times)


async def test_a_code_expires(autojump_clock):
    """There is no question at that moment, nor after it."""
    server = Server(PENDING)
    with pytest.raises(OAuthError, match=r"^Device flow timed out$"):
        await server.ask(interval=5, expires_in=10)
    assert server.times == [0, 5]
    assert trio.current_time() - server.start == 10


async def test_no_code_lives_longer_than_a_day(autojump_clock):
    """Whatever figure the server sends."""
    server = Server(PENDING)
    with pytest.raises(OAuthError, match="timed out"):
        await server.ask(interval=40_000, expires_in=10**400)
    assert server.times == [0, 40_000, 80_000]


async def test_a_code_that_is_dead_on_arrival(autojump_clock):
    """Nobody is asked."""
    server = Server(PENDING)
    with pytest.raises(OAuthError, match=r"^Device flow timed out$"):
        await server.ask(expires_in=0)
    assert server.times == []


async def test_a_time_out_after_slow_downs_says_so(autojump_clock):
    """The cause may be a clock that drifts; and the wait is no longer than the code lives."""
    server = Server(DeviceSlowDown())
    with pytest.raises(
        OAuthError, match=r"^Device flow timed out after one or more slow_down responses.*WSL"
    ):
        await server.ask(interval=1, expires_in=1)
    assert server.times == [0]
    server = Server(DeviceSlowDown(10), DeviceSlowDown(15))
    with pytest.raises(OAuthError, match="slow_down"):
        await server.ask(interval=5, expires_in=25, wait_first=True)
    assert server.times == [5, 15]


async def test_a_refusal_ends_it(autojump_clock):
    """With the server's words."""
    server = Server(PENDING, DeviceFailed("Device flow failed: access_denied"))
    with pytest.raises(OAuthError, match=r"^Device flow failed: access_denied$"):
        await server.ask(interval=1)
    assert server.times == [0, 1]


async def test_what_a_question_raises_leaves_as_itself(autojump_clock):
    """Nothing is asked again."""
    server = Server(PENDING, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await server.ask(abort=trio.Event())
    assert server.times == [0, 5]


async def test_an_abort_while_it_waits(autojump_clock):
    """One question, then the login is cancelled."""
    server, abort = Server(PENDING), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_after, 2, abort)
        with pytest.raises(OAuthError, match=r"^Login cancelled$"):
            await server.ask(interval=5, expires_in=900, abort=abort)
        assert trio.current_time() - server.start == 2
    assert server.times == [0]


async def test_an_abort_that_is_set_already(autojump_clock):
    """No question at all."""
    server, abort = Server(PENDING), trio.Event()
    abort.set()
    with pytest.raises(OAuthError, match=r"^Login cancelled$"):
        await server.ask(abort=abort)
    assert server.times == []


async def test_a_cancelled_scope_is_a_cancellation(autojump_clock):
    """Not an error, and not swallowed."""
    server = Server(PENDING)
    with trio.move_on_after(7) as scope:
        await server.ask(abort=trio.Event())
    assert scope.cancelled_caught
    assert server.times == [0, 5]


async def _set_after(seconds, event):
    await trio.sleep(seconds)
    event.set()


POLLS = st.one_of(st.just(PENDING), st.builds(DeviceSlowDown, st.none() | st.integers(-5, 40)))


@given(
    st.lists(POLLS, min_size=1, max_size=12),
    st.none() | st.integers(-5, 60),
    st.none() | st.integers(0, 200),
    st.booleans(),
)
def test_no_server_is_asked_too_often_or_too_late(script, interval, expires_in, wait_first):
    """Between questions lies a second at least, and what was asked for; none comes when the code has expired."""

    async def main():
        server = Server(*script, DeviceComplete("token"))
        try:
            result = await server.ask(interval=interval, expires_in=expires_in, wait_first=wait_first)
        except OAuthError as error:
            assert str(error).startswith("Device flow timed out")
            assert trio.current_time() - server.start == pytest.approx(expires_in)
        else:
            assert result == "token"
            assert len(server.times) == len(script) + 1
        times = server.times
        gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
        assert all(gap >= 1 for gap in gaps)
        assert all(time < expires_in for time in times if expires_in is not None)
        for answer, gap in zip(script, gaps, strict=False):
            if isinstance(answer, DeviceSlowDown) and (answer.interval or 0) > 0:
                assert gap == pytest.approx(answer.interval)

    trio.run(main, clock=MockClock(autojump_threshold=0))
