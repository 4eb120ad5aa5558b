"""Commands: what they give, what they may not, and that nothing of them is left, however they end."""

import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from runtime import InvalidOptionError, ToolError
from tools import run_command

HANGS = "import time; print('here', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(60)"
WITH_CHILD = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(child.pid, flush=True); {then}"
)


def python(code):
    return [sys.executable, "-c", code]


def alive(pid):
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def known(pid):
    """Whether the kernel still knows a process: it runs, or nobody has waited for it."""
    return Path(f"/proc/{pid}").exists()


async def test_a_command_gives_its_output_and_its_exit_code():
    """Both streams, apart; what it read from its input."""
    code = "import sys; print(sys.stdin.read().upper()); print('oops', file=sys.stderr); sys.exit(3)"
    result = await run_command(python(code), input="quiet")
    assert (result.exit_code, result.stdout, result.stderr, result.dropped) == (3, "QUIET\n", "oops\n", 0)


async def test_environment_and_directory_are_as_given(tmp_path):
    """Nothing of our own environment is in a given one."""
    code = "import os; print(os.getcwd(), sorted(os.environ.get(n, '-') for n in ('OWN', 'HOME')))"
    result = await run_command(python(code), cwd=tmp_path, env={"OWN": "mine"})
    assert result.stdout == f"{tmp_path.resolve()} ['-', 'mine']\n"


async def test_output_is_bounded_and_read_to_its_end():
    """The program is not held up by what nobody keeps."""
    result = await run_command(python("print('x' * 5_000_000)"), max_output=1000)
    assert (result.stdout, result.dropped, result.exit_code) == ("x" * 1000, 4_999_001, 0)


async def test_output_comes_piece_by_piece():
    """While the program still runs."""
    first = trio.Event()
    pieces = []

    async def take(piece):
        pieces.append(piece)
        first.set()

    async with trio.open_nursery() as nursery:
        scope = nursery.cancel_scope

        async def run():
            await run_command(python(HANGS), on_output=take)

        nursery.start_soon(run)
        await first.wait()
        scope.cancel()
    assert "".join(pieces).strip() == "here"


async def test_invalid_bytes_are_replaced():
    """Output is for people and models: text in any case."""
    result = await run_command(python("import sys; sys.stdout.buffer.write(b'a\\xffb')"))
    assert result.stdout == "a\ufffdb"


async def test_characters_that_arrive_in_halves_are_told_whole():
    """A piece ends where a character does."""
    code = "import os, time; os.write(1, b'\\xc3'); time.sleep(0.1); os.write(1, b'\\xa9!')"
    pieces = []

    async def take(piece):
        pieces.append(piece)

    result = await run_command(python(code), on_output=take)
    assert (pieces, result.stdout) == (["é!"], "é!")


async def test_half_a_surrogate_in_the_input_is_left_out():
    """Models write such; no program could be given it."""
    assert (await run_command(["cat"], input="a\ud83db")).stdout == "ab"


async def test_a_signal_is_a_negative_exit_code():
    """As in subprocess."""
    result = await run_command(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert result.exit_code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("ls -l", "one str"),
        (b"ls", "one bytes"),
        ([], "an empty one"),
        (["ls", 1], "one with int in it"),
        (7, "int"),
    ],
)
async def test_a_command_that_is_none_is_refused(command, fault):
    """A string is no command: it would need a shell."""
    said = re.escape(f"a command is a sequence of strings, program first, not {fault};")
    with pytest.raises(InvalidOptionError, match=said):
        await run_command(command)


@pytest.mark.parametrize("command", [["/no/such/program"], ["sh\0"]])
async def test_a_program_that_cannot_be_started_is_a_tool_error(command):
    """It says which one, and why."""
    with pytest.raises(ToolError, match="could not be started"):
        await run_command(command)


async def after_event(event, act):
    await event.wait()
    act()


