"""Anthropic's Messages API, and everything that speaks it: the wire, and direct calls with typed options."""

import dataclasses
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from providers.access import Access
from providers.chat import ChatApi, open_full, open_simple, retyped
from runtime.streams.assembler import MessageAssembler
from runtime.streams.channel import MessageStream
from runtime.values.context import Context
from runtime.values.message import AssistantMessage
from runtime.values.model import Bindings, Model
from runtime.values.options import SimpleStreamOptions, StreamOptions

from .credentials import MessagesCall, bearer_token, poses_as_claude_code
from .decode import MessagesDecoder
from .headers import messages_headers
from .identity import ToolNames
from .options import AnthropicOptions, anthropic_options
from .payload import Payload, messages_payload
from .thinking import simple_thinking

ANTHROPIC_MESSAGES = "anthropic-messages"


@dataclass(frozen=True)
class MessagesWire:
    """The Messages API as a ``ChatWire``."""

    id: str = ANTHROPIC_MESSAGES
    path: str = "/messages"

    def options(self, options: StreamOptions) -> AnthropicOptions:
        """Typed options as they are, others with those of ``provider_options``."""
        return anthropic_options(options)

    def simple_options(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> AnthropicOptions:
        """The level and the output limit fitted to the model, and ``toolChoice``."""
        choice = options.provider_options.get("toolChoice")
        return retyped(
            AnthropicOptions, options, tool_choice=choice, **simple_thinking(model, context, options)
        )

    def payload(self, call: MessagesCall) -> Payload:
        """The body of the request."""
        return messages_payload(call)

    def headers(self, call: MessagesCall) -> dict[str, str]:
        """The headers of the request."""
        return messages_headers(call)

    def decoder(self, call: MessagesCall, assembler: MessageAssembler) -> MessagesDecoder:
        """What reads the answer."""
        names = ToolNames(poses_as_claude_code(call))
        return MessagesDecoder(assembler, call.model, names.received(call.context.tools))


MESSAGES = MessagesWire()


class AnthropicApi(ChatApi[AnthropicOptions]):
    """The Messages API of a handle. A credential may be a token here."""

    def __init__(self, access: Access | None = None) -> None:
        super().__init__(MESSAGES, access)

    def stream(
        self, model: Model, context: Context, options: StreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call the model with the options as they are; raises MissingApiKeyError."""
        return super().stream(model, context, self._prepared(model, options))

    def stream_simple(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> AbstractAsyncContextManager[MessageStream]:
        """Call the model with the thinking level and limits fitted to it; raises MissingApiKeyError."""
        return super().stream_simple(model, context, self._prepared(model, options))

    def _prepared(self, model: Model, options: Any) -> Any:
        """The same options, with a token as the header that it becomes."""
        changes: dict[str, Any] = {}
        if token := bearer_token(model, options, self._access):
            changes["headers"] = {**options.headers, "Authorization": f"Bearer {token}"}
        return dataclasses.replace(options, **changes) if changes else options


def _bound(model: Any) -> Any:
    """A model that was read from JSON has no handle; it is called with what the options and the environment have."""
    if isinstance(model, Model) and not isinstance(model.bindings.language, AnthropicApi):
        return model.bound(Bindings(language=AnthropicApi()))
    return model


def stream_anthropic(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AbstractAsyncContextManager[MessageStream]:
    """Call the Messages API directly, with AnthropicOptions; otherwise the same as ``runtime.stream``.

    The model must be one of this API. Of the handle that made it, if there is one, the credentials and headers are used.
    """
    return open_full(MESSAGES, _bound(model), context, options, AnthropicOptions)


def stream_simple_anthropic(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AbstractAsyncContextManager[MessageStream]:
    """Call the Messages API directly; otherwise the same as ``runtime.stream_simple``."""
    return open_simple(MESSAGES, _bound(model), context, options)


async def complete_anthropic(
    model: Model, context: Context, options: StreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_anthropic``; failures and aborts are in its ``stop_reason``."""
    async with stream_anthropic(model, context, options) as reply:
        return await reply.result()


async def complete_simple_anthropic(
    model: Model, context: Context, options: SimpleStreamOptions | None = None
) -> AssistantMessage:
    """The final message of ``stream_simple_anthropic``; failures and aborts are in its ``stop_reason``."""
    async with stream_simple_anthropic(model, context, options) as reply:
        return await reply.result()
