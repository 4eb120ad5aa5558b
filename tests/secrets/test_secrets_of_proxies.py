"""Proxies, those of the model's wire and those of HTTP: what they are told, what they repeat, and what they hand on."""

import json
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from providers import proxy
from runtime import EmbeddingOptions, Model, SimpleStreamOptions, embed, stream_simple
from runtime.testing.server.loopback import SSE_HEAD, chunk, open_loopback
from tests.secrets.calls_lab import CHAT, CONTEXT, Way, call, credentials, model_at, quick
from tests.secrets.echo_lab import REFUSALS, STREAMS, Echo, check_answered, echoing, event, stream
from tests.secrets.secrets_lab import SECRETS, USER, Hidden, few, logged, secrets

START = '{"type": "start"}'


def saying(make):
    """An answer with a start, and one more event."""

    def answer(echo: Echo) -> bytes:
        return stream(event(START), event(json.dumps(make(echo.line))))

    return answer


EVENTS = {
    "an error": saying(lambda said: {"type": "error", "reason": "error", "errorMessage": said}),
    "an abort": saying(lambda said: {"type": "error", "reason": "aborted", "errorMessage": said}),
    "notes": saying(
        lambda said: {"type": "done", "reason": "stop", "diagnostics": [{"x": [said], said: said}, said]}
    ),
    "an odd type": saying(lambda said: {"type": said}),
    "no type": saying(lambda said: {"said": said}),
    "an odd reason": saying(lambda said: {"type": "done", "reason": said}),
    "an odd place": saying(lambda said: {"type": "text_start", "contentIndex": said}),
    "odd usage": saying(
        lambda said: {"type": "done", "reason": "stop", "usage": {"input": said, "cost": said}}
    ),
    "an odd time": lambda echo: stream(event(json.dumps({"type": "start", "timestamp": echo.line}))),
    "an odd item": saying(
        lambda said: {"type": "done", "reason": "stop", "providerItems": [{"index": said}]}
    ),
}
ANSWERS = REFUSALS | STREAMS | EVENTS
CLIENTS = {
    "a token": lambda url, secret: proxy.stream_fn(url, auth_token=secret),
    "a token that is asked for": lambda url, secret: proxy.stream_fn(url, auth_token=asked_for(secret)),
    "a header": lambda url, secret: proxy.stream_fn(url, headers={"X-Key": secret}),
    "a password": lambda url, secret: proxy.stream_fn(
        url.replace("//", f"//{USER}:{quote(secret, safe='')}@")
    ),
    "a query": lambda url, secret: proxy.stream_fn(f"{url}?token={quote(secret, safe='')}"),
}


def asked_for(secret):
    async def ask():
        return secret

    return ask


async def read(opened):
    """All that a stream shows."""
    async with opened as reply:
        events = [each async for each in reply]
        message = await reply.result()
        shown = [repr(reply), message.error_message, message.diagnostics]
    return [*shown, *events, *(each.model_dump_json() for each in (*events, message))]


@pytest.mark.parametrize("name", ANSWERS)
@few(2)
@given(data=st.data(), client=st.sampled_from(list(CLIENTS)))
def test_a_backend_that_repeats_its_token(name, data, client):
    """Neither its failures nor what it reports of a reply show the client's credential."""
    secret = data.draw(secrets(name))

    async def main():
        async with echoing(secret, ANSWERS[name]) as server:
            call_model = CLIENTS[client](server.url, secret)
            options = SimpleStreamOptions(**quick(name))
            return await read(call_model(Model("m", api="a", provider="p"), CONTEXT, options))

    with logged() as lines:
        shown = trio.run(main)
    check_answered(name, *shown)
    Hidden(secret).check(f"with {client}", *shown, *lines.own)


@few(15)
@given(secrets=st.lists(SECRETS, min_size=4, max_size=4, unique=True))
def test_a_backend_is_told_no_credential_but_its_own(secrets):
    """Keys and variables of the options, headers and address of the model stay with the client."""
    key, variable, header, password = secrets
    model = Model(
        "m",
        api="a",
        provider="p",
        base_url=f"https://{USER}:{quote(password, safe='')}@h/v1?key={quote(password, safe='')}",
        headers={"X-Key": header},
    )
    options = SimpleStreamOptions(**quick(), api_key=key, env={"OPENAI_API_KEY": variable})

    async def main():
        async with echoing(key, lambda echo: stream(event(START))) as server:
            await read(proxy.stream_fn(server.url, auth_token="of the reader")(model, CONTEXT, options))
            return server.requests

    (request,) = trio.run(main)
    Hidden(*secrets).check("the request", request.target, request.body.decode(), *request.headers.values())


