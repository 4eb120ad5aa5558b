"""A Chat Completions stream, read event by event.

Text, thinking and calls may interleave; each text and each call is one block, open until the stream ends. Refusals are text.
"""

from collections.abc import Mapping
from typing import Any

from providers.loose_json import read_event_json
from providers.sse import SseEvent
from runtime.errors import ProviderError
from runtime.streams.assembler import MessageAssembler
from runtime.values.message import StopReason
from runtime.values.model import Model

from .completions_calls import ToolCalls
from .completions_messages import REASONING_FIELDS
from .completions_usage import read_usage
from .stream_errors import reported_error

_STOP_REASONS: Mapping[str, StopReason] = {
    "stop": StopReason.Stop,
    "end": StopReason.Stop,  # Ollama, LM Studio
    "eos": StopReason.Stop,  # Together
    "eos_token": StopReason.Stop,  # Hugging Face
    "stop_sequence": StopReason.Stop,
    "end_turn": StopReason.Stop,
    "length": StopReason.Length,
    "max_tokens": StopReason.Length,
    "tool_calls": StopReason.ToolUse,
    "function_call": StopReason.ToolUse,
    "tool_use": StopReason.ToolUse,
}
_THOUGHTS = (*REASONING_FIELDS, "reasoning_details")


class CompletionsDecoder:
    """Reads one stream into an assembler. ``grammar`` names the argument that each custom tool's input becomes."""

    def __init__(
        self, assembler: MessageAssembler, model: Model, grammar: Mapping[str, str] | None = None
    ) -> None:
        self.finished = False
        """``[DONE]`` was seen."""
        self._assembler = assembler
        self._model = model
        self._calls = ToolCalls(assembler, grammar or {})
        self._text: int | None = None
        self._thinking: int | None = None
        self._thinking_field: str | None = None
        self._response_id: str | None = None
        self._response_model: str | None = None
        self._served: Any = None
        self._finish_reason: str | None = None

    def feed(self, event: SseEvent) -> bool:
        """Take one event; False if it says nothing.

        Raises ProviderError for a failure that the server reports, ValueError for what is no JSON.
        """
        try:
            chunk = read_event_json(event.data)
        except ValueError as error:
            chunk = self._odd(event, error)
        if type(chunk) is not dict:
            self._check_error(event.event, chunk)
            return self.finished
        self._take(chunk)
        if event.event is not None or "error" in chunk or "choices" not in chunk:
            self._check_error(event.event, chunk)
        return bool(chunk.get("choices") or chunk.get("usage"))

    def finish(self) -> None:
        """End the reply. Raises ProviderError if it is not complete, or if its finish reason is a failure."""
        reason = self._finish_reason
        if reason is None and not self.finished:
            raise ProviderError("Stream ended without finish_reason")
        self._end_blocks()
        if reason is None:
            self._assembler.done(StopReason.ToolUse if self._calls else StopReason.Stop)
        elif reason in _STOP_REASONS:
            self._assembler.done(_STOP_REASONS[reason])
        else:
            raise ProviderError(f"Provider finish_reason: {reason}")

    def _odd(self, event: SseEvent, error: ValueError) -> Any:
        """The mark of the end, nothing, or an error in plain words."""
        data = event.data.strip()
        if data in (b"", b"[DONE]"):
            self.finished = self.finished or bool(data)
            return None
        if event.event == "error":
            return data.decode()
        raise error

    def _take(self, chunk: dict[str, Any]) -> None:
        if self._response_id is None or chunk.get("model") != self._served:
            self._identify(chunk)
        usage = chunk.get("usage")
        if usage is None and "x_groq" in chunk:
            usage = _inner_usage(chunk["x_groq"])
        if usage:
            self._take_usage(usage)
        choices = chunk.get("choices")
        for place, choice in enumerate(choices) if type(choices) is list else ():
            if type(choice) is not dict:
                continue
            index = choice.get("index")  # a server that sends only one may leave it out
            if (place if index is None else index) == 0:
                if not usage and (own := choice.get("usage")):
                    self._take_usage(own)
                self._take_choice(choice)

    def _take_usage(self, raw: Any) -> None:
        if (usage := read_usage(raw, self._model)) is not None:
            self._assembler.update(usage=usage)

    def _identify(self, chunk: dict[str, Any]) -> None:
        response_id, model = chunk.get("id"), chunk.get("model")
        self._served = model
        if self._response_id is None and isinstance(response_id, str) and response_id:
            self._response_id = response_id
            self._assembler.update(response_id=response_id)
        if self._response_model is None and isinstance(model, str) and model not in ("", self._model.id):
            self._response_model = model
            self._assembler.update(response_model=model)

    def _take_choice(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str):
            self._finish_reason = reason
        delta = choice.get("delta")
        if type(delta) is dict:
            self._take_delta(delta)
        elif not self._assembler.open_blocks and type(message := choice.get("message")) is dict:
            self._take_delta(message)  # a server that does not stream, though it was asked to
        if error := choice.get("error"):
            self._check_error("error", error)

    def _take_delta(self, delta: dict[str, Any]) -> None:
        get = delta.get
        if content := get("content"):
            self._take_content(content)
            if len(delta) == 1:  # as mostly: nothing else needs to be looked for
                return
        calls = get("tool_calls")
        if not (calls and len(delta) == 1) and any(map(get, _THOUGHTS)):
            self._take_thoughts(delta)
        if calls:
            self._calls.take(calls)
        elif call := get("function_call"):
            self._calls.take_only(call)
        if refusal := get("refusal"):
            self._take_content(refusal)

    def _take_thoughts(self, delta: dict[str, Any]) -> None:
        """Some servers repeat a thought in several fields: the first one counts, and the block's first one for details."""
        details = delta.get("reasoning_details")
        for name in REASONING_FIELDS:
            thought = delta.get(name)
            if thought and isinstance(thought, str):
                self._think(thought, name)
                break
        else:
            if self._thinking_field is None and (told := _joined(details)):
                self._think(told, None)
        if details:
            self._calls.sign(details)

    def _take_content(self, content: Any) -> None:
        """Text, or what some servers send in its place: a list of parts, thinking among them."""
        if type(content) is str:
            if self._text is None:
                self._text = self._assembler.text_start()
            self._assembler.text_delta(self._text, content)
        elif isinstance(content, list):
            for part in content:
                self._take_part(part)
        else:
            self._take_part(content)

    def _take_part(self, part: Any) -> None:
        match part:
            case {"type": "thinking" | "reasoning"}:
                if told := _joined(part.get("thinking") or part.get("summary") or part.get("text")):
                    self._think(told, None)
            case str(text) | {"text": str(text)} | {"refusal": str(text)} if text:
                self._take_content(text)

    def _think(self, thought: str, signature: str | None) -> None:
        if self._thinking is None:
            self._thinking_field = signature
            self._thinking = self._assembler.thinking_start(signature=signature)
        self._assembler.thinking_delta(self._thinking, thought)

    def _end_blocks(self) -> None:
        for index in self._assembler.open_blocks:
            if index == self._text:
                self._assembler.text_end(index)
            elif index == self._thinking:
                self._assembler.thinking_end(index)
            else:
                self._calls.end(index)

    def _check_error(self, event: str | None, chunk: Any) -> None:
        if (reported := reported_error(event, chunk)) is not None:
            raise ProviderError(reported)


def _inner_usage(extension: Any) -> Any:
    """Groq reports usage in a field of its own, unless it is asked for."""
    return extension.get("usage") if isinstance(extension, dict) else None


def _joined(parts: Any) -> str:
    """The text of a string, or of a list of parts of text or of a summary."""
    if isinstance(parts, str):
        return parts
    texts = (
        part.get("text") or part.get("summary")
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    )
    return "".join(text for text in texts if isinstance(text, str))
