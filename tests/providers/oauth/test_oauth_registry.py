"""Which ways to log in there are."""

import pytest

from providers.oauth import (
    OAuthProvider,
    OAuthProviderInfo,
    get_oauth_provider,
    get_oauth_provider_info_list,
    get_oauth_providers,
    register_oauth_provider,
    reset_oauth_providers,
    unregister_oauth_provider,
)
from runtime.errors import InvalidOptionError
from tests.providers.oauth.accounts_lab import Accounts

BUILT_IN = ["anthropic", "github-copilot"]


@pytest.fixture(autouse=True)
def as_it_was():
    """Each test leaves the registry as it found it."""
    yield
    reset_oauth_providers()


def ids():
    return [provider.id for provider in get_oauth_providers()]


def test_the_built_in_ones_are_there():
    """Two, in this order, with their names and their ways to come back."""
    shown = [(each.id, each.name, each.uses_callback_server) for each in get_oauth_providers()]
    assert shown == [
        ("anthropic", "Anthropic (Claude Pro/Max)", True),
        ("github-copilot", "GitHub Copilot", False),
    ]
    assert all(isinstance(each, OAuthProvider) for each in get_oauth_providers())
    assert get_oauth_provider("anthropic") is get_oauth_provider("anthropic")


def test_a_custom_one_comes_and_goes():
    """It is found and listed as available, after the others; then it is unknown again."""
    custom = Accounts()
    register_oauth_provider(custom)
    assert get_oauth_provider("acme") is custom
    assert get_oauth_provider_info_list()[2] == OAuthProviderInfo("acme", "Acme", available=True)
    unregister_oauth_provider("acme")
    assert get_oauth_provider("acme") is None
    assert ids() == BUILT_IN


def test_one_of_the_same_id_is_replaced_in_place():
    """The order stays."""
    first, second, stand_in = Accounts("one"), Accounts("two"), Accounts("anthropic")
    for each in (first, second, stand_in, again := Accounts("one")):
        register_oauth_provider(each)
    assert ids() == [*BUILT_IN, "one", "two"]
    assert get_oauth_provider("one") is again
    assert get_oauth_provider("anthropic") is stand_in


def test_a_built_in_one_comes_back():
    """Whoever stood in for it is gone, and its place is the same."""
    register_oauth_provider(Accounts("anthropic"))
    unregister_oauth_provider("anthropic")
    assert get_oauth_provider("anthropic").name == "Anthropic (Claude Pro/Max)"
    unregister_oauth_provider("anthropic")
    assert ids() == BUILT_IN


def test_a_reset_leaves_the_built_in_ones():
    """As they were at first."""
    register_oauth_provider(Accounts("one"))
    register_oauth_provider(Accounts("github-copilot"))
    reset_oauth_providers()
    assert [each.name for each in get_oauth_providers()] == ["Anthropic (Claude Pro/Max)", "GitHub Copilot"]


def test_an_unknown_id_is_nobody():
    """To find it gives None, to take it away does nothing."""
    assert get_oauth_provider("nobody") is None
    unregister_oauth_provider("nobody")
    assert ids() == BUILT_IN


def test_what_is_no_provider_is_refused():
    """The error says what is missing."""

    class Half:
        id = "half"
        name = "Half"

    with pytest.raises(
        InvalidOptionError, match="Half is no OAuthProvider: it has no uses_callback_server, login"
    ):
        register_oauth_provider(Half())
    with pytest.raises(InvalidOptionError, match="something in it, not ' '"):
        register_oauth_provider(Accounts(" "))
    assert ids() == BUILT_IN
