"""Options, handles, models and credentials: what they show of themselves, in whatever form, and what is said when they are wrong."""

import copy
import dataclasses
import json
import pickle
import re
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from providers import anthropic, github_copilot, openai, openrouter, proxy
from providers.access import Access
from providers.inspection import endpoints
from providers.oauth import OAuthApiKey, OAuthCredentials
from providers.oauth.pkce import Pkce
from providers.oauth.web import WebRequest
from providers.openai import OpenAICompletionsOptions
from providers.transport import Request
from runtime import AgentOptions, EmbeddingOptions, Model, SimpleStreamOptions, StreamOptions
from runtime.demo.command_line import Arguments
from runtime.demo.endpoint import endpoint_agent
from tests.secrets.secrets_lab import SECRETS, USER, Hidden, few, secrets

OPTIONS = (StreamOptions, SimpleStreamOptions, EmbeddingOptions, OpenAICompletionsOptions)
HANDLES = (
    openai.chat_completions,
    openai.responses,
    openai.images,
    openai.embeddings,
    anthropic.messages,
    openrouter.images,
    github_copilot.chat_completions,
)


def everywhere(secret):
    """Settings that hold it wherever a credential belongs."""
    return {
        "api_key": secret,
        "headers": {"Authorization": f"Bearer {secret}", "X": secret},
        "env": {"KEY": secret},
    }


def address(secret):
    return f"https://{USER}:{quote(secret, safe='')}@h/v1?api-key={quote(secret, safe='')}#{quote(secret, safe='')}"


def options_of(secret):
    return [kind(**everywhere(secret)) for kind in OPTIONS]


def handles_of(secret):
    return [make(**everywhere(secret), base_url=address(secret)) for make in HANDLES]


def credentials_of(secret):
    return OAuthCredentials(
        secret, secret, 1, {"more": [secret, {"inner": secret}], "githubRefreshToken": secret}
    )


@few(20)
@given(SECRETS)
def test_what_holds_a_credential_does_not_show_it(secret):
    """Neither as it is, nor copied, nor inside of something else."""
    handles, options = handles_of(secret), options_of(secret)
    models = [handle.model("m", headers={"X-Own": secret}) for handle in handles]
    credentials = credentials_of(secret)
    held = [
        *handles,
        *options,
        *models,
        *(model.bindings.language for model in models),
        *(AgentOptions(model=model, options=options[1]) for model in models),
        credentials,
        credentials.extra,
        credentials.replace(access=secret),
        OAuthApiKey(credentials, secret),
        Access(**everywhere(secret)),
        Request(address(secret), {"x-api-key": secret}, secret.encode(), (secret,)),
        WebRequest.json(address(secret), {"code": secret}, {"x": secret}),
        Pkce(secret, "challenge"),
        proxy.stream_fn(address(secret), auth_token=secret, headers={"X": secret}),
        anthropic.messages(auth_token=secret),
        github_copilot.chat_completions(credentials=credentials),
    ]
    hidden = Hidden(secret)
    hidden.check("a token", repr(credentials.refresh), [credentials.access])
    hidden.check("repr", held, {"all": held}, *map(repr, held), *(f"{each}" for each in held))
    values = [*models, *options, credentials]
    hidden.check("copies", *map(copy.copy, values), *map(copy.deepcopy, values))


@few(20)
@given(SECRETS)
def test_options_that_were_taken_apart_do_not_show_it(secret):
    """As a dict, pickled and read again, or replaced: what prints is masked, what is sent is not."""
    for options in options_of(secret):
        again = pickle.loads(pickle.dumps(options))
        replaced = dataclasses.replace(options, max_retries=1)
        parts = dataclasses.asdict(options)
        Hidden(secret).check("parts", again, replaced, parts, list(parts.values()), again.headers, again.env)
        assert (again.api_key, replaced.api_key, parts["api_key"]) == (secret, secret, secret)
        assert again.headers == options.headers


@few(20)
@given(SECRETS)
def test_a_written_model_is_without_its_handles_credentials(secret):
    """Neither its JSON nor a pickle of it holds what the handle was given, apart from the address."""
    for make in HANDLES:
        model = make(**everywhere(secret), base_url="https://h/v1").model("m")
        written = [
            model.model_dump_json(),
            json.dumps(model.model_dump(mode="json")),
            repr(model.model_dump()),
        ]
        pickled = pickle.dumps(model)
        Hidden(secret).check("written", *written, pickled.decode("latin-1"))
        assert pickle.loads(pickled) == model


# What is wrong


