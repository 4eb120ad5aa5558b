"""The faux provider: a language model that says what it was told to, in memory.

A call takes the next step of the script when its ``async with`` is entered, so calls are answered in the order in
which they were made. Everything after that happens in the producer's task.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

import trio

from runtime.errors import AgentrioError, InvalidOptionError, ProviderError, UnsupportedModelError
from runtime.streams.assembler import ABORTED, MessageAssembler
from runtime.streams.channel import MessageStream, MessageWriter, call_hook, open_message_stream
from runtime.streams.provider import Capabilities
from runtime.values.content import TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, StopReason
from runtime.values.model import Bindings, Model
from runtime.values.options import ResponseInfo, SimpleStreamOptions, StreamOptions
from runtime.values.text import compact_json
from runtime.values.usage import Usage

from .pacing import LARGEST, SMALLEST, Pace
from .script import (
    DEFAULT_ID,
    Block,
    FauxFactory,
    FauxFault,
    FauxReply,
    FauxState,
    FauxStep,
    Place,
    as_reply,
    checked_steps,
    describe_step,
    unique_id,
)
from .usage import PromptCache

MAX_CALLS = 1000
_DEFAULTS: dict[str, Any] = {
    "base_url": "http://localhost:0",
    "reasoning": False,
    "input": ("text", "image"),
    "context_window": 128_000,
    "max_tokens": 16_384,
}
_UNKNOWN_ERROR = "An unknown error occurred"


@dataclass(frozen=True, slots=True)
class FauxCall:
    """One call as it was made: ``context`` is a copy of that moment."""

    model: Model
    context: Context
    options: StreamOptions


class FauxProvider:
    """A scripted provider and its models, which share one script. ``register_faux_provider`` makes one.

    As a ``with`` block it is there until the block is left, and then fails with an AssertionError if steps of the
    script were not used; unless the block raises.
    """

    def __init__(self, provider_id: str, api: "FauxApi", models: Iterable[str | Model]) -> None:
        self._id = provider_id
        self._api = api
        self._models = tuple(map(self._define, models)) or (self._make(DEFAULT_ID, name="Faux Model"),)

    @property
    def id(self) -> str:
        """Names the provider in messages and models."""
        return self._id

    @property
    def api(self) -> str:
        """Names the API in messages and models."""
        return self._api.id

    @property
    def capabilities(self) -> Capabilities:
        """Language models only."""
        return Capabilities()

    @property
    def models(self) -> tuple[Model, ...]:
        """The registered models, in their order."""
        return self._models

    @property
    def state(self) -> FauxState:
        """``state.call_count`` counts the calls of all models, those included that found no step."""
        return self._api.state

    @property
    def calls(self) -> tuple[FauxCall, ...]:
        """What was asked, oldest first; the last 1,000 calls are kept."""
        return tuple(self._api.calls)

    def get_model(self) -> Model:
        """The first model."""
        return self._models[0]

    def get_model_by_id(self, id: str) -> Model | None:  # noqa: A002 - its name
        """The registered model of this id."""
        return next((model for model in self._models if model.id == id), None)

    def model(self, id: str = DEFAULT_ID, /, **settings: Any) -> Model:  # noqa: A002 - its name
        """A model of this provider: the registered one of this id with ``settings`` laid over it, or another one."""
        if unknown := settings.keys() - Model.model_fields.keys() | settings.keys() & {
            "id",
            "api",
            "provider",
        }:
            raise InvalidOptionError(f"a faux model has no setting {', '.join(sorted(unknown))}")
        known = self.get_model_by_id(id)
        return self._make(id, **({} if known is None else _fields(known)) | settings)

    def set_responses(self, steps: Iterable[FauxStep]) -> None:
        """Replace what is left of the script; InvalidOptionError for what is no step, and then nothing changes."""
        self._api.steps = deque(checked_steps(steps))

    def append_responses(self, steps: Iterable[FauxStep]) -> None:
        """Add to the script."""
        self._api.steps.extend(checked_steps(steps))

    def get_pending_response_count(self) -> int:
        """How many steps are left."""
        return len(self._api.steps)

    def assert_no_pending_responses(self) -> None:
        """Raise an AssertionError that names the steps that are left, if any are."""
        if unused := [describe_step(step) for step in self._api.steps]:
            raise AssertionError(f"{_count(len(unused), 'faux response')} not used: {'; '.join(unused)}")

    def unregister(self) -> None:
        """From now on calls raise UnsupportedModelError; replies on their way go on. There is no way back."""
        self._api.active = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()
        if raised is None:
            self.assert_no_pending_responses()

    def _define(self, model: str | Model) -> Model:
        if isinstance(model, str):
            return self._make(model)
        if isinstance(model, Model):
            return self._make(model.id, **_fields(model))
        raise InvalidOptionError(f"models must be ids or Models, not {type(model).__name__}")

    def _make(self, id: str, **settings: Any) -> Model:  # noqa: A002 - its name
        fields = {"name": id} | _DEFAULTS | settings
        return Model(id, api=self.api, provider=self.id, **fields).bound(Bindings(language=self._api))

    def __repr__(self) -> str:
        state = "" if self._api.active else "unregistered, "
        ids = ", ".join(model.id for model in self._models)
        pending = _count(self.get_pending_response_count(), "response")
        calls = _count(self.state.call_count, "call")
        return f"<FauxProvider {self.id!r} api {self.api!r}, models {ids}: {state}{pending} pending, {calls}>"


def register_faux_provider(
    *,
    api: str | None = None,
    provider: str = "faux",
    models: Iterable[str | Model] | None = None,
    tokens_per_second: float | None = None,
    token_size: int | tuple[int | None, int | None] = (SMALLEST, LARGEST),
) -> FauxProvider:
    """Make a provider that answers from a script, for tests and demonstrations.

    - ``api`` and ``provider`` name it in models and messages; without ``api`` it gets a name of its own.
    - ``models``: ids, or models whose settings are laid over the defaults; one, ``faux-1``, if there are none.
    - ``tokens_per_second``: how fast replies come, on trio's clock; as fast as they are read unless it is above 0.
    - ``token_size``: how many tokens a delta has, a number or the least and the greatest one. Cuts are repeatable.

    Nothing global is changed: its models carry it. Usage is estimated and costs nothing; calls with a
    ``session_id`` find in the cache what they share with the last one of that session.
    """
    for name, value in {"api": api, "provider": provider}.items():
        if not (isinstance(value, str) or (name == "api" and value is None)):
            raise InvalidOptionError(f"{name} must be a string, not {type(value).__name__}")
    if isinstance(models, str | Model) or not isinstance(models, Iterable | None):
        raise InvalidOptionError(f"models must be a list, not {type(models).__name__}")
    faux = FauxApi(unique_id("faux") if api is None else api, Pace.of(token_size, tokens_per_second))
    return FauxProvider(provider, faux, models or ())


class FauxApi:
    """The language model API behind one FauxProvider: takes steps and plays them."""

    def __init__(self, api_id: str, pace: Pace) -> None:
        self.id = api_id
        self.state = FauxState()
        self.steps: deque[FauxStep] = deque()
        self.calls: deque[FauxCall] = deque(maxlen=MAX_CALLS)
        self.active = True
        self._pace = pace
        self._cache = PromptCache()

    @asynccontextmanager
    async def stream(
        self, model: Model, context: Context, options: StreamOptions
    ) -> AsyncIterator[MessageStream]:
        """Answer a call with the next step."""
        call = self._record(model, context, options)
        step = self.steps.popleft() if self.steps else None

        async def produce(writer: MessageWriter) -> None:
            await self._answer(call, step, writer)

        async with open_message_stream(model, produce, abort=options.abort) as reply:
            yield reply

    @asynccontextmanager
    async def stream_simple(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> AsyncIterator[MessageStream]:
        """The same: a script does not think harder."""
        async with self.stream(model, context, options) as reply:
            yield reply

    def _record(self, model: Model, context: Context, options: StreamOptions) -> FauxCall:
        if not self.active:
            raise UnsupportedModelError.capability(model.provider, "language models")
        if model.api != self.id:
            raise UnsupportedModelError.mismatch(model.api, self.id)
        copy = context.model_copy(update={"messages": [*context.messages], "tools": [*context.tools]})
        call = FauxCall(model, copy, options)
        self.calls.append(call)
        self.state.call_count += 1
        return call

    async def _answer(self, call: FauxCall, step: FauxStep | None, writer: MessageWriter) -> None:
        if hook := call.options.on_response:
            await call_hook("on_response", hook, ResponseInfo(200, {}), call.model)
        if step is None:
            raise ProviderError("No more faux responses queued")
        reply = (
            as_reply(step) if isinstance(step, AssistantMessage | FauxReply) else await self._ask(step, call)
        )
        usage = self._cache.usage(call.context, call.options, reply.message)
        if reply.delay:
            await trio.sleep(reply.delay)
        await self._play(reply, usage, writer)

    async def _ask(self, factory: FauxFactory, call: FauxCall) -> FauxReply:
        try:
            answer = factory(call.context, call.options, self.state, call.model)
            if isawaitable(answer):
                answer = await answer
        except (AgentrioError, AssertionError):  # a test that asserts in a factory wants to fail
            raise
        except Exception as error:
            raise ProviderError(str(error) or type(error).__name__) from error
        try:
            return as_reply(answer)
        except InvalidOptionError as error:
            raise TypeError(f"{describe_step(factory)}: {error}") from None

    async def _play(self, reply: FauxReply, usage: Usage, writer: MessageWriter) -> None:
        for place in _write(writer.assembler, reply.message, usage, self._pace.chunks):
            if reply.fault is not None and reply.fault.strikes_at(place):
                break
            if place.chunk is not None:
                await writer.flush()
                await self._pace.wait(place.chunk)
        if reply.fault is None:
            _finish(writer.assembler, reply.message)
        else:
            await writer.flush()
            await _strike(reply.fault)

    def __repr__(self) -> str:
        return f"<FauxApi {self.id!r}>"


async def _strike(fault: FauxFault) -> None:
    if fault.kind == "stall":
        await trio.sleep_forever()
    raise fault.to_error()


def _write(
    assembler: MessageAssembler, message: AssistantMessage, usage: Usage, cut: Callable[[str], list[str]]
) -> Iterator[Place]:
    """Write a reply up to its end; stops at each place where time may pass or a fault may strike."""
    yield Place()
    _start(assembler, message, usage)
    written = 0
    yield Place(written)
    for index, block in enumerate(message.content):
        text, write, end = _open(assembler, block)
        chunks = cut(text)
        for count, chunk in enumerate(chunks):
            yield Place(written + count, index, count, chunk)
            write(index, chunk)
        written += len(chunks)
        yield Place(written, index, len(chunks))
        end(index)


def _start(assembler: MessageAssembler, message: AssistantMessage, usage: Usage) -> None:
    # a time that was only filled in is that of the script, not of the reply
    assembler.start(message.timestamp if "timestamp" in message.model_fields_set else None)
    assembler.update(response_id=message.response_id, response_model=message.response_model, usage=usage)
    for entry in message.provider_items:
        assembler.add_provider_item(entry["item"], entry["index"])
    for entry in message.diagnostics:
        assembler.add_diagnostic(entry)


def _open(
    assembler: MessageAssembler, block: Block
) -> tuple[str, Callable[[int, str], None], Callable[[int], object]]:
    """Start a block; returns what it will say, and how to write and end it."""
    match block:
        case TextContent():
            assembler.text_start(signature=block.text_signature)
            return block.text, assembler.text_delta, assembler.text_end
        case ThinkingContent():
            assembler.thinking_start(signature=block.thinking_signature, redacted=block.redacted)
            return block.thinking, assembler.thinking_delta, assembler.thinking_end
        case ToolCall():
            index = assembler.tool_call_start(block.id, block.name)
            if block.thought_signature is not None:
                assembler.sign(index, block.thought_signature)
            return compact_json(block.arguments), assembler.tool_call_delta, assembler.tool_call_end


def _finish(assembler: MessageAssembler, message: AssistantMessage) -> None:
    if not message.failed:
        assembler.done(message.stop_reason)
        return
    unsaid = ABORTED if message.stop_reason is StopReason.Aborted else _UNKNOWN_ERROR
    assembler.fail(message.error_message or unsaid, message.stop_reason)


def _fields(model: Model) -> dict[str, Any]:
    """What somebody set of a model, except whose it is."""
    names = model.model_fields_set - {"id", "api", "provider"}
    return {name: getattr(model, name) for name in names}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
