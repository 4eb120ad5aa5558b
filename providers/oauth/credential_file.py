"""The file that credentials are kept in: what it must look like, and how it changes in one piece."""

import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from runtime.errors import OAuthError
from runtime.values.text import parse_json, pretty_json

from .credentials import OAuthCredentials

_T = TypeVar("_T")
MAX_BYTES = 1024 * 1024
_KIND = "oauth"


def default_path() -> Path:
    """``agentrio/credentials.json`` in the user's folder for settings.

    That is ``$XDG_CONFIG_HOME`` or ``~/.config``; on macOS ``~/Library/Application Support``, on Windows ``%APPDATA%``.
    OAuthError where the user has no home directory.
    """
    try:
        return _settings() / "agentrio" / "credentials.json"
    except RuntimeError as error:
        raise OAuthError("there is no home directory to keep credentials in: name a file for them") from error


def _settings() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".config"


class Entries:
    """What the file holds: one entry for each provider id.

    Entries that are no logins (their ``type`` is another), and keys that we do not know, are kept as they are.
    """

    def __init__(self, document: dict[str, dict[str, Any]], path: Path) -> None:
        self._document = document
        self._path = path

    def ids(self) -> list[str]:
        """The providers that it holds a login of, readable or not."""
        return [provider_id for provider_id in self._document if self._is_login(provider_id)]

    def get(self, provider_id: str) -> OAuthCredentials | None:
        """The login of a provider; OAuthError where the entry is damaged."""
        if not self._is_login(provider_id):
            return None
        entry = self._document[provider_id]
        try:
            return OAuthCredentials.model_validate({key: entry[key] for key in entry if key != "type"})
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong)
        raise OAuthError(
            f"{self._path}: the login of {provider_id} is damaged ({faults}). Remove it, and log in again"
        )

    def check(self, provider_id: str) -> None:
        """OAuthError if a login of that provider would take the place of something that is none."""
        if provider_id in self._document and not self._is_login(provider_id):
            raise OAuthError(
                f"{self._path} holds an entry for {provider_id} that is no login, and it is not overwritten: "
                "take it out by hand, or name another file"
            )
        self.get(provider_id)

    def set(self, provider_id: str, credentials: OAuthCredentials) -> None:
        """Put a login in; OAuthError as ``check`` says."""
        self.check(provider_id)
        self._document[provider_id] = {**credentials.model_dump(), "type": _KIND}

    def remove(self, provider_id: str) -> bool:
        """Take a login out, a damaged one too; whether there was one."""
        held = self._is_login(provider_id)
        if held:
            del self._document[provider_id]
        return held

    def to_json(self) -> str:
        """The whole document."""
        return pretty_json(self._document) + "\n"

    def _is_login(self, provider_id: str) -> bool:
        entry = self._document.get(provider_id, {})
        return bool(entry.get("type", _KIND if "access" in entry else None) == _KIND)


class CredentialFile:
    """A JSON file for its owner only. All of this blocks; ``update`` is for who has the file's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Entries:
        """What it holds; nothing, where there is no file or an empty one. OAuthError where it is not as it must be."""
        with self._explained("read"):
            data = self._bytes()
        try:
            document = parse_json(data) if data.strip() else {}
        except ValueError as error:
            fault = str(error)
        else:
            fault = _fault(document)
            if not fault:
                return Entries(document, self.path)
        raise OAuthError(
            f"{self.path} is no file of credentials ({fault}), and it is not overwritten: "
            "repair it, move it away, or name another"
        )

    def update(self, change: Callable[[Entries], _T]) -> _T:
        """Read, change and replace it in one piece: whoever reads meanwhile sees all of the change or nothing of it."""
        entries = self.read()
        before = entries.to_json()
        result = change(entries)
        if entries.to_json() != before:
            with self._explained("write"):
                self._replace(entries.to_json().encode())
        return result

    def make_directory(self) -> None:
        """Make the directory that it lies in, for its owner only, if there is none."""
        with self._explained("make the directory of"):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _bytes(self) -> bytes:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return b""
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise OAuthError(f"{self.path} is {what}: name a file to keep credentials in")
        if os.name != "nt" and status.st_mode & 0o077:
            raise OAuthError(
                f"{self.path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}), and is not used. "
                f"Make it yours alone: chmod 600 {shlex.quote(str(self.path))}"
            )
        if status.st_size > MAX_BYTES:
            raise OAuthError(
                f"{self.path} has {status.st_size} bytes, more than the {MAX_BYTES} of a credentials file"
            )
        return self.path.read_bytes()

    def _replace(self, data: bytes) -> None:
        draft = self.path.with_name(f"{self.path.name}.tmp")
        draft.unlink(
            missing_ok=True
        )  # what a killed process left: there is one name only, and we have the lock
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            draft.replace(self.path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        self._sync_directory()

    def _sync_directory(self) -> None:
        if os.name == "nt":
            return
        fd = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OAuthError(f"cannot {doing} {self.path}: {error.strerror}") from error


def _fault(document: Any) -> str:
    """What is wrong with the shape of a document, if anything."""
    if not isinstance(document, dict):
        return f"it holds no JSON object but a {type(document).__name__}"
    for number, entry in enumerate(document.values(), 1):
        if not isinstance(entry, dict):
            return f"its entry {number} is no JSON object; did another version write it?"
    return ""
