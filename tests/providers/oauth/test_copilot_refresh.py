"""Copilot credentials that have run out: what is renewed, what is kept, and what a failure does."""

import time

import pytest
import trio

from providers.oauth import github_copilot
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.github_copilot import get_github_copilot_api_key, refresh_github_copilot_token
from runtime.errors import AgentrioError, ApiStatusError, OAuthError, TransportError
from tests.providers.loopback import raw, reply
from tests.providers.oauth.copilot_lab import (
    BUSINESS,
    COPILOT,
    EXPIRES_AT,
    GPT,
    INDIVIDUAL,
    PLAIN,
    REFRESH,
    RENEWED,
    ROTATED,
    SECRETS,
    USER,
    answers,
    github,
    granted,
    held,
    minted,
    waits,
)

MINT = "GET api.github.com/copilot_internal/v2/token"
RENEW = "POST github.com/login/oauth/access_token"
LIST = f"GET {BUSINESS}/models"
FUTURE = 4_102_444_800_000


async def refreshed(credentials, *scripts):
    async with github(*scripts) as lab:
        return lab, await lab.oauth.refresh_token(credentials)


async def refused(credentials, *scripts):
    async with github(*scripts) as lab:
        with pytest.raises(AgentrioError) as caught:
            await lab.oauth.refresh_token(credentials)
    assert [secret for secret in SECRETS if secret in str(caught.value)] == []
    return lab, caught.value


async def test_a_new_token():
    """GitHub's token is worth another one; terms are left alone, and what others keep there stays."""
    lab, fresh = await refreshed(held(type="oauth", note={"a": 1}), minted(), GPT)
    assert lab.asked == [MINT, LIST]
    assert (fresh.refresh, fresh.access, fresh.expires) == (USER, COPILOT, EXPIRES_AT * 1000 - 300_000)
    assert dict(fresh.extra) == {"type": "oauth", "note": {"a": 1}, "availableModelIds": ["gpt-4.1"]}


async def test_an_enterprises_token():
    """It is asked for there, and stays there."""
    lab, fresh = await refreshed(held(enterpriseUrl="company.ghe.com"), minted(PLAIN), GPT)
    assert lab.asked == [
        "GET api.company.ghe.com/copilot_internal/v2/token",
        "GET copilot-api.company.ghe.com/models",
    ]
    assert fresh.extra["enterpriseUrl"] == "company.ghe.com"


async def test_individuals_have_their_own_place():
    """Where the token names none."""
    lab, _ = await refreshed(held(), minted(PLAIN), GPT)
    assert lab.asked[-1] == f"GET {INDIVIDUAL}/models"


async def test_a_domain_that_cannot_be_right():
    """An enterprise's token is not sent to another GitHub."""
    lab, error = await refused(held(enterpriseUrl="not a host"))
    assert str(error) == "Invalid GitHub Enterprise URL/domain"
    assert lab.asked == []


# GitHub's own token


async def test_a_github_token_that_has_expired_is_renewed_first():
    """By what came with it; both new ones are kept."""
    before = time.time()
    credentials = held(githubRefreshToken=REFRESH, githubAccessExpires=1)
    lab, fresh = await refreshed(
        credentials, granted(RENEWED, refresh_token=ROTATED, expires_in=28_800), minted(), GPT
    )
    assert lab.asked == [RENEW, MINT, LIST]
    assert lab.form(0) == {
        "client_id": "Iv1.b507a08c87ecfe98",
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
    }
    assert lab.requests[1].headers["authorization"] == f"Bearer {RENEWED}"
    assert (fresh.refresh, fresh.extra["githubRefreshToken"]) == (RENEWED, ROTATED)
    assert before + 28_490 < fresh.extra["githubAccessExpires"] / 1000 < time.time() + 28_510


@pytest.mark.parametrize("status", [401, 403])
async def test_a_github_token_that_is_refused_is_renewed_once(status):
    """What did not come anew is kept (what renews it), or forgotten (when it expires)."""
    credentials = held(githubRefreshToken=REFRESH, githubAccessExpires=FUTURE)
    lab, fresh = await refreshed(credentials, reply("bad", status), granted(RENEWED), minted(), GPT)
    assert lab.asked == [MINT, RENEW, MINT, LIST]
    assert (fresh.refresh, fresh.extra["githubRefreshToken"]) == (RENEWED, REFRESH)
    assert "githubAccessExpires" not in fresh.extra


async def test_a_second_refusal_is_the_end():
    """Another renewal would not help."""
    lab, error = await refused(
        held(githubRefreshToken=REFRESH), reply("bad", 401), granted(RENEWED), reply("no", 401)
    )
    assert lab.asked == [MINT, RENEW, MINT]
    assert isinstance(error, ApiStatusError)
    assert error.status == 401


@pytest.mark.parametrize(
    ("script", "kind"), [(reply("down", 500), ApiStatusError), (raw(b"", close=True), TransportError),
                         (answers(None), OAuthError)]
)  # fmt: skip
async def test_other_failures_renew_nothing(script, kind):
    """They say nothing about GitHub's token, and surface as they are."""
    lab, error = await refused(held(githubRefreshToken=REFRESH), script)
    assert lab.asked == [MINT]
    assert type(error) is kind


