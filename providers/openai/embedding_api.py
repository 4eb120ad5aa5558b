"""OpenAI's embeddings API, and everything that speaks it."""

from collections.abc import Sequence
from typing import Any

from providers.access import Access
from providers.document import fetch_document
from providers.headers import merge_headers
from providers.keys import resolve_api_key
from providers.payload import hooked_body
from providers.transport import Request, join_url
from runtime.errors import UnsupportedModelError
from runtime.values.embeddings import EmbeddingBatch
from runtime.values.model import Model
from runtime.values.options import EmbeddingOptions, RequestOptions

from .embedding_decode import read_embeddings

OPENAI_EMBEDDINGS = "openai-embeddings"


class EmbeddingsApi:
    """The API and what a handle adds to it: a value without a connection, safe to share between runs and threads."""

    def __init__(self, access: Access | None = None) -> None:
        self._access = access or Access()

    @property
    def id(self) -> str:
        """The API's name."""
        return OPENAI_EMBEDDINGS

    async def embed_many(
        self, model: Model, texts: Sequence[str], options: EmbeddingOptions
    ) -> EmbeddingBatch:
        """Embed the texts of one request, in order.

        Raises UnsupportedModelError for a model of another API, MissingApiKeyError, what ``fetch_document`` raises, and
        InvalidResponseError for an answer that does not hold one vector for each text. Cancelled, it leaves no socket
        open.
        """
        if model.api != self.id:
            raise UnsupportedModelError.mismatch(model.api, self.id)
        options = self._access.with_client(options)
        key = resolve_api_key(model, options, self._access)
        body = await hooked_body(embedding_payload(model, texts, options), options, model)
        headers = embedding_headers(model, options, self._access, key)
        request = Request(join_url(model.base_url, "/embeddings"), headers, body, (key,) if key else ())
        document = await fetch_document(request, options, model)
        return read_embeddings(document, model, len(texts), options)

    def __repr__(self) -> str:
        return f"<EmbeddingsApi {self.id}>"


def embedding_payload(model: Model, texts: Sequence[str], options: EmbeddingOptions) -> dict[str, Any]:
    """The body of a request: always a list of texts, and the options that are set."""
    asked = {
        "dimensions": options.dimensions,
        "encoding_format": options.encoding_format,
        "user": options.user,
    }
    return {"model": model.id, "input": list(texts)} | {
        name: value for name, value in asked.items() if value is not None
    }


def embedding_headers(
    model: Model, options: RequestOptions, access: Access, api_key: str | None
) -> dict[str, str]:
    """The headers of a request; what is nearer to the call replaces what is further."""
    return {"content-type": "application/json"} | merge_headers(
        {"authorization": f"Bearer {api_key}"} if api_key else {},
        access.headers,
        model.headers,
        options.headers,
    )
