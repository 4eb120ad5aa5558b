"""The headers of a Responses request."""

import pytest

from runtime.values.message import user
from runtime.values.options import StreamOptions
from tests.providers.responses_lab import IMAGE, headers_of, model_of

HI = user("hi")
ROUTER = "https://openrouter.ai/api/v1"
BOTH = ("session_id", "x-client-request-id")
AFFINITY = (*BOTH, "x-session-affinity", "x-session-id")


def affine(session="s-1", headers=None, retention=None, **settings):
    """The affinity headers of a call with a session."""
    options = StreamOptions(session_id=session, headers=headers or {}, cache_retention=retention)
    sent = headers_of(model_of(**settings), HI, options=options)
    return {name: sent[name] for name in AFFINITY if name in sent}


def test_a_key_is_a_bearer_token():
    """Without one there is no such header."""
    assert headers_of(model_of(), HI, api_key="k") == {
        "content-type": "application/json",
        "authorization": "Bearer k",
    }
    assert headers_of(model_of(), HI) == {"content-type": "application/json"}


def test_what_is_nearer_to_the_call_replaces():
    """Names are the same in any case; None removes."""
    model = model_of(headers={"X-One": "model", "X-Two": "model"})
    options = StreamOptions(headers={"x-ONE": "call", "x-two": None, "Authorization": None})
    assert headers_of(model, HI, options=options, api_key="k") == {
        "content-type": "application/json",
        "x-one": "call",
    }


def test_a_session_names_itself_without_being_asked_to():
    """The whole of it, unless nothing is to be kept."""
    assert affine(session="s" * 70) == dict.fromkeys(BOTH, "s" * 70)
    assert affine(retention="short") == affine(retention="long") == dict.fromkeys(BOTH, "s-1")
    assert affine(retention="none") == affine(session=None) == affine(session="") == {}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"compat": {"send_session_id_header": False}}, BOTH[1:]),
        ({"compat": {"send_session_id_header": True}}, BOTH),
        ({"compat": {"session_affinity_format": "openai-nosession"}}, BOTH[1:]),
        ({"compat": {"session_affinity_format": "openrouter"}}, AFFINITY[3:]),
        ({"provider": "openrouter"}, AFFINITY[3:]),
        ({"base_url": ROUTER}, AFFINITY[3:]),
        ({"base_url": ROUTER, "compat": {"send_session_id_header": True}}, BOTH),
        ({"compat": {"session_affinity_format": "openai", "send_session_id_header": False}}, BOTH),
        ({"compat": {"session_affinity_format": "openrouter", "send_session_id_header": True}}, AFFINITY[3:]),
    ],
)
def test_the_affinity_headers_have_the_endpoints_names(settings, names):
    """Those that it declares, else by the older flag, else OpenRouter's at OpenRouter."""
    assert affine(**settings) == dict.fromkeys(names, "s-1")


def test_the_call_replaces_and_removes_affinity_headers():
    """In any case of their names."""
    assert affine(headers={"session_id": "mine", "x-client-request-id": "too"}) == {
        "session_id": "mine",
        "x-client-request-id": "too",
    }
    assert affine(headers={"SESSION_ID": "mine", "X-Client-Request-Id": None}) == {"session_id": "mine"}


def test_copilot_learns_who_asks_and_whether_there_is_something_to_see():
    """Beside the headers of its model."""
    model = model_of(provider="github-copilot", headers={"Editor-Version": "1"})
    sent = headers_of(model, user("look", [IMAGE]))
    assert (
        sent["x-initiator"],
        sent["openai-intent"],
        sent["copilot-vision-request"],
        sent["editor-version"],
    ) == (
        "user",
        "conversation-edits",
        "true",
        "1",
    )
    assert "x-initiator" not in headers_of(model_of(), HI)
