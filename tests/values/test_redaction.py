"""The removal of known credentials from texts: encoded, cut, mixed, long; and what is left alone."""

import html
import json
import time
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.values.redaction import Redactor, redacted
from runtime.values.secret import MASK, secret_header_values, user_in, without_secrets
from runtime.values.text import from_html

VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
KEYS = st.text(VISIBLE, min_size=24, max_size=80).filter(lambda key: len(set(key)) > 12)
KEY = "sk-proj-Zq8+/x%41&lt;\\u0041'7Tr\"k2"


def escaped_everywhere(text):
    """JSON whose every character is an escape."""
    return "".join(f"\\u{ord(each):04x}" for each in text)


ENCODERS = {
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "PHP's JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "nothing but escapes": escaped_everywhere,
    "repr": lambda text: repr(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "HTML": html.escape,
    "HTML in HTML": lambda text: html.escape(html.escape(text)),
    "a URL": lambda text: quote(text, safe=""),
    "a URL in a URL": lambda text: quote(quote(text, safe="")),
    "HTML in JSON": lambda text: json.dumps(html.escape(text))[1:-1],
}


@pytest.mark.parametrize("how", ENCODERS)
@given(KEYS)
def test_an_encoded_credential_is_taken_out(how, key):
    """However it is encoded, once or twice, nothing of it can be read, and what stands around it can."""
    text = f"before <{ENCODERS[how](key)}> after"
    told = Redactor([key])(text)
    assert MASK in told
    assert (told[:7], told[-6:]) == ("before ", " after")
    assert len(told) < len("before <> after") + 2 * 12


@given(KEYS, st.data())
def test_a_piece_of_a_credential_is_taken_out(key, data):
    """Twelve characters of it are hidden wherever they were cut, shorter ones may stand in any word."""
    begin = data.draw(st.integers(0, len(key) - 12))
    end = data.draw(st.integers(begin + 12, len(key)))
    told = Redactor([key])(f"before {key[begin:end]} after")
    assert told.replace(" ", "") == f"before{MASK}after"


@given(st.lists(st.text(VISIBLE, min_size=4, max_size=11), min_size=1, max_size=5), st.text(VISIBLE))
def test_short_credentials_are_taken_out_whole(keys, between):
    """Each of several, also where one is the beginning of another."""
    text = Redactor(keys)(between.join(f" {key} " for key in keys))
    assert not any(f" {key} " in text for key in keys)


@pytest.mark.parametrize("how", ENCODERS)
def test_a_credential_that_looks_like_an_escape_is_known(how):
    """Where it holds what JSON, HTML or a URL would read as something else."""
    told = Redactor([KEY])(f"({ENCODERS[how](KEY)})")
    assert told == f"({MASK})"


def test_what_holds_no_credential_is_left_as_it_is():
    """Escapes are only read where that brings a credential to light."""
    text = r'{"message": "C:\\new \u0041 100%25 &amp; \"more\""}'
    assert Redactor([KEY, "short"])(text) == text


def test_an_address_in_a_header_does_not_hide_others():
    """What all URLs begin with is no piece of a credential."""
    redact = Redactor(["https://api.example.com/hooks/Zq8xT2"])
    assert redact("POST https://api.openai.com/v1") == "POST https://api.openai.com/v1"
    assert redact("see https://api.example.com/hooks/Zq8xT2") == f"see {MASK}"


@pytest.mark.parametrize("text", ["\\", "&", "%25", "&amp;", "authorization: ", KEY[3:9], '\\"'])
def test_a_long_text_is_read_in_no_time(text):
    """The time grows with the length alone, whatever it repeats."""
    redact = Redactor([KEY])
    redact(text)
    begin = time.process_time()
    redact(text * (1_000_000 // len(text)))
    assert time.process_time() - begin < 8  # seconds; the usual is less than one


def test_an_error_that_quotes_a_credential_is_known():
    """Also where only what led to it does."""
    redact = Redactor([KEY])
    quoting, quiet = ValueError(f"bad {KEY}"), ValueError("outer")
    quiet.__cause__ = quoting
    assert redact.is_quoted_in(quiet)
    assert not redact.is_quoted_in(ValueError("outer"))


def test_json_is_redacted_wherever_a_text_is_in_it():
    """Names and values, in lists and objects; other values stay."""
    value = {f"x {KEY}": [KEY, 1, None, {"y": f"({KEY})"}]}
    assert redacted(value, Redactor([KEY])) == {f"x {MASK}": [MASK, 1, None, {"y": f"({MASK})"}]}


@pytest.mark.parametrize(
    ("url", "user", "shown"),
    [
        ("https://h/x@y?z=a@b", "", "https://h/x@y"),
        ("https://u:p@h:80/x", "u:p", "https://h:80/x"),
        ("https://u:p/w?@h/x", "u:p/w?", "https://h/x"),
        ("https://k@[::1]:80/x#f", "k", "https://[::1]:80/x"),
        ("https://[fe80::1%25eth0]/v1/@scope", "", "https://[fe80::1%25eth0]/v1/@scope"),
        ("sk-this-is-a-key", "", "sk-t..."),
        ("", "", ""),
    ],
)
def test_a_url_is_shown_without_its_user(url, user, shown):
    """Also where a password was not escaped; of what is no URL, and may be a key, just the beginning is."""
    assert (user_in(url), without_secrets(url)) == (user, shown)


# What servers make of it


def test_a_reference_of_any_length_is_read():
    """HTML may count its characters with thousands of digits, which Python's own reader refuses."""
    nines, zeros = f"&#{'9' * 5000};", f"&#{'0' * 5000}65;"
    assert from_html(f"a {nines} b {zeros} &#65; &#12345678; &#000000000;") == "a \ufffd b A A \ufffd \ufffd"
    assert Redactor([KEY])(f"{nines} {zeros[:-3]}115;{KEY[1:]}") == f"\ufffd {MASK}"


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("ollama", "cannot connect to http://ollama:11434/v1 with ollama", f"cannot connect to http://ollama:11434/v1 with {MASK}"),
        ("test", "the latest test, tested", f"the latest {MASK}, tested"),
        ("local", "localhost, a%20local%20one", f"localhost, a {MASK} one"),
        ("s3cret", r"a\ns3cret\u0022", f'a {MASK}"'),
    ],
)  # fmt: skip
def test_a_short_credential_is_taken_out_where_it_stands_alone(key, text, told):
    """It may be a part of words, and of the host that was asked."""
    assert Redactor([key], place="http://ollama:11434/v1")(text) == told


def test_the_place_is_hidden_where_a_key_is_in_it():
    """A long one in a path stays one."""
    assert Redactor([KEY], place=f"http://h/{KEY}")(f"no http://h/{KEY}") == f"no http://h/{MASK}"


def test_a_redactor_learns():
    """What becomes known later is hidden from then on."""
    redact = Redactor(["another"])
    assert redact(KEY) == KEY
    redact.learn([KEY, None])
    assert redact(KEY) == MASK


def test_what_is_known_is_no_guess():
    """In what is no failure, only known credentials are looked for, and words are none."""
    said = f"send api_key: whatever123 and {KEY}"
    assert Redactor([KEY])(said) == f"send api_key: {MASK} and {MASK}"
    assert Redactor([KEY]).known(said) == f"send api_key: whatever123 and {MASK}"
    words = Redactor(["test", "t3st", "ollama"])
    assert words.known("a test of ollama, t3st") == f"a test of ollama, {MASK}"
    words.learn([KEY])
    assert words.known(KEY) == MASK


@pytest.mark.parametrize("text", ["api_key: required", "authorization: missing header", "access_token=invalid", "Authorization: Bearer token required"])  # fmt: skip
def test_words_behind_the_name_of_a_key_stay(text):
    """What has no digit and is short is a word."""
    assert Redactor([])(text) == text


def test_what_was_read_can_be_written():
    """Escapes may spell half of a surrogate pair, or both halves of one."""
    told = Redactor([KEY])(rf"\ud800 \ud83d\ude00 {escaped_everywhere(KEY)}")
    assert told == f" \U0001f600 {MASK}"


def test_what_is_packed_into_headers_is_known():
    """The password of Basic, and cookies."""
    packed = b64encode(b"joe:pass:w0rd").decode()
    assert set(secret_header_values({"Authorization": f"Basic {packed}", "cookie": "a=b; s=C00kie"})) == {
        f"Basic {packed}",
        "pass:w0rd",
        "a=b; s=C00kie",
        "b",
        "C00kie",
    }
    assert secret_header_values({"Authorization": "Basic x"}) == ["Basic x"]
    assert secret_header_values({"session_id": "chat", "X-Session-Id": "chat", "Host": "h"}) == []
