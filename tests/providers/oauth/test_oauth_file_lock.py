"""The lock between processes: one at a time, no wait without an end, and none that outlives its process."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import trio
import trio.testing

from providers.oauth.file_lock import FileLock
from runtime.errors import OAuthError

HOLD = """
import sys
from pathlib import Path
import trio
from providers.oauth.file_lock import FileLock

async def main():
    async with FileLock(Path(sys.argv[1]), timeout=5):
        print("held", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.lock"


def holder(path):
    """Another process that has the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


async def test_one_at_a_time(path):
    """Tasks that lock the same path follow each other; none is left out."""
    inside, most, done = 0, 0, 0

    async def task():
        nonlocal inside, most, done
        async with FileLock(path, timeout=30):
            inside += 1
            most = max(most, inside)
            await trio.testing.wait_all_tasks_blocked()
            inside -= 1
        done += 1

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(task)
    assert (most, done) == (1, 8)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_waiting_has_an_end(path):
    """The error says which file, and for how long."""
    async with FileLock(path, timeout=1):
        with pytest.raises(OAuthError, match=r"timed out after 0\.05 s waiting for .*file\.lock"):
            async with FileLock(path, timeout=0.05):
                pytest.fail("locked twice")


async def test_a_wait_can_be_cancelled(path):
    """The lock is free for others afterwards, and nothing is left open."""
    before = open_files()
    with trio.CancelScope() as scope:
        async with FileLock(path, timeout=30), trio.open_nursery() as nursery:

            async def wait():
                async with FileLock(path, timeout=30):
                    pytest.fail("locked twice")

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    async with FileLock(path, timeout=0):
        pass
    assert open_files() == before


async def test_an_exception_frees_it(path):
    """It leaves the block as itself."""
    with pytest.raises(KeyError):
        async with FileLock(path, timeout=1):
            raise KeyError
    async with FileLock(path, timeout=0):
        pass


async def test_a_process_that_dies_blocks_nobody(path):
    """Even killed, with no chance to clear up."""
    process = holder(path)
    with pytest.raises(OAuthError, match="another process"):
        async with FileLock(path, timeout=0.05):
            pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    async with FileLock(path, timeout=5):
        pass


async def test_a_child_that_inherited_it_does_not_keep_it(path):
    """A process that has the same open file, and lives on, has no part in the lock."""
    async with FileLock(path, timeout=1):
        child = heir(open_files(path))
    try:
        async with FileLock(path, timeout=0):
            pass
    finally:
        child.communicate()


def heir(files):
    """A process with these open, that ends with its input."""
    return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=files)


def open_files(path=None):
    """The descriptors of ours; with a path, those that are this file."""
    files = []
    for fd in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the one that listed them is closed by now
            if path is None or os.path.samestat(os.fstat(fd), path.stat()):
                files.append(os.fstat(fd) and fd)
    return files


async def test_a_place_that_cannot_be_locked_is_named(tmp_path):
    """A directory in its way, and a directory that is not there."""
    for bad, reason in ((tmp_path, "Is a directory"), (tmp_path / "no" / "x.lock", "No such file")):
        with pytest.raises(OAuthError, match=f"cannot open the lock file .*: {reason}"):
            async with FileLock(bad, timeout=1):
                pass
