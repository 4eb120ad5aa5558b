"""Embedding answers as servers write them, and models to ask for them."""

import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from providers import openai
from providers.document import Document
from providers.openai.embedding_decode import read_embeddings
from providers.transport import Request
from runtime.values.embeddings import EmbeddingBatch
from runtime.values.model import Model
from runtime.values.options import EmbeddingOptions
from tests.providers.loopback import Loopback, Script, Wire, head, serve

PROXY = "https://proxy.example.com/v1"
KEY = "sk-embedding-0123456789"


def model_at(base_url: str = PROXY, key: str | None = None, **settings: Any) -> Model:
    """A model called ``m`` at an endpoint."""
    return openai.embeddings(key, base_url=base_url, provider_id="test").model("m", **settings)


def packed(numbers: list[float]) -> str:
    """As the API packs them: little-endian 32-bit floats, in base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def item(index: Any, embedding: Any) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": embedding}


def answer(*embeddings: Any, **fields: Any) -> dict[str, Any]:
    """The answer that has these, in order; more fields replace its own, and None removes one."""
    data = [item(index, embedding) for index, embedding in enumerate(embeddings)]
    whole = {
        "object": "list",
        "data": data,
        "model": "m-served",
        "usage": {"prompt_tokens": 3, "total_tokens": 4},
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def read(data: Any, texts: int = 1, key: str = KEY, **options: Any) -> EmbeddingBatch:
    """What becomes of an answer: of bytes as they are, of other values as JSON."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    request = Request(f"{PROXY}/embeddings", {"authorization": f"Bearer {key}"}, b"{}", (key,))
    document = Document(request, {"content-type": "application/json"}, body)
    return read_embeddings(document, model_at(), texts, EmbeddingOptions(**options))


def vector(text: str) -> list[float]:
    """A vector that tells its text."""
    return [float(len(text)), float(sum(map(ord, text)))]


async def send_json(wire: Wire, value: Any) -> None:
    data = json.dumps(value).encode()
    await wire.send(
        head(headers={"content-length": str(len(data)), "content-type": "application/json"}) + data
    )


def says(value: Any) -> Script:
    """A script that answers with JSON."""

    async def run(wire: Wire) -> None:
        await send_json(wire, value)

    return run


async def at_once(texts: list[str]) -> None:
    """Nothing to wait for."""


class EmbeddingServer:
    """Answers every request as the API does, in an order of its own, after ``before`` has let it; the first ones with trouble."""

    def __init__(self, before: Callable[[list[str]], Awaitable[None]], troubles: Sequence[Script]) -> None:
        self.server: Loopback
        self.busy = 0
        self.busiest = 0
        self._before = before
        self._troubles = list(troubles)

    async def __call__(self, wire: Wire) -> None:
        body = self.server.requests[-1].json()
        if self._troubles:
            await self._troubles.pop(0)(wire)
            return
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await self._before(body["input"])
        self.busy -= 1
        await send_json(wire, self._answer(body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        write = packed if body.get("encoding_format") == "base64" else list
        texts = body["input"]
        data = [item(index, write(vector(text))) for index, text in enumerate(texts)]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data[::-1], "model": body["model"] + "-2026", "usage": usage}

    @property
    def inputs(self) -> list[list[str]]:
        """The texts of each request, in the order in which they came."""
        return [request.json()["input"] for request in self.server.requests]


@asynccontextmanager
async def serve_embeddings(
    before: Callable[[list[str]], Awaitable[None]] = at_once, *troubles: Script
) -> AsyncIterator[EmbeddingServer]:
    """Run the server beside the block."""
    script = EmbeddingServer(before, troubles)
    async with serve(script, repeat=True) as script.server:
        yield script
