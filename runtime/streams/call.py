"""Calling a model: ``stream`` and ``complete``, each in a full and a simple form."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from runtime.errors import UnsupportedModelError
from runtime.values.checks import check_type
from runtime.values.context import Context
from runtime.values.message import AssistantMessage
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions

from .channel import MessageStream, open_message_stream, produce_nothing
from .provider import LanguageModelApi

_Options = TypeVar("_Options", bound=StreamOptions)


@asynccontextmanager
async def stream(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AsyncIterator[MessageStream]:
    """Call a model and read its reply while it arrives.

    On entry it raises what is wrong before a request exists: MissingApiKeyError, UnsupportedModelError,
    InvalidOptionError. From then on failures are a StreamError event, the last one. Leaving the block early, or
    cancelling it, closes the connection.

    The options go to the provider as they are; ``provider_options`` carries what is special to one. ``stream_simple``
    fits the thinking level and the output limit to the model first.
    """
    api, options = _prepare(model, context, options, StreamOptions)
    opened = (
        open_message_stream(model, produce_nothing, abort=options.abort)
        if _aborted(options)
        else api.stream(model, context, options)
    )
    async with opened as reply:
        yield reply


@asynccontextmanager
async def stream_simple(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AsyncIterator[MessageStream]:
    """Call a model, with ``reasoning`` clamped to its levels and the output limit fitted to its context window.

    Otherwise the same as ``stream``.
    """
    api, options = _prepare(model, context, options, SimpleStreamOptions)
    opened = (
        open_message_stream(model, produce_nothing, abort=options.abort)
        if _aborted(options)
        else api.stream_simple(model, context, options)
    )
    async with opened as reply:
        yield reply


async def complete(model: Model, context: Context, options: StreamOptions | None = None) -> AssistantMessage:
    """The final message of ``stream``; provider failures and aborts are in its ``stop_reason``, not raised."""
    async with stream(model, context, options) as reply:
        return await reply.result()


async def complete_simple(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_simple``; provider failures and aborts are in its ``stop_reason``, not raised."""
    async with stream_simple(model, context, options) as reply:
        return await reply.result()


def language_api(model: Model) -> LanguageModelApi:
    """The chat API that a model is called through; UnsupportedModelError if it has none."""
    api = model.bindings.language
    if not isinstance(api, LanguageModelApi):
        raise UnsupportedModelError.capability(model.provider, "language models")
    return api


def _prepare(
    model: object, context: object, options: _Options | None, kind: type[_Options]
) -> tuple[LanguageModelApi, _Options]:
    check_type("model", model, Model)
    check_type("context", context, Context)
    check_type("options", options, kind | None)
    assert isinstance(model, Model)  # noqa: S101 - just checked
    return language_api(model), kind() if options is None else options


def _aborted(options: StreamOptions) -> bool:
    return options.abort is not None and options.abort.is_set()
