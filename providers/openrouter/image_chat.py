"""Images over OpenRouter's chat: one user message goes out, and images come with the reply (openrouter.ai/docs, Image Generation)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from providers.images import ImagesAnswer, ImagesCall, refuse_failure, shaped, text_in
from providers.token_counts import count, details
from providers.transport import Request, join_url
from runtime.values.content import ImageContent, TextContent
from runtime.values.model import Model, calculate_cost
from runtime.values.options import StreamOptions
from runtime.values.usage import Usage

from .options import OpenRouterImagesOptions

OPENROUTER_IMAGES = "openrouter-images"
_BASE64 = ";base64"


@dataclass(frozen=True)
class OpenRouterImagesWire:
    """OpenRouter's images as an ``ImagesWire``."""

    id: str = OPENROUTER_IMAGES
    own_options: type[OpenRouterImagesOptions] = OpenRouterImagesOptions

    def payload(self, call: ImagesCall) -> dict[str, Any]:
        """The body of the request. Images go along whatever the model says that it takes."""
        content = [_part(block) for block in call.context.input]
        wanted = ["image", "text"] if "text" in call.model.output else ["image"]
        return {
            "model": call.model.id,
            "messages": [{"role": "user", "content": content}],
            "stream": False,
            "modalities": wanted,
        } | _image_config(call.options)

    def request(self, call: ImagesCall, body: bytes) -> Request:
        """The request."""
        url = join_url(call.model.base_url, "/chat/completions")
        return Request(url, call.headers(call.api_key), body, call.secrets)

    def read(self, call: ImagesCall, body: bytes, answer: Any) -> ImagesAnswer:
        """Text and images of the first choice; none where there is no choice."""
        answer = shaped(answer, dict, "the answer")
        refuse_failure(answer)
        choices = shaped(answer.get("choices"), list, "choices")
        return ImagesAnswer(
            tuple(_blocks(shaped(choices[0], dict, "choices[0]"))) if choices else (),
            _usage(call.model, details(answer, "usage")),
            shaped(answer.get("id"), str, "id"),
        )


OPENROUTER_IMAGES_WIRE = OpenRouterImagesWire()


def _part(block: TextContent | ImageContent) -> dict[str, Any]:
    if isinstance(block, TextContent):
        return {"type": "text", "text": block.text}
    return {"type": "image_url", "image_url": {"url": f"data:{block.mime_type};base64,{block.data}"}}


def _image_config(options: StreamOptions) -> dict[str, Any]:
    if not isinstance(options, OpenRouterImagesOptions):
        return {}
    asked = {"aspect_ratio": options.aspect_ratio, "image_size": options.image_size}
    config = {name: value for name, value in asked.items() if value is not None}
    return {"image_config": config} if config else {}


def _blocks(choice: dict[str, Any]) -> Iterator[TextContent | ImageContent]:
    refuse_failure(choice, "the choice")
    place = "choices[0].message"
    message = shaped(choice.get("message"), dict, place)
    if text := text_in(message, "content", f"{place}."):
        yield TextContent(text=text)
    for index, item in enumerate(shaped(message.get("images", []), list, f"{place}.images")):
        url = _url(shaped(item, dict, f"{place}.images[{index}]"))
        if image := _inline_image(url):
            yield image


def _url(item: dict[str, Any]) -> str:
    """Where an image is; empty if nothing says so."""
    place = item.get("image_url")
    url = place.get("url") if isinstance(place, dict) else place
    return url if isinstance(url, str) else ""


def _inline_image(url: str) -> ImageContent | None:
    """The image that a ``data:`` URL holds (RFC 2397); None for other URLs, which only lead to one."""
    head, _, data = url.partition(",")
    if not data or not head.startswith("data:") or not head.endswith(_BASE64):
        return None
    mime_type = head.removeprefix("data:").removesuffix(_BASE64).partition(";")[0]
    return ImageContent(data=data, mime_type=mime_type) if mime_type else None


def _usage(model: Model, raw: dict[str, Any]) -> Usage:
    """Tokens that were written to the cache count as cached, too, in what OpenRouter reports."""
    of_prompt, output = details(raw, "prompt_tokens_details"), count(raw, "completion_tokens")
    cached, written = count(of_prompt, "cached_tokens"), count(of_prompt, "cache_write_tokens")
    read = max(0, cached - written)
    fresh = max(0, count(raw, "prompt_tokens") - read - written)
    total = fresh + output + read + written
    return calculate_cost(
        model, Usage(input=fresh, output=output, cache_read=read, cache_write=written, total_tokens=total)
    )
