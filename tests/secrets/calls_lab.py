"""Ways to give a call its credential, whatever it calls, and all that a chat call shows."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from zlib import crc32

from hypothesis import strategies as st

from providers import anthropic, openai, openrouter
from runtime import Context, Model, SimpleStreamOptions, stream_simple
from runtime.values.message import user
from tests.secrets.echo_lab import check_answered, patience
from tests.secrets.secrets_lab import USER, logged, secrets

_BOUNDS = {"max_retries": 0, "max_event_bytes": 1 << 15}
CONTEXT = Context(messages=[user("Hello?")])
CHAT: dict[str, tuple[Callable[..., Any], str, str]] = {
    "completions": (openai.chat_completions, "openai", "OPENAI_API_KEY"),
    "responses": (openai.responses, "openai", "OPENAI_API_KEY"),
    "messages": (anthropic.messages, "anthropic", "ANTHROPIC_API_KEY"),
}
DOCUMENTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "embeddings": (openai.embeddings, "openai", "OPENAI_API_KEY"),
    "images": (openai.images, "openai", "OPENAI_API_KEY"),
    "OpenRouter's images": (openrouter.images, "openrouter", "OPENROUTER_API_KEY"),
}
APIS = CHAT | DOCUMENTS
"""Each API: what makes its handles, and the provider and the variable that a key may come from."""


def quick(name: str = "") -> dict[str, Any]:
    """The options of a call that a server answers so: small bounds, and time enough for all but silence."""
    seconds = patience(name)
    return {**_BOUNDS, "first_event_timeout": seconds, "event_timeout": seconds}


@dataclass(frozen=True)
class Way:
    """What a handle, its model and the options of a call get, and what becomes of the address."""

    handle: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    at: Callable[[str], str] = str


def _headers(name: str, value: str) -> dict[str, dict[str, str]]:
    return {"headers": {name: value}}


def _basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"{USER}:{secret}".encode()).decode()


WAYS: dict[str, Callable[[str, str], Way]] = {
    "options.api_key": lambda secret, _: Way(options={"api_key": secret}),
    "the handle's key": lambda secret, _: Way({"api_key": secret}),
    "options.env": lambda secret, name: Way(options={"env": {name: secret}}),
    "the handle's env": lambda secret, name: Way({"env": {name: secret}}),
    "Authorization: Bearer": lambda secret, _: Way(options=_headers("Authorization", f"Bearer {secret}")),
    "authorization: bearer": lambda secret, _: Way(_headers("authorization", f"bearer {secret}")),
    "AUTHORIZATION: Basic": lambda secret, _: Way(_headers("AUTHORIZATION", _basic(secret))),
    "authorization: Token": lambda secret, _: Way(model=_headers("authorization", f"Token  {secret}")),
    "api-key": lambda secret, _: Way(_headers("api-key", secret)),
    "a header of one's own": lambda secret, _: Way(model=_headers("X-Own", secret)),
    "a header with a space at its end": lambda secret, _: Way(options=_headers("x-own", f"{secret} ")),
    "a gateway's header": lambda secret, _: Way(options=_headers("cf-aig-authorization", f"Bearer {secret}")),
    "a password": lambda secret, _: Way(
        at=lambda url: url.replace("//", f"//{USER}:{quote(secret, safe='')}@")
    ),
    "a user name": lambda secret, _: Way(at=lambda url: url.replace("//", f"//{quote(secret, safe='')}@")),
    "a user name and a colon": lambda secret, _: Way(
        at=lambda url: url.replace("//", f"//{quote(secret, safe='')}:@")
    ),
    "a query": lambda secret, _: Way(at=lambda url: f"{url}?api-key={quote(secret, safe='')}&v=1"),
    "a query with plus signs": lambda secret, _: Way(
        at=lambda url: f"{url}?v=1&token={quote(secret, safe='+')}"
    ),
}
"""Every way, with the secret and the name of the API's variable."""
TOKEN_WAYS: dict[str, Callable[[str, str], Way]] = {
    "auth_token": lambda secret, _: Way({"auth_token": secret}),
    "a subscription's token": lambda secret, _: Way({"api_key": secret}),
    "ANTHROPIC_AUTH_TOKEN": lambda secret, _: Way(options={"env": {"ANTHROPIC_AUTH_TOKEN": secret}}),
}
"""What the Messages API has besides."""


@dataclass(frozen=True)
class Credential:
    """A secret, and how a call gets it."""

    how: str
    secret: str
    way: Way


@st.composite
def credentials(draw: st.DrawFn, api: str, salt: str = "") -> Credential:
    """A secret and a way to give it to a call of that API; ``salt`` is that of ``secrets``."""
    known = WAYS | (TOKEN_WAYS if api == "messages" else {})
    names = list(known)
    how = names[(draw(st.integers(0, len(names) - 1)) + crc32(f"{api} {salt}".encode())) % len(names)]
    secret = ("sk-ant-oat" if "subscription" in how else "") + draw(secrets(f"{api} {salt}"))
    return Credential(how, secret, known[how](secret, APIS[api][2]))


def model_at(api: str, url: str, way: Way) -> tuple[Any, Model]:
    """A handle and a model of it that get what the way says."""
    make, provider, _ = APIS[api]
    handle = make(base_url=way.at(f"{url}/v1"), provider_id=provider, **way.handle)
    return handle, handle.model("m", **way.model)


@dataclass
class Shown:
    """What a call has shown: in ``reply`` stands what the server said, in ``rest`` what we say, and ``requests`` is httpx's log."""

    reply: list[object]
    rest: list[object]
    requests: list[str]


async def call(api: str, url: str, way: Way, name: str = "", **options: Any) -> Shown:
    """Call a chat model whose server answers so, and collect all that there is to be seen."""
    handle, model = model_at(api, url, way)
    told: list[object] = []

    async def on_response(info: object, _: Model) -> None:
        told.append(info)

    given = SimpleStreamOptions(**{**quick(name), "on_response": on_response, **way.options, **options})
    with logged() as lines:
        async with stream_simple(model, CONTEXT, given) as stream:
            events = [event async for event in stream]
            message = await stream.result()
            told += [repr(stream), given, model, handle, model.bindings.language]
    check_answered(name, message.error_message)
    reply = [each for event in (*events, message) for each in (event, event.model_dump_json())]
    told += [message.error_message, message.diagnostics, message.usage, *lines.own]
    return Shown(reply, told, lines.requests)
