"""Anthropic's login by hand: what users paste, and its race with the browser."""

import pytest
import trio
import trio.testing

from providers.oauth.anthropic import Pasted, read_pasted
from providers.oauth.callbacks import OAuthLoginCallbacks
from runtime.errors import OAuthError
from tests.providers.loopback import serve
from tests.providers.oauth.anthropic_login_lab import (
    ACCESS,
    CODE,
    Browser,
    at,
    failing,
    forbidden,
    pasting,
    tokens,
)

FORMS = [
    ("", None, None),
    ("  \n ", None, None),
    ("http://localhost:53692/callback?code=abc&state=verifier", "abc", "verifier"),
    ("  http://localhost:53692/callback?state=verifier&code=abc#top \n", "abc", "verifier"),
    ("localhost:53692/callback?code=abc&state=verifier", "abc", "verifier"),
    ("https://claude.ai/callback?code=a%2Bb&state=x%2By", "a+b", "x+y"),
    ("https://claude.ai/callback?code=&state=s", "", "s"),
    ("https://claude.ai/callback", None, None),
    ("https://claude.ai/callback?code=one&code=two", "one", None),
    ("abc#verifier", "abc", "verifier"),
    ("abc#", "abc", None),
    ("#verifier", None, "verifier"),
    ("abc#one#two", "abc", "one#two"),
    ("code=abc&state=verifier", "abc", "verifier"),
    ("?code=abc&state=verifier", "abc", "verifier"),
    ("code=a%2Bb%3D&state=x%2By", "a+b=", "x+y"),
    ("code=&state=verifier", None, "verifier"),
    ("code=abc", "abc", None),
    ("abc", "abc", None),
    ("half \ud83d", "half", None),
]


@pytest.mark.parametrize(("text", "code", "state"), FORMS, ids=repr)
def test_what_users_paste(text, code, state):
    """A redirect URL, code#state, a query, or the bare code; what is not there is None."""
    assert read_pasted(text) == Pasted(code, state)


def test_what_was_pasted_does_not_show():
    """Only whether there was something."""
    assert repr(read_pasted("abc#verifier")) == "Pasted(a code, a state)"
    assert repr(read_pasted("")) == "Pasted(no code, no state)"


@pytest.mark.parametrize(
    "form", ["{url}?code={code}&state={state}", "{code}#{state}", "code={code}&state={state}", "{code}"]
)
async def test_a_pasted_code_is_redeemed(form):
    """With the redirect URI of the page, whatever was pasted; the browser is not waited for any more."""

    async def paste():
        return form.format(url="https://elsewhere.test/callback", code=CODE, state=browser.state)

    browser = Browser()
    async with serve(tokens()) as server:
        await at(server).login(
            OAuthLoginCallbacks(on_auth=browser, on_manual_code_input=paste, on_prompt=forbidden)
        )
    sent = server.requests[0].json()
    assert (sent["code"], sent["state"]) == (CODE, browser.state)
    assert sent["redirect_uri"] == f"http://localhost:{browser.port}/callback"
    browser.check_gone()


async def test_after_an_empty_paste_the_prompt_is_asked():
    """With the redirect URI as its example; it may not be empty."""
    prompts, browser = [], Browser()

    async def prompt(question):
        prompts.append(question)
        return CODE

    callbacks = OAuthLoginCallbacks(on_auth=browser, on_manual_code_input=pasting(" "), on_prompt=prompt)
    async with serve(tokens()) as server:
        await at(server).login(callbacks)
        assert server.requests[0].json()["code"] == CODE
    (question,) = prompts
    assert (question.placeholder, question.allow_empty) == (browser.query["redirect_uri"], False)


@pytest.mark.parametrize("last", ["", "https://claude.ai/callback?code=", "code=&x=y"])
async def test_without_a_code_the_login_fails(last):
    """Nothing is sent."""
    async with serve() as server:
        callbacks = OAuthLoginCallbacks(
            on_auth=Browser(), on_manual_code_input=pasting(""), on_prompt=pasting(last)
        )
        async with failing(OAuthError, "^Missing authorization code"):
            await at(server).login(callbacks)
        async with failing(OAuthError, "^Missing authorization code"):  # and with nobody to ask
            await at(server).login(OAuthLoginCallbacks(on_auth=Browser(), on_manual_code_input=pasting("")))


@pytest.mark.parametrize("text", [f"{CODE}#another", "#another", "http://localhost/callback?code=&state="])
async def test_a_pasted_state_of_another_login_is_refused(text):
    """That comes before a missing code; nothing is sent."""
    async with serve() as server:
        callbacks = OAuthLoginCallbacks(
            on_auth=Browser(), on_manual_code_input=pasting(text), on_prompt=pasting(text)
        )
        async with failing(OAuthError, "^OAuth state mismatch"):
            await at(server).login(callbacks)


async def test_the_browser_wins_against_a_paste_that_never_comes():
    """The manual input is cancelled, and has time to clean up."""
    ended = []

    async def paste():
        try:
            await browser.visit(browser.good)
            await trio.sleep_forever()
        finally:
            ended.append(True)

    browser = Browser()
    async with serve(tokens()) as server:
        callbacks = OAuthLoginCallbacks(on_auth=browser, on_manual_code_input=paste)
        with trio.fail_after(5):
            assert (await at(server).login(callbacks)).access == ACCESS
    assert ended == [True]


async def test_nobody_is_asked_for_a_code_that_is_here():
    """When the browser was back before ``on_auth`` was."""

    async def on_auth(info):
        await browser(info)
        await trio.testing.wait_all_tasks_blocked(0.01)

    browser = Browser(None)
    async with serve(tokens()) as server:
        callbacks = OAuthLoginCallbacks(on_auth=on_auth, on_manual_code_input=forbidden)
        assert (await at(server).login(callbacks)).access == ACCESS


async def test_the_browser_wins_against_the_prompt_too():
    """An empty paste does not take it away."""

    async def prompt(_):
        await browser.visit(browser.good)
        await trio.sleep_forever()

    browser = Browser()
    callbacks = OAuthLoginCallbacks(on_auth=browser, on_manual_code_input=pasting(""), on_prompt=prompt)
    async with serve(tokens()) as server:
        with trio.fail_after(5):
            assert (await at(server).login(callbacks)).access == ACCESS


@pytest.mark.parametrize("where", ["on_auth", "on_manual_code_input", "on_prompt", "on_progress"])
async def test_an_exception_of_a_callback_ends_the_login_as_itself(where):
    """In no group, and the port is free."""
    mine, browser = LookupError("mine"), Browser()

    async def fail(*_):
        raise mine

    async def on_auth(info):
        await browser(info)
        if where == "on_auth":
            raise mine

    given = {
        "on_manual_code_input": pasting("" if where == "on_prompt" else CODE),
        where: fail,
        "on_auth": on_auth,
    }
    async with serve() as server:
        with pytest.raises(LookupError) as caught:
            await at(server).login(OAuthLoginCallbacks(**given))
    assert caught.value is mine
    browser.check_gone()
