"""Where logins are kept between runs, and where agents get fresh keys from."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from runtime.errors import InvalidOptionError
from runtime.nurseries import SingleVoiceNursery
from runtime.values.clock import now_ms

from .credential_file import CredentialFile, Entries, default_path
from .credentials import OAuthCredentials
from .file_lock import FileLock
from .registry import require_oauth_provider
from .renewal import renew
from .single_flight import share

_T = TypeVar("_T")
REFRESH_GRACE = 5.0
"""Seconds that a refresh may still take after it was cancelled."""


class CredentialStore:
    """Logins in a JSON file: ``{provider id: {"type": "oauth", "refresh": ..., "access": ..., "expires": ...}}``.

    ``AgentOptions(get_api_key=store.get_api_key)`` gives an agent keys that are always fresh. Any number of tasks and
    processes may use one file: it is replaced in one piece, under a lock (``<file>.lock``) that the kernel takes away from a
    process that dies. It is its owner's alone (mode 0600, its directory 0700), and not used if others can read it. A
    damaged file, and entries that are no logins, are never overwritten.

    ``path`` is by default ``agentrio/credentials.json`` in ``$XDG_CONFIG_HOME`` or ``~/.config`` (on macOS in
    ``~/Library/Application Support``, on Windows in ``%APPDATA%``). ``margin``: seconds before its time that a login
    counts as expired. ``lock_timeout``: how long to wait for other processes, which may be in the middle of a refresh.

    Files are read and written in threads. Cancelled, every method leaves the old file or the new one, and no lock. What
    is wrong with a file is an OAuthError that says where and what to do, and quotes nothing of it.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, margin: float = 0.0, lock_timeout: float = 120.0
    ) -> None:
        self.path = (default_path() if path is None else Path(path).expanduser()).resolve()
        self._file = CredentialFile(self.path)
        self._margin_ms = int(margin * 1000)
        self._lock_timeout = lock_timeout

    def __repr__(self) -> str:
        return f"<CredentialStore {str(self.path)!r}>"

    async def get(self, provider_id: str) -> OAuthCredentials | None:
        """The login of a provider as it is kept, fresh or not; None if there is none."""
        return (await self._read()).get(provider_id)

    async def providers(self) -> list[str]:
        """The ids of the providers that there is a login of."""
        return (await self._read()).ids()

    async def check(self, provider_id: str) -> None:
        """Raise the OAuthError that ``set`` would raise because of what the file holds: better before a login than after."""
        (await self._read()).check(provider_id)

    async def set(self, provider_id: str, credentials: OAuthCredentials) -> None:
        """Keep a login, in place of the one before; an extra called ``type`` becomes the file's own tag.

        Once it writes, a cancellation waits until it has written.
        """
        if not provider_id.strip():
            raise InvalidOptionError("a provider id must have something in it")
        async with self._locked():
            await trio.to_thread.run_sync(self._file.update, lambda held: held.set(provider_id, credentials))

    async def remove(self, provider_id: str) -> bool:
        """Forget a login, a damaged one too; whether there was one. The provider is not told."""
        if provider_id not in await self.providers():
            return False
        async with self._locked():
            return await trio.to_thread.run_sync(self._file.update, lambda held: held.remove(provider_id))

    async def get_api_key(self, provider_id: str) -> str | None:
        """The API key of a provider, refreshed and kept if it has expired; None without a login.

        However many tasks and processes ask, one refresh is made, and its result is kept before anybody has the key. A
        failed refresh is an OAuthError, and the old login stays. A refresh that is cancelled still has ``REFRESH_GRACE``
        seconds to end: the server may have taken the old tokens back already.
        """
        held = await self.get(provider_id)
        if held is not None and self._is_stale(held):
            held = await share((self.path, provider_id), partial(self._renewed, provider_id))
        return None if held is None else require_oauth_provider(provider_id).get_api_key(held)

    async def _renewed(self, provider_id: str) -> OAuthCredentials | None:
        async with self._locked():
            held = await self.get(provider_id)
            if held is None or not self._is_stale(held):  # another process was faster, or has logged out
                return held
            return await _with_grace(REFRESH_GRACE, partial(self._refreshed, provider_id, held))

    async def _refreshed(self, provider_id: str, held: OAuthCredentials) -> OAuthCredentials:
        fresh = await renew(provider_id, held)
        await trio.to_thread.run_sync(self._file.update, lambda entries: entries.set(provider_id, fresh))
        return fresh

    def _is_stale(self, held: OAuthCredentials) -> bool:
        return held.expired(now_ms() + self._margin_ms)

    async def _read(self) -> Entries:
        return await trio.to_thread.run_sync(self._file.read)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        await trio.to_thread.run_sync(self._file.make_directory)
        async with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=self._lock_timeout):
            yield


async def _with_grace(seconds: float, work: Callable[[], Awaitable[_T]]) -> _T:
    """Do the work; a cancellation from outside lets it go on for so many seconds."""
    async with SingleVoiceNursery() as nursery:
        scope = trio.CancelScope(shield=True)
        nursery.start_soon(_hurry_when_cancelled, scope, seconds)
        with scope:
            result = await work()
        nursery.cancel_scope.cancel()
    return result


async def _hurry_when_cancelled(scope: trio.CancelScope, seconds: float) -> None:
    try:
        await trio.sleep_forever()
    finally:
        scope.deadline = trio.current_time() + seconds
