"""What a fake server can be told to answer: the steps of the faux provider, and what only HTTP can do."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from providers.faux.script import FauxReply, describe_step
from runtime.errors import InvalidOptionError
from runtime.values.message import AssistantMessage

from .loopback import response


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """A request as the server got it. ``api`` is chat_completions, responses or messages; ``json`` is the parsed body.

    Header names are in lower case.
    """

    api: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    json: Any

    @property
    def model(self) -> str:
        """The id of the model that was asked."""
        return str(self.json.get("model", ""))

    @property
    def messages(self) -> list[Any]:
        """The conversation, as this API writes it."""
        return list(self.json.get("input" if self.api == "responses" else "messages") or ())


@dataclass(frozen=True, slots=True)
class FakeStatus:
    """A whole response without a stream; ``fake_status`` makes one."""

    status: int
    text: str
    headers: Mapping[str, str]

    def encode(self, api: str) -> bytes:
        """The bytes of it, with the error as this API writes it; the text itself, if it is JSON."""
        body = self.text if _is_json(self.text) else json.dumps(_error(api, self.text))
        return response(body.encode(), self.status, {"content-type": "application/json", **self.headers})


@dataclass(frozen=True, slots=True)
class FakeBytes:
    """Bytes in place of a response; ``fake_bytes`` makes one."""

    data: bytes
    hang: bool = False


FakeAnswer: TypeAlias = AssistantMessage | FauxReply | FakeStatus | FakeBytes
FakeFactory: TypeAlias = Callable[[FakeRequest], FakeAnswer | Awaitable[FakeAnswer]]
FakeStep: TypeAlias = FakeAnswer | FakeFactory


def fake_status(
    status: int,
    text: str = "the fake server says no",
    *,
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> FakeStatus:
    """A response that is no stream: an error, a rate limit (429), an overload (529), a redirect.

    ``text`` becomes the message of an error as the API writes it; JSON goes out as it is. ``retry_after``, in seconds,
    asks the client to wait.
    """
    if not 200 <= status <= 599:
        raise InvalidOptionError(f"status must be a number from 200 to 599, not {status!r}")
    named = dict(headers or {})
    if retry_after is not None:
        named["retry-after"] = f"{retry_after:g}"
    return FakeStatus(status, text, named)


def fake_bytes(data: bytes = b"", *, hang: bool = False) -> FakeBytes:
    """Bytes as they are in place of a response; then the connection is closed, or with ``hang`` left to the client.

    Without data: the server hangs up before it says anything.
    """
    return FakeBytes(data, hang)


def checked_steps(steps: object) -> list[FakeStep]:
    """The steps as a list; InvalidOptionError says which one is none."""
    if isinstance(steps, str | AssistantMessage) or not isinstance(steps, Iterable):
        raise InvalidOptionError(f"responses must be a list of steps, not {type(steps).__name__}")
    return [_checked(number, step) for number, step in enumerate(steps)]


def _checked(number: int, step: object) -> FakeStep:
    if isinstance(step, FakeAnswer):
        return step
    if callable(step):
        return cast("FakeFactory", step)
    raise InvalidOptionError(
        f"step {number} must be an AssistantMessage, a faux reply, fake_status(), fake_bytes() or a function of the "
        f"request, not {type(step).__name__}"
    )


def describe(step: FakeStep) -> str:
    """A step in a few words, for people who look for one that was not used."""
    match step:
        case FakeStatus(status=status):
            return f"status {status}"
        case FakeBytes(data=data):
            return f"{len(data)} bytes"
    return describe_step(cast("Any", step))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _error(api: str, text: str) -> dict[str, Any]:
    if api == "messages":
        return {"type": "error", "error": {"type": "api_error", "message": text}}
    return {"error": {"message": text, "type": "server_error", "param": None, "code": None}}
