"""The knobs of one model call. Frozen, flat, checked when made."""

import dataclasses
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from runtime.errors import InvalidOptionError

from .model import Model
from .secret import MASK, Secret
from .text import clean_json
from .thinking import ThinkingLevel

if TYPE_CHECKING:
    import httpx
    import trio

CacheRetention = Literal["none", "short", "long"]
Transport = Literal["sse", "websocket", "websocket-cached", "auto"]
ForeignThinking = Literal["tagged", "plain", "drop"]
EncodingFormat = Literal["float", "base64"]
PayloadHook = Callable[[dict[str, Any], Model], Awaitable[dict[str, Any] | None]]
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class ResponseInfo:
    """What ``on_response`` is told: the status and the headers, names in lower case."""

    status: int
    headers: Mapping[str, str]


ResponseHook = Callable[[ResponseInfo, Model], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ThinkingBudgets:
    """Tokens to think with at each level, for providers that count them; None takes the default.

    The levels above high use ``high``.
    """

    minimal: int | None = None
    low: int | None = None
    medium: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        for budget in dataclasses.fields(self):
            _check_int(budget.name, getattr(self, budget.name), optional=True)


@dataclass(frozen=True, kw_only=True, repr=False)
class RequestOptions:
    """How to send a request, whatever it asks for. Times are in seconds of trio's clock, sizes in bytes.

    - ``abort``: set it, from anywhere, to end this call (and every other that has it).
    - ``api_key``: outranks the handle's key and the environment. ``env``: variables that outrank the process's.
    - ``headers``: laid over everything else; None removes one.
    - ``on_payload(payload, model)``: sees the request body once and may return another.
      ``on_response(info, model)``: sees status and headers of a success. If either raises, the call fails.
    - ``max_retries``: more attempts after 408, 409, 429, 5xx and connection failures, all before the first byte of the
      reply. A server that asks for more than ``max_retry_delay`` (0: no limit) is not waited for. 0: sent once, over a
      connection of its own; with more, a reused one that closes without an answer counts as no attempt.
    - ``connect_timeout``; ``first_event_timeout``: until the reply begins; ``event_timeout``: between its events, pings not
      counted; ``timeout``: the whole call (None: no limit).
    - ``max_event_bytes``: the largest line or event that a server may send, and the largest answer that is no stream.
    - ``http_client``: used instead of the pool; it is not closed.
    """

    api_key: str | None = None
    on_payload: PayloadHook | None = None
    on_response: ResponseHook | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    http_client: "httpx.AsyncClient | None" = None
    max_retries: int = 2
    max_retry_delay: float = 60.0
    connect_timeout: float = 30.0
    first_event_timeout: float = 600.0
    event_timeout: float = 300.0
    timeout: float | None = None
    max_event_bytes: int = 64 * MEBIBYTE
    abort: "trio.Event | None" = None

    def __post_init__(self) -> None:
        _check_int("max_retries", self.max_retries)
        _check_int("max_event_bytes", self.max_event_bytes, at_least=1)
        _check_number("max_retry_delay", self.max_retry_delay)
        for name in ("connect_timeout", "first_event_timeout", "event_timeout"):
            _check_number(name, getattr(self, name), above=0, infinite=True)
        _check_number("timeout", self.timeout, above=0, optional=True, infinite=True)
        _check_text("api_key", self.api_key)
        for name in ("on_payload", "on_response"):
            _check_callable(name, getattr(self, name))
        _check_abort(self.abort)
        check_headers(self.headers)
        _check_mapping("env", self.env, values=(str,))
        self._keep(
            api_key=None if self.api_key is None else Secret(self.api_key),
            headers={name: None if value is None else Secret(value) for name, value in self.headers.items()},
            env={name: Secret(value) for name, value in self.env.items()},
        )

    def _keep(self, **own: Any) -> None:
        """Hold copies that nobody else changes, and keys that do not print."""
        for name, value in own.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        changed = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in dataclasses.fields(self)
            if item.repr and getattr(self, item.name) != _default(item)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class StreamOptions(RequestOptions):
    """How to call a model, whatever the provider: the knobs of ``RequestOptions``, and these.

    An ``abort`` and a hook that raises end the call as a value, ``Aborted`` or ``Error``.

    - ``session_id``: names the conversation, for the provider's cache. ``cache_retention``: how long to keep it there.
    - ``foreign_thinking``: what becomes of another model's thinking: text in ``<thinking>`` tags, plain text, or nothing.
    - ``provider_options``: more knobs by their names on the wire; unknown ones are ignored.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    cache_retention: CacheRetention | None = None
    session_id: str | None = None
    transport: Transport = "auto"
    metadata: Any = None
    provider_options: Mapping[str, Any] = field(default_factory=dict)
    foreign_thinking: ForeignThinking = "tagged"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("temperature", self.temperature, optional=True)
        _check_int("max_tokens", self.max_tokens, optional=True)
        _check_text("session_id", self.session_id)
        _check_choice("cache_retention", self.cache_retention, (None, *get_args(CacheRetention)))
        _check_choice("transport", self.transport, get_args(Transport))
        _check_choice("foreign_thinking", self.foreign_thinking, get_args(ForeignThinking))
        _check_mapping("provider_options", self.provider_options)
        self._keep(
            metadata=_json("metadata", self.metadata),
            provider_options=_json("provider_options", dict(self.provider_options)),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class SimpleStreamOptions(StreamOptions):
    """The same, with one word for how hard to think: ``reasoning``, clamped to what the model takes."""

    reasoning: ThinkingLevel | None = None
    thinking_budgets: ThinkingBudgets | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reasoning is not None:
            _check_choice("reasoning", self.reasoning, tuple(ThinkingLevel))
            object.__setattr__(self, "reasoning", ThinkingLevel(self.reasoning))
        if self.thinking_budgets is not None and not isinstance(self.thinking_budgets, ThinkingBudgets):
            raise InvalidOptionError(
                f"thinking_budgets must be ThinkingBudgets, not {self.thinking_budgets!r}"
            )


@dataclass(frozen=True, kw_only=True, repr=False)
class EmbeddingOptions(RequestOptions):
    """How to embed texts. An ``abort`` that is set raises AbortedError.

    - ``dimensions``: numbers in each vector, for models that can shorten them; an answer with another length is refused.
    - ``encoding_format``: ``base64`` asks for vectors as text, which is a third of the size and quicker to read. They are
      given as they came; ``.vector`` and ``.vectors`` of the result are numbers either way. Not every server knows it.
    - ``user``: names the end user to the provider.
    - ``max_batch_size``: texts in one request; the rest go in further ones. OpenAI takes up to 2048, whose vectors may be
      more than ``max_event_bytes``. ``max_batch_tokens``: tokens in one request, None for any number. As nobody here can count
      those, each byte of UTF-8 counts as one, which is never too few; a text that is larger goes alone.
    - ``max_concurrent_requests``: how many requests of one call are under way at a time.

    ``on_payload``, ``on_response``, ``max_retries`` and the time-outs are for each request.
    """

    dimensions: int | None = None
    encoding_format: EncodingFormat | None = None
    user: str | None = None
    max_batch_size: int = 512
    max_batch_tokens: int | None = 300_000
    max_concurrent_requests: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_int("dimensions", self.dimensions, at_least=1, optional=True)
        _check_choice("encoding_format", self.encoding_format, (None, *get_args(EncodingFormat)))
        _check_text("user", self.user)
        _check_int("max_batch_size", self.max_batch_size, at_least=1)
        _check_int("max_batch_tokens", self.max_batch_tokens, at_least=1, optional=True)
        _check_int("max_concurrent_requests", self.max_concurrent_requests, at_least=1)


def _default(item: "dataclasses.Field[Any]") -> Any:
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default


# Checks. Each says which option, what it may be, and what it was; values that may be secret are not shown.


def _check_number(
    name: str, value: object, *, above: float | None = None, optional: bool = False, infinite: bool = False
) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InvalidOptionError(f"{name} must be a number, not {value!r}")
    if math.isinf(value) and not infinite:
        raise InvalidOptionError(f"{name} must be finite, not {value!r}")
    if value <= above if above is not None else value < 0:
        raise InvalidOptionError(
            f"{name} must be {'above' if above is not None else 'at least'} {above or 0}, not {value!r}"
        )


def _check_int(name: str, value: object, *, at_least: int = 0, optional: bool = False) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InvalidOptionError(f"{name} must be a whole number of at least {at_least}, not {value!r}")


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise InvalidOptionError(f"{name} must be a string, not {type(value).__name__}")


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        known = ", ".join(repr(str(choice)) if choice else "None" for choice in choices)
        raise InvalidOptionError(f"{name} must be one of {known}, not {value!r}")


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise InvalidOptionError(f"{name} must be an async function, not {type(value).__name__}")


def _check_abort(value: object) -> None:
    if value is not None and not (hasattr(value, "wait") and hasattr(value, "is_set")):
        raise InvalidOptionError(f"abort must be a trio.Event, not {type(value).__name__}")


def _check_mapping(name: str, value: object, values: tuple[type, ...] = (object,)) -> None:
    if not isinstance(value, Mapping):
        raise InvalidOptionError(f"{name} must be a mapping, not {type(value).__name__}")
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidOptionError(f"{name} must have strings as keys, not {type(key).__name__}")
        if not isinstance(item, values):
            known = " or ".join("None" if kind is type(None) else kind.__name__ for kind in values)
            raise InvalidOptionError(f"{name}[{shown_name(key)}] must be {known}, not {type(item).__name__}")


def shown_name(name: str) -> str:
    """The name of a header or a variable, quoted, without a value that was written behind it by mistake."""
    return repr(re.split("[:=]", name, maxsplit=1)[0])


def _json(name: str, value: Any) -> Any:
    try:
        return clean_json(value)
    except ValueError as error:
        raise InvalidOptionError(f"{name} must be JSON: {error}") from None


_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def check_headers(headers: object, name: str = "headers") -> None:
    """Refuse what HTTP cannot carry (RFC 9110, 5.1 and 5.5); values are not shown."""
    _check_mapping(name, headers, values=(str, type(None)))
    assert isinstance(headers, Mapping)  # noqa: S101 - just checked
    for header, value in headers.items():
        if not _HEADER_NAME.fullmatch(header):
            raise InvalidOptionError(f"invalid header name: {shown_name(header)} in {name}")
        if value is not None and not _HEADER_VALUE.fullmatch(value):
            raise InvalidOptionError(
                f"invalid header value for {header}: it holds characters that HTTP cannot carry ({MASK})"
            )
