"""OpenAI's Chat Completions, and everything that speaks it: the wire, and direct calls with typed options."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from providers.chat import open_full, open_simple, retyped
from providers.levels import clamped_level
from runtime.streams.assembler import MessageAssembler
from runtime.streams.channel import MessageStream
from runtime.values.context import Context
from runtime.values.limits import simple_max_tokens
from runtime.values.message import AssistantMessage
from runtime.values.model import Model
from runtime.values.options import SimpleStreamOptions, StreamOptions

from .completions_compat import completions_compat
from .completions_decode import CompletionsDecoder
from .completions_payload import CompletionsCall, Payload, completions_headers, completions_payload
from .grammar import grammar_properties
from .options import OpenAICompletionsOptions, completions_options

OPENAI_COMPLETIONS = "openai-completions"


@dataclass(frozen=True)
class CompletionsWire:
    """Chat Completions as a ``ChatWire``."""

    id: str = OPENAI_COMPLETIONS
    path: str = "/chat/completions"

    def options(self, options: StreamOptions) -> OpenAICompletionsOptions:
        """Typed options as they are, others with ``toolChoice`` and ``reasoningEffort``."""
        return completions_options(options)

    def simple_options(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> OpenAICompletionsOptions:
        """The level clamped to the model's, the output limit fitted to its window, and ``toolChoice``."""
        return retyped(
            OpenAICompletionsOptions,
            options,
            max_tokens=simple_max_tokens(model, context, options),
            tool_choice=options.provider_options.get("toolChoice"),
            reasoning_effort=clamped_level(model, options.reasoning),
        )

    def payload(self, call: CompletionsCall) -> Payload:
        """The body of the request."""
        return completions_payload(call)

    def headers(self, call: CompletionsCall) -> dict[str, str]:
        """The headers of the request."""
        return completions_headers(call)

    def decoder(self, call: CompletionsCall, assembler: MessageAssembler) -> CompletionsDecoder:
        """What reads the answer."""
        enabled = completions_compat(call.model).supports_openai_grammar_tools
        return CompletionsDecoder(
            assembler, call.model, grammar_properties(call.context.tools, enabled=enabled)
        )


COMPLETIONS = CompletionsWire()


def stream_openai_completions(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AbstractAsyncContextManager[MessageStream]:
    """Call Chat Completions directly, with OpenAICompletionsOptions; otherwise the same as ``runtime.stream``.

    The model must be one of this API. Of the handle that made it, if there is one, the key and headers are used.
    """
    return open_full(COMPLETIONS, model, context, options, OpenAICompletionsOptions)


def stream_simple_openai_completions(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AbstractAsyncContextManager[MessageStream]:
    """Call Chat Completions directly; otherwise the same as ``runtime.stream_simple``."""
    return open_simple(COMPLETIONS, model, context, options)


async def complete_openai_completions(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_openai_completions``; failures and aborts are in its ``stop_reason``."""
    async with stream_openai_completions(model, context, options) as reply:
        return await reply.result()


async def complete_simple_openai_completions(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_simple_openai_completions``; failures and aborts are in its ``stop_reason``."""
    async with stream_simple_openai_completions(model, context, options) as reply:
        return await reply.result()
