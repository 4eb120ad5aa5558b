"""What is said: user, assistant, tool result, and whatever else an application keeps in its transcript."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from .clock import now_ms
from .content import AssistantBlocks, ImageContent, TextContent, ThinkingContent, ToolCall, UserBlocks
from .text import Json, Text
from .usage import Usage
from .value import Count, Flag, Value, is_empty, is_none, message_role, read_json


class StopReason(StrEnum):
    """Why a reply ended. ``Error`` and ``Aborted`` replies are kept, and left out of what models are sent."""

    Stop = "stop"
    Length = "length"
    ToolUse = "toolUse"
    Error = "error"
    Aborted = "aborted"


def _no_content(value: Any) -> Any:
    return () if value is None else value


_NullIsEmpty = BeforeValidator(_no_content)
JsonItems = Annotated[Sequence[Json], AfterValidator(tuple)]
Names = Annotated[Sequence[Text], AfterValidator(tuple)]


class UserMessage(Value):
    """What the user says: a string, or text and image blocks. ``timestamp`` is Unix time in milliseconds."""

    required_on_read: ClassVar = ("timestamp",)

    role: Annotated[Literal["user"], message_role("user")] = Field(default="user", init=False)
    content: Annotated[Text | UserBlocks, _NullIsEmpty] = ()
    timestamp: Count = Field(default_factory=now_ms)


class AssistantMessage(Value):
    """What a model said, and how that went.

    ``model`` is the id that was asked for, ``response_model`` another that answered. ``provider_items`` keeps
    blocks of the provider's own server-side tools (``{"index": content index, "item": raw}``); they go back
    untouched to the same provider and model. ``error_message`` is set when ``stop_reason`` is Error or Aborted.
    """

    required_on_read: ClassVar = ("api", "provider", "model", "usage", "stop_reason", "timestamp")

    role: Annotated[Literal["assistant"], message_role("assistant")] = Field(default="assistant", init=False)
    content: Annotated[AssistantBlocks, _NullIsEmpty] = ()
    api: Text = ""
    provider: Text = ""
    model: Text = ""
    response_model: Text | None = Field(default=None, exclude_if=is_none)
    response_id: Text | None = Field(default=None, exclude_if=is_none)
    diagnostics: JsonItems = Field(default=(), exclude_if=is_empty)
    usage: Usage = Field(default=Usage())
    stop_reason: StopReason = StopReason.Stop
    error_message: Text | None = Field(default=None, exclude_if=is_none)
    provider_items: JsonItems = Field(default=(), exclude_if=is_empty)
    timestamp: Count = Field(default_factory=now_ms)

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(block.text for block in self.content if isinstance(block, TextContent))

    @property
    def thinking(self) -> str:
        """All thinking blocks, joined."""
        return "".join(block.thinking for block in self.content if isinstance(block, ThinkingContent))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in source order."""
        return tuple(block for block in self.content if isinstance(block, ToolCall))

    @property
    def failed(self) -> bool:
        """Whether the reply ended as Error or Aborted."""
        return self.stop_reason in (StopReason.Error, StopReason.Aborted)


class ToolResultMessage(Value):
    """The answer to one tool call.

    ``details`` is JSON for people and logs, never sent to a model. ``usage`` is what the tool itself consumed.
    ``added_tool_names`` names tools of the context that become available after this result.
    """

    required_on_read: ClassVar = ("is_error", "timestamp")

    role: Annotated[Literal["toolResult"], message_role("toolResult")] = Field(
        default="toolResult", init=False
    )
    tool_call_id: Text
    tool_name: Text
    content: Annotated[UserBlocks, _NullIsEmpty] = ()
    details: Json = Field(default=None, exclude_if=is_none)
    usage: Usage | None = Field(default=None, exclude_if=is_none)
    added_tool_names: Names = Field(default=(), exclude_if=is_empty)
    is_error: Flag = False
    timestamp: Count = Field(default_factory=now_ms)

    @property
    def text(self) -> str:
        """All text blocks, one a line."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))


def _own_role(role: object) -> object:
    if role in ("user", "assistant", "toolResult"):
        raise ValueError(f"role {role} belongs to a message type of its own")
    return role


class CustomMessage(Value):
    """Anything an application keeps in a transcript: any role but the three above, and any JSON beside it.

    It is never sent to a model, unless the agent's ``convert_to_llm`` turns it into something else.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json] = Field(init=False)

    role: Annotated[Text, BeforeValidator(_own_role)] = "custom"

    if TYPE_CHECKING:

        def __init__(self, role: str = "custom", **value: Any) -> None: ...


def _role(value: Any) -> str | None:
    role = value.get("role") if isinstance(value, Mapping) else getattr(value, "role", None)
    if not isinstance(role, str):
        return None
    return role if role in ("user", "assistant", "toolResult") else "custom"


Message = Annotated[
    Annotated[UserMessage, Tag("user")]
    | Annotated[AssistantMessage, Tag("assistant")]
    | Annotated[ToolResultMessage, Tag("toolResult")]
    | Annotated[CustomMessage, Tag("custom")],
    Discriminator(
        _role, custom_error_type="missing_message_role", custom_error_message="missing message role"
    ),
]
"""Any message, told apart by ``role``."""

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def parse_message(data: Any) -> Message:
    """Read one message from JSON text, bytes, or a parsed object; ValidationError says what is wrong."""
    if isinstance(data, str | bytes):
        return read_json(_MESSAGE.validate_json, _MESSAGE.validate_python, data)
    return _MESSAGE.validate_python(data)


def user(text: str, images: Sequence[ImageContent] = ()) -> UserMessage:
    """A user message of now: the text, then the images."""
    return UserMessage(content=(TextContent(text=text), *images) if images else text)


def is_llm_message(message: Message) -> bool:
    """Whether a model can read it as it is: everything but custom messages."""
    return not isinstance(message, CustomMessage)
