"""The login of GitHub Copilot against a GitHub on loopback: who is asked what, in which order, and what comes of it."""

import time
import traceback

import pytest
import trio

from providers.oauth.callbacks import OAuthDeviceCodeInfo, OAuthLoginCallbacks, OAuthPrompt
from providers.oauth.credentials import OAuthCredentials
from providers.oauth.github_copilot import GitHubCopilotOAuth, login_github_copilot
from providers.oauth.provider import OAuthProvider
from providers.oauth.registry import get_oauth_provider
from runtime.errors import AgentrioError, ApiStatusError, InvalidResponseError, OAuthError, TransportError
from tests.providers.loopback import raw, reply
from tests.providers.oauth.copilot_lab import (
    BUSINESS,
    COPILOT,
    DEVICE,
    EXPIRES_AT,
    GPT,
    INDIVIDUAL,
    PLAIN,
    REFRESH,
    SECRETS,
    SUCCESS,
    USER,
    User,
    answers,
    device,
    github,
    granted,
    listed,
    minted,
    model,
    waits,
)

CLIENT = {
    "user-agent": "GitHubCopilotChat/0.35.0",
    "editor-version": "vscode/1.107.0",
    "editor-plugin-version": "copilot-chat/0.35.0",
    "copilot-integration-id": "vscode-chat",
}


async def login(*scripts, domain=""):
    """Log in; the lab, the user and the credentials."""
    user = User(domain)
    async with github(*scripts) as lab:
        credentials = await lab.oauth.login(user.callbacks)
    return lab, user, credentials


async def failure(*scripts, domain=""):
    """What a login fails with, and the lab."""
    async with github(*scripts) as lab:
        with pytest.raises(AgentrioError) as caught:
            await lab.oauth.login(User(domain).callbacks)
    told = "".join(traceback.format_exception(caught.value))
    assert [secret for secret in SECRETS if secret in told] == []
    return caught.value, lab


def test_who_it_is():
    """Its id is that of its models' provider."""
    oauth = GitHubCopilotOAuth()
    assert isinstance(oauth, OAuthProvider)
    assert (oauth.id, oauth.name, oauth.uses_callback_server) == ("github-copilot", "GitHub Copilot", False)
    assert oauth.get_api_key(OAuthCredentials("r", "a", 1)) == "a"
    assert get_oauth_provider("github-copilot") == oauth


async def test_a_login(autojump_clock):
    """A code is shown, the user agrees, and GitHub's token is worth one for Copilot."""
    lab, user, credentials = await login(
        device(), waits(), granted(), minted(), GPT, listed(model("gpt-4.1"), model("gpt-5.4"))
    )
    assert user.asked == [
        OAuthPrompt("GitHub Enterprise URL/domain (blank for github.com)", "company.ghe.com", True)
    ]
    assert user.shown == [OAuthDeviceCodeInfo("ABCD-1234", "https://github.com/login/device", 5, 900)]
    assert lab.asked == [
        "POST github.com/login/device/code",
        "POST github.com/login/oauth/access_token",
        "POST github.com/login/oauth/access_token",
        "GET api.github.com/copilot_internal/v2/token",
        f"GET {BUSINESS}/models",
        f"GET {BUSINESS}/models",
    ]
    assert (credentials.refresh, credentials.access) == (USER, COPILOT)
    assert credentials.expires == EXPIRES_AT * 1000 - 300_000
    assert dict(credentials.extra) == {"availableModelIds": ["gpt-4.1", "gpt-5.4"]}


