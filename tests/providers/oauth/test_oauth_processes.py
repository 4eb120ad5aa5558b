"""Several programs at one file: one refresh for all of them, and no change lost."""

import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from providers.oauth import CredentialStore, OAuthCredentials
from providers.oauth.file_lock import FileLock
from tests.providers.loopback import reply, serve
from tests.providers.oauth.accounts_lab import NEVER, assert_in_order

ROOT = Path(__file__).parents[3]
ASK = """
import sys
import trio
from providers.oauth import CredentialStore, register_oauth_provider, store
from providers.oauth.file_lock import FileLock
from providers.oauth.web import WebRequest, fetch_json

class Telling(FileLock):
    async def __aenter__(self):
        print("waits", flush=True)
        await super().__aenter__()

class Acme:
    id, name, uses_callback_server = "acme", "Acme", False

    async def login(self, callbacks):
        raise NotImplementedError

    async def refresh_token(self, credentials):
        answer = await fetch_json(WebRequest.form(sys.argv[2], {"refresh_token": credentials.refresh}))
        return credentials.replace(refresh=answer["refresh"], access=answer["access"], expires=answer["expires"])

    def get_api_key(self, credentials):
        return credentials.access

    def modify_models(self, models, credentials):
        return list(models)

store.FileLock = Telling
register_oauth_provider(Acme())

async def main():
    keys = []
    credentials = CredentialStore(sys.argv[1])

    async def ask():
        keys.append(await credentials.get_api_key("acme"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    print(*keys, flush=True)

trio.run(main)
"""
CHANGE = """
import sys
import trio
from providers.oauth import CredentialStore, OAuthCredentials

async def main():
    store = CredentialStore(sys.argv[1])
    for number in range(10):
        await store.set(f"{sys.argv[2]}-{number}", OAuthCredentials("r", "a", number))
        if number % 2:
            await store.remove(f"{sys.argv[2]}-{number}")

trio.run(main)
"""


@asynccontextmanager
async def program(code, *arguments):
    """A Python process that runs the code, and the lines it prints."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    process = await trio.lowlevel.open_process(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield process
        assert await process.wait() == 0
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


async def read_until(process, text):
    """What it prints, up to a text."""
    shown = b""
    while text not in shown:
        data = await process.stdout.receive_some()
        assert data, f"it ended after {shown!r}"
        shown += data
    return shown


async def test_two_programs_at_the_same_moment_make_one_refresh(tmp_path):
    """Both have seen that the login expired, and wait for the lock; both get the key of the one refresh."""
    path = tmp_path / "credentials.json"
    await CredentialStore(path).set("acme", OAuthCredentials("refresh-1", "access-1", 0, {"tenant": "one"}))
    answer = f'{{"refresh": "refresh-2", "access": "access-2", "expires": {NEVER}}}'
    with trio.fail_after(60):
        async with (
            serve(reply(answer)) as server,  # a second request would find no answer
            program(ASK, path, server.url) as one,
            program(ASK, path, server.url) as two,
        ):
            async with FileLock(path.with_name(f"{path.name}.lock"), timeout=5):
                await read_until(one, b"waits\n")
                await read_until(two, b"waits\n")
            for each in (one, two):
                assert await read_until(each, b"\n") == b" ".join([b"access-2"] * 5) + b"\n"
    assert [request.body for request in server.requests] == [b"refresh_token=refresh-1"]
    assert assert_in_order(path) == {
        "acme": {
            "type": "oauth",
            "refresh": "refresh-2",
            "access": "access-2",
            "expires": NEVER,
            "tenant": "one",
        }
    }


async def test_a_program_that_dies_in_a_refresh_leaves_it_to_the_next(tmp_path):
    """Killed while it has the lock: the old login is there, the lock is free, and the other one refreshes."""
    path = tmp_path / "credentials.json"
    await CredentialStore(path).set("acme", OAuthCredentials("refresh-1", "access-1", 0))
    answer = f'{{"refresh": "refresh-2", "access": "access-2", "expires": {NEVER}}}'
    killed = trio.Event()

    async def silence(wire):
        await wire.wait_closed()
        killed.set()

    with trio.fail_after(60):
        async with serve(silence, reply(answer)) as server, trio.open_nursery() as nursery:
            nursery.start_soon(kill_at, server.wait_requests, path, server.url)
            await server.wait_requests(1)
            async with program(ASK, path, server.url) as next_one:
                await read_until(next_one, b"access-2")
    assert killed.is_set()
    assert assert_in_order(path)["acme"]["refresh"] == "refresh-2"


async def kill_at(moment, path, url):
    """A program that is killed at a moment, without a chance to clear up."""
    process = await trio.lowlevel.open_process([sys.executable, "-c", ASK, str(path), url], cwd=ROOT)
    try:
        await moment()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def test_changes_of_several_programs_are_all_made(tmp_path):
    """Each keeps ten logins and removes five of them; what is left is the other five of each."""
    path = tmp_path / "credentials.json"
    names = ["a", "b", "c"]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(
                    partial(
                        trio.run_process,
                        [sys.executable, "-W", "error", "-c", CHANGE, str(path), name],
                        cwd=ROOT,
                    )
                )
    assert set(assert_in_order(path)) == {f"{name}-{number}" for name in names for number in (0, 2, 4, 6, 8)}
