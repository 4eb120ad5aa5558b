"""Calling an image model: what is raised, what is a result, and what ends it."""

import pytest
import trio
from trio.testing import MockClock

from runtime.errors import AgentrioError, InvalidOptionError, ProviderError, UnsupportedModelError
from runtime.streams.abort import or_aborted
from runtime.streams.images import generate_images
from runtime.streams.provider import ImageModelApi
from runtime.testing.sweep import cancel_everywhere
from runtime.values.content import ImageContent, TextContent
from runtime.values.images import AssistantImages, ImagesContext, ImagesStopReason
from runtime.values.model import Bindings, Model
from runtime.values.options import StreamOptions

A_FOX = ImagesContext.of("a fox")
PIXEL = ImageContent("aGk=", "image/png")


class Painter:
    """An image API that does as a function says."""

    id = "painting"

    def __init__(self, paint):
        self._paint = paint
        self.seen = []

    async def generate_images(self, model, context, options):
        self.seen.append((model, context, options))
        output = await self._paint()
        return AssistantImages(api=model.api, provider=model.provider, model=model.id, output=output)


def model_of(paint):
    return Model("m", api="painting", provider="p").bound(Bindings(images=Painter(paint)))


async def at_once():
    return [PIXEL]


async def never():
    await trio.sleep_forever()


def failing(error):
    async def fail():
        raise error

    return fail


async def test_an_image_is_made():
    """The API gets what was given, and its result is the result."""
    model, options = model_of(at_once), StreamOptions(metadata=1)
    assert isinstance(model.bindings.images, ImageModelApi)
    result = await generate_images(model, A_FOX, options)
    assert (result.images, result.text, result.failed) == ((PIXEL,), "", False)
    assert model.bindings.images.seen == [(model, A_FOX, options)]
    await generate_images(model, A_FOX)
    assert model.bindings.images.seen[1][2] == StreamOptions()


async def test_a_model_without_an_image_api_is_refused():
    """That is raised, before anything else is looked at."""
    aborted = trio.Event()
    aborted.set()
    for bound in (Bindings(), Bindings(language=object()), Bindings(images=object())):
        model = Model("m", api="a", provider="acme").bound(bound)
        with pytest.raises(UnsupportedModelError, match="^provider acme does not support image models$"):
            await generate_images(model, A_FOX, StreamOptions(abort=aborted))


@pytest.mark.parametrize("arguments", [("m", A_FOX), (None, "a fox"), (None, A_FOX, {"n": 1})])
async def test_wrong_arguments_are_refused(arguments):
    """By their names."""
    model, *rest = arguments
    with pytest.raises(InvalidOptionError, match="^(model|context|options) must be "):
        await generate_images(model or model_of(at_once), *rest)


@pytest.mark.parametrize(
    ("error", "says"), [(ProviderError("no"), "no"), (InvalidOptionError(""), "InvalidOptionError")]
)
async def test_a_failure_is_a_result(error, says):
    """Without output, and with the text of the error, or its name."""
    result = await generate_images(model_of(failing(error)), A_FOX)
    assert result.stop_reason is ImagesStopReason.Error
    assert (result.error_message, result.output, result.usage.total_tokens) == (says, (), 0)
    assert (result.api, result.provider, result.model) == ("painting", "p", "m")
    assert result.failed


async def test_a_broken_api_is_no_result():
    """What is no AgentrioError leaves as itself, out of an abort scope, too."""
    for options in (None, StreamOptions(abort=trio.Event())):
        with pytest.raises(ZeroDivisionError):
            await generate_images(model_of(failing(ZeroDivisionError())), A_FOX, options)


async def test_an_abort_beforehand_asks_nobody():
    """The result is Aborted, and the API was not called."""
    abort, model = trio.Event(), model_of(at_once)
    abort.set()
    result = await generate_images(model, A_FOX, StreamOptions(abort=abort))
    assert (result.stop_reason, result.error_message) == (ImagesStopReason.Aborted, "request was cancelled")
    assert model.bindings.images.seen == []


