"""A transcript on the Chat Completions wire.

What a message becomes depends on itself and on what stands before it, so a longer transcript begins with the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from providers.continuation import Continuations
from runtime.streams.call_ids import normalize_completions_id
from runtime.streams.handoff import LanguageMessage, transform_messages
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, Message, ToolResultMessage, UserMessage
from runtime.values.model import Model
from runtime.values.options import ForeignThinking
from runtime.values.text import compact_json, parse_json

from .completions_compat import CompletionsCompat
from .completions_tools import added_tools
from .grammar import grammar_input

WireMessage = dict[str, Any]

BRIDGE: WireMessage = {"role": "assistant", "content": "I have processed the tool results."}
TOOL_IMAGES = "Attached image(s) from tool result:"
ONLY_IMAGE = "(see attached image)"
NO_OUTPUT = "(no tool output)"
REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Where servers put thinking. A block's signature names the field that it came in, and goes back in."""


def wire_messages(
    model: Model,
    context: Context,
    compat: CompletionsCompat,
    grammar: Mapping[str, str],
    foreign_thinking: ForeignThinking = "tagged",
) -> list[WireMessage]:
    """The ``messages`` of a request: a list of one's own, of messages that are kept for the next turn and must not be changed."""

    def handoff(messages: Sequence[Message]) -> list[LanguageMessage]:
        return transform_messages(
            messages, model, normalize_completions_id, foreign_thinking=foreign_thinking
        )

    def write(written: _Written, transcript: list[LanguageMessage]) -> list[WireMessage]:
        _Writing(written, model, context, compat, grammar).messages(transcript)
        return [*_system(model, context, compat), *written.wire]

    settings = (model, foreign_thinking, *context.tools)  # compat and grammar follow from these
    return _CONTINUATIONS.go_on(context.messages, settings, handoff, write)


@dataclass
class _Written:
    """A transcript on the wire, to which more can be added."""

    wire: list[WireMessage] = field(default_factory=list)
    after_results: bool = False


_CONTINUATIONS = Continuations(_Written)


def _system(model: Model, context: Context, compat: CompletionsCompat) -> Iterator[WireMessage]:
    if context.system_prompt:
        role = "developer" if model.reasoning and compat.supports_developer_role else "system"
        yield {"role": role, "content": context.system_prompt}


@dataclass
class _Writing:
    written: _Written
    model: Model
    context: Context
    compat: CompletionsCompat
    grammar: Mapping[str, str]

    def __post_init__(self) -> None:
        self.wire = self.written.wire

    def messages(self, transcript: Iterable[LanguageMessage]) -> None:
        for is_results, run in groupby(transcript, lambda message: isinstance(message, ToolResultMessage)):
            if is_results:
                self.results([message for message in run if isinstance(message, ToolResultMessage)])
                continue
            for message in run:
                if isinstance(message, UserMessage):
                    self.user(message)
                elif isinstance(message, AssistantMessage):
                    self.assistant(message)

    def user(self, message: UserMessage) -> None:
        content = (
            message.content
            if isinstance(message.content, str)
            else [_part(block) for block in message.content]
        )
        if content != []:
            self._say_user(content)

    def _say_user(self, content: str | list[Any]) -> None:
        if self.written.after_results and self.compat.requires_assistant_after_tool_result:
            self.wire.append(dict(BRIDGE))
        self.wire.append({"role": "user", "content": content})
        self.written.after_results = False

    def assistant(self, message: AssistantMessage) -> None:
        wire = assistant_message(message, self.model, self.compat, self.grammar)
        if wire is not None:
            self.wire.append(wire)
            self.written.after_results = False

    def results(self, run: Sequence[ToolResultMessage]) -> None:
        """A whole run of results; their images and new tools come behind it, because nothing may stand between results."""
        self.wire.extend(self._result(result) for result in run)
        self.written.after_results = True
        images = [block for result in run for block in result.content if isinstance(block, ImageContent)]
        if images:
            self._say_user([{"type": "text", "text": TOOL_IMAGES}, *map(_part, images)])
        if tools := added_tools(run, self.context.tools, self.compat, self.grammar):
            self.wire.append({"role": "system", "tools": tools})

    def _result(self, result: ToolResultMessage) -> WireMessage:
        has_image = any(isinstance(block, ImageContent) for block in result.content)
        text = result.text or (ONLY_IMAGE if has_image else NO_OUTPUT)
        wire = {"role": "tool", "content": text, "tool_call_id": result.tool_call_id}
        if self.compat.requires_tool_result_name and result.tool_name:
            wire["name"] = result.tool_name
        return wire


def _part(block: TextContent | ImageContent) -> WireMessage:
    if isinstance(block, TextContent):
        return {"type": "text", "text": block.text}
    return {"type": "image_url", "image_url": {"url": f"data:{block.mime_type};base64,{block.data}"}}


def assistant_message(
    message: AssistantMessage, model: Model, compat: CompletionsCompat, grammar: Mapping[str, str]
) -> WireMessage | None:
    """An earlier reply; None if nothing of it can be sent. Its text is one plain string: models imitate lists of parts."""
    texts = [block.text for block in message.content if isinstance(block, TextContent) and block.text.strip()]
    thoughts = [
        block for block in message.content if isinstance(block, ThinkingContent) and block.thinking.strip()
    ]
    empty = "" if compat.requires_assistant_after_tool_result else None
    wire: WireMessage = {"role": "assistant", "content": "".join(texts) or empty}
    if thoughts and compat.requires_thinking_as_text:
        told = "\n\n".join(block.thinking for block in thoughts)
        wire["content"] = [{"type": "text", "text": text} for text in (told, *texts)]
    elif thoughts and (name := thoughts[0].thinking_signature) in REASONING_FIELDS:
        wire[name] = "\n".join(block.thinking for block in thoughts)
    wire.update(_calls(message.tool_calls, grammar))
    if compat.requires_reasoning_content_on_assistant_messages and model.reasoning is not False:
        wire.setdefault("reasoning_content", "")
    return wire if wire["content"] or "tool_calls" in wire else None


def _calls(calls: Sequence[ToolCall], grammar: Mapping[str, str]) -> WireMessage:
    if not calls:
        return {}
    wire: WireMessage = {"tool_calls": [_call(call, grammar) for call in calls]}
    if details := list(_reasoning_details(calls)):
        wire["reasoning_details"] = details
    return wire


def _call(call: ToolCall, grammar: Mapping[str, str]) -> WireMessage:
    if call.name in grammar:
        custom = {"name": call.name, "input": grammar_input(call, grammar[call.name])}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": compact_json(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _reasoning_details(calls: Sequence[ToolCall]) -> Iterator[Any]:
    """The encrypted reasoning that calls were signed with, by the ids that the calls have now; other signatures are skipped."""
    for call in calls:
        try:
            detail = parse_json(call.thought_signature or "")
        except ValueError:
            continue
        if isinstance(detail, dict):
            yield {**detail, "id": call.id} if "id" in detail else detail
