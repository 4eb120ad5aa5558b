"""A Responses stream, read event by event.

Its items may interleave; each becomes a block, or a provider item. What the response at its end says of itself is its end:
there is no other mark of one.
"""

from collections.abc import Mapping
from typing import Any

from providers.loose_json import read_event_json, text_at, text_in
from providers.sse import SseEvent
from runtime.errors import ProviderError
from runtime.streams.assembler import MessageAssembler
from runtime.values.message import StopReason
from runtime.values.model import Model

from .responses_errors import event_failure, response_failure
from .responses_output import Output
from .responses_usage import read_response_usage

_PARTS = "\n\n"
"""Between two parts of a summary."""
_DELTAS: Mapping[str, str] = {
    "response.output_text.delta": "message",
    "response.refusal.delta": "message",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
}
_PART_ENDS: Mapping[str, tuple[str, str]] = {
    "response.output_text.done": ("message", "text"),
    "response.refusal.done": ("message", "refusal"),
    "response.reasoning_text.done": ("reasoning", "text"),
    "response.reasoning_summary_text.done": ("reasoning", "text"),
    "response.function_call_arguments.done": ("function_call", "arguments"),
    "response.custom_tool_call_input.done": ("custom_tool_call", "input"),
}
"""The kind of the item that has such a part, and the name of its whole text."""
_REASON_CHARACTERS = 200
_STOP_REASONS: Mapping[str, StopReason] = {
    "completed": StopReason.Stop,
    "in_progress": StopReason.Stop,
    "queued": StopReason.Stop,
    "incomplete": StopReason.Length,
}


class ResponsesDecoder:
    """Reads one stream into an assembler. ``grammar`` names the argument that each custom tool's input becomes."""

    def __init__(
        self,
        assembler: MessageAssembler,
        model: Model,
        grammar: Mapping[str, str] | None = None,
        service_tier: str | None = None,
    ) -> None:
        self.finished = False
        """The response has said how it ended, or ``[DONE]`` was seen."""
        self._assembler = assembler
        self._model = model
        self._service_tier = service_tier
        self._output = Output(assembler, grammar or {})
        self._outcome: StopReason | ProviderError | None = None

    def feed(self, event: SseEvent) -> bool:
        """Take one event; False if it says nothing.

        Raises ProviderError for a failure that the server reports, ValueError for what is no JSON.
        """
        if event.data[:1] != b"{" and event.data.strip() in (b"", b"[DONE]"):
            self.finished = self.finished or b"[DONE]" in event.data
            return self.finished
        try:
            chunk = read_event_json(event.data)
        except ValueError:
            if event.event != "error":
                raise
            chunk = event.data.decode()
        is_object = type(chunk) is dict
        kind = (text_in(chunk, "type") if is_object else "") or event.event or ""
        if is_object and (item := _DELTAS.get(kind)):
            self._output.appended(item, chunk, text_in(chunk, "delta"))
            return True
        if is_object and kind.startswith("response.") and kind != "response.error":
            self._take(kind, chunk)
            return True
        if (failure := event_failure(kind, event.event, chunk)) is not None:
            raise ProviderError(failure)
        return False

    def finish(self) -> None:
        """End the reply. Raises ProviderError if the response is not complete, or ended as a failure."""
        match self._outcome:
            case None:
                raise ProviderError("OpenAI Responses stream ended before a terminal response event")
            case StopReason.Stop if self._output.has_calls:
                self._assembler.done(StopReason.ToolUse)
            case StopReason() as reason:
                self._assembler.done(reason)
            case error:
                raise error

    def _take(self, kind: str, chunk: dict[str, Any]) -> None:
        match kind:
            case "response.output_item.added":
                self._output.added(chunk)
            case "response.output_item.done":
                self._output.done(chunk)
            case "response.content_part.done":
                self._end_part(chunk)
            case _ if kind in _PART_ENDS:
                of, name = _PART_ENDS[kind]
                self._output.completed(of, chunk, chunk.get(name))
            case "response.reasoning_summary_part.done":
                self._output.appended("reasoning", chunk, _PARTS)
            case "response.created" | "response.queued" | "response.in_progress":
                self._assembler.update(response_id=text_at(chunk, "response", "id") or None)
            case "response.failed":
                raise ProviderError(response_failure(self._described(chunk)))
            case "response.completed" | "response.incomplete" | "response.cancelled":
                self._end(kind.removeprefix("response."), self._described(chunk))

    def _end_part(self, chunk: dict[str, Any]) -> None:
        kind = "reasoning" if text_at(chunk, "part", "type").startswith("reasoning") else "message"
        told = text_at(chunk, "part", "text") or text_at(chunk, "part", "refusal")
        self._output.completed(kind, chunk, told)

    def _described(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """The response of an event, or the event itself. Its id and its usage are those of the reply."""
        response = chunk.get("response")
        response = response if isinstance(response, dict) else chunk
        tier, usage = response.get("service_tier"), response.get("usage")
        self._assembler.update(
            response_id=text_at(response, "id") or None,
            usage=read_response_usage(usage, self._model, tier, self._service_tier),
        )
        return response

    def _end(self, named: str, response: dict[str, Any]) -> None:
        self._output.end(response.get("output"))
        reason = text_at(response, "incomplete_details", "reason")
        if reason not in ("", "max_output_tokens"):
            self._assembler.add_diagnostic(
                {"type": "incomplete", "details": {"reason": reason[:_REASON_CHARACTERS]}}
            )
        status = response.get("status")
        self._outcome = _outcome(named if status is None else status, response)
        self.finished = True


def _outcome(status: Any, response: dict[str, Any]) -> StopReason | ProviderError:
    if isinstance(status, str) and status in _STOP_REASONS:
        return _STOP_REASONS[status]
    if status in ("failed", "cancelled"):
        return ProviderError(f"An unknown error occurred ({status}: {response_failure(response)})")
    return ProviderError(f"Unhandled stop reason: {status}")
