"""Where GitHub Copilot is: domains as people type them, and what tokens say."""

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.copilot_endpoints import copilot_base_url, normalize_domain, versioned_base_url

INDIVIDUAL = "https://api.individual.githubcopilot.com"


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("company.ghe.com", "company.ghe.com"),
        ("https://company.ghe.com/path", "company.ghe.com"),
        ("  https://Company.GHE.com:8443/a?b#c \n", "company.ghe.com"),
        ("company.ghe.com:443", "company.ghe.com"),
        ("https://user:secret@company.ghe.com/", "company.ghe.com"),
        ("ssh://git@company.ghe.com/team/repo", "company.ghe.com"),
        ("https://company.ghe.com\\@elsewhere.com", "company.ghe.com"),
        ("company.ghe.com?x=https://elsewhere.com", "company.ghe.com"),
        ("localhost", "localhost"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("ＧＨＥ.example", "ghe.example"),
        ("company。ghe.com", "company.ghe.com"),
    ],
)
def test_a_domain_is_what_is_left_of_an_address(text, domain):
    """In lower case and punycode, without anything around it."""
    assert normalize_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    ["", "   ", "not a host", "https://", "://", "http://:80", "@", "a@", "-a.com", "a-.com", "a..com", ".com", "a.com:port",
     "a.com:99999", "a.com:-1", "::1", "https://[::1]/", "127.0.0.1", "0x7f.1", "2130706433", "1.2.3.4.", "a.com:1:2",
     "ex%61mple.com", "a\tb.com", "a\x00b.com", "ü..de", "💩.la", "\u200d.com", "a" * 64 + ".com", "a." * 130 + "com"],
)  # fmt: skip
def test_what_is_no_domain(text):
    """Neither is an address of numbers: words are put before a domain."""
    assert normalize_domain(text) is None


@given(st.text() | st.text(alphabet="ab.:/@-_\\[]%?#ü。 \t019x").map("https://{}".format))
@example("https://" + "a@" * 5000)
@example("a" * 100_000)
def test_domains_are_valid_or_none(text):
    """Nothing raises; what comes out is a host that a URL can hold, and stays the same."""
    domain = normalize_domain(text)
    if domain is not None:
        assert normalize_domain(domain) == domain
        assert httpx.URL(f"https://api.{domain}/x").raw_host.decode() == f"api.{domain}"
        assert domain == domain.lower()


@pytest.mark.parametrize(
    ("token", "domain", "base_url"),
    [
        ("tid=test;proxy-ep=proxy.individual.githubcopilot.com;exp=1", None, INDIVIDUAL),
        ("tid=test;proxy-ep=proxy.enterprise.example.com;exp=1", "company.ghe.com", "https://api.enterprise.example.com"),
        ("proxy-ep=models.example.com", None, "https://models.example.com"),
        ("proxy-ep=proxy.a.com;proxy-ep=proxy.b.com", None, "https://api.a.com"),
        (None, "https://company.ghe.com/path", "https://copilot-api.company.ghe.com"),
        ("tid=test", "company.ghe.com", "https://copilot-api.company.ghe.com"),
        ("proxy-ep=;exp=1", "company.ghe.com", "https://copilot-api.company.ghe.com"),
        ("proxy-ep=not a host", None, INDIVIDUAL),
        ("proxy-ep=proxy.a.com/path?x", None, "https://api.a.com"),
        ("tid=test", "github.com", INDIVIDUAL),
        ("tid=test", "not a host", INDIVIDUAL),
        ("", "", INDIVIDUAL),
        (None, None, INDIVIDUAL),
    ],
)  # fmt: skip
def test_a_token_outranks_a_domain(token, domain, base_url):
    """Without either, Copilot is where it is for individuals."""
    assert copilot_base_url(token, domain) == base_url


@given(st.text().map("proxy-ep={}".format) | st.text(), st.none() | st.text())
def test_a_place_is_always_one(token, domain):
    """Whatever a token says: a host over TLS, and nothing else."""
    base_url = copilot_base_url(token, domain)
    assert normalize_domain(base_url) == base_url.removeprefix("https://")


@pytest.mark.parametrize(
    ("base_url", "versioned"),
    [
        ("https://h", "https://h/v1"),
        ("https://h//", "https://h/v1"),
        ("https://h/v1", "https://h/v1"),
        (" https://h/v1/ ", "https://h/v1"),
        ("https://h/x?v=2", "https://h/x/v1?v=2"),
    ],
)
def test_messages_are_versioned(base_url, versioned):
    """Once, and before a query."""
    assert versioned_base_url(base_url) == versioned
