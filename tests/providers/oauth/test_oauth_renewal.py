"""Keys from credentials: fresh ones as they are, expired ones refreshed, once for all who ask."""

import traceback

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from providers.oauth import OAuthApiKey, OAuthCredentials, get_oauth_api_key, refresh_oauth_token
from providers.oauth.single_flight import share
from runtime.errors import ApiStatusError, OAuthError
from tests.providers.oauth.accounts_lab import NEVER, TOKENS, Accounts, ask_together, registered


@pytest.fixture
def acme():
    """A registered account system."""
    accounts = Accounts()
    with registered(accounts):
        yield accounts


async def test_a_fresh_key_needs_no_refresh(acme):
    """The credentials come back as they are, and the provider makes the key of them."""
    held = acme.credentials(NEVER, tenant="one")
    assert await get_oauth_api_key("acme", {"acme": held}) == OAuthApiKey(held, "key of access-1")
    assert acme.refreshes == 0


async def test_an_expired_one_is_refreshed(acme):
    """The new credentials come with the key, and what the provider does not know is still in them."""
    got = await get_oauth_api_key("acme", {"acme": acme.credentials(0, tenant="one")})
    assert got == OAuthApiKey(
        OAuthCredentials("refresh-2", "access-2", NEVER, {"tenant": "one"}), "key of access-2"
    )


async def test_no_credentials_no_key(acme):
    """None, if the mapping has none for this provider."""
    assert await get_oauth_api_key("acme", {}) is None
    assert await get_oauth_api_key("acme", {"other": acme.credentials()}) is None


async def test_an_unknown_provider_is_an_error():
    """It comes before the look for credentials, and names who is known."""
    held = OAuthCredentials("r", "a", 0)
    unknown = r"^Unknown OAuth provider: nobody \(there are: anthropic, github-copilot\)$"
    with pytest.raises(OAuthError, match=unknown):
        await get_oauth_api_key("nobody", {})
    with pytest.raises(OAuthError, match=unknown):
        await refresh_oauth_token("nobody", held)


async def test_a_refresh_on_demand_passes_errors_through(acme):
    """Fresh credentials are refreshed, too; what the provider raises comes as it is."""
    fresh = await refresh_oauth_token("acme", acme.credentials(NEVER))
    assert fresh.access == "access-2"
    acme.failure = ApiStatusError(400, "bad")
    with pytest.raises(ApiStatusError):
        await refresh_oauth_token("acme", fresh)


async def test_a_failed_refresh_says_for_whom_and_why(acme):
    """The text begins with the provider's id, and the cause is what the provider raised."""
    acme.failure = ApiStatusError(400, "invalid_grant")
    with pytest.raises(
        OAuthError, match=r"^Failed to refresh OAuth token for acme: .*invalid_grant"
    ) as caught:
        await get_oauth_api_key("acme", {"acme": acme.credentials()})
    assert caught.value.__cause__ is acme.failure
    assert "log in again" in str(caught.value)


@pytest.mark.parametrize("failure", [None, ApiStatusError(503, "later")])
async def test_twenty_tasks_make_one_refresh(acme, failure):
    """All get the new key of the one refresh, or its one failure."""
    acme.gate, acme.failure = trio.Event(), failure
    held = {"acme": acme.credentials()}
    outcomes = await ask_together(20, lambda: get_oauth_api_key("acme", held), acme.gate)
    assert acme.refreshes == 1
    assert len(outcomes) == 20
    if failure is None:
        assert {outcome.api_key for outcome in outcomes} == {"key of access-2"}
    else:
        assert all(outcome.__cause__ is failure for outcome in outcomes)


async def test_who_asks_after_a_failure_tries_again(acme):
    """A failure is shared with those who waited, and not remembered."""
    acme.failure = ApiStatusError(503, "later")
    with pytest.raises(OAuthError):
        await get_oauth_api_key("acme", {"acme": acme.credentials()})
    acme.failure = None
    assert (await get_oauth_api_key("acme", {"acme": acme.credentials()})).api_key == "key of access-2"


async def test_different_credentials_do_not_wait_for_each_other(acme):
    """Each credential has a refresh of its own."""
    acme.gate = trio.Event()
    other = Accounts("other")
    with registered(other):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(get_oauth_api_key, "acme", {"acme": acme.credentials()})
            await acme.asked.wait()
            assert await get_oauth_api_key("other", {"other": other.credentials()})
            acme.gate.set()


async def test_when_the_one_who_refreshes_is_cancelled_the_next_one_does():
    """Nobody who waits is cancelled with it."""
    began, results, scope = [], [], trio.CancelScope()

    async def work():
        began.append(len(began))
        if len(began) == 1:
            await trio.sleep_forever()
        return "result"

    async def first():
        with scope:
            results.append(await share("key", work))

    async def second():
        results.append(await share("key", work))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(second)
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    assert results == ["result", "result"]
    assert began == [0, 1]


async def test_who_comes_after_the_end_begins_anew():
    """Also while others are still on their way out with the old result."""
    done = []

    async def work():
        await trio.lowlevel.checkpoint()
        done.append(None)
        return len(done)

    async def again():
        assert await share("key", work) == 1
        assert await share("key", work) > 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(again)


def failures(secret):
    """Ways for a provider of somebody else to give a secret away."""

    def noted():
        error = ValueError("no")
        error.add_note(f"sent {secret}")
        return error

    def caused():
        error = ValueError("no")
        error.__cause__ = KeyError(secret)
        return error

    return [
        OAuthError(f"refused {secret}"),
        ApiStatusError(400, f'{{"refresh_token": "{secret}"}}'),
        noted(),
        caused(),
        ExceptionGroup("several", [ValueError(f"one {secret}"), ValueError("two")]),
    ]


@given(TOKENS, st.integers(0, 4), st.sampled_from(["refresh", "access", "extra"]))
def test_no_error_of_a_refresh_holds_a_secret(secret, which, part):
    """Whatever a provider raises, and however deep it stands there, its traceback shows no token."""
    accounts = Accounts()
    accounts.failure = failures(secret)[which]
    parts = {"refresh": "r" * 8, "access": "a" * 8, "extra": "e" * 8} | {part: secret}
    held = OAuthCredentials(parts["refresh"], parts["access"], 0, {"githubRefreshToken": parts["extra"]})

    async def main():
        with pytest.raises(OAuthError, match="Failed to refresh OAuth token for acme: ") as caught:
            await get_oauth_api_key("acme", {"acme": held})
        return caught.value

    with registered(accounts):
        error = trio.run(main, clock=MockClock(autojump_threshold=0))
    assert secret not in "".join(traceback.format_exception(error))
    assert type(accounts.failure).__name__ in str(error.__cause__) or error.__cause__ is accounts.failure