async def test_what_github_is_sent(autojump_clock):
    """Forms, with the public client's id, and the user's token only where it is turned into Copilot's."""
    lab, _, _ = await login(*SUCCESS)
    assert lab.requests[0].body == b"client_id=Iv1.b507a08c87ecfe98&scope=read%3Auser"
    assert lab.form(1) == {
        "client_id": "Iv1.b507a08c87ecfe98",
        "device_code": DEVICE,
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
    }
    for sent in lab.requests[:2]:
        assert sent.headers["accept"] == "application/json"
        assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
        assert sent.headers["user-agent"] == CLIENT["user-agent"]
        assert "authorization" not in sent.headers
    mint, models = lab.requests[2].headers, lab.requests[3].headers
    assert CLIENT.items() <= mint.items()
    assert (mint["accept"], mint["authorization"]) == ("application/json", f"Bearer {USER}")
    assert "x-github-api-version" not in mint
    assert CLIENT.items() <= models.items()
    assert (models["authorization"], models["x-github-api-version"]) == (f"Bearer {COPILOT}", "2026-06-01")


async def test_the_pace_of_the_questions(autojump_clock):
    """An interval passes before the first one, and slow_down makes it longer for good."""
    lab, _, _ = await login(
        device(interval=2),
        waits(),
        waits("slow_down", interval=10),
        waits("slow_down"),
        granted(),
        minted(),
        GPT,
        GPT,
    )
    start, *polls = lab.times[:5]
    assert [round(time - start) for time in polls] == [2, 4, 14, 29]


async def test_an_enterprise(autojump_clock):
    """All is asked there, and the domain stays with the credentials."""
    lab, _, credentials = await login(
        device(), granted(), minted(PLAIN), GPT, GPT, domain=" https://Company.ghe.com/path "
    )
    assert lab.asked == [
        "POST company.ghe.com/login/device/code",
        "POST company.ghe.com/login/oauth/access_token",
        "GET api.company.ghe.com/copilot_internal/v2/token",
        "GET copilot-api.company.ghe.com/models",
        "GET copilot-api.company.ghe.com/models",
    ]
    assert credentials.extra["enterpriseUrl"] == "company.ghe.com"


@pytest.mark.parametrize("domain", ["", "  ", "github.com", "https://GitHub.com/login"])
async def test_githubs_own_domain_is_no_enterprise(domain, autojump_clock):
    """Whether it is typed or not, an individual's models are where they are."""
    lab, _, credentials = await login(device(), granted(), minted(PLAIN), GPT, GPT, domain=domain)
    assert lab.asked[-1] == f"GET {INDIVIDUAL}/models"
    assert "enterpriseUrl" not in credentials.extra


async def test_tokens_of_github_that_expire(autojump_clock):
    """What renews them is kept, and when that is due; five minutes early."""
    before = time.time()
    _, _, credentials = await login(
        device(), granted(refresh_token=REFRESH, expires_in=28_800), minted(), GPT, GPT
    )
    due = credentials.extra["githubAccessExpires"] / 1000
    assert credentials.extra["githubRefreshToken"] == REFRESH
    assert before + 28_490 < due < time.time() + 28_510
    assert OAuthCredentials.model_validate_json(credentials.model_dump_json()) == credentials


async def test_terms_are_accepted_before_the_models_are_listed(autojump_clock):
    """One after the other; what fails is left as it is."""
    pending = listed(model("claude-sonnet-5", policy="unconfigured"), model("grok-4.5", policy="disabled"))
    lab, _, credentials = await login(
        device(), granted(), minted(), pending, reply("{}"), reply("no", 403), GPT
    )
    assert lab.asked[3:] == [
        f"GET {BUSINESS}/models",
        f"POST {BUSINESS}/models/claude-sonnet-5/policy",
        f"POST {BUSINESS}/models/grok-4.5/policy",
        f"GET {BUSINESS}/models",
    ]
    assert credentials.extra["availableModelIds"] == ["gpt-4.1"]


@pytest.mark.parametrize(
    "broken", [reply("no JSON"), reply("[]"), reply("busy", 429), raw(b"nonsense", close=True)]
)
async def test_a_login_does_not_fail_for_terms(broken, autojump_clock):
    """A listing that cannot be read has none."""
    _, _, credentials = await login(device(), granted(), minted(), broken, GPT)
    assert credentials.extra["availableModelIds"] == ["gpt-4.1"]