async def cancelled_command(code, **options):
    """A command that is cancelled after its first output; that output, and how long the end took."""
    seen = []
    began = 0.0
    with trio.CancelScope() as scope:

        async def take(piece):
            nonlocal began
            seen.append(piece)
            began = time.monotonic()
            scope.cancel()

        await run_command(python(code), on_output=take, **options)
    assert scope.cancelled_caught
    return "".join(seen), time.monotonic() - began


async def test_a_cancelled_command_is_terminated():
    """It is asked first, and gone at once if it listens."""
    _, took = await cancelled_command(HANGS)
    assert took < 2


async def test_a_command_that_does_not_listen_is_killed_after_the_grace():
    """Not before it had its time, and then for sure."""
    _, took = await cancelled_command(STUBBORN, grace=0.3)
    assert 0.3 <= took < 3


async def test_the_children_of_a_cancelled_command_end_with_it():
    """The whole group is ended."""
    output, _ = await cancelled_command(WITH_CHILD.format(then="time.sleep(60)"))
    assert not alive(int(output))


async def test_children_that_a_command_leaves_behind_are_ended():
    """A program that has ended may not leave a process in the background, which would keep its pipes open."""
    with trio.fail_after(10):
        result = await run_command(python(WITH_CHILD.format(then="sys.exit(0)")))
    assert result.exit_code == 0
    assert not alive(int(result.stdout))


async def test_a_command_that_has_ended_when_it_is_cancelled_is_waited_for():
    """No dead process is left for somebody else to take note of."""
    seen = []
    with trio.CancelScope() as scope:

        async def take(piece):
            seen.append(int(piece))
            while alive(seen[0]):
                time.sleep(0.001)  # noqa: ASYNC251 - the program ends, and trio does not see it yet
            scope.cancel()

        await run_command(python("import os; print(os.getpid())"), on_output=take)
    assert not known(seen[0])


async def test_what_leaves_the_group_does_not_hold_up_the_end():
    """It gets away, as it wanted; the pipes that it holds are not waited for."""
    code = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'], "
        "start_new_session=True); print(child.pid, flush=True)"
    )
    with trio.fail_after(10):
        result = await run_command(python(code), input="x" * 1_000_000)
    os.kill(int(result.stdout), signal.SIGKILL)


async def test_what_on_output_raises_ends_the_command():
    """And leaves as itself."""

    async def refuse(piece):
        raise LookupError("enough")

    with trio.fail_after(10), pytest.raises(LookupError, match="enough"):
        await run_command(python(HANGS), on_output=refuse)


def tidies_up(trace, then="sys.exit()", first="print('here', flush=True)"):
    """A program that says much when it is asked to end, and leaves a trace when it could say all of it."""
    return (
        f"import os, signal, sys, time\ndef tidy(*_):\n    print('bye ' * 50_000, flush=True); open({str(trace)!r}, 'w').close(); {then}\n"
        f"signal.signal(signal.SIGTERM, tidy); {first}; time.sleep(60)"
    )


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_a_program_may_still_speak_when_on_output_has_raised(tmp_path, in_a_group):
    """It tidies up in peace, and the error waits for it, as itself."""
    refusal = LookupError("enough")

    async def raise_it():
        raise refusal

    async def refuse(piece):
        if not in_a_group:
            await raise_it()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_it)
            await trio.sleep_forever()

    with trio.fail_after(10), pytest.raises((LookupError, ExceptionGroup)) as caught:
        await run_command(python(tidies_up(tmp_path / "tidy")), on_output=refuse)
    assert (caught.value.exceptions[0] if in_a_group else caught.value) is refusal
    assert (tmp_path / "tidy").exists()


