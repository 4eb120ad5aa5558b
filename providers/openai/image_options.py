"""What OpenAI's image API takes beside the options that all calls have."""

from dataclasses import dataclass
from typing import Any

from runtime.errors import InvalidOptionError
from runtime.values.checks import check_at_least, check_type
from runtime.values.content import ImageContent
from runtime.values.options import StreamOptions

_TEXTS = (
    "size",
    "quality",
    "background",
    "moderation",
    "style",
    "input_fidelity",
    "output_format",
    "response_format",
    "user",
)
_NUMBERS = ("n", "output_compression")
_PLAIN = ("n", "size", "quality", "style", "user", "background", "moderation")
_CAMEL = {
    "outputFormat": "output_format",
    "outputCompression": "output_compression",
    "responseFormat": "response_format",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class OpenAIImagesOptions(StreamOptions):
    """Options of OpenAI's image API; None leaves one to the server. Which values a model knows, its documentation says.

    - ``n``: how many images. ``size``: such as ``1024x1024``. ``quality``: such as ``low``, ``high``.
    - ``output_format``: ``png``, ``jpeg``, ``webp``; ``output_compression``: 0 to 100, for the latter two.
    - ``background``: ``transparent`` or ``opaque``. ``moderation``: ``low`` is less strict. ``user``: names the end user.
    - ``mask``: a PNG as large as the first image of the context, transparent where that is to be edited.
      ``input_fidelity``: how close to the images of the context to stay.
    - ``style`` and ``response_format``: for older models and other servers, which are asked for ``b64_json`` by default.
    """

    n: int | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    moderation: str | None = None
    style: str | None = None
    input_fidelity: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    response_format: str | None = None
    user: str | None = None
    mask: ImageContent | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("n", self.n, 1, whole=True, optional=True)
        check_at_least("output_compression", self.output_compression, 0, whole=True, optional=True)
        for name in _TEXTS:
            check_type(name, getattr(self, name), str | None)
        check_type("mask", self.mask, ImageContent | None)


def image_settings(options: StreamOptions) -> dict[str, Any]:
    """What the options say in the words of the wire.

    Of typed options what is set; otherwise what ``provider_options`` has of it, as it is. There, names may also be spelled as
    in JavaScript; ``output_format`` outranks ``outputFormat``.
    """
    if isinstance(options, OpenAIImagesOptions):
        named = {name: getattr(options, name) for name in (*_NUMBERS, *_TEXTS)}
        return {name: value for name, value in named.items() if value is not None}
    given = options.provider_options
    plain = {name: given[name] for name in _PLAIN if name in given}
    camel = {name: given[spelled] for spelled, name in _CAMEL.items() if spelled in given}
    return plain | camel | {name: given[name] for name in _CAMEL.values() if name in given}


def mask_of(options: StreamOptions, images: int) -> ImageContent | None:
    """The mask, if there is one; InvalidOptionError if there is no image that it could lie on."""
    mask = options.mask if isinstance(options, OpenAIImagesOptions) else None
    if mask is not None and not images:
        raise InvalidOptionError("mask needs an image to lie on: put an ImageContent into the ImagesContext")
    return mask
