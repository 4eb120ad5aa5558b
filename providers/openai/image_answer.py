"""From the answer of OpenAI's image API to images."""

from collections.abc import Iterator
from typing import Any

from providers.images import ImagesAnswer, refuse_failure, shaped, text_in
from providers.token_counts import details, told_count
from runtime.values.content import ImageContent, TextContent
from runtime.values.image_files import sniffed_text
from runtime.values.model import Model, calculate_cost
from runtime.values.usage import Usage

_MIME_NAMES = {"svg": "svg+xml"}
_DEFAULT_TYPE = "image/png"


def read_images(model: Model, sent: dict[str, Any], answer: Any) -> ImagesAnswer:
    """The images, each after the prompt that it was made of where that was revised. Images that are only linked to are left out.

    ProviderError if the answer tells of a failure, ValueError if it is none of this API.
    """
    answer = shaped(answer, dict, "the answer")
    refuse_failure(answer)
    named = next(filter(None, map(_type_named, (sent, answer))), None)
    output = tuple(
        block
        for place, item in enumerate(shaped(answer.get("data", []), list, "data"))
        for block in _blocks(shaped(item, dict, f"data[{place}]"), f"data[{place}].", named)
    )
    return ImagesAnswer(output, _usage(model, details(answer, "usage")), text_in(answer, "id", "") or None)


def _blocks(item: dict[str, Any], place: str, named: str | None) -> Iterator[TextContent | ImageContent]:
    if prompt := text_in(item, "revised_prompt", place):
        yield TextContent(text=prompt)
    if data := text_in(item, "b64_json", place):
        yield ImageContent(data=data, mime_type=named or sniffed_text(data) or _DEFAULT_TYPE)


def _type_named(names: dict[str, Any]) -> str | None:
    """The type that a request asks for, or an answer names: not every server keeps to the default."""
    value = names.get("output_format")
    name = value.removeprefix("image/") if isinstance(value, str) else ""
    return f"image/{_MIME_NAMES.get(name, name)}" if name else None


def _usage(model: Model, raw: dict[str, Any]) -> Usage:
    read = _first_count(raw, "input_tokens", "prompt_tokens") or 0
    written = _first_count(raw, "output_tokens") or 0
    total = _first_count(raw, "total_tokens")
    total = read + written if total is None else total
    return calculate_cost(model, Usage(input=read, output=written, total_tokens=total))


def _first_count(raw: dict[str, Any], *names: str) -> int | None:
    counts = (told_count(raw.get(name)) for name in names)
    return next((count for count in counts if count is not None), None)
