"""Keys that are always fresh: one refresh for all, a login that is never lost, and a cut at every checkpoint."""

import tempfile
from pathlib import Path

import pytest
import trio
import trio.testing

from providers import openai
from providers.oauth import CredentialStore, OAuthCredentials, single_flight
from providers.oauth import store as store_room
from providers.oauth.file_lock import FileLock
from runtime import open_agent
from runtime.errors import ApiStatusError, OAuthError
from runtime.testing import cancel_everywhere
from runtime.values.clock import now_ms
from tests.providers.loopback import serve, sse
from tests.providers.oauth.accounts_lab import (
    NEVER,
    Accounts,
    ask_together,
    assert_in_order,
    registered,
    written,
)

ANSWER = (
    'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hello."},"finish_reason":"stop"}]}\n\n'
    "data: [DONE]\n\n"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "credentials.json"


@pytest.fixture
def store(path):
    return CredentialStore(path)


@pytest.fixture
def acme():
    """A registered account system."""
    accounts = Accounts()
    with registered(accounts):
        yield accounts


@pytest.fixture
def waits_for_lock(monkeypatch):
    """Set when somebody begins to wait for the lock of a file."""
    waits = trio.Event()

    class Telling(FileLock):
        async def __aenter__(self):
            waits.set()
            await super().__aenter__()

    monkeypatch.setattr(store_room, "FileLock", Telling)
    return waits


async def all_wait(path, count):
    """Wait until so many tasks wait for the same refresh."""
    while True:
        flight = single_flight._current_flights().get((path, "acme"))
        if flight is not None and flight.waiting == count:
            return
        await trio.testing.wait_all_tasks_blocked(0.001)


async def test_a_fresh_key_is_given_as_it_is(store, acme):
    """No refresh, no lock."""
    await store.set("acme", acme.credentials(NEVER))
    async with store._locked():
        assert await store.get_api_key("acme") == "key of access-1"
    assert acme.refreshes == 0


async def test_an_expired_one_is_refreshed_and_kept(store, path, acme):
    """The key is of the new credentials, which the file holds, with the extras of the old ones."""
    await store.set("acme", acme.credentials(0, tenant="one"))
    assert await store.get_api_key("acme") == "key of access-2"
    assert await store.get("acme") == OAuthCredentials("refresh-2", "access-2", NEVER, {"tenant": "one"})
    assert_in_order(path)


async def test_a_margin_brings_a_refresh_forward(path, acme):
    """What will expire within so many seconds counts as expired."""
    await CredentialStore(path).set("acme", acme.credentials(now_ms() + 60_000))
    assert await CredentialStore(path, margin=30).get_api_key("acme") == "key of access-1"
    assert await CredentialStore(path, margin=90).get_api_key("acme") == "key of access-2"


async def test_twenty_tasks_make_one_refresh(path, acme):
    """Of one store or of several; all get the new key."""
    await CredentialStore(path).set("acme", acme.credentials())
    stores = [CredentialStore(path) for _ in range(20)]
    keys = await ask_together(20, lambda: stores.pop().get_api_key("acme"))
    assert keys == ["key of access-2"] * 20
    assert acme.refreshes == 1


async def test_a_failed_refresh_keeps_the_old_login(store, path, acme):
    """It fails for all who wait, once; afterwards it is tried again."""
    await store.set("acme", acme.credentials())
    before = path.read_bytes()
    acme.failure, acme.gate = ApiStatusError(503, "later"), trio.Event()

    async def open_gate():
        await all_wait(path, 5)
        acme.gate.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_gate)
        outcomes = await ask_together(5, lambda: store.get_api_key("acme"))
    assert all("Failed to refresh OAuth token for acme" in str(outcome) for outcome in outcomes)
    assert (len(outcomes), acme.refreshes) == (5, 1)
    assert path.read_bytes() == before
    acme.failure = None
    assert await store.get_api_key("acme") == "key of access-2"
    assert_in_order(path)


@pytest.mark.parametrize("meanwhile", ["logged out", "refreshed"])
async def test_what_happened_while_it_waited_counts(store, path, acme, waits_for_lock, meanwhile):
    """Behind the lock it looks again: a logout stays one, and a refresh by somebody else is enough."""
    written(path, {"acme": acme.credentials().model_dump()})
    keys = []

    async def ask():
        keys.append(await store.get_api_key("acme"))

    def change(held):
        if meanwhile == "logged out":
            held.remove("acme")
        else:
            held.set("acme", acme.credentials(NEVER, by="another"))

    async with trio.open_nursery() as nursery, FileLock(path.with_name(f"{path.name}.lock"), timeout=1):
        nursery.start_soon(ask)
        await waits_for_lock.wait()
        store._file.update(change)
    assert keys == [None if meanwhile == "logged out" else "key of access-1"]
    assert acme.refreshes == 0
    assert (await store.get("acme") is None) == (meanwhile == "logged out")


