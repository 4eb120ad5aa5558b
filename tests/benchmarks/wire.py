"""The replies that the replay server sends: server-sent events of three APIs, rendered beforehand.

A reply is named by a scenario, which is part of the base URL, so that every client that takes a base URL can be measured:

- ``text:<deltas>:<framing>``
- ``args:<kind>:<bytes>:<framing>``: one tool call whose arguments are ``plain`` text, or ``escaped`` (a newline every 14 characters)
- ``turns:<n>``: one tool call a request, until the request holds n results; then text
- ``crowd:<agents>:<n>``: the same, for so many agents at a time
- ``idle:<agents>`` and ``fan:<readers>`` are work without a server
"""

import json
from collections.abc import Iterator

DELTA = 16
"""Bytes of arguments in one delta."""
WORD = "wonder "


def arguments(kind: str, size: int) -> str:
    """The JSON text of a tool call's arguments, of so many bytes."""
    unit = "a line of text" if kind == "plain" else "a line of text\\n"
    start, end = '{"path":"notes.txt","content":"', '"}'
    room = size - len(start) - len(end)
    return start + unit * (room // len(unit)) + "x" * (room % len(unit)) + end


def pieces(text: str) -> list[str]:
    return [text[at : at + DELTA] for at in range(0, len(text), DELTA)]


def render(api: str, scenario: str, results: int = 0) -> list[bytes]:
    """The events of a reply. ``results`` is how many tool results the request held."""
    match scenario.split(":"):
        case ["text", count, *_]:
            return list(_DIALECTS[api].text([WORD] * int(count)))
        case ["args", kind, size, *_]:
            return list(_DIALECTS[api].call("write", pieces(arguments(kind, int(size)))))
        case ["turns" | "crowd", *_, turns] if results < int(turns):
            return list(_DIALECTS[api].call("look", ['{"place":', f'"room {results}"}}'], f"call_{results}"))
        case ["turns" | "crowd", *_]:
            return list(_DIALECTS[api].text([WORD] * 20))
    raise ValueError(scenario)


def small(scenario: str) -> str:
    """The same work in small, to warm up."""
    match scenario.split(":"):
        case ["text", _, framing]:
            return f"text:10:{framing}"
        case ["args", kind, _, framing]:
            return f"args:{kind}:200:{framing}"
        case [name, *numbers]:
            return ":".join([name, *("1" for _ in numbers)])
    raise ValueError(scenario)


def _event(data: object, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


class _Template:
    """An event in which only one string changes: made by the million."""

    def __init__(self, event: bytes) -> None:
        self._before, self._after = event.split(b"$")

    def __call__(self, text: str) -> bytes:
        return self._before + json.dumps(text)[1:-1].encode() + self._after


class _Chat:
    @staticmethod
    def _chunk(delta: object, reason: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        fields = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1760000000,
            "model": "bench",
        }
        return _event({**fields, "choices": [choice], **more})

    def _end(self, reason: str) -> Iterator[bytes]:
        yield self._chunk({}, reason)
        usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        yield _event({"id": "chatcmpl-1", "model": "bench", "choices": [], "usage": usage})
        yield _event("[DONE]")

    def text(self, deltas: list[str]) -> Iterator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})
        yield from map(_Template(self._chunk({"content": "$"})), deltas)
        yield from self._end("stop")

    def call(self, name: str, deltas: list[str], call_id: str = "call_0") -> Iterator[bytes]:
        function = {"name": name, "arguments": ""}
        first = {"index": 0, "id": call_id, "type": "function", "function": function}
        yield self._chunk({"role": "assistant", "content": None, "tool_calls": [first]})
        more = self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": "$"}}]})
        yield from map(_Template(more), deltas)
        yield from self._end("tool_calls")


class _Responses:
    def _said(self, kind: str, **fields: object) -> bytes:
        return _event({"type": kind, "sequence_number": 7, **fields}, kind)

    def _reply(
        self, item: dict[str, object], begun: dict[str, object], middle: list[bytes]
    ) -> Iterator[bytes]:
        response = {
            "id": "resp_1",
            "object": "response",
            "status": "in_progress",
            "model": "bench",
            "output": [],
        }
        yield self._said("response.created", response=response)
        yield self._said("response.output_item.added", output_index=0, item=begun)
        yield from middle
        yield self._said("response.output_item.done", output_index=0, item=item)
        usage = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}
        final = {**response, "status": "completed", "output": [item], "usage": usage}
        yield self._said("response.completed", response=final)

    def text(self, deltas: list[str]) -> Iterator[bytes]:
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        delta = _Template(self._said("response.output_text.delta", **place, delta="$", logprobs=[]))
        whole = "".join(deltas)
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        done = {
            **item,
            "status": "completed",
            "content": [{"type": "output_text", "text": whole, "annotations": []}],
        }
        middle = [*map(delta, deltas), self._said("response.output_text.done", **place, text=whole)]
        yield from self._reply(done, item, middle)

    def call(self, name: str, deltas: list[str], call_id: str = "call_0") -> Iterator[bytes]:
        place = {"item_id": "fc_1", "output_index": 0}
        delta = _Template(self._said("response.function_call_arguments.delta", **place, delta="$"))
        whole = "".join(deltas)
        item = {"id": "fc_1", "type": "function_call", "call_id": call_id, "name": name, "arguments": ""}
        end = self._said("response.function_call_arguments.done", **place, arguments=whole)
        yield from self._reply({**item, "arguments": whole}, item, [*map(delta, deltas), end])


class _Anthropic:
    def _said(self, kind: str, **fields: object) -> bytes:
        return _event({"type": kind, **fields}, kind)

    def _reply(
        self, block: dict[str, object], delta: dict[str, str], deltas: list[str], reason: str
    ) -> Iterator[bytes]:
        usage = {"input_tokens": 100, "output_tokens": 1}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "bench",
            "content": [],
            "usage": usage,
        }
        yield self._said("message_start", message=message)
        yield self._said("content_block_start", index=0, content_block=block)
        yield self._said("ping")
        yield from map(_Template(self._said("content_block_delta", index=0, delta=delta)), deltas)
        yield self._said("content_block_stop", index=0)
        yield self._said("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 50})
        yield self._said("message_stop")

    def text(self, deltas: list[str]) -> Iterator[bytes]:
        yield from self._reply(
            {"type": "text", "text": ""}, {"type": "text_delta", "text": "$"}, deltas, "end_turn"
        )

    def call(self, name: str, deltas: list[str], call_id: str = "call_0") -> Iterator[bytes]:
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        yield from self._reply(block, {"type": "input_json_delta", "partial_json": "$"}, deltas, "tool_use")


_DIALECTS = {"chat": _Chat(), "responses": _Responses(), "anthropic": _Anthropic()}
APIS = tuple(_DIALECTS)
