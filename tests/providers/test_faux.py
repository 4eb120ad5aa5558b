"""Scripted replies: what a call of the faux provider takes from the script, and what it sends."""

import pytest
import trio
from pydantic import ValidationError

from providers.faux import (
    FauxProvider,
    faux_assistant_message,
    faux_delayed,
    faux_failure,
    faux_text,
    faux_thinking,
    faux_tool_call,
    register_faux_provider,
)
from runtime.errors import ApiStatusError, InvalidOptionError, ProviderError, UnsupportedModelError
from runtime.streams.call import complete, complete_simple, stream, stream_simple
from runtime.streams.provider import Capabilities, LanguageModelApi, Provider
from runtime.testing.invariants import assert_stream_grammar
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import StopReason, user
from runtime.values.model import Model
from runtime.values.options import ResponseInfo, SimpleStreamOptions, StreamOptions
from runtime.values.thinking import ThinkingLevel
from runtime.values.usage import Usage

HELLO = Context(messages=[user("hello")])


def saying(*texts, **options) -> FauxProvider:
    faux = register_faux_provider(**options)
    faux.set_responses([faux_assistant_message(text) for text in texts])
    return faux


async def events_of(faux, options=None):
    async with stream(faux.get_model(), HELLO, options) as reply:
        events = [event async for event in reply]
    assert_stream_grammar(events)
    return events


# Registration


async def test_a_script_of_one_text_is_the_reply():
    """A reply has the scripted content, an estimated usage, and counts as a call."""
    faux = saying("hello world")
    reply = await complete(faux.get_model(), HELLO)
    assert reply.content == (TextContent("hello world"),)
    assert (reply.api, reply.provider, reply.model) == (faux.api, "faux", "faux-1")
    assert reply.usage.input > 0 < reply.usage.output
    assert reply.usage.total_tokens == reply.usage.input + reply.usage.output
    assert faux.state.call_count == 1


def test_the_registration_is_a_provider():
    """The registration and what is behind its models fit the protocols; each has an API name of its own."""
    faux = register_faux_provider()
    assert isinstance(faux, Provider)
    assert isinstance(faux.get_model().bindings.language, LanguageModelApi)
    assert faux.capabilities == Capabilities()
    assert faux.api != register_faux_provider().api


def test_models_have_defaults_under_what_is_said_of_them():
    """A model without settings reads text and images and does not reason; settings are kept, names are not."""
    faux = register_faux_provider(
        api="my-api", provider="mine", models=["plain", Model("big", reasoning=True, context_window=9, provider="x")]
    )  # fmt: skip
    plain, big = faux.models
    assert (plain.name, plain.reasoning, plain.input) == ("plain", False, ("text", "image"))
    assert (plain.context_window, plain.max_tokens, plain.base_url) == (128_000, 16_384, "http://localhost:0")
    assert (big.api, big.provider, big.reasoning, big.context_window) == ("my-api", "mine", True, 9)
    assert faux.get_model() is plain
    assert faux.get_model_by_id("big") is big
    assert faux.get_model_by_id("other") is None
    assert register_faux_provider(models=[]).get_model().name == "Faux Model"


async def test_any_model_can_be_had_by_id():
    """model() gives a registered model with settings laid over it, or another one, and both can be called."""
    faux = saying("one", "two", models=[Model("known", reasoning=True, max_tokens=5)])
    known, other = faux.model("known", name="K"), faux.model("other", reasoning=None)
    assert (known.name, known.reasoning, known.max_tokens) == ("K", True, 5)
    assert (other.name, other.reasoning) == ("other", None)
    assert faux.models == (faux.model("known"),)
    assert [(await complete(model, HELLO)).model for model in (known, other)] == ["known", "other"]
    with pytest.raises(InvalidOptionError, match="no setting api, reasonin$"):
        faux.model("known", reasonin=True, api="x")


async def test_a_reply_carries_the_names_of_its_model():
    """Names given to the registration are those of its replies, whatever the scripted message says."""
    faux = saying("hi", api="my-api", provider="mine", models=["m-1"])
    reply = await complete(faux.get_model(), HELLO)
    assert (reply.api, reply.provider, reply.model) == ("my-api", "mine", "m-1")


@pytest.mark.parametrize(
    "wrong", [{"api": 1}, {"provider": None}, {"models": "faux"}, {"models": Model("m")}, {"models": [1]}]
)
def test_a_registration_that_cannot_work_is_refused(wrong):
    """Wrong names and models are errors at the registration."""
    with pytest.raises(InvalidOptionError, match=next(iter(wrong))):
        register_faux_provider(**wrong)


async def test_after_unregister_calls_are_refused():
    """Models of a provider that was unregistered have no API any more, the script stays."""
    faux = saying("never")
    faux.unregister()
    faux.unregister()
    with pytest.raises(UnsupportedModelError, match="provider faux does not support language models"):
        await complete(faux.get_model(), HELLO)
    assert (faux.get_pending_response_count(), faux.state.call_count) == (1, 0)


async def test_a_reply_on_its_way_survives_unregister():
    """unregister() ends nothing that has begun."""
    faux = saying("still here")
    async with stream(faux.get_model(), HELLO) as reply:
        faux.unregister()
        assert (await reply.result()).text == "still here"


