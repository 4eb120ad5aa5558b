"""Calling an image model."""

from functools import partial

from runtime.errors import AbortedError, AgentrioError, UnsupportedModelError
from runtime.values.checks import check_type
from runtime.values.images import AssistantImages, ImagesContext, ImagesStopReason
from runtime.values.model import Model
from runtime.values.options import StreamOptions

from .abort import or_aborted
from .provider import ImageModelApi


async def generate_images(
    model: Model, context: ImagesContext, options: StreamOptions | None = None
) -> AssistantImages:
    """Make images from text, or from text and images; failures and aborts are in the ``stop_reason`` of the result, not raised.

    Raises only what is wrong before anything is tried: UnsupportedModelError for a model without an image API,
    InvalidOptionError for arguments of wrong types. Setting ``options.abort`` gives an ``Aborted`` result; any other
    cancellation goes through, after the connection has closed. An image may be tens of megabytes, and comes in one
    piece: ``options.max_event_bytes`` limits the whole answer.
    """
    check_type("model", model, Model)
    check_type("context", context, ImagesContext)
    check_type("options", options, StreamOptions | None)
    api, options = image_api(model), options or StreamOptions()
    try:
        return await or_aborted(options.abort, partial(api.generate_images, model, context, options))
    except AbortedError as error:
        return _failed(model, ImagesStopReason.Aborted, error)
    except AgentrioError as error:
        return _failed(model, ImagesStopReason.Error, error)


def image_api(model: Model) -> ImageModelApi:
    """The image API that a model is called through; UnsupportedModelError if it has none."""
    api = model.bindings.images
    if not isinstance(api, ImageModelApi):
        raise UnsupportedModelError.capability(model.provider, "image models")
    return api


def _failed(model: Model, reason: ImagesStopReason, error: AgentrioError) -> AssistantImages:
    return AssistantImages(
        api=model.api,
        provider=model.provider,
        model=model.id,
        stop_reason=reason,
        error_message=str(error) or type(error).__name__,
    )
