"""Image APIs on loopback: handles, contexts and answers."""

import json
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from providers import openai, openrouter
from runtime.streams.images import generate_images
from runtime.values.content import ImageContent
from runtime.values.images import AssistantImages, ImagesContext
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from tests.providers.loopback import Received, Script, reply, serve

KEY = "sk-images-0123456789"
ONCE = StreamOptions(max_retries=0)
PNG = b"\x89PNG\r\n\x1a\nfox"
JPEG = b"\xff\xd8\xff\xe0fox"
PICTURE = ImageContent.from_bytes(PNG)
FOX = ImagesContext.of("a fox")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
"""Any JSON value."""


def text_of(data: bytes) -> str:
    return b64encode(data).decode()


def openai_at(url: str, key: str | None = KEY, **settings: Any) -> Model:
    return openai.images(key, base_url=f"{url}/v1", provider_id="loopback").model("gpt-image", **settings)


def openrouter_at(url: str, key: str | None = KEY, **settings: Any) -> Model:
    return openrouter.images(key, base_url=f"{url}/api/v1").model("google/flash-image", **settings)


APIS = {"openai": openai_at, "openrouter": openrouter_at}


def openai_answer(*items: Any, **more: Any) -> dict[str, Any]:
    """The answer of OpenAI's image API; bytes stand for their image."""
    data = [{"b64_json": text_of(item)} if isinstance(item, bytes) else item for item in items]
    return {"created": 1, "data": data, **more}


def openrouter_answer(*images: Any, content: Any = "", **more: Any) -> dict[str, Any]:
    """The answer of OpenRouter; bytes stand for their image in a data URL."""
    items = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text_of(item)}"}}
        if isinstance(item, bytes)
        else item
        for item in images
    ]
    message = {"role": "assistant", "content": content, "images": items}
    return {"id": "gen-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}


def answering(value: Any, **more: Any) -> Script:
    return reply(json.dumps(value), content_type="application/json", **more)


GOOD = {"openai": answering(openai_answer(PNG)), "openrouter": answering(openrouter_answer(PNG))}
"""What each API says when all is well."""


async def asked(
    script: Script,
    at: Any = openai_at,
    context: ImagesContext = FOX,
    options: StreamOptions = ONCE,
    **settings: Any,
) -> tuple[AssistantImages, Received]:
    """The result of a call that is answered like this, and the request."""
    async with serve(script) as server:
        result = await generate_images(at(server.url, **settings), context, options)
        (request,) = server.requests
    return result, request