async def test_without_a_way_to_renew_a_refusal_surfaces():
    """Also where the token is known to have expired: it may be good for longer."""
    lab, error = await refused(held(githubAccessExpires=1), reply("bad", 401))
    assert lab.asked == [MINT]
    assert error.status == 401


async def test_a_new_github_token_is_not_lost_for_a_passing_failure(autojump_clock):
    """The old one is spent by then: so Copilot's token is asked for again for a while."""
    down = reply("down", 503)
    credentials = held(githubRefreshToken=REFRESH, githubAccessExpires=1)
    lab, fresh = await refreshed(credentials, granted(RENEWED), down, raw(b"", close=True), minted(), GPT)
    assert fresh.refresh == RENEWED
    assert [round(at - lab.times[1]) for at in lab.times[1:4]] == [0, 1, 3]
    lab, error = await refused(credentials, granted(RENEWED), down, down, down, down)
    assert lab.asked == [RENEW, *[MINT] * 4]
    assert error.status == 503


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (waits(), "Unexpected polling response while refreshing GitHub token"),
        (waits("slow_down"), "Unexpected polling response while refreshing GitHub token"),
        (waits("bad_refresh_token", error_description="The refresh token passed is incorrect or expired."),
         "Device flow failed: bad_refresh_token: The refresh token passed is incorrect or expired."),
        (answers(None), "Invalid device token response"),
    ],
)  # fmt: skip
async def test_a_renewal_that_fails(script, said):
    """It says why; the user has to log in again."""
    _, error = await refused(held(githubRefreshToken=REFRESH, githubAccessExpires=1), script)
    assert str(error) == said


# The list of models


@pytest.mark.parametrize("script", [reply("down", 500), reply("{}"), raw(b"", close=True)])
async def test_a_new_token_does_not_depend_on_the_list(script):
    """Where it cannot be had, the old one is kept."""
    _, fresh = await refreshed(held(availableModelIds=["a"]), minted(), script)
    assert fresh.access == COPILOT
    assert fresh.extra["availableModelIds"] == ["a"]
    _, fresh = await refreshed(held(), minted(), script)
    assert "availableModelIds" not in fresh.extra


async def test_a_list_that_never_comes(autojump_clock):
    """It has five seconds."""
    lab, fresh = await refreshed(held(), minted(), raw(b"", hang=True))
    assert fresh.access == COPILOT
    assert trio.current_time() - lab.times[1] == pytest.approx(5, abs=0.1)


# Functions


@pytest.fixture
def system(monkeypatch):
    """Functions ask whom a test says, as if it were the account system itself."""

    def ask(lab):
        monkeypatch.setattr(github_copilot, "GitHubCopilotOAuth", lambda: lab.oauth)

    return ask


async def test_credentials_from_a_token_alone(system):
    """Of a user at GitHub, which is not renewed."""
    async with github(minted(PLAIN), GPT, minted(), GPT, reply("bad", 401)) as lab:
        system(lab)
        fresh = await refresh_github_copilot_token(USER, "https://company.ghe.com")
        assert fresh.extra["enterpriseUrl"] == "https://company.ghe.com"
        fresh = await refresh_github_copilot_token(USER)
        assert dict(fresh.extra) == {"availableModelIds": ["gpt-4.1"]}
        with pytest.raises(ApiStatusError, match="HTTP 401"):
            await refresh_github_copilot_token(USER)
    assert lab.asked[0] == "GET api.company.ghe.com/copilot_internal/v2/token"


async def test_a_key_that_is_good_is_not_refreshed():
    """The credentials come back as they were."""
    credentials = held(FUTURE)
    key = await get_github_copilot_api_key(credentials)
    assert (key.new_credentials, key.api_key) == (credentials, "tid=old")
    assert "tid=old" not in repr(key)


async def test_many_ask_for_a_key_at_once(system):
    """One refresh is made for all."""
    keys = []

    async def ask():
        keys.append(await get_github_copilot_api_key(held()))

    async with github(minted(), GPT) as lab:
        system(lab)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
    assert [key.api_key for key in keys] == [COPILOT] * 5
    assert {key.new_credentials.expires for key in keys} == {EXPIRES_AT * 1000 - 300_000}


async def test_a_key_that_cannot_be_refreshed(system):
    """The error is the one of the refresh."""
    async with github(reply("bad", 401)) as lab:
        system(lab)
        with pytest.raises(ApiStatusError, match="HTTP 401"):
            await get_github_copilot_api_key(held())


def test_credentials_lead_to_a_place():
    """A token outranks an enterprise's domain."""
    place = github_copilot.base_url_for_credentials
    assert (
        place(OAuthCredentials("r", COPILOT, 0, {"enterpriseUrl": "company.ghe.com"}))
        == f"https://{BUSINESS}"
    )
    assert (
        place(OAuthCredentials("r", PLAIN, 0, {"enterpriseUrl": "company.ghe.com"}))
        == "https://copilot-api.company.ghe.com"
    )
    assert place(OAuthCredentials("r", PLAIN, 0, {"enterpriseUrl": 7})) == f"https://{INDIVIDUAL}"
