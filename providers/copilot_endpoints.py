"""Where GitHub Copilot is: the domains of GitHub, and the base URL that follows from a token or a domain."""

import re
import unicodedata

from .copilot_headers import COPILOT
from .keys import DEFAULT_BASE_URLS

COPILOT_BASE_URL = DEFAULT_BASE_URLS[COPILOT]
"""Where Copilot is for individuals, and for whoever gives no other place."""
GITHUB = "github.com"

_LONGEST_HOST = 253
_LAST_PORT = 65_535
# A backslash ends the host as a slash does (WHATWG): what follows is not taken for another host behind a user name.
_URL = re.compile(
    r"""(?isx)
    (?: [a-z] [a-z0-9+.-]* :// )?+
    (?: [^/\\?\#]* @ )?+
    (?P<host> [^/\\?\#@:]+ )
    (?: : (?P<port> [0-9]{0,9} ) )?
    (?: [/\\?\#] .* )?
    """
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)\.?\Z){_LABEL}\.?")
_PROXY = "proxy-ep="


def normalize_domain(text: str) -> str | None:
    """The host of a domain or URL that somebody typed, in lower case and punycode; None if nothing in it can be one.

    ``https://Company.ghe.com/path`` and ``company.ghe.com`` give ``company.ghe.com``. Never raises. An IP address is no
    domain: words are put before a domain to name GitHub's APIs.
    """
    url = _URL.fullmatch(text.strip())
    if url is None or int(url["port"] or 0) > _LAST_PORT:
        return None
    host = _ascii_host(url["host"])
    return host if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else None


def copilot_base_url(token: str | None = None, enterprise_domain: str | None = None) -> str:
    """Where the models are: at the host that a Copilot token names, else at that of an enterprise, else ``COPILOT_BASE_URL``."""
    if host := _host_of_token(token or ""):
        return f"https://{host}"
    domain = normalize_domain(enterprise_domain or "")
    return f"https://copilot-api.{domain}" if domain and domain != GITHUB else COPILOT_BASE_URL


def versioned_base_url(base_url: str) -> str:
    """Where Copilot's Messages API is: unlike the others, under ``/v1``. A query stays."""
    path, mark, query = base_url.strip().partition("?")
    path = path.rstrip("/")
    return (path if path.endswith("/v1") else f"{path}/v1") + mark + query


def _host_of_token(token: str) -> str | None:
    """``api.example.com`` for a token such as ``tid=1;proxy-ep=proxy.example.com;exp=2``."""
    named = next((part.removeprefix(_PROXY) for part in token.split(";") if part.startswith(_PROXY)), "")
    host = normalize_domain(named)
    return f"api.{host.removeprefix('proxy.')}" if host and host.startswith("proxy.") else host


def _ascii_host(host: str) -> str:
    """A host in lower case, each label that is not ASCII in punycode; empty if it cannot be."""
    if host.isascii():
        return host.lower()
    import httpx

    try:
        return httpx.URL(scheme="https", host=unicodedata.normalize("NFKC", host).lower()).raw_host.decode()
    except (httpx.InvalidURL, UnicodeError):
        return ""
