"""OpenAI's image API, and everything that speaks it: images of a text, and edits of images.

Texts alone go to ``/images/generations`` as JSON. With an image in the context, all goes to ``/images/edits`` as a form: one
image is called ``image``, several ``image[]``, the mask ``mask``, as in OpenAI's own SDK (platform.openai.com, Images).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from providers.images import ImagesAnswer, ImagesCall
from providers.keys import AUTHENTICATING_HEADERS, DEFAULT_BASE_URLS
from providers.multipart import FormFile, encode_form
from providers.transport import Request, join_url
from runtime.values.content import ImageContent

from .image_answer import read_images
from .image_options import OpenAIImagesOptions, image_settings, mask_of

OPENAI_IMAGES = "openai-images"
NO_KEY = "ollama"
"""Sent as the key to endpoints that want none: some servers insist on getting one."""


@dataclass(frozen=True)
class OpenAIImagesWire:
    """OpenAI's image API as an ``ImagesWire``."""

    id: str = OPENAI_IMAGES
    own_options: type[OpenAIImagesOptions] = OpenAIImagesOptions

    def payload(self, call: ImagesCall) -> dict[str, Any]:
        """The body of the request; of an edit, the fields of the form that are no images."""
        mask_of(call.options, len(call.context.images))  # refuses one that lies on nothing
        asked = {"model": call.model.id, "prompt": "\n\n".join(call.context.texts)}
        if (
            call.model.base_url != DEFAULT_BASE_URLS["openai"]
        ):  # whose models give base64 anyway, and refuse to be asked
            asked["response_format"] = "b64_json"
        return asked | image_settings(call.options)

    def request(self, call: ImagesCall, body: bytes) -> Request:
        """A generation, or an edit where there are images."""
        headers, path = _with_some_key(call), "/images/generations"
        if call.context.images:
            form, body = encode_form(from_json(body), _files(call))
            headers, path = headers | {"content-type": form}, "/images/edits"
        return _Request(join_url(call.model.base_url, path), headers, body, call.secrets)

    def read(self, call: ImagesCall, body: bytes, answer: Any) -> ImagesAnswer:
        """The images of an answer."""
        return read_images(call.model, from_json(body), answer)


OPENAI_IMAGES_WIRE = OpenAIImagesWire()


class _Request(Request):
    """A request that knows that ``NO_KEY`` is no credential: it may be part of a host's name, or of a message."""

    def _credentials(self) -> list[str]:
        return [each for each in super()._credentials() if each != f"Bearer {NO_KEY}"]


def _with_some_key(call: ImagesCall) -> dict[str, str]:
    headers = call.headers(call.api_key)
    if call.api_key or any(headers.get(name) for name in AUTHENTICATING_HEADERS):
        return headers
    return call.headers(NO_KEY)


def _files(call: ImagesCall) -> Iterator[FormFile]:
    images = call.context.images
    field = "image" if len(images) == 1 else "image[]"
    for place, image in enumerate(images, 1):
        yield _file(field, f"image-{place}", image)
    if mask := mask_of(call.options, len(images)):
        yield _file("mask", "mask", mask)


def _file(field: str, name: str, image: ImageContent) -> FormFile:
    return FormFile(field, name + image.suffix, image.mime_type, image.to_bytes())