async def test_a_model_of_another_api_is_refused():
    """A model whose api was changed is not served, and takes no step."""
    faux = saying("mine")
    with pytest.raises(UnsupportedModelError, match=f"Mismatched api: theirs expected {faux.api}"):
        await complete(faux.get_model().model_copy(update={"api": "theirs"}), HELLO)
    assert faux.get_pending_response_count() == 1


# The script


async def test_replies_come_in_order_until_there_are_none():
    """Steps are used first in, first out; a call without one ends as an error, and counts."""
    faux = saying("first", "second")
    replies = [await complete(faux.get_model(), HELLO) for _ in range(3)]
    assert [reply.text for reply in replies] == ["first", "second", ""]
    assert replies[2].stop_reason is StopReason.Error
    assert replies[2].error_message == "No more faux responses queued"
    assert (faux.get_pending_response_count(), faux.state.call_count) == (0, 3)


async def test_set_replaces_the_script_and_append_adds_to_it():
    """The count follows what is set, added and used."""
    faux = register_faux_provider()
    counts, said = [faux.get_pending_response_count()], []
    faux.set_responses([faux_assistant_message("old")])
    faux.set_responses([faux_assistant_message("one")])
    counts.append(faux.get_pending_response_count())
    faux.append_responses([faux_assistant_message("two")])
    for _ in range(2):
        counts.append(faux.get_pending_response_count())
        said.append((await complete(faux.get_model(), HELLO)).text)
    assert (counts, said) == ([0, 1, 2, 1], ["one", "two"])


@pytest.mark.parametrize("wrong", ["text", ["text"], [None], faux_assistant_message("alone"), 5])
def test_what_is_no_step_is_refused_and_changes_nothing(wrong):
    """A script with something else in it is an error, and the old script stays."""
    faux = saying("old")
    for change in (faux.set_responses, faux.append_responses):
        with pytest.raises(InvalidOptionError, match=r"step 0|list of steps"):
            change(wrong)
    assert faux.get_pending_response_count() == 1


async def test_the_step_is_taken_when_the_call_is_entered():
    """Two open calls have their replies by the order of entry, in whatever order they are read."""
    faux = saying("first", "second")
    async with stream(faux.get_model(), HELLO) as one, stream_simple(faux.get_model(), HELLO) as two:
        assert faux.get_pending_response_count() == 0
        assert [(await two.result()).text, (await one.result()).text] == ["second", "first"]


async def test_a_call_that_was_aborted_beforehand_is_one_error():
    """An abort signal that is set already gives a lone error, and no step is taken: nothing was asked."""
    faux = saying("never")
    abort = trio.Event()
    abort.set()
    (event,) = await events_of(faux, StreamOptions(abort=abort))
    assert (event.type, event.reason) == ("error", StopReason.Aborted)
    assert (faux.get_pending_response_count(), faux.calls) == (1, ())


def test_a_with_block_fails_when_steps_are_not_used():
    """Leaving the block names what is left of the script, and unregisters."""

    def factory(context, options, state, model): ...

    steps = [faux_assistant_message("never said " * 9), faux_failure("x"), factory]
    with (
        pytest.raises(AssertionError, match="4 faux responses not used") as caught,
        register_faux_provider() as faux,
    ):
        faux.set_responses([*steps, faux_delayed(faux_assistant_message(faux_tool_call("look", {})), 1)])
    for part in ("'never said", "ends as fail", "factory.*factory", "a call of look"):
        caught.match(part)
    assert "unregistered" in repr(faux)


def test_a_with_block_that_fails_says_so_itself():
    """What the block raises is more important than steps that were not used."""
    with pytest.raises(ZeroDivisionError), saying("unused"):
        1 / 0


async def test_a_with_block_whose_script_was_used_is_left_in_silence():
    """A used script is no failure, and can be checked at any time."""
    with saying("used") as faux:
        await complete(faux.get_model(), HELLO)
        faux.assert_no_pending_responses()


async def test_calls_are_recorded_as_they_were():
    """calls shows model, context and options of each call; a context that changes later does not change it."""
    faux = saying("one", "two")
    context = Context(messages=[user("hello")])
    await complete(faux.get_model(), context, StreamOptions(api_key="sk-secret", temperature=0.5))
    context.messages.append(user("more"))
    await complete_simple(faux.get_model(), context, SimpleStreamOptions(reasoning=ThinkingLevel.High))
    first, second = faux.calls
    assert [len(call.context.messages) for call in faux.calls] == [1, 2]
    assert (first.model, first.options.temperature) == (faux.get_model(), 0.5)
    assert second.options.reasoning is ThinkingLevel.High
    assert "sk-secret" not in repr(faux.calls)


async def test_only_the_last_thousand_calls_are_kept():
    """The record of calls is bounded, their count is not."""
    faux = register_faux_provider()
    for _ in range(1001):
        await complete(faux.get_model(), HELLO)
    assert (len(faux.calls), faux.state.call_count) == (1000, 1001)


