"""Tool calls of a Chat Completions stream: which piece belongs to which call.

By the documentation every piece has the index of its call, and the first one its id and name. Servers send pieces without
index, without id, with ids that change, with names and indexes that repeat. So a piece belongs to the call of its index, else
of its id, else (if it has none) to the latest call; unless it plainly opens another one.
"""

from collections.abc import Mapping
from typing import Any

from providers.loose_json import rewritten_json, text_at, whole_number
from runtime.streams.assembler import MessageAssembler
from runtime.values.text import parse_json

from .grammar import DEFAULT_PROPERTY, GrammarInput

_MAX_DOUBTS = 16


class _Call:
    __slots__ = ("block", "custom", "doubts", "id", "index", "name", "tail")

    def __init__(self, block: int, index: int | None, call_id: str, name: str) -> None:
        self.block = block
        self.index = index
        self.id = call_id
        self.name = name
        self.tail = ""  # the last piece of its arguments that was not blank
        self.doubts = 0
        self.custom: GrammarInput | None = None


class ToolCalls:
    """The calls of one reply, written to its assembler."""

    def __init__(self, assembler: MessageAssembler, grammar: Mapping[str, str]) -> None:
        self._assembler = assembler
        self._grammar = grammar
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._by_block: dict[int, _Call] = {}
        self._latest: _Call | None = None
        self._early_signatures: dict[str, str] = {}
        self._only = False

    def __bool__(self) -> bool:
        return bool(self._by_block)

    def take(self, entries: Any) -> None:
        """Take ``delta.tool_calls``."""
        for entry in entries if type(entries) is list else (entries,):
            if type(entry) is dict:
                self._take(entry)

    def take_only(self, function: Any) -> None:
        """Take ``delta.function_call``, the older form: of one call, without an id. Some servers send both forms."""
        known = self._only or not self._by_block
        if known and type(function) is dict and (function.get("name") or function.get("arguments")):
            self._only = True
            self._take({"index": 0, "function": function})

    def sign(self, details: Any) -> None:
        """Take ``delta.reasoning_details``: encrypted ones sign the call of their id, even if that comes later."""
        for detail in details if isinstance(details, list) else ():
            if not isinstance(detail, dict) or detail.get("type") != "reasoning.encrypted":
                continue
            call_id, signature = detail.get("id"), _as_json(detail)
            if not isinstance(call_id, str) or not detail.get("data") or signature is None:
                continue
            if call := self._by_id.get(call_id):
                self._assembler.sign(call.block, signature)
            else:
                self._early_signatures[call_id] = signature

    def end(self, block: int) -> None:
        """The call of a block is complete."""
        custom = self._by_block[block].custom
        if custom is not None:
            self._assembler.tool_call_delta(block, custom.close())
        self._assembler.tool_call_end(block)

    def _take(self, entry: dict[str, Any]) -> None:
        index, call_id = entry.get("index"), entry.get("id")
        call = self._by_index.get(index) if type(index) is int else None
        function = entry.get("function")
        if call is None or call_id or (type(function) is dict and function.get("name")) or "custom" in entry:
            call = self._identified(entry)
        self._latest = call
        piece = function.get("arguments") if type(function) is dict else ""
        if type(piece) is not str or call.custom is not None:
            piece = self._unusual(call, piece, entry)
        if piece and not piece.isspace():
            call.tail = piece
        self._assembler.tool_call_delta(call.block, piece)

    def _unusual(self, call: _Call, arguments: Any, entry: dict[str, Any]) -> str:
        """A piece of custom input, or arguments that came as an object; that can only be all of them."""
        if call.custom is not None:
            return call.custom.append(text_at(entry, "custom", "input"))
        if not isinstance(arguments, dict) or not arguments or call.tail:
            return ""
        return _as_json(arguments) or ""

    def _identified(self, entry: dict[str, Any]) -> _Call:
        """The call of a piece that says more about it than the index of one that is known."""
        index, call_id = whole_number(entry.get("index")), text_at(entry, "id")
        name = text_at(entry, "function", "name") or text_at(entry, "custom", "name")
        call = self._found(index, call_id)
        if call is None or (name and call.name and self._opens_another(call, index, call_id, entry)):
            call = self._open(index, call_id, name)
        if index is not None:
            self._by_index[index] = call
            call.index = index
        if call_id:
            self._by_id[call_id] = call
            if signature := self._early_signatures.pop(call_id, None):
                self._assembler.sign(call.block, signature)
        self._complete(call, call_id, name)
        if isinstance(entry.get("custom"), dict) and call.custom is None:
            call.custom = GrammarInput(self._grammar.get(call.name, DEFAULT_PROPERTY))
        return call

    def _found(self, index: int | None, call_id: str) -> _Call | None:
        if index is not None and index in self._by_index:
            return self._by_index[index]
        if call_id:
            return self._by_id.get(call_id)
        return self._latest if index is None else None

    def _opens_another(self, call: _Call, index: int | None, call_id: str, entry: dict[str, Any]) -> bool:
        """Whether a piece that its index or id gives to a call is really the first one of another call.

        Some servers number all of their calls 0, or give all the same id. But only a first piece has both a new id and
        a new name, and no JSON goes on when it is complete.
        """
        if index is not None and call.index is not None and index != call.index:
            return True
        other_id = self._by_id.get(call_id) is not call
        other_name = (text_at(entry, "function", "name") or text_at(entry, "custom", "name")) != call.name
        if other_name and other_id and call_id:
            return True
        return (other_name or (other_id and _begins_object(entry))) and self._is_complete(call)

    def _is_complete(self, call: _Call) -> bool:
        """Whether the arguments so far are a whole object. Looking costs their length, so it is not done at will."""
        if not call.tail.rstrip().endswith("}") or call.doubts >= _MAX_DOUBTS:
            return False
        call.doubts += 1
        try:
            parse_json(self._assembler.text_of(call.block))
        except ValueError:
            return False
        return True

    def _open(self, index: int | None, call_id: str, name: str) -> _Call:
        block = self._assembler.tool_call_start(call_id, name)
        call = self._by_block[block] = _Call(block, index, call_id, name)
        return call

    def _complete(self, call: _Call, call_id: str, name: str) -> None:
        """The first id and the first name that are not empty count."""
        if (call_id and not call.id) or (name and not call.name):
            call.id, call.name = call.id or call_id, call.name or name
            self._assembler.tool_call_update(call.block, id=call.id, name=call.name)


def _begins_object(entry: dict[str, Any]) -> bool:
    function = entry.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return isinstance(arguments, dict) or (isinstance(arguments, str) and arguments.lstrip().startswith("{"))


def _as_json(value: Any) -> str | None:
    try:
        return rewritten_json(value)
    except ValueError:
        return None
