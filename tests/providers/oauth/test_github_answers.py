"""What GitHub answers, taken apart: nothing that could be shown, sent on or waited for is taken on trust."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.oauth import github
from providers.oauth.device_flow import DeviceComplete, DeviceFailed, DevicePending, DeviceSlowDown
from providers.oauth.github import (
    CopilotToken,
    GitHubToken,
    read_copilot_token,
    read_device_code,
    read_token,
    verification_page,
)
from runtime.errors import OAuthError
from runtime.testing.strategies import json_values

CODE = {
    "device_code": "d",
    "user_code": "AB-12",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 9,
}


def changed(**changes):
    return {name: value for name, value in {**CODE, **changes}.items() if value is not ...}


# Device codes


def test_a_device_code():
    """Without an interval, there is none; what is secret does not show itself."""
    code = read_device_code(CODE)
    assert (code.secret, code.shown.user_code, code.shown.verification_uri) == (
        "d",
        "AB-12",
        "https://github.com/login/device",
    )
    assert (code.shown.interval_seconds, code.shown.expires_in_seconds) == (None, 9)
    assert read_device_code(changed(interval=0)).shown.interval_seconds == 0
    assert "'d'" not in repr(code)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "Invalid device code response: it lacks"),
        ([], "Invalid device code response: it lacks"),
        (changed(device_code=...), "Invalid device code response: it lacks"),
        (changed(user_code=5), "Invalid device code response: it lacks"),
        (changed(verification_uri=None), "Invalid device code response: it lacks"),
        (changed(expires_in=...), "whole numbers"),
        (changed(expires_in="9"), "whole numbers"),
        (changed(expires_in=True), "whole numbers"),
        (changed(expires_in=9.5), "whole numbers"),
        (changed(expires_in=-1), "whole numbers"),
        (changed(expires_in=10**30), "whole numbers"),
        (changed(interval="5"), "whole numbers"),
        (changed(interval=-5), "whole numbers"),
        (changed(expires_in=0), "Invalid device code response fields"),
        (changed(device_code=""), "Invalid device code response fields"),
        (changed(device_code="a b"), "Invalid device code response fields"),
        (changed(user_code=""), "Invalid device code response fields"),
        (changed(user_code="\x1b[2J"), "Invalid device code response fields"),
        (changed(user_code="A" * 65), "Invalid device code response fields"),
    ],
)
def test_a_device_code_that_is_none(answer, said):
    """Its codes must be there and fit to be sent and shown, its times whole numbers."""
    with pytest.raises(
        OAuthError,
        match=f"^Invalid device code response.*{said.removeprefix('Invalid device code response')}",
    ):
        read_device_code(answer)


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("https://github.com/login/device", "https://github.com/login/device"),
        ("https://GitHub.com:443/login/device", "https://github.com/login/device"),
        ("HTTP://company.ghe.com:80", "http://company.ghe.com/"),
        ("https://company.ghe.com", "https://company.ghe.com/"),
        ("https://company.ghe.com:08443?a=b#c", "https://company.ghe.com:8443/?a=b#c"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
    ],
)
def test_a_page_is_shown_in_its_normal_form(uri, page):
    """So that who compares it with what they know is not deceived."""
    assert verification_page(uri) == page


@pytest.mark.parametrize(
    "uri",
    ["javascript:alert(1)", "not a URL", "", "/login/device", "github.com/login", "ftp://github.com/", "https://", "https:///x",
     "https://github.com@elsewhere.com/", "https://github.com\\@elsewhere.com/", "https://a b.com/", "https://a.com/x y",
     "https://a.com/\x1b[2J", "https://a.com/\n", "https://a.com:99999/", "https://a.com/" + "x" * 3000, "https://[::1]/"],
)  # fmt: skip
def test_a_page_that_is_not_trusted(uri):
    """Anything but a web page, and what hides where it leads."""
    with pytest.raises(OAuthError, match=r"^Untrusted verification_uri in device code response$"):
        verification_page(uri)
    with pytest.raises(OAuthError, match=r"^Untrusted verification_uri"):
        read_device_code(changed(verification_uri=uri))


# Tokens


@pytest.fixture
def midnight(monkeypatch):
    monkeypatch.setattr(github, "now_ms", lambda: 1_000_000)


@pytest.mark.parametrize(
    ("answer", "poll"),
    [
        ({"access_token": "ghu_1"}, DeviceComplete(GitHubToken("ghu_1"))),
        (
            {"access_token": "ghu_1", "refresh_token": "ghr_1", "expires_in": 28_800},
            DeviceComplete(GitHubToken("ghu_1", "ghr_1", 1_000_000 + 28_500_000)),
        ),
        (
            {"access_token": "ghu_1", "refresh_token": 7, "expires_in": "x"},
            DeviceComplete(GitHubToken("ghu_1")),
        ),
        (
            {"access_token": "ghu_1", "refresh_token": "", "expires_in": True},
            DeviceComplete(GitHubToken("ghu_1")),
        ),
        ({"access_token": "ghu_1", "expires_in": 0}, DeviceComplete(GitHubToken("ghu_1", None, 700_000))),
        ({"access_token": "ghu_1", "error": "slow_down"}, DeviceComplete(GitHubToken("ghu_1"))),
        ({"error": "authorization_pending"}, DevicePending()),
        ({"error": "slow_down", "interval": 7}, DeviceSlowDown(7)),
        ({"error": "slow_down", "interval": "7"}, DeviceSlowDown(None)),
        ({"error": "slow_down"}, DeviceSlowDown(None)),
        ({"error": "expired_token"}, DeviceFailed("Device flow failed: expired_token")),
        (
            {"error": "access_denied", "error_description": "denied"},
            DeviceFailed("Device flow failed: access_denied: denied"),
        ),
        (
            {"error": "access_denied", "error_description": 7},
            DeviceFailed("Device flow failed: access_denied"),
        ),
        ({"access_token": 7, "error": "access_denied"}, DeviceFailed("Device flow failed: access_denied")),
    ],
)
def test_the_answer_to_a_question(answer, poll, midnight):
    """A token, with what renews it if that came along; a wait; or the end."""
    assert read_token(answer) == poll


@pytest.mark.parametrize(
    "answer",
    [None, 7, [], {}, {"access_token": 7}, {"access_token": ""}, {"access_token": "a\nb"}, {"error": 7}],
)
def test_an_answer_that_is_none(answer):
    """It ends the login."""
    with pytest.raises(OAuthError, match=r"^Invalid device token response$"):
        read_token(answer)


def test_a_copilot_token():
    """Good until five minutes before its time."""
    assert read_copilot_token({"token": "t", "expires_at": 1000}) == CopilotToken("t", 700_000)
    assert read_copilot_token({"token": "t", "expires_at": 10}) == CopilotToken("t", 0)
    assert "'t'" not in repr(read_copilot_token({"token": "t", "expires_at": 1000}))


@pytest.mark.parametrize("answer", [None, 3, "token", []])
def test_a_copilot_token_that_is_no_object(answer):
    """It says so."""
    with pytest.raises(OAuthError, match=r"^Invalid Copilot token response$"):
        read_copilot_token(answer)


@pytest.mark.parametrize(
    "answer",
    [{}, {"token": "t"}, {"expires_at": 1}, {"token": "t", "expires_at": "1"}, {"token": "t", "expires_at": 1.5},
     {"token": "t", "expires_at": True}, {"token": "t", "expires_at": -1}, {"token": 7, "expires_at": 1},
     {"token": "", "expires_at": 1}, {"token": "a\r\nb: c", "expires_at": 1}, {"token": "t" * 9000, "expires_at": 1}],
)  # fmt: skip
def test_a_copilot_token_with_wrong_fields(answer):
    """It must be fit for a header, and say until when it is good."""
    with pytest.raises(OAuthError, match=r"^Invalid Copilot token response fields$"):
        read_copilot_token(answer)


FIELDS = st.dictionaries(
    st.sampled_from([*CODE, "interval", "access_token", "refresh_token", "error", "token", "expires_at"]),
    json_values(max_leaves=3),
)


@given(json_values() | FIELDS | FIELDS.map(lambda fields: {**CODE, **fields}))
def test_answers_are_never_trusted(answer):
    """Whatever comes, it is taken apart or refused with an OAuthError."""
    for read in (read_device_code, read_token, read_copilot_token):
        with suppress(OAuthError):
            read(answer)