async def test_the_repr_tells_the_state():
    """A registration shows its names, its models, what is pending and what was called."""
    faux = saying("one", "two", api="a", models=["m", "n"])
    await complete(faux.get_model(), HELLO)
    assert repr(faux) == "<FauxProvider 'faux' api 'a', models m, n: 1 response pending, 1 call>"


# Factories


async def test_factories_see_the_model_that_was_called():
    """Two models of one registration share the script, and each factory sees its own."""

    def tell(context, options, state, model):
        return faux_assistant_message(f"{model.id}:{model.reasoning}".lower())

    faux = register_faux_provider(models=["faux-fast", Model("faux-thinker", reasoning=True)])
    faux.set_responses([tell, tell])
    replies = [await complete(model, HELLO) for model in faux.models]
    assert [reply.text for reply in replies] == ["faux-fast:false", "faux-thinker:true"]
    assert [reply.model for reply in replies] == ["faux-fast", "faux-thinker"]


async def test_an_async_factory_sees_the_call():
    """A factory is given context, options, state and model; the count includes its own call."""

    async def answer(context, options, state, model):
        await trio.lowlevel.checkpoint()
        assert len(context.messages) == 1
        assert options.api_key == "sk-key"
        return faux_assistant_message(f"{model.id}:{state.call_count}")

    faux = register_faux_provider()
    faux.set_responses([answer])
    assert (await complete(faux.get_model(), HELLO, StreamOptions(api_key="sk-key"))).text == "faux-1:1"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ProviderError("boom"), "boom"),
        (ApiStatusError(503, "busy"), "provider returned HTTP 503 Service Unavailable: busy"),
        (RuntimeError("boom"), "boom"),
        (KeyError(), "KeyError"),
    ],
)
async def test_a_factory_that_raises_is_one_error_event(error, text):
    """What a factory raises is the text of a lone error without usage."""

    async def fail(context, options, state, model):
        raise error

    faux = register_faux_provider()
    faux.set_responses([fail])
    (event,) = await events_of(faux)
    assert (event.reason, event.error.error_message) == (StopReason.Error, text)
    assert event.error.usage == Usage()


async def test_an_assertion_in_a_factory_fails_the_test():
    """A factory that asserts is a test's own: what it finds is raised, not told to the model's caller."""

    def check(context, options, state, model):
        assert context.tools, "no tools"

    faux = register_faux_provider()
    faux.set_responses([check])
    with pytest.raises(AssertionError, match="no tools"):
        await complete(faux.get_model(), HELLO)


async def test_a_factory_that_returns_no_reply_is_a_bug():
    """Something else than a reply is raised, with the factory's name."""

    def forgot(context, options, state, model):
        faux_assistant_message("not returned")

    faux = register_faux_provider()
    faux.set_responses([forgot])
    with pytest.raises(TypeError, match="forgot: a faux reply is an AssistantMessage .*, not NoneType"):
        await complete(faux.get_model(), HELLO)


# Hooks


async def test_on_response_is_told_of_a_success():
    """on_response sees a status of 200 without headers, on_payload sees nothing: there is no payload."""
    seen = []

    async def on_response(info, model):
        seen.append((info, model))

    async def on_payload(payload, model):
        seen.append(payload)

    faux = saying("hi")
    await complete(faux.get_model(), HELLO, StreamOptions(on_response=on_response, on_payload=on_payload))
    assert seen == [(ResponseInfo(200, {}), faux.get_model())]


async def test_an_on_response_that_raises_ends_the_call():
    """A failing hook is a lone error, and the step is used up."""

    async def on_response(info, model):
        raise RuntimeError("hook broke")

    faux = saying("never")
    (event,) = await events_of(faux, StreamOptions(on_response=on_response))
    assert event.error.error_message == "on_response failed: hook broke"
    assert faux.get_pending_response_count() == 0


# What scripts are made of


def test_helpers_make_blocks():
    """Each helper makes its block, and calls without an id get one."""
    assert faux_text("a") == TextContent("a")
    assert faux_thinking("b") == ThinkingContent("b")
    assert faux_tool_call("c", {"x": 1}, id="id-1") == ToolCall("id-1", "c", {"x": 1})
    assert faux_tool_call("c", {}).id.startswith("tool:")
    assert faux_assistant_message("a").content == faux_assistant_message(faux_text("a")).content


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: faux_assistant_message(5), InvalidOptionError),
        (lambda: faux_assistant_message(ImageContent("aGk=", "image/png")), InvalidOptionError),
        (lambda: faux_assistant_message(["text"]), ValidationError),
        (lambda: faux_assistant_message([ImageContent("aGk=", "image/png")]), ValidationError),
        (lambda: faux_assistant_message("x", stop_reason="sometime"), ValidationError),
        (lambda: faux_assistant_message("x", error_message="but it stopped"), InvalidOptionError),
        (lambda: faux_text(None), ValidationError),
        (lambda: faux_tool_call("t", {"a": object()}), ValidationError),
    ],
)
def test_what_no_reply_can_hold_is_refused_where_it_is_made(make, error):
    """A script that cannot be streamed fails in the line that writes it."""
    with pytest.raises(error):
        make()