async def test_a_cancellation_outranks_an_abort_beforehand():
    """It goes through."""
    abort = trio.Event()
    abort.set()
    with trio.CancelScope() as scope:
        scope.cancel()
        await generate_images(model_of(at_once), A_FOX, StreamOptions(abort=abort))
    assert scope.cancelled_caught


async def test_an_abort_ends_the_call(autojump_clock):
    """Whatever it waits for; the event may be used for more calls, which end the same way."""
    abort = trio.Event()
    async with trio.open_nursery() as nursery:
        results = []

        async def call():
            results.append(await generate_images(model_of(never), A_FOX, StreamOptions(abort=abort)))

        nursery.start_soon(call)
        nursery.start_soon(call)
        await trio.sleep(5)
        abort.set()
    assert [result.stop_reason for result in results] == ["aborted", "aborted"]


async def test_an_abort_after_the_end_changes_nothing():
    """What was made is kept."""
    abort = trio.Event()

    async def last_moment():
        abort.set()
        return [PIXEL]

    result = await generate_images(model_of(last_moment), A_FOX, StreamOptions(abort=abort))
    assert result.images == (PIXEL,)


async def test_a_cancellation_from_around_goes_through(autojump_clock):
    """It is no result."""
    for abort in (None, trio.Event()):
        with trio.move_on_after(1) as scope:
            await generate_images(model_of(never), A_FOX, StreamOptions(abort=abort))
        assert scope.cancelled_caught


def test_cut_anywhere_a_call_ends_as_it_should():
    """By an abort: Aborted, or done already; by the scope around it: no result; by both: the scope has its way."""

    async def scenario(cutter):
        abort, results = trio.Event(), []

        async def slowly():
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            return [PIXEL]

        with trio.CancelScope() as scope:

            def both():
                abort.set()
                scope.cancel()

            cutter.arm(abort=abort.set, scope=scope.cancel, both=both)
            results.append(await generate_images(model_of(slowly), A_FOX, StreamOptions(abort=abort)))
            cutter.disarm()
        return scope.cancel_called, scope.cancelled_caught, abort.is_set(), results

    def check(left):
        cancelled, caught, aborted, results = left
        assert len(results) == (0 if caught else 1)
        assert caught <= cancelled
        for result in results:
            if result.failed:
                assert aborted
                assert not cancelled
            else:
                assert result.images == (PIXEL,)

    report = cancel_everywhere(scenario, check, clock=lambda: MockClock(autojump_threshold=0))
    assert report.total >= 9


async def test_or_aborted_gives_back_what_it_waits_for():
    """With an event that is never set, and with none."""
    for abort in (None, trio.Event()):
        assert await or_aborted(abort, at_once) == [PIXEL]
        with pytest.raises(AgentrioError, match="^mine$"):
            await or_aborted(abort, failing(AgentrioError("mine")))


# Values


def test_a_context_is_made_of_blocks_and_strings():
    """In their order, and its JSON always has the input."""
    context = ImagesContext.of("a fox", PIXEL, TextContent(text="in snow"))
    assert context == ImagesContext([TextContent(text="a fox"), PIXEL, TextContent(text="in snow")])
    assert (context.texts, context.images) == (("a fox", "in snow"), (PIXEL,))
    assert ImagesContext().model_dump_json() == '{"input":[]}'
    assert ImagesContext.model_validate_json(context.model_dump_json()) == context


def test_a_result_is_written_and_read():
    """As the shared format has it, without a role."""
    result = AssistantImages(
        api="a", provider="p", model="m", output=[TextContent(text="red"), PIXEL], timestamp=1
    )
    data = result.model_dump(mode="json")
    assert list(data) == ["api", "provider", "model", "output", "usage", "stopReason", "timestamp"]
    assert data["output"][1] == {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    assert AssistantImages.model_validate_json(result.model_dump_json()) == result
    assert (result.text, result.images) == ("red", (PIXEL,))
