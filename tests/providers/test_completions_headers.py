"""The headers of a Chat Completions request."""

import pytest

from runtime.values.content import TextContent
from runtime.values.message import CustomMessage, user
from runtime.values.options import StreamOptions
from tests.providers.completions_lab import IMAGE, call_of, headers_of, model_of, own, result_of

HI = user("hi")
ROUTER = "https://openrouter.ai/api/v1"
AFFINITY = ("session_id", "x-client-request-id", "x-session-affinity", "x-session-id")


def affine(session="s-1", headers=None, retention=None, **settings):
    """The affinity headers of a call with a session."""
    compat = {"send_session_affinity_headers": True, **settings.pop("compat", {})}
    options = StreamOptions(session_id=session, headers=headers or {}, cache_retention=retention)
    sent = headers_of(model_of(compat=compat, **settings), HI, options=options)
    return {name: sent[name] for name in AFFINITY if name in sent}


def test_a_key_is_a_bearer_token():
    """Without one there is no such header."""
    assert headers_of(model_of(), HI, api_key="k") == {
        "content-type": "application/json",
        "authorization": "Bearer k",
    }
    assert headers_of(model_of(), HI) == {"content-type": "application/json"}


def test_what_is_nearer_to_the_call_replaces():
    """Names are the same in any case; None removes, but never the content type."""
    model = model_of(headers={"X-One": "model", "X-Two": "model", "Authorization": "model"})
    options = StreamOptions(headers={"x-ONE": "call", "x-two": None, "content-TYPE": None})
    assert headers_of(model, HI, options=options, api_key="k") == {
        "content-type": "application/json",
        "authorization": "model",
        "x-one": "call",
    }


def test_a_session_names_itself_where_the_endpoint_wants_that():
    """Three times, unless nothing is to be kept."""
    assert affine(retention="short") == dict.fromkeys(AFFINITY[:3], "s-1")
    assert affine(retention="none") == {}
    assert affine(session=None) == {}
    assert affine(compat={"send_session_affinity_headers": False}) == {}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"compat": {"session_affinity_format": "openai-nosession"}}, AFFINITY[1:3]),
        ({"compat": {"session_affinity_format": "openrouter"}}, AFFINITY[3:]),
        ({"provider": "openrouter"}, AFFINITY[3:]),
        ({"base_url": ROUTER}, AFFINITY[3:]),
        ({"base_url": ROUTER, "compat": {"session_affinity_format": "openai"}}, AFFINITY[:3]),
    ],
)
def test_the_affinity_headers_have_the_endpoints_names(settings, names):
    """Those that it declares, else OpenRouter's at OpenRouter."""
    assert affine(**settings) == dict.fromkeys(names, "s-1")


def test_the_call_replaces_and_removes_affinity_headers():
    """In any case of their names."""
    assert affine(headers={"X-CLIENT-REQUEST-ID": "mine", "X-Session-Affinity": None}) == {
        "session_id": "s-1",
        "x-client-request-id": "mine",
    }


@pytest.mark.parametrize("session", ["tést", "😀", "a\nb"])
def test_a_session_that_no_header_can_carry_goes_without(session):
    """The call is not worth failing for that."""
    assert affine(session=session) == {}


def copilot(*messages, **headers):
    sent = headers_of(model_of(provider="github-copilot"), *messages, options=StreamOptions(headers=headers))
    return tuple(sent.get(name) for name in ("x-initiator", "openai-intent", "copilot-vision-request"))


def test_copilot_learns_who_asks_and_whether_there_is_something_to_see():
    """Custom messages do not count; the call's own headers win."""
    calls = own(call_of())
    assert copilot() == copilot(CustomMessage("note")) == ("user", "conversation-edits", None)
    assert copilot(HI, own(TextContent("a")), user("b"), CustomMessage("note")) == (
        "user",
        "conversation-edits",
        None,
    )
    assert copilot(HI, calls) == ("agent", "conversation-edits", None)
    assert copilot(HI, calls, result_of(1, IMAGE)) == ("agent", "conversation-edits", "true")
    assert copilot(user("look", [IMAGE]), own(TextContent("a")), HI) == ("user", "conversation-edits", "true")
    assert copilot(HI, **{"OpenAI-Intent": "mine"}) == ("user", "mine", None)


def test_nobody_else_is_told_so():
    """The provider's id decides."""
    assert not {"x-initiator", "openai-intent"} & headers_of(model_of(), HI).keys()
