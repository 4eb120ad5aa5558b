"""Options of one API given to another: refused where they would silently do nothing."""

import pytest
import trio

from providers import AnthropicOptions, OpenAICompletionsOptions, OpenAIResponsesOptions, anthropic, openai
from runtime import Context, InvalidOptionError, SimpleStreamOptions, StreamOptions, complete, user

MODELS = {
    OpenAICompletionsOptions: openai.chat_completions(base_url="http://127.0.0.1:9/v1").model("m"),
    OpenAIResponsesOptions: openai.responses(base_url="http://127.0.0.1:9/v1").model("m"),
    AnthropicOptions: anthropic.messages(base_url="http://127.0.0.1:9/v1").model("m"),
}
GIVEN = [kind(tool_choice="auto") for kind in MODELS] + [SimpleStreamOptions(reasoning="high")]


def call(model, options):
    return trio.run(complete, model, Context(messages=[user("hi")]), options)


@pytest.mark.parametrize("options", GIVEN, ids=lambda options: type(options).__name__)
@pytest.mark.parametrize("own", MODELS, ids=lambda kind: kind.__name__)
def test_options_of_another_api_are_refused(own, options):
    """By name, with what to use; the API's own ones are taken."""
    if isinstance(options, own):
        own_retry = type(options)(tool_choice="auto", max_retries=0)
        assert "cannot connect" in call(MODELS[own], own_retry).error_message
        return
    with pytest.raises(InvalidOptionError, match=f"use {own.__name__}"):
        call(MODELS[own], options)


@pytest.mark.parametrize("own", MODELS, ids=lambda kind: kind.__name__)
def test_common_options_are_taken_in_any_form(own):
    """A subclass whose own fields are unset loses nothing."""
    for options in (StreamOptions(max_retries=0), SimpleStreamOptions(max_retries=0)):
        assert "cannot connect" in call(MODELS[own], options).error_message