@asynccontextmanager
async def backend(model, options):
    """The server's half: it calls the model, and hands the reply on."""

    async def respond(wire, request):
        asked = proxy.decode_request(request.body, lambda ref: model)
        await wire.send(SSE_HEAD)
        async with stream_simple(asked.model, asked.context, options) as reply:
            async for piece in proxy.encode_stream(reply, heartbeat=None):
                sent.append(piece.decode())
                await wire.send(chunk(piece))
        await wire.send(chunk(b""))

    sent = []
    async with open_loopback(respond) as server:
        yield server, sent


@pytest.mark.parametrize("api", CHAT)
@few(15)
@given(st.data())
def test_a_backend_hands_no_key_on(api, data):
    """A model's server repeats the key of the backend: the client does not get it."""
    credential = data.draw(credentials(api))
    name = data.draw(st.sampled_from(list(REFUSALS | STREAMS)))

    async def main():
        async with echoing(credential.secret, (REFUSALS | STREAMS)[name]) as server:
            _, model = model_at(api, server.url, credential.way)
            async with backend(model, SimpleStreamOptions(**{**quick(name), **credential.way.options})) as (
                middle,
                sent,
            ):
                client = proxy.stream_fn(middle.url)(Model("m", api="a", provider="p"), CONTEXT)
                return [*await read(client), *sent]

    shown = trio.run(main)
    check_answered(name, *shown)
    Hidden(credential.secret).check(credential.how, *shown)


# HTTP's own proxies


@pytest.fixture(scope="module")
def environment():
    """The variables of this process, as they were."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"):
            patch.delenv(name, raising=False)
        yield patch


NOWHERE = "http://models.invalid"


@pytest.mark.parametrize("name", REFUSALS)
@few(2)
@given(data=st.data(), tunnel=st.booleans())
def test_an_http_proxy_that_repeats_its_password(environment, name, data, tunnel):
    """The password in the environment's address of a proxy is not shown where the proxy repeats it."""
    secret = data.draw(secrets(name))
    url = NOWHERE.replace("http:", "https:") if tunnel else NOWHERE

    async def main(patch):
        async with echoing(secret, REFUSALS[name]) as server:
            at = server.url.replace("//", f"//{USER}:{quote(secret, safe='')}@")
            patch.setenv("https_proxy" if tunnel else "http_proxy", at)
            _, model = model_at("embeddings", url, Way())
            chat = await call("completions", url, Way({"api_key": "k"}), name)
            try:
                return chat, await embed(model, "hello", EmbeddingOptions(**quick(name)))
            except Exception as error:
                return chat, error

    with environment.context() as patch:
        chat, outcome = trio.run(main, patch)
    check_answered(name, outcome)
    Hidden(secret).check("behind the proxy", *chat.rest, *chat.reply, outcome)


ADDRESSES = (
    "http://{}:{}@127.0.0.1:1",
    "{}:{}@127.0.0.1:1",
    "x://{}:{}@127.0.0.1:1",
    "http:/{}:{}@127.0.0.1:1",
)


class NoNames(trio.abc.HostnameResolver):
    """Knows no host: pieces of passwords are not asked for anywhere."""

    async def getaddrinfo(self, *_, **__):
        raise OSError("there are no names here")

    async def getnameinfo(self, *_, **__):
        raise OSError("there are no names here")


@few(25)
@given(secret=SECRETS, address=st.sampled_from(ADDRESSES))
def test_an_http_proxy_with_an_odd_address(environment, secret, address):
    """A password that was not escaped, or an odd scheme: the error does not show it."""

    async def main():
        trio.socket.set_custom_hostname_resolver(NoNames())
        chat = await call("completions", NOWHERE, Way({"api_key": "k"}))
        _, model = model_at("embeddings", NOWHERE, Way())
        try:
            return chat, await embed(model, "hello", EmbeddingOptions(**quick()))
        except Exception as error:
            return chat, error

    with environment.context() as patch:
        patch.setenv("http_proxy", address.format(USER, secret))
        chat, outcome = trio.run(main)
    Hidden(secret).check("the error", *chat.rest, *chat.reply, outcome)