class Odd:
    """Something that shows what it holds."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"Odd({self.secret!r})"


WRONG = {
    "bytes": lambda secret: secret.encode(),
    "a list": lambda secret: [secret],
    "a tuple": lambda secret: ("Authorization", secret),
    "pairs": lambda secret: [("Authorization", secret)],
    "an object": Odd,
    "a dict of objects": lambda secret: {"KEY": Odd(secret)},
    "a dict of lists": lambda secret: {"KEY": [secret]},
    "a dict of bytes": lambda secret: {b"KEY": secret.encode()},
    "a whole header": lambda secret: {f"Authorization: Bearer {secret}": ""},
    "a whole header without a value": lambda secret: {f"Authorization: Bearer {secret}": None},
    "a whole assignment": lambda secret: {f"KEY={secret}": 1},
    "a line end": lambda secret: {"KEY": f"{secret}\n"},
    "no latin": lambda secret: {"KEY": f"{secret}\u20ac"},
    "a line end in a text": lambda secret: f"{secret}\r\nX: y",
    "a text": str,
    "a text with a colon": lambda secret: f"{USER}:{secret}@h/v1",
    "one slash": lambda secret: f"http:/{USER}:{secret}@h/v1",
    "another scheme": lambda secret: f"ftp://{USER}:{quote(secret, safe='')}@h/v1",
    "no host": lambda secret: f"https://?key={secret}",
    "a password that is not escaped": lambda secret: f"https://{USER}:{secret}@h/v1",
    "a password in brackets": lambda secret: f"http://{USER}:[{secret}]@h/v1",
    "a name that is not escaped": lambda secret: f"https://{secret}@h/v1",
    "JSON": lambda secret: json.dumps({"access": secret, "refresh": 1}),
}
PLACES = {
    **{f"{kind.__name__}.{name}": (kind, name) for kind in OPTIONS for name in ("api_key", "headers", "env")},
    **{
        f"{make.__module__}.{make.__name__}, {name}": (make, name)
        for make in HANDLES
        for name in ("api_key", "headers", "env", "base_url")
    },
    "auth_token": (anthropic.messages, "auth_token"),
    "Copilot's credentials": (github_copilot.chat_completions, "credentials"),
    "a model's headers": (openai.responses("k").model, "headers"),
    "a model's address": (openai.responses("k").model, "base_url"),
    "the proxy's address": (proxy.stream_fn, "url"),
    "the proxy's token": (lambda **given: proxy.stream_fn("http://h", **given), "auth_token"),
    "the proxy's headers": (lambda **given: proxy.stream_fn("http://h", **given), "headers"),
    "Model.headers": (lambda **given: Model("m", **given), "headers"),
    "Model.base_url": (lambda **given: Model("m", **given), "base_url"),
    "a Model that is read": (
        lambda data: Model.model_validate({"id": "m", "headers": data, "baseUrl": data}),
        "data",
    ),
    "JSON of a Model": (Model.model_validate_json, "json_data"),
    "an address that is inspected": (lambda url: endpoints({}, (), [str(url)]), "url"),
    "the demo's address": (lambda url: endpoint_agent(Arguments(base_url=str(url), model="m")), "url"),
    "refresh": (lambda refresh: OAuthCredentials(refresh, "a", 1), "refresh"),
    "access": (lambda access: OAuthCredentials("r", access, 1), "access"),
    "expires": (lambda expires: OAuthCredentials("r", "a", expires), "expires"),
    "credentials that are read": (OAuthCredentials.model_validate, "obj"),
    "JSON of credentials": (OAuthCredentials.model_validate_json, "json_data"),
    "a request's address": (lambda url: Request(url, {}, b""), "url"),
    "a request's headers": (lambda headers: Request("http://h", headers, b""), "headers"),
}


@pytest.mark.parametrize("place", PLACES)
@few(12)
@given(st.data(), st.sampled_from(list(WRONG)))
def test_what_is_wrong_with_a_credential_is_said_without_it(place, data, wrong):
    """A wrong type or form, wherever a credential belongs: the error, or what takes it after all, does not show it."""
    secret = data.draw(secrets(place))
    make, name = PLACES[place]
    assume(
        not re.search(r"(^|@)[\w.-]*(:\d*)?[/?#]", secret)
    )  # a host or a port, and a path: nobody can know that a password is meant
    if (
        name == "env" or "Model" in place
    ):  # whose names are no secrets; handles and options know what a header's may be
        assume(not wrong.startswith("a whole"))
    try:
        made = make(**{name: WRONG[wrong](secret)})
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        made = error
    Hidden(secret).check(f"{place}, {wrong}", made)
