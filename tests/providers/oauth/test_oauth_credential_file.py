"""Files that are not as they must be: what the error says, and that nothing of them is lost or shown."""

import json
import os
import subprocess
import sys
import traceback

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.oauth import CredentialStore, OAuthCredentials
from providers.oauth.credential_file import MAX_BYTES
from runtime.errors import OAuthError
from tests.providers.oauth.accounts_lab import NEVER, TOKENS, Accounts, assert_in_order, registered, written

SECRET = "hidden-value-1234"
FRESH = OAuthCredentials("r", "a", NEVER)
ENTRY = {"type": "oauth", "refresh": SECRET, "access": SECRET, "expires": NEVER, "note": SECRET}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "credentials.json"


def whole(**changes):
    return json.dumps({"acme": ENTRY | changes}).encode()


async def assert_refused(path, text):
    """Every use fails with that text, without a secret, and the file stays as it is."""
    before = path.read_bytes() if path.is_file() else None
    store = CredentialStore(path)
    uses = (
        lambda: store.get("acme"),
        lambda: store.get_api_key("acme"),
        lambda: store.check("acme"),
        lambda: store.set("acme", FRESH),
    )
    for use in uses:
        with pytest.raises(OAuthError, match=text) as caught:
            await use()
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert str(path) in str(caught.value)
    if before is not None:
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (whole()[:60], "EOF while parsing a string"),
        (whole()[:-1], "EOF while parsing an object"),
        (whole() + b"}", "trailing characters"),
        (b"\x00\xff\xfe", "expected value"),
        (json.dumps([ENTRY]).encode(), "no JSON object but a list"),
        (b"null", "no JSON object but a NoneType"),
        (json.dumps({"version": 2, "logins": {"acme": ENTRY}}).encode(), "its entry 1 is no JSON object; did another version"),
    ],
)  # fmt: skip
async def test_a_file_of_another_kind_is_left_alone(path, content, fault):
    """Truncated, damaged, or of another format: the error says where it is wrong and what to do."""
    written(path, content)
    await assert_refused(path, f"no file of credentials .*{fault}.*not overwritten: repair it, move it away")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"expires": SECRET}, "expires: Input should be a valid integer"),
        ({"access": None}, "access: Input should be a valid string"),
        ({"refresh": [SECRET]}, "refresh: Input should be a valid string"),
    ],
)
async def test_a_damaged_login_is_left_alone(path, changes, fault):
    """The error names the field; the others are not affected, and it can be removed."""
    written(path, {"acme": ENTRY | changes, "other": ENTRY})
    await assert_refused(path, rf"the login of acme is damaged \({fault}\). Remove it")
    store = CredentialStore(path)
    assert (await store.get("other")).access == SECRET
    assert await store.providers() == ["acme", "other"]
    assert await store.remove("acme")
    assert list(assert_in_order(path)) == ["other"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o777])
async def test_a_file_that_others_can_read_is_not_used(path, mode):
    """The error is the command that mends it."""
    written(path, whole(), mode)
    await assert_refused(path, rf"mode {mode:04o}\), and is not used. .*: chmod 600 {path}$")
    await trio.run_process(["chmod", "600", path])
    assert (await CredentialStore(path).get("acme")).access == SECRET


async def test_an_empty_file_is_an_empty_store(path):
    """There is nothing in it to lose."""
    written(path, b" \n")
    store = CredentialStore(path)
    assert await store.get("acme") is None
    await store.set("acme", FRESH)
    assert await store.get("acme") == FRESH


async def test_what_is_no_file_is_refused(tmp_path):
    """A directory, and a pipe that nobody writes to, which must not be waited for."""
    await assert_refused(tmp_path, "is a directory: name a file")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with trio.fail_after(10):
        await assert_refused(tmp_path / "pipe", "is no regular file: name a file")
    written(tmp_path / "file", whole())
    await assert_refused(tmp_path / "file" / "credentials.json", "cannot .*(Not a directory|File exists)")


async def test_a_file_too_large_is_not_read(path):
    """Credentials are small."""
    written(path, whole(note=" " * MAX_BYTES))
    await assert_refused(path, f"more than the {MAX_BYTES} of a credentials file")


async def test_a_disk_that_is_full_leaves_the_old_file(path, monkeypatch):
    """The error of the write says which file; no draft is left."""
    written(path, {"acme": ENTRY})

    def full(fd):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OAuthError, match=f"cannot write {path}: No space left on device"):
            await CredentialStore(path).set("acme", FRESH)
    assert assert_in_order(path) == {"acme": ENTRY}


async def test_a_draft_that_a_killed_process_left_is_used_up(path):
    """Also one that is a link to somewhere else, or that others can read."""
    elsewhere = written(path.with_name("elsewhere"), b"mine")
    path.with_name("credentials.json.tmp").symlink_to(elsewhere)
    await CredentialStore(path).set("acme", FRESH)
    assert elsewhere.read_bytes() == b"mine"
    elsewhere.unlink()
    assert "acme" in assert_in_order(path)


async def test_a_umask_does_not_open_it(path):
    """The modes are given when the files are made."""
    before = os.umask(0)
    try:
        await CredentialStore(path.with_name("new") / "credentials.json").set("acme", FRESH)
    finally:
        os.umask(before)
    folder = path.with_name("new")
    assert [each.stat().st_mode & 0o777 for each in (folder, *sorted(folder.iterdir()))] == [
        0o700,
        0o600,
        0o600,
    ]


def test_without_a_home_a_file_must_be_named():
    """The error says so."""
    code = (
        "import pathlib\n"
        "def homeless(): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = homeless\n"
        "from providers.oauth import CredentialStore\n"
        "CredentialStore('x.json')\n"
        "CredentialStore()\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XDG_CONFIG_HOME"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (
        "OAuthError: there is no home directory to keep credentials in: name a file for them" in done.stderr
    )


CUTS = st.tuples(
    st.floats(0, 1), st.floats(0, 1), st.binary(max_size=4) | st.sampled_from([b"null", b"[]", b"{}", b'"'])
)


@given(TOKENS, CUTS)
@example("abcdefghijkl", (0.0, 0.5, b""))
@settings(max_examples=60)
def test_no_damage_makes_it_talk(tmp_path_factory, secret, cut):
    """Whatever a piece of the file was replaced by: no error shows a token, and what was refused is as it was."""
    path = tmp_path_factory.mktemp("store") / "credentials.json"
    whole = json.dumps({"acme": {"refresh": secret, "access": secret, "expires": 0, "x": secret}})
    start, end = sorted(int(at * len(whole)) for at in cut[:2])
    before = written(path, whole[:start].encode() + cut[2] + whole[end:].encode()).read_bytes()
    accounts = Accounts()
    accounts.failure = OAuthError(f"no {secret}")

    async def main():
        store = CredentialStore(path)
        for use in (store.get, store.get_api_key, store.check):
            try:
                shown = repr(await use("acme"))
            except OAuthError as error:
                shown = "".join(traceback.format_exception(error))
            assert secret not in shown
            assert path.read_bytes() == before
        try:
            await store.set("acme", FRESH)
        except OAuthError as error:
            assert secret not in "".join(traceback.format_exception(error))
            assert path.read_bytes() == before
        else:
            assert await store.get("acme") == FRESH
            assert "acme" in assert_in_order(path)

    with registered(accounts):
        trio.run(main)
