"""An account system in memory, whose refresh tokens are good for one use, and files with logins in them."""

import fcntl
import json
from contextlib import contextmanager

import trio
import trio.testing
from hypothesis import strategies as st

from providers.oauth import (
    OAuthCredentials,
    register_oauth_provider,
    reset_oauth_providers,
)
from runtime.errors import OAuthError
from runtime.testing import strategies

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=9, max_size=40).map("zq7{}".format)
"""Secrets that stand nowhere else by chance."""
EXTRAS = st.dictionaries(
    strategies.texts(8).filter(lambda key: key not in ("refresh", "access", "expires")),
    strategies.json_values(),
)
NEVER = 2**45
"""A time that does not come."""


class Accounts:
    """Gives out ``refresh-1``, ``access-1`` and so on; a refresh takes the tokens before it back.

    It knows when to wait: ``gate``, if it is set, before it answers; and it takes ``steps`` checkpoints around it.
    """

    uses_callback_server = False

    def __init__(self, provider_id="acme", name="Acme", life=NEVER, steps=1):
        self.id = provider_id
        self.name = name
        self.life = life
        self.steps = steps
        self.issued = 1
        self.refreshes = 0
        self.gate: trio.Event | None = None
        self.asked = trio.Event()
        self.failure: BaseException | None = None
        self.script = None

    def credentials(self, expires=0, **extra):
        """The tokens that are good now."""
        return OAuthCredentials(f"refresh-{self.issued}", f"access-{self.issued}", expires, extra)

    async def login(self, callbacks):
        if self.script is not None:
            await self.script(callbacks)
        return self.credentials(self.life)

    async def refresh_token(self, credentials):
        self.refreshes += 1
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        await self._steps()
        if self.failure is not None:
            raise self.failure
        if credentials.refresh != f"refresh-{self.issued}":
            raise OAuthError("this refresh token was used before")
        self.issued += 1
        fresh = self.credentials(self.life)
        await self._steps()  # the answer is on its way
        return credentials.replace(refresh=fresh.refresh, access=fresh.access, expires=fresh.expires)

    def get_api_key(self, credentials):
        return f"key of {credentials.access}"

    def modify_models(self, models, credentials):
        return list(models)

    async def _steps(self):
        for _ in range(self.steps):
            await trio.lowlevel.checkpoint()


@contextmanager
def registered(*accounts):
    """The built-in providers and these, for a block."""
    for each in accounts:
        register_oauth_provider(each)
    try:
        yield
    finally:
        reset_oauth_providers()


def written(path, document, mode=0o600):
    """Write a file: bytes as they are, anything else as JSON."""
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    path.chmod(mode)
    return path


def assert_in_order(path):
    """The file is whole and its owner's alone, nobody has the lock, and nothing else lies about; what it holds."""
    assert {each.name for each in path.parent.iterdir()} <= {path.name, f"{path.name}.lock"}
    lock = path.with_name(f"{path.name}.lock")
    if lock.exists():
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not path.exists():
        return {}
    assert path.stat().st_mode & 0o777 == 0o600
    return json.loads(path.read_bytes())


async def ask_together(count, ask, ready=None):
    """What so many tasks get, or what they raise, that all ask before the first one is answered."""
    outcomes = []

    async def task():
        try:
            outcomes.append(await ask())
        except OAuthError as error:
            outcomes.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(task)
        if ready is not None:
            await trio.testing.wait_all_tasks_blocked()
            ready.set()
    return outcomes
