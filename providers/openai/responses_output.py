"""Which item of a response an event is about.

By the documentation every event has the index of its item, and most have its id. Servers leave out either or both, change ids in
mid-stream, and leave out whole events. So an event belongs to the item of its index, else of its id, else to the latest open item
of its kind; and what the response lists at its end completes what never was.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from providers.loose_json import text_at, text_in, whole_number
from runtime.errors import InvalidResponseError
from runtime.streams.assembler import MAX_BLOCKS, MessageAssembler

from .grammar import DEFAULT_PROPERTY
from .responses_items import (
    CustomCallItem,
    FunctionCallItem,
    MessageItem,
    OutputItem,
    PartKey,
    ProviderItem,
    RawItem,
    ReasoningItem,
)

_CALLS = ("function_call", "custom_tool_call")
_TEXTS = ("reasoning", "message")
_Step = tuple[Mapping[str, Any], PartKey, str, bool]
"""An event, the part that it is about, what it says of that, and whether that is all."""


class Output:
    """The items of one response, written to its assembler. ``grammar`` names the argument of each custom tool."""

    def __init__(self, assembler: MessageAssembler, grammar: Mapping[str, str]) -> None:
        self._assembler = assembler
        self._grammar = grammar
        self._items: list[OutputItem] = []
        self._by_index: dict[int, OutputItem] = {}
        self._by_id: dict[str, OutputItem] = {}
        self._by_call: dict[str, OutputItem] = {}
        self._latest: dict[str, OutputItem] = {}
        self._place: tuple[Any, ...] = ()
        """What the last piece said of where it belongs, as long as that means the same, and what it meant."""
        self._run: tuple[OutputItem, PartKey]
        self._blocks = 0
        self._homeless: defaultdict[str, dict[PartKey, list[_Step]]] = defaultdict(dict)
        """Events of items that nobody announced; they count only if no item of the kind ever comes. Those of calls are kept by
        call, and are also what a call that is announced late begins with."""

    @property
    def has_calls(self) -> bool:
        """Whether the model has called a tool."""
        return any(item.kind in _CALLS for item in self._items)

    def added(self, event: Mapping[str, Any]) -> None:
        """Take ``output_item.added``; one that repeats an item which is there already says nothing."""
        raw, index = event.get("item"), whole_number(event.get("output_index"))
        if isinstance(raw, dict) and not self._is_repeated(raw, index):
            self._open(raw, index)

    def appended(self, kind: str, event: Mapping[str, Any], delta: str) -> None:
        """Take a piece of an item; of one that has its final value, none. Pieces of one part come in long runs."""
        get = event.get
        numbers = get("output_index"), get("content_index"), get("summary_index")
        place = (kind, get("type"), get("item_id"), numbers)
        if place != self._place:
            item = self._item_of(kind, event)
            if item is None:
                self._keep(kind, event, delta, whole=False)
                return
            self._run = item, () if kind in _CALLS else _part_of(event)
            self._place = place
        item, part = self._run
        if item.kind == kind and not item.ended:
            item.append(delta, part)

    def completed(self, kind: str, event: Mapping[str, Any], value: Any) -> None:
        """Take all of what was streamed of an item, or of a part of one."""
        item = self._item_of(kind, event)
        if not isinstance(value, str):
            return
        if item is None:
            self._keep(kind, event, value, whole=True)
        elif item.kind == kind and not item.ended:
            item.complete(value, _part_of(event))

    def done(self, event: Mapping[str, Any]) -> None:
        """Take ``output_item.done``, also of an item that was never announced; the second of one item says nothing."""
        raw, index = event.get("item"), event.get("output_index")
        if not isinstance(raw, dict):
            return
        kind = text_at(raw, "type")
        item = self._item_of(kind, {"output_index": index, "item_id": raw.get("id")})
        if index is None and (item is None or item.is_other(raw)):
            item = self._by_call.get(text_at(raw, "call_id"))
        if item is None:
            item = self._open(raw, whole_number(index))
        if item is not None and item.kind == kind and not item.ended:
            item.finish(raw)

    def end(self, listed: Any) -> None:
        """The response is over, and lists its items. Those that are open end, those that never came are made up for."""
        items = [raw for raw in listed if isinstance(raw, dict)] if isinstance(listed, list) else []
        for raw, seen in zip(items, self._seen(items), strict=True):
            item = seen or self._open(raw, None)
            if item is not None and not item.ended:
                item.finish(raw)
            elif item is not None:
                item.amend(raw)
        for item in self._items:
            if not item.ended:
                item.close()
        self._house()

    def _keep(self, kind: str, event: Mapping[str, Any], text: str, *, whole: bool) -> None:
        place = _place_of(event) if kind in _CALLS else ()
        part = _part_of(event) if kind in _CALLS else (*_place_of(event), *_part_of(event))
        if text or kind in _CALLS:
            self._homeless[kind].setdefault(place, []).append((event, part, text, whole))

    def _house(self) -> None:
        kinds = {item.kind for item in self._items}
        for kind in (*_TEXTS, *_CALLS):
            for steps in self._homeless.pop(kind, {}).values() if kind not in kinds else ():
                if item := self._open({"type": kind, **_named(steps)}, None):
                    _replay(item, steps)
                    item.close()

    def _open(self, raw: RawItem, index: int | None) -> OutputItem | None:
        if not text_at(raw, "type"):
            return None
        if len(self._items) >= MAX_BLOCKS:
            raise InvalidResponseError(f"a response of more than {MAX_BLOCKS} items")
        item = self._made(raw)
        self._blocks += not isinstance(item, ProviderItem)
        self._items.append(item)
        self._latest[item.kind] = item
        self._name(item, index, item.id)
        if item.kind in _CALLS and (call_id := text_at(raw, "call_id")):
            self._by_call[call_id] = item
        if item.kind == "function_call":
            self._take_in(item, index)
        return item

    def _take_in(self, item: OutputItem, index: int | None) -> None:
        kept = self._homeless[item.kind]
        for place, steps in list(kept.items()):
            if place == ("index", index) or (item.id and item.id == text_at(steps[0][0], "item_id")):
                _replay(item, kept.pop(place))

    def _made(self, raw: RawItem) -> OutputItem:
        match raw["type"]:
            case "reasoning":
                return ReasoningItem(self._assembler, raw)
            case "message":
                return MessageItem(self._assembler, raw)
            case "function_call":
                return FunctionCallItem(self._assembler, raw)
            case "custom_tool_call":
                argument = self._grammar.get(text_at(raw, "name"), DEFAULT_PROPERTY)
                return CustomCallItem(self._assembler, raw, argument)
        return ProviderItem(self._assembler, raw, self._blocks)

    def _name(self, item: OutputItem, index: int | None, item_id: str) -> None:
        self._place = ()
        if index is not None:
            item.index = index
            self._by_index[index] = item
        if item_id:
            self._by_id[item_id] = item

    def _item_of(self, kind: str, event: Mapping[str, Any]) -> OutputItem | None:
        """The item that an event of a kind is about, maybe one of another kind; None if it was never announced."""
        index, item_id = whole_number(event.get("output_index")), text_in(event, "item_id")
        item = self._by_id.get(item_id)
        if item is not None and (index is None or item.index == index):
            return item
        if index is not None and index in self._by_index:
            return self._by_index[index]
        if item is None or item.index is not None:
            item = self._latest.get(kind)
            if item is None or item.ended or (index is not None and item.index is not None):
                return None
        self._name(item, index, item_id)
        return item

    def _is_repeated(self, raw: RawItem, index: int | None) -> bool:
        item_id = text_at(raw, "id")
        item = self._by_id.get(item_id) if index is None else self._by_index.get(index)
        return item is not None and item.kind == raw.get("type") and (not item_id or item_id == item.id)

    def _seen(self, listed: list[RawItem]) -> list[OutputItem | None]:
        """For each listed item, what was seen of it: the item of its id, else of its place, else the next one of its kind."""
        found: list[OutputItem | None] = [None] * len(listed)
        left = dict.fromkeys(self._items)
        for look in (
            lambda _, raw: self._by_id.get(text_at(raw, "id")),
            lambda place, _: self._by_index.get(place),
        ):
            for place, raw in enumerate(listed):
                item = look(place, raw) if found[place] is None else None
                if item is not None and item in left and item.kind == raw.get("type"):
                    found[place] = item
                    del left[item]
        rest: defaultdict[str, deque[OutputItem]] = defaultdict(deque)
        for item in left:
            rest[item.kind].append(item)
        for place, raw in enumerate(listed):
            if found[place] is None and (waiting := rest[text_at(raw, "type")]):
                found[place] = waiting.popleft()
        return found


def _place_of(event: Mapping[str, Any]) -> PartKey:
    index = whole_number(event.get("output_index"))
    return ("id", text_at(event, "item_id")) if index is None else ("index", index)


def _part_of(event: Mapping[str, Any]) -> PartKey:
    """Which part of its item an event is about; the end of a part of a summary is none of it, but stands behind it."""
    kind = text_in(event, "type")
    summary, content = whole_number(event.get("summary_index")), whole_number(event.get("content_index"))
    return "summary" in kind, kind.endswith("summary_part.done"), summary or 0, content or 0


def _named(steps: Iterable[_Step]) -> RawItem:
    """What events say of the call that they belong to."""
    said: RawItem = {}
    for event, *_ in steps:
        for name, told in (("id", "item_id"), ("call_id", "call_id"), ("name", "name")):
            said[name] = said.get(name) or text_at(event, told)
    return said


def _replay(item: OutputItem, steps: Iterable[_Step]) -> None:
    for _, part, text, whole in steps:
        if whole:
            item.complete(text, part)
        else:
            item.append(text, part)