async def test_a_login_of_an_unknown_provider_gives_no_key(store):
    """The error names it."""
    await store.set("nobody", OAuthCredentials("r", "a", NEVER))
    with pytest.raises(OAuthError, match="Unknown OAuth provider: nobody"):
        await store.get_api_key("nobody")


async def test_a_lock_that_is_never_given_up(path, acme):
    """A write waits for as long as it is told to, and says what it waited for."""
    store = CredentialStore(path, lock_timeout=0.01)
    async with FileLock(path.with_name(f"{path.name}.lock"), timeout=1):
        with pytest.raises(OAuthError, match=r"timed out after 0.01 s waiting for .*credentials\.json\.lock"):
            await store.set("acme", acme.credentials())


async def test_an_agent_takes_its_keys_from_a_store(store, acme):
    """The store's method is the agent's hook: each call carries a key that is fresh at that moment."""
    await store.set("acme", acme.credentials())
    async with serve(sse(ANSWER), sse(ANSWER)) as server:
        model = openai.chat_completions(base_url=server.url, provider_id="acme").model("m")
        async with open_agent(model, get_api_key=store.get_api_key) as agent:
            assert (await agent.prompt("one")).text == "Hello."
            await store.set("acme", acme.credentials(0))
            assert (await agent.prompt("two")).text == "Hello."
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer key of access-2", "Bearer key of access-3"]


# Cancellation


async def test_a_refresh_that_hangs_is_given_up(store, path, acme, monkeypatch):
    """Cancelled, it has its grace and no more; the old login stays, and the lock is free."""
    monkeypatch.setattr(store_room, "REFRESH_GRACE", 0.05)
    await store.set("acme", acme.credentials())
    acme.gate = trio.Event()
    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.get_api_key, "acme")
            await acme.asked.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert 0.05 <= trio.current_time() - began < 5
    assert assert_in_order(path)["acme"]["refresh"] == "refresh-1"


async def test_who_waits_for_a_cancelled_one_gets_the_key(store, path, acme):
    """The refresh that was under way is the only one."""
    await store.set("acme", acme.credentials())
    acme.gate, scope, keys = trio.Event(), trio.CancelScope(), []

    async def first():
        with scope:
            await store.get_api_key("acme")

    async def second():
        keys.append(await store.get_api_key("acme"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await acme.asked.wait()
        nursery.start_soon(second)
        await all_wait(path, 2)
        scope.cancel()
        acme.gate.set()
    assert scope.cancelled_caught
    assert (keys, acme.refreshes) == (["key of access-2"], 1)


def sweep(act, check):
    """Cut what a store does everywhere; each time, its file, its lock and its folder are in order."""

    async def scenario(cutter):
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / "credentials.json"
        acme = Accounts(steps=3)
        with registered(acme):
            store = CredentialStore(path)
            await store.set("other", OAuthCredentials("r", "a", 1))
            await store.set("acme", acme.credentials())
            with trio.CancelScope() as scope:
                cutter.arm(cancel=scope.cancel)
                await act(store)
            cutter.disarm()
        return folder, path, acme, scope.cancelled_caught

    def look(result):
        folder, path, acme, cancelled = result
        document = assert_in_order(path)
        assert document.pop("other") == {"refresh": "r", "access": "a", "expires": 1, "type": "oauth"}
        check(document.get("acme"), acme, cancelled)
        folder.cleanup()

    return cancel_everywhere(scenario, look, clock=lambda: None)


def test_a_change_that_is_cut_is_made_or_not():
    """``set`` that ended by itself has written; one that was cancelled before has not."""
    seen = set()

    def check(entry, acme, cancelled):
        assert entry["access"] == ("access-1" if cancelled else "new")
        seen.add(cancelled)

    report = sweep(lambda store: store.set("acme", OAuthCredentials("r", "new", 5)), check)
    assert report.total >= 5
    assert seen == {True, False}


def test_a_removal_that_is_cut_is_made_or_not():
    """The same for ``remove``."""

    def check(entry, acme, cancelled):
        assert (entry is not None) == cancelled

    assert sweep(lambda store: store.remove("acme"), check).total >= 5


def test_a_key_that_is_cut_loses_no_login():
    """Whenever it is cancelled: the file holds the tokens that the provider honours, though it takes old ones back."""
    seen = set()

    def check(entry, acme, cancelled):
        assert entry["refresh"] == f"refresh-{acme.issued}"
        assert entry["access"] == f"access-{acme.issued}"
        assert acme.refreshes <= 1
        seen.add((acme.issued, cancelled))

    report = sweep(lambda store: store.get_api_key("acme"), check)
    assert report.total >= 15
    assert seen == {(1, True), (2, True), (2, False)}