# What goes wrong


async def test_a_domain_that_is_none():
    """Nobody is asked."""
    error, lab = await failure(domain="not a host")
    assert isinstance(error, OAuthError)
    assert str(error) == "Invalid GitHub Enterprise URL/domain"
    assert lab.asked == []


async def test_a_prompt_that_fails_stops_it():
    """Its exception leaves as itself, before anybody is asked."""

    async def fail(_):
        raise LookupError("no terminal")

    async with github() as lab:
        with pytest.raises(LookupError, match="no terminal"):
            await lab.oauth.login(OAuthLoginCallbacks(on_prompt=fail, on_device_code=fail))


async def test_a_code_that_nobody_can_see_is_not_asked_for():
    """A login that shows nothing cannot end well."""
    with pytest.raises(OAuthError, match="requires an on_device_code callback"):
        await login_github_copilot(OAuthLoginCallbacks())


@pytest.mark.parametrize(
    ("scripts", "kind", "said"),
    [
        ([reply("down", 503)], ApiStatusError, "provider returned HTTP 503 Service Unavailable: down"),
        ([reply("<html>", 200)], InvalidResponseError, "JSON was expected from POST https://github.com/login/device/code"),
        ([raw(b"", close=True)], TransportError, "https://github.com/login/device/code"),
        ([device(), reply("down", 502)], ApiStatusError, "HTTP 502"),
        ([device(), raw(b"", close=True)], TransportError, "https://github.com/login/oauth/access_token"),
        ([device(), waits(), reply("<title>Oops</title>", 503)], ApiStatusError, "an HTML page: Oops"),
        ([device(), waits("expired_token")], OAuthError, "Device flow failed: expired_token"),
        (
            [device(), waits("access_denied", error_description=f"{DEVICE} denied")],
            OAuthError,
            "Device flow failed: access_denied: *** denied",
        ),
        ([device(), answers({"access_token": 7})], OAuthError, "Invalid device token response"),
        ([device(), granted(), reply("no", 401)], ApiStatusError, "HTTP 401"),
        ([device(), granted(), raw(b"", close=True)], TransportError, "https://api.github.com/copilot_internal/v2/token"),
        ([device(), granted(), reply("<html>", 200)], InvalidResponseError, "JSON was expected from GET https://api.github.com/"),
        ([device(), granted(), minted(expires_at="1")], OAuthError, "Invalid Copilot token response fields"),
        ([device(), granted(), minted(), GPT, answers({})], OAuthError, "Invalid Copilot models response"),
        ([device(), granted(), minted(), GPT, reply("no", 500)], ApiStatusError, "HTTP 500"),
        ([device(), granted(), minted(), GPT, raw(b"", close=True)], TransportError, "/models"),
    ],
)  # fmt: skip
async def test_a_failure_ends_it(scripts, kind, said, autojump_clock):
    """At once, with a sentence that says what happened; nothing is asked again, and no secret is told."""
    error, lab = await failure(*scripts)
    assert type(error) is kind
    assert said in str(error)
    assert len(lab.requests) == len(scripts)


async def test_a_long_story_is_cut(autojump_clock):
    """GitHub's words have an end, and a code that stands there has gone before."""
    error, _ = await failure(device(), waits("a" * 960 + DEVICE + "b" * 9000))
    assert 900 < len(str(error)) <= 1000
    assert DEVICE[:8] not in str(error)


async def test_a_code_that_expires(autojump_clock):
    """Exactly when GitHub said so."""
    error, lab = await failure(device(interval=4, expires_in=10), waits(), waits())
    assert str(error) == "Device flow timed out"
    assert trio.current_time() - lab.times[0] == pytest.approx(10)


async def test_a_server_that_says_nothing(autojump_clock):
    """It has half a minute."""
    error, _ = await failure(raw(b"", hang=True))
    assert isinstance(error, TransportError)
    assert "within 30 seconds" in str(error)
