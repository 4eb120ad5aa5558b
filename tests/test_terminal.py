"""What a program in a terminal needs."""

import os
import signal

import pytest
import trio
import trio.testing

from runtime.terminal import LineReader, exit_status, until_interrupted


@pytest.fixture
def pipe():
    """The two ends of one; the test closes the second."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


async def test_lines_come_one_by_one(pipe):
    """However they are cut; the last one needs no end, and after it there is none."""
    reading, writing = pipe
    lines = LineReader(reading)
    os.write(writing, b"one\r\ntwo\nrest")
    os.close(writing)
    assert [await lines.line() for _ in range(5)] == ["one", "two", "rest", None, None]


async def test_no_line_is_lost_by_a_wait_that_was_cancelled(pipe):
    """What is typed afterwards is the answer to the next question, at once."""
    reading, writing = pipe
    lines = LineReader(reading)
    for typed in ("one", "two"):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lines.line)
                await trio.testing.wait_all_tasks_blocked(0.01)
                scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(type_when_asked, writing, f"{typed}\n".encode())
            with trio.fail_after(10):
                assert await lines.line() == typed
    os.close(writing)


async def type_when_asked(fd, text):
    await trio.testing.wait_all_tasks_blocked(0.01)
    os.write(fd, text)


async def test_no_input_is_the_end_of_input():
    """As where standard input was closed before the program began."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    assert await LineReader(reading).line() is None


def test_a_program_that_is_interrupted_has_a_status_of_its_own():
    """Whether Ctrl-C comes alone or in trio's group; anything else goes on."""

    def alone() -> int:
        raise KeyboardInterrupt

    def grouped() -> int:
        raise BaseExceptionGroup("tasks", [KeyboardInterrupt()])

    def broken() -> int:
        raise LookupError

    assert [exit_status(program) for program in (alone, grouped, lambda: 7)] == [130, 130, 7]
    with pytest.raises(LookupError):
        exit_status(broken)


def test_ctrl_c_cancels_the_work():
    """What it has begun ends first; work that is done by itself has its own status."""
    ended = []

    async def work() -> int:
        try:
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()
        finally:
            ended.append(True)
        return 0

    async def done() -> int:
        return 3

    assert trio.run(until_interrupted, work) == 130
    assert ended
    assert trio.run(until_interrupted, done) == 3
