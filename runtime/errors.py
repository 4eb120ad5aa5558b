"""Every exception that agentrio raises, told apart by who has to act.

::

    AgentrioError
    +-- MissingApiKeyError        you: no credential was given, and none may be taken from the environment
    +-- UnsupportedModelError     you: the model cannot do that (no such API behind it)
    +-- InvalidOptionError        you: an option has a wrong type or value            (also a ValueError)
    +-- ProviderError             they: the provider declared a failure
    |   +-- ApiStatusError        they: an HTTP status that is no success
    |   +-- InvalidResponseError  they: bytes that the protocol does not allow
    +-- TransportError            between: connection, TLS, time-out, limits
    +-- AbortedError              nobody: somebody asked to stop
    +-- HookError                 you: a hook of the call raised; the cause is its exception
    +-- ToolError
    |   +-- ToolNotFoundError     the model: called a tool that is not there
    |   +-- ToolValidationError   the model: called it with wrong arguments
    |   +-- ToolDefinitionError   you: a tool that cannot work was defined            (also a ValueError)
    +-- AgentError
    |   +-- AgentBusyError        you: a run is active
    |   +-- NothingToContinueError  you: no message asks for a reply
    |   +-- AgentClosedError      you: the agent's block was left
    |   +-- QueueFullError        you: more queued than ``max_queued``
    |   +-- EventsLostError       you: this reader was too slow, and an abort did not wait for it
    +-- OAuthError                a login failed
    +-- StreamClosedError         us: a stream ended without a final message

Failures of a chat or image request that has begun are not raised: they arrive as a message, or as a result of
``generate_images``, whose ``stop_reason`` is ``Error`` and whose ``error_message`` is the text of one of these. Those of
embeddings and logins, which have no such result, are raised.

No text below holds a credential: whoever builds one redacts it first.
"""

from collections.abc import Sequence
from http import HTTPStatus


class AgentrioError(Exception):
    """The base of everything that agentrio raises on purpose."""


class MissingApiKeyError(AgentrioError):
    """No credential for a provider; raised on entry, before anything is sent."""

    def __init__(self, provider: str, hint: str = "") -> None:
        self.provider = provider
        super().__init__(f"No API key for provider: {provider}{hint and ' (' + hint + ')'}")


class UnsupportedModelError(AgentrioError):
    """The model has no such API, or another API than the one that was asked."""

    @classmethod
    def capability(cls, provider: str, capability: str) -> "UnsupportedModelError":
        """Refuse a whole kind of model, such as ``language models``."""
        return cls(f"provider {provider} does not support {capability}")

    @classmethod
    def mismatch(cls, got: str, expected: str) -> "UnsupportedModelError":
        """Refuse a model that names another API."""
        return cls(f"unsupported api: Mismatched api: {got} expected {expected}")


class InvalidOptionError(AgentrioError, ValueError):
    """An option, a header or an argument of ours has a wrong type or value; raised at the call."""


class ProviderError(AgentrioError):
    """The provider itself says that the request failed; the text is the provider's own."""


class ApiStatusError(ProviderError):
    """An HTTP status outside 200-299, after all retries.

    ``status`` is the number, ``body`` the text that came with it (bounded, redacted).
    """

    def __init__(self, status: int, body: str, where: str = "") -> None:
        self.status = status
        self.body = body
        super().__init__(f"provider returned HTTP {status} {reason_phrase(status)}: {body}{where}")


class InvalidResponseError(ProviderError):
    """The provider sent something that its protocol does not allow."""

    def __init__(self, message: str) -> None:
        super().__init__(f"invalid provider response: {message}")


class TransportError(AgentrioError):
    """The connection failed, timed out, or went over a limit."""


class AbortedError(AgentrioError):
    """An abort was asked for. Chat calls end as a value instead; this one is for calls that return no message."""

    def __init__(self, message: str = "request was cancelled") -> None:
        super().__init__(message)


class HookError(AgentrioError):
    """``on_payload`` or ``on_response`` raised; ``__cause__`` is what it raised."""

    def __init__(self, hook: str, cause: BaseException) -> None:
        super().__init__(f"{hook} failed: {str(cause) or type(cause).__name__}")


class ToolError(AgentrioError):
    """A tool, or a call of one, is not right; tools may raise it themselves.

    ``usage`` is the Usage of what a tool had consumed when it failed: its error result carries that.
    """

    usage: object = None

    def __init__(self, *args: object, usage: object = None) -> None:
        self.usage = usage
        super().__init__(*args)


class ToolNotFoundError(ToolError):
    """The model called a tool that it was not offered."""

    def __init__(self, name: str, known: Sequence[str] = ()) -> None:
        self.name = name
        hint = f" (there are: {', '.join(known)})" if known else ""
        super().__init__(f'Tool "{name}" not found{hint}')


class ToolValidationError(ToolError):
    """The arguments of a call do not fit the tool's schema.

    ``errors`` has one line for each bad argument, each with its path.
    """

    def __init__(self, message: str, errors: Sequence[str] = ()) -> None:
        self.errors = tuple(errors)
        super().__init__(message)


class ToolDefinitionError(ToolError, ValueError):
    """A tool whose name, description or schema cannot work; raised where it is made."""


class AgentError(AgentrioError):
    """The agent cannot do that now."""


class AgentBusyError(AgentError):
    """A run is active; wait for it, steer it, or abort it."""


class NothingToContinueError(AgentError):
    """There is no message that a model could answer, and nothing is queued."""


class AgentClosedError(AgentError):
    """The ``async with`` block of this agent was left."""


class QueueFullError(AgentError):
    """The mailbox holds ``max_queued`` messages already; this one was not taken."""


class EventsLostError(AgentError):
    """This reader did not read in time when a run was aborted; events after the last one read are gone."""


class OAuthError(AgentrioError):
    """A login or a refresh of credentials failed."""


class StreamClosedError(AgentrioError):
    """A stream ended without a final message: a broken program, not a broken provider."""

    def __init__(self) -> None:
        super().__init__("stream ended before producing a final assistant message")


def reason_phrase(status: int) -> str:
    """Name a status as RFC 9110 does; ``<unknown status code>`` for the unregistered ones."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "<unknown status code>"
