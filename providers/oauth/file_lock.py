"""A lock that processes share: an open file on which the kernel lets only one of them have its lock.

The kernel takes the lock away from a process that dies, so nothing is left to clear up; the file itself stays, because
whoever deleted it could not know who is about to lock it.
"""

import os
import sys
from pathlib import Path
from types import TracebackType

import trio

from runtime.errors import OAuthError

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05

if sys.platform == "win32":
    import msvcrt

    def _take(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _release(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)  # closing is not enough where a forked child still has the file open


class FileLock:
    """``async with FileLock(path, timeout=seconds):`` no other block on this path runs, in any process or task.

    Not reentrant: a task that has it would wait for itself. Waiting is cancellable; when ``timeout`` runs out, OAuthError
    says so. The file is made, for its owner only, in a directory that must exist.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._fd = -1

    async def __aenter__(self) -> None:
        fd = await trio.to_thread.run_sync(self._open)
        try:
            await self._wait_turn(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        fd, self._fd = self._fd, -1
        try:
            _release(fd)
        finally:
            os.close(fd)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OAuthError(f"cannot open the lock file {self._path}: {error.strerror}") from error

    async def _wait_turn(self, fd: int) -> None:
        end, pause = trio.current_time() + self._timeout, _FIRST_PAUSE
        while not await trio.to_thread.run_sync(_try, fd, self._path):
            left = end - trio.current_time()
            if left <= 0:
                raise OAuthError(
                    f"timed out after {self._timeout:g} s waiting for {self._path}: another process or task holds it. "
                    "Try again when it is done, or end it"
                )
            await trio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)


def _try(fd: int, path: Path) -> bool:
    try:
        _take(fd)
    except (BlockingIOError, PermissionError):  # the latter is how Windows says it
        return False
    except OSError as error:
        raise OAuthError(
            f"cannot lock {path}: {error.strerror}; keep it on a file system that knows locks"
        ) from error
    return True
