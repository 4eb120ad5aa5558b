"""What there is to call: each provider's APIs, where it is, where its key would come from, and whether it answers.

Keys are looked for, never shown: neither a key nor a part of one is in anything that this module makes. Nor is one sent: that
an endpoint answers, it shows by refusing.
"""

import argparse
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic.alias_generators import to_camel

from runtime.errors import AgentrioError, OAuthError, reason_phrase
from runtime.nurseries import SingleVoiceNursery
from runtime.values.environment import ANTHROPIC_AUTH_TOKEN, API_KEY_VARIABLES
from runtime.values.secret import without_secrets

from .keys import DEFAULT_BASE_URLS
from .transport import Request, join_url

CHECK_SECONDS = 5.0
_CHAT = ("openai-completions", "openai-responses", "anthropic-messages")
_APIS: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai-responses", "openai-completions", "openai-images", "openai-embeddings"),
    "anthropic": ("anthropic-messages",),
    "github-copilot": (*_CHAT, "openai-embeddings"),
    "openrouter": ("openai-completions", "openrouter-images"),
}
_PROBES = {"openrouter": "/key"}
"""What to ask for instead of ``/models``, where everybody gets a long answer to that."""


@dataclass(frozen=True)
class Check:
    """Whether an endpoint answered, with any status, and what came of it in words."""

    answers: bool
    outcome: str


@dataclass(frozen=True, repr=False)
class Endpoint:
    """One place to call models at. ``variables`` may hold its key, the first that does counts: ``key_variable``, if one does.

    ``login``: the credential store has a login for it. ``url`` is not fit to be shown, ``base_url`` is.
    """

    provider: str
    url: str
    apis: tuple[str, ...]
    variables: tuple[str, ...] = ()
    key_variable: str | None = None
    login: bool = False
    check: Check | None = None

    @property
    def base_url(self) -> str:
        """Where it is, without user and query."""
        return without_secrets(self.url)

    def as_json(self) -> dict[str, Any]:
        """What may be shown of it, with JSON's names."""
        shown = {to_camel(name): value for name, value in asdict(self).items()}
        del shown["url"]
        return {"provider": shown.pop("provider"), "baseUrl": self.base_url, **shown}

    def __repr__(self) -> str:
        return f"<Endpoint {self.provider!r} at {self.base_url}>"


def endpoints(
    env: Mapping[str, str], logins: Collection[str] = (), base_urls: Iterable[str] = ()
) -> list[Endpoint]:
    """What there is with these variables and these logins; ``base_urls`` are servers of the user's own, which need no key."""
    known = [
        Endpoint(
            provider,
            DEFAULT_BASE_URLS[provider],
            apis,
            tuple(name for names in _variables(provider) for name in names),
            key_variable(provider, env),
            provider in logins,
        )
        for provider, apis in _APIS.items()
    ]
    return known + [Endpoint(_host(url), url, _CHAT) for url in base_urls]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # which quotes what may be a password; whoever sends to it says that it is no URL
        return ""


def key_variable(provider: str, env: Mapping[str, str]) -> str | None:
    """The variable that a handle made with ``from_env`` would take its key from; None if there is no key."""
    for names in _variables(provider):
        name = next((name for name in names if env.get(name)), None)
        if name is not None and env[name].strip():
            return name
    return None


def _variables(provider: str) -> list[tuple[str, ...]]:
    """Groups of variables: in each the first that is not empty counts, and one that is blank holds no key."""
    tokens = [(ANTHROPIC_AUTH_TOKEN,)] if provider == "anthropic" else []
    return [*tokens, API_KEY_VARIABLES.get(provider, ())]


# Whether they answer


async def check_endpoints(found: Sequence[Endpoint], within: float = CHECK_SECONDS) -> list[Endpoint]:
    """The same, each with its check: one request without a key, all at a time, none longer than ``within`` seconds."""
    checked = list(found)

    async def check(index: int, endpoint: Endpoint) -> None:
        url = join_url(endpoint.url, _PROBES.get(endpoint.provider, "/models"))
        checked[index] = replace(endpoint, check=await check_url(url, within))

    async with SingleVoiceNursery() as nursery:
        for index, endpoint in enumerate(found):
            nursery.start_soon(check, index, endpoint)
    return checked


async def check_url(url: str, within: float = CHECK_SECONDS) -> Check:
    """Ask for a URL once, without a key and without following a redirect. Every status is an answer; nothing is raised."""
    from .oauth.web import WebRequest, fetch

    try:
        answer = await fetch(WebRequest.get(url), within=within)
    except AgentrioError as error:
        return Check(False, str(error))
    return Check(True, f"HTTP {answer.status} {reason_phrase(answer.status)}")


# Words


def table(found: Iterable[Endpoint], store: str) -> str:
    """The endpoints for people to read; ``store`` names the file that logins are in."""
    return "\n\n".join("\n".join(_lines(endpoint, store)) for endpoint in found)


def _lines(endpoint: Endpoint, store: str) -> Iterable[str]:
    yield f"{endpoint.provider}  {endpoint.base_url}"
    yield f"  APIs     {', '.join(endpoint.apis)}"
    yield f"  key      {_key(endpoint)}"
    if endpoint.login:
        yield f"  login    in {store}"
    if endpoint.check is not None:
        yield f"  answers  {'yes' if endpoint.check.answers else 'no'}: {endpoint.check.outcome}"


def _key(endpoint: Endpoint) -> str:
    if endpoint.key_variable:
        return f"from {endpoint.key_variable}"
    if endpoint.variables:
        return f"none; {' or '.join(endpoint.variables)} would be one"
    return "none from the environment: those keys go to their own providers only"


# The command


async def inspect(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Print what there is; the exit status: 1 if something that was asked does not answer."""
    store, logins = await _logins()
    found = endpoints(env, logins, arguments.base_url)
    if arguments.check:
        found = await check_endpoints(found)
    if arguments.json:
        text = json.dumps([endpoint.as_json() for endpoint in found], indent=2)
    else:
        text = table(found, store)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return int(any(endpoint.check is not None and not endpoint.check.answers for endpoint in found))


async def _logins() -> tuple[str, list[str]]:
    """The credential store's file, and whom it has logins of. A file that cannot be read is told, and counts as empty."""
    from .oauth.store import CredentialStore

    try:
        store = CredentialStore()
        return str(store.path), await store.providers()
    except OAuthError as error:
        sys.stderr.write(f"logins are not shown: {error}\n")
        return "", []


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what is wrong with it ends the program with a usage line and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m providers",
        description="Each provider, its APIs, where it is, and where its key would come from. Keys are never shown.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"ask each endpoint whether it is there: one request without a key, {CHECK_SECONDS:g} seconds at most; the exit "
        "status is 1 if one does not answer",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--base-url", action="append", default=[], metavar="URL", type=_base_url,
        help="a server of your own, such as http://localhost:11434/v1; may be given more than once",
    )  # fmt: skip
    return parser.parse_args(argv)


def _base_url(text: str) -> str:
    try:
        Request(text, {}, b"")
    except AgentrioError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
