"""What errors of account servers tell, and what they keep to themselves."""

import html
import json
import string
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.oauth.web import Answer, WebRequest, form_encoded
from runtime.errors import ApiStatusError, InvalidResponseError

TOKEN = "sk-ant-oat01-Zm9vYmFyYmF6"
ASKED = WebRequest.json("https://server.test/token", {"code": "the-code-of-the-day"})


def answer(body: str | bytes, status: int = 400, request: WebRequest = ASKED, **headers: str) -> Answer:
    return Answer(status, headers, body.encode() if isinstance(body, str) else body, request)


def refusal(got: Answer) -> str:
    with pytest.raises(ApiStatusError) as caught:
        got.raise_for_status()
    return str(caught.value)


def nonsense(got: Answer) -> str:
    with pytest.raises(InvalidResponseError) as caught:
        got.json()
    assert caught.value.__cause__ is None
    return "".join(traceback.format_exception(caught.value))


def test_a_refusal_is_quoted():
    """Status, body and place; both parts are on the error."""
    body = '{"error":"invalid_grant","error_description":"Code expired"}'
    got = answer(body)
    assert refusal(got) == f"provider returned HTTP 400 Bad Request: {body} (POST https://server.test/token)"
    assert refusal(answer("who?", 599)) == (
        "provider returned HTTP 599 <unknown status code>: who? (POST https://server.test/token)"
    )


def test_a_success_is_itself():
    """There is nothing to raise, and the JSON is read."""
    got = answer('{"a": [1]}', 201)
    assert got.raise_for_status() is got
    assert got.json() == {"a": [1]}


@pytest.mark.parametrize(
    "body", ["", "{", "nope", '{"a": NaN}', '{"a": 1e999}', "[" * 5000, "<p>hi</p>", b"\xff\xfe"], ids=repr
)
def test_what_is_no_json_is_an_error(body):
    """It says where it came from, and what came."""
    text = nonsense(answer(body, 200, **{"content-type": "text/plain"}))
    assert "JSON was expected from POST https://server.test/token, text/plain came: " in text


def test_a_page_is_told_by_its_title():
    """An HTML page in an error is one line."""
    page = f"<!DOCTYPE html>\n<html><head><title>Just a\n moment</title><script>{'x' * 9000}</script></head></html>"
    assert refusal(answer(page, 403)) == (
        "provider returned HTTP 403 Forbidden: [an HTML page: Just a moment] (POST https://server.test/token)"
    )
    assert "came: [an HTML page: Sorry not here]" in nonsense(answer("<html><p>Sorry</p> <b>not here", 200))


def test_a_long_refusal_is_cut():
    """An error is for people to read."""
    assert len(refusal(answer("word " * 100_000))) < 2200


LEAKS = [
    '{"access_token":"VALUE"}',
    '{"refresh_token" : "VALUE", "error": "x"}',
    '{"error":"{\\"id_token\\":\\"VALUE\\"}"}',
    '{"data":{"clientSecret":"VALUE"}}',
    '{"code_verifier":"VALUE',
    '{"device_code":"VALUE","user_code":"VALUE"}',
    "access_token=VALUE&scope=read",
    "{'token': 'VALUE'}",
    "Authorization: Bearer VALUE",
    "<html><title>refresh_token: VALUE</title>",
    "<html><p>refresh_token=VALUE</p>",
    '{"error":{"message":"bad access_token: VALUE"}}',
]
NAME_CHARS = string.ascii_letters + string.digits


@pytest.mark.parametrize("body", LEAKS)
@given(value=st.text(NAME_CHARS + "-_.~+/", min_size=8, max_size=60).map("Q7".__add__))
def test_a_token_in_an_answer_is_in_no_error(body, value):
    """Neither in that of a refusal nor in that of a success that is no JSON."""
    text = body.replace("VALUE", value)
    assert value not in refusal(answer(text))
    assert value not in nonsense(answer(f"!{text}", 200))


@pytest.mark.parametrize(
    "token", [TOKEN, "ghu_16C7e42F292c69", "eyJhbGciOi.eyJzdWIiOi", "tid=1a2b;exp=1;sku=x:ff00", "A1" * 20]
)
def test_a_token_is_known_by_its_looks(token):
    """Also where nothing calls it so."""
    assert token not in refusal(answer(f"I got {token}!"))
    assert token not in refusal(answer(f"<h1>I got {token}</h1>"))


SECRETS = st.text(NAME_CHARS + '-_.~+/="\\é ', min_size=6, max_size=60).map(lambda text: f"Q7{text}Z")
ECHOES = [
    "you sent {}",
    "<html><title>you sent {}</title></html>",
    "<html><body>you sent {}</body></html>",
    '{{"error":"invalid_grant","error_description":"{}"}}',
]


@pytest.mark.parametrize("echo", ECHOES)
@given(
    secret=SECRETS,
    kind=st.sampled_from(["form", "json", "header", "query"]),
    escape=st.sampled_from(["", "json", "html"]),
)
def test_what_was_sent_is_in_no_error(echo, secret, kind, escape):
    """A server may say it back, plain or escaped: no error repeats it."""
    match kind:
        case "form":
            request = WebRequest.form("https://server.test/", {"client_id": "me", "code": secret})
        case "json":
            request = WebRequest.json("https://server.test/", {"client_id": "me", "refresh_token": secret})
        case "header":
            secret = secret.encode("ascii", "ignore").decode()
            request = WebRequest.get("https://server.test/", {"Authorization": f"Bearer {secret}"})
        case "query":
            request = WebRequest.get(f"https://server.test/?{form_encoded({'code': secret})}")
    said = {"": secret, "json": json.dumps(secret)[1:-1], "html": html.escape(secret)}[escape]
    text = echo.format(said)
    for error in (refusal(answer(text, request=request)), nonsense(answer(f"!{text}", 200, request))):
        assert secret not in error
        assert said not in error