async def test_the_first_error_of_on_output_is_the_one_that_is_raised(tmp_path):
    """Not that of the other stream, which ends earlier, and failed only because it was cut."""
    both = "print('out', flush=True); print('err', file=sys.stderr, flush=True)"
    other = trio.Event()

    async def refuse(piece):
        if "err" in piece:
            other.set()
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("second")
        await other.wait()
        raise LookupError("first")

    code = tidies_up(tmp_path / "tidy", then="os.close(2); time.sleep(0.2); os._exit(0)", first=both)
    with trio.fail_after(10), pytest.raises(LookupError, match="first"):
        await run_command(python(code), on_output=refuse)


async def test_a_cancellation_of_elsewhere_out_of_on_output_is_a_failure():
    """It belongs to no scope around: the result is not told as if nothing had happened."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:  # noqa: ASYNC103
            kept = error

    async def stray(piece):
        raise kept

    with trio.fail_after(10), pytest.raises(RuntimeError, match="outside of the scope that it belongs to"):
        await run_command(python(HANGS), on_output=stray)


async def test_a_command_ends_also_when_every_worker_thread_is_busy():
    """Threads that were left behind hold their places: looking for processes needs none of those."""
    limiter = trio.to_thread.current_default_thread_limiter()
    release = threading.Event()
    kept, limiter.total_tokens = limiter.total_tokens, 1
    seen = trio.Event()

    async def block(piece):
        nursery.start_soon(trio.to_thread.run_sync, release.wait, 5)
        seen.set()

    try:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(after_event, seen, scope.cancel)
                await run_command(python(HANGS), on_output=block)
            held = not release.is_set() and limiter.borrowed_tokens
            release.set()
    finally:
        limiter.total_tokens = kept
    assert held == 1


async def test_a_program_need_not_read_its_input():
    """One that closes it, with more on its way than a pipe holds, ends as it ends."""
    result = await run_command(python("import os; os.close(0); print('done')"), input="x" * 1_000_000)
    assert (result.exit_code, result.stdout) == (0, "done\n")


async def test_a_slow_reader_of_output_gets_all_of_it():
    """Also what is still to be told when the program has ended."""
    told = []

    async def slowly(piece):
        await trio.sleep(0.05)
        told.append(piece)

    result = await run_command(python("print('y' * 200_000)"), on_output=slowly)
    assert "".join(told) == result.stdout == "y" * 200_000 + "\n"


async def test_a_program_that_is_asked_to_end_may_still_speak(tmp_path):
    """Its pipes stay open during the grace: it tidies up in peace."""
    await cancelled_command(tidies_up(tmp_path / "tidy"))
    assert (tmp_path / "tidy").exists()


async def test_jobs_in_groups_of_their_own_end_too():
    """A shell with job control puts each into a group; all groups of the session end."""
    output, _ = await cancelled_command(
        "import os, subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "process_group=0); print(child.pid, flush=True); time.sleep(60)"
    )
    assert not alive(int(output))


FORKS = """
import os, signal, time
def fork(*_):
    for _ in range(600):
        if os.fork() == 0:
            os.setpgid(0, 0)
            time.sleep(60)
            os._exit(0)
    time.sleep(60)
signal.signal(signal.SIGTERM, fork)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def members_of(session):
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(place.name)) == session and alive(place.name):
                found.append(int(place.name))
    return found


async def test_jobs_that_start_while_the_session_is_killed_end_too():
    """A job that was no process yet when the groups were looked up is found at the next look."""
    output, took = await cancelled_command(FORKS, grace=0.05)
    left = members_of(int(output))
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert took < 4


async def test_a_command_without_a_grace_is_asked_all_the_same(monkeypatch):
    """SIGKILL never comes first."""
    sent, killpg = [], os.killpg

    def send(group, number):
        sent.append(number)
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", send)
    await cancelled_command(STUBBORN, grace=0)
    assert sent[:2] == [signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize("wrong", [{"grace": -1}, {"max_output": -1}, {"max_output": 1.5}])
async def test_limits_that_are_none_are_refused(wrong):
    """Before anything is started."""
    with pytest.raises(InvalidOptionError):
        await run_command(python(HANGS), **wrong)
