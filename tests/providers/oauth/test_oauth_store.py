"""The store: what it keeps, what it leaves alone, and where it is."""

import json

import pytest
import trio
from hypothesis import given, settings

from providers.oauth import CredentialStore, OAuthCredentials
from runtime.errors import InvalidOptionError, OAuthError
from tests.providers.oauth.accounts_lab import EXTRAS, NEVER, assert_in_order, written

FRESH = OAuthCredentials("r", "a", NEVER, {"enterpriseUrl": "company.ghe.com"})
FOREIGN = {"type": "api_key", "key": "sk-1234567890"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "credentials.json"


@pytest.fixture
def store(path):
    return CredentialStore(path)


async def test_a_store_without_a_file_is_empty(store, path):
    """It can be asked anything, and asking makes no file."""
    assert await store.get("acme") is None
    assert await store.get_api_key("acme") is None
    assert await store.providers() == []
    assert await store.remove("acme") is False
    assert not path.parent.exists()


async def test_what_is_kept_comes_back(store, path):
    """Also for another store of the same file; the file and its directory are its owner's alone."""
    await store.set("acme", FRESH)
    await store.set("other", FRESH)
    assert await CredentialStore(str(path)).get("acme") == FRESH
    assert await store.providers() == ["acme", "other"]
    assert assert_in_order(path)["acme"] == {
        "type": "oauth", "refresh": "r", "access": "a", "expires": NEVER, "enterpriseUrl": "company.ghe.com",
    }  # fmt: skip
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_what_is_removed_is_gone(store, path):
    """And only that; a second time there is nothing to remove."""
    await store.set("acme", FRESH)
    await store.set("other", FRESH)
    assert await store.remove("acme") is True
    assert await store.remove("acme") is False
    assert list(assert_in_order(path)) == ["other"]


@given(EXTRAS, EXTRAS)
@settings(max_examples=25)
def test_what_it_does_not_know_is_kept(tmp_path_factory, extra, foreign):
    """Extras of a login go there and back; entries of another kind, and logins of others, stay as they are."""
    path = tmp_path_factory.mktemp("store") / "credentials.json"
    others = {"openai": {**foreign, "type": "api_key"}, "pi": {"access": "x", "more": foreign}}
    written(path, others)
    held = OAuthCredentials("r", "a", 1, {key: extra[key] for key in extra if key != "type"})

    async def main():
        store = CredentialStore(path)
        await store.set("acme", held)
        return await store.get("acme")

    assert trio.run(main) == held
    document = assert_in_order(path)
    assert {key: document[key] for key in others} == json.loads(json.dumps(others))


async def test_an_entry_of_another_kind_is_no_login(store, path):
    """It is not found, not listed, not removed, and no login takes its place."""
    path.parent.mkdir()
    before = written(path, {"openai": FOREIGN}).read_bytes()
    assert await store.get("openai") is await store.get_api_key("openai") is None
    assert await store.providers() == []
    assert await store.remove("openai") is False
    for attempt in (lambda: store.set("openai", FRESH), lambda: store.check("openai")):
        with pytest.raises(OAuthError, match="openai that is no login, and it is not overwritten") as caught:
            await attempt()
        assert "sk-1234567890" not in str(caught.value)
    assert path.read_bytes() == before


async def test_a_login_without_a_type_is_one(store, path):
    """As others write it; a change adds the type."""
    path.parent.mkdir()
    written(path, {"acme": {"refresh": "r", "access": "a", "expires": 5}})
    assert await store.get("acme") == OAuthCredentials("r", "a", 5)
    await store.set("acme", FRESH)
    assert assert_in_order(path)["acme"]["type"] == "oauth"


async def test_a_link_stays_a_link(tmp_path):
    """What it leads to is replaced."""
    target = written(tmp_path / "real.json", {})
    (tmp_path / "link.json").symlink_to(target)
    await CredentialStore(tmp_path / "link.json").set("acme", FRESH)
    assert (tmp_path / "link.json").is_symlink()
    assert "acme" in json.loads(target.read_bytes())


async def test_an_id_of_nothing_is_refused(store):
    """Before anything is written."""
    with pytest.raises(InvalidOptionError):
        await store.set(" ", FRESH)


def test_the_default_place(monkeypatch, tmp_path):
    """The folder for settings; XDG_CONFIG_HOME counts if it is absolute."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    for value, place in (("", ".config"), ("relative", ".config"), (str(tmp_path / "xdg"), "xdg")):
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert CredentialStore().path == tmp_path / place / "agentrio" / "credentials.json"
    monkeypatch.setattr("sys.platform", "darwin")
    assert CredentialStore().path == tmp_path / "Library/Application Support/agentrio/credentials.json"
    assert repr(CredentialStore()).startswith("<CredentialStore '")
