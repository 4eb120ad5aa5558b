"""OpenAI's Responses API, and everything that speaks it: the wire, and direct calls with typed options."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from providers.chat import open_full, open_simple, retyped
from providers.levels import clamped_level
from runtime.errors import ApiStatusError
from runtime.streams.assembler import MessageAssembler
from runtime.streams.channel import MessageStream
from runtime.values.context import Context
from runtime.values.limits import simple_max_tokens
from runtime.values.message import AssistantMessage
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions

from .grammar import grammar_properties
from .responses_compat import responses_compat
from .responses_decode import ResponsesDecoder
from .responses_errors import status_text
from .responses_options import OpenAIResponsesOptions, responses_options
from .responses_payload import Payload, ResponsesCall, responses_headers, responses_payload

OPENAI_RESPONSES = "openai-responses"


@dataclass(frozen=True)
class ResponsesWire:
    """Responses as a ``ChatWire``."""

    id: str = OPENAI_RESPONSES
    path: str = "/responses"

    def options(self, options: StreamOptions) -> OpenAIResponsesOptions:
        """Typed options as they are, others with what ``provider_options`` says."""
        return responses_options(options)

    def simple_options(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> OpenAIResponsesOptions:
        """The level clamped to the model's, the output limit fitted to its window, and ``toolChoice``."""
        return retyped(
            OpenAIResponsesOptions,
            options,
            max_tokens=simple_max_tokens(model, context, options),
            tool_choice=options.provider_options.get("toolChoice"),
            reasoning_effort=clamped_level(model, options.reasoning),
        )

    def payload(self, call: ResponsesCall) -> Payload:
        """The body of the request."""
        return responses_payload(call)

    def headers(self, call: ResponsesCall) -> dict[str, str]:
        """The headers of the request."""
        return responses_headers(call)

    def decoder(self, call: ResponsesCall, assembler: MessageAssembler) -> ResponsesDecoder:
        """What reads the answer."""
        enabled = responses_compat(call.model).supports_openai_grammar_tools
        grammar = grammar_properties(call.context.tools, enabled=enabled)
        return ResponsesDecoder(assembler, call.model, grammar, call.options.service_tier)

    def status_text(self, error: ApiStatusError) -> str:
        """What a status that is no success says."""
        return status_text(error)


RESPONSES = ResponsesWire()


def stream_openai_responses(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AbstractAsyncContextManager[MessageStream]:
    """Call the Responses API directly, with OpenAIResponsesOptions; otherwise the same as ``runtime.stream``.

    The model must be one of this API. Of the handle that made it, if there is one, the key and headers are used.
    """
    return open_full(RESPONSES, model, context, options, OpenAIResponsesOptions)


def stream_simple_openai_responses(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AbstractAsyncContextManager[MessageStream]:
    """Call the Responses API directly; otherwise the same as ``runtime.stream_simple``."""
    return open_simple(RESPONSES, model, context, options)


async def complete_openai_responses(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_openai_responses``; failures and aborts are in its ``stop_reason``."""
    async with stream_openai_responses(model, context, options) as reply:
        return await reply.result()


async def complete_simple_openai_responses(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_simple_openai_responses``; failures and aborts are in its ``stop_reason``."""
    async with stream_simple_openai_responses(model, context, options) as reply:
        return await reply.result()
