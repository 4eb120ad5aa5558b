"""The tolerant reader of JSON: its examples, what it must never do, and its price."""

import json
import math
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.streams.json_repair import parse_json_with_repair, repair_json
from runtime.streams.partial_json import PartialJson, parse_partial_json
from runtime.values.text import MAX_DEPTH, clean_json, parse_json

EXAMPLES = [
    (None, {}),
    ("", {}),
    (" \n\t ", {}),
    ("\u00a0\u2003", {}),
    ("null", None),
    ("nul", None),
    ("n", None),
    ("nulx", {}),
    ("garbage", {}),
    ("undefined", {}),
    ("NaN", {}),
    ("-Infinity", {}),
    ('"abc', "abc"),
    ('"', ""),
    ("-", {}),
    ("1.", {}),
    ("12", 12),
    ("1 2", {}),
    ("{", {}),
    ('{"', {}),
    ('{"a', {}),
    ('{"a"', {}),
    ('{"a":', {}),
    ('{"a":1', {"a": 1}),
    ('{"a":1,', {"a": 1}),
    ('{"a":1,"b', {"a": 1}),
    ('{"a" 1', {"a": 1}),
    ('{"a":1 "b":2', {}),
    ('{"a":"b" "c":"d', {"a": "b", "c": "d"}),
    ('{"a":t', {"a": True}),
    ('{"a":tru', {"a": True}),
    ('{"a":truex', {"a": True}),
    ('{"a":f', {"a": False}),
    ('{"a":tru,"b":1', {}),
    ('{"a":nul', {"a": None}),
    ('{"a":-', {}),
    ('{"a":-1', {"a": -1}),
    ('{"a":1.', {}),
    ('{"a":1.5', {"a": 1.5}),
    ('{"a":1e', {"a": 1}),
    ('{"a":1e+', {"a": 1}),
    ('{"a":1E', {}),
    ('{"a":12abc', {}),
    ('{"a":1e400}', {"a": 1}),
    ('{"count":123.,"next"', {}),
    ('{"count":1e,"next"', {"count": 1}),
    ("[1,", [1]),
    ("[1 2", []),
    ('[{"a":1},{', [{"a": 1}, {}]),
    ('[{"path":"a"},{"path"', [{"path": "a"}, {}]),
    ('[{"path":"a"},{"path":"b', [{"path": "a"}, {"path": "b"}]),
    ('["x","y', ["x", "y"]),
    ('{"a":[1,2,{"b":"c', {"a": [1, 2, {"b": "c"}]}),
    ('{"a":{"b":', {"a": {}}),
    ('{"a":"x\ny"}', {"a": "x\ny"}),
    ('{"a":"x\x00\x1f\x7f\x85y"}', {"a": "x\x00\x1f\x7f\x85y"}),
    (r'{"p":"C:\dir"}', {"p": r"C:\dir"}),
    (r'{"path":"A\H","next"', {"path": r"A\H"}),
    ('{"a":"b\\\ny"}', {"a": "b\\\ny"}),
    ('{"a":"b\\', {"a": "b"}),
    (r'{"a":"b\n', {"a": "b\n"}),
    (r'{"a":"\"\\\/\b\f\n\r\t\u00e9', {"a": '"\\/\b\f\n\r\té'}),
    (r'{"a":"b\u', {"a": "b"}),
    (r'{"a":"\u00e', {"a": ""}),
    (r'{"a":"\u00e9', {"a": "é"}),
    (r'{"p":"\uZZZZ"}', {}),
    (r'{"o":1,"p":"x\uZ', {"o": 1}),
    (r'{"p":"x\ud83d', {"p": "x"}),
    (r'{"p":"x\ud83d\u', {"p": "x"}),
    (r'{"p":"\ud83d"}', {"p": ""}),
    (r'{"p":"\ud83dx"}', {"p": "x"}),
    (r'{"p":"\ude00\ud83d"}', {"p": ""}),
    (r'{"p":"\ud83d\ude00"}', {"p": "😀"}),
    ('{"p":"\ud83d\ude00\ude00"}', {"p": "😀"}),
    ('{"\ud83dk\\ud83d":1}', {"k": 1}),
    ('{"a":1}garbage', {"a": 1}),
    ('{"a":1}}', {"a": 1}),
    ('{"a":1,}', {"a": 1}),
    ("[1,]", [1]),
    ('{"a":[1,],"b":2}', {"a": [1], "b": 2}),
    ("[1,,2]", [1]),
    ("{a:1}", {}),
    ("{'a':1}", {}),
    ("{1:2}", {}),
    ('\ufeff{"a":1}', {}),
    ('{"a":"x","a":"y"', {"a": "y"}),
    ('{"a":01}', {}),
    ('{"a":.5', {}),
    ('{"a":NaN}', {}),
    ('{"a":Infinity}', {}),
    ('{"a":1]', {"a": 1}),
    ("[1}", [1]),
    ("]", {}),
    ('{"a":[{"b":1,"c":x', {"a": [{"b": 1}]}),
    ('{"a":"hello ', {"a": "hello "}),
    ('{"path":"README.md","content"', {"path": "README.md"}),
    ('{"path":"README.md",', {"path": "README.md"}),
    ('{"path":"README.md","content":"hel', {"path": "README.md", "content": "hel"}),
]


def texts(**options):
    return st.text(st.characters(codec="utf-8"), **options)


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | texts(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def documents(draw):
    """JSON text: escaped or not, dense or spread out."""
    spread = draw(st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}]))
    text = json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()), **spread)
    return draw(st.sampled_from(["", " ", "\n"])) + text + draw(st.sampled_from(["", " \t"]))


FRAGMENTS = st.sampled_from(
    ['"', "\\", "\\u", "\\ud83d", "\\ude00", "\ud83d", "\ude00", "é", "\x01", "{", "}", "[", "]", ",", ":"]
    + [" ", "1", "-", ".", "e", "E5", "tru", "true", "nul", "false", "00e", '"a":', '\\"', "\\x", "\ufeff"]
)
DAMAGED = st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(
    st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=30
)
BROKEN_DOCUMENTS = st.builds(
    lambda text, at, junk: text[: int(at * len(text))] + junk + text[int(at * len(text)) :],
    documents(),
    st.floats(0, 1),
    FRAGMENTS,
)
ANY_TEXT = documents() | DAMAGED | BROKEN_DOCUMENTS


@st.composite
def chunkings(draw, source):
    text = draw(source)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]


def fed(*chunks):
    parser = PartialJson()
    for chunk in chunks:
        parser.feed(chunk)
    return parser


def same(one, other):
    """Equal, and of equal types: 1, 1.0 and true are three things."""
    return json.dumps(one) == json.dumps(other)


def ends_in_number(prefix):
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', prefix)
    return '"' not in outside.replace('""', "") and re.search(r"(?:^|[\s\[,:])[0-9.eE+-]+$", outside)


def continues(shown, later):
    """Whether ``later`` says all that ``shown`` says: only what is last may have grown."""
    if isinstance(shown, str) and isinstance(later, str):
        return later.startswith(shown)
    if isinstance(shown, list) and isinstance(later, list):
        return not shown or (
            len(shown) <= len(later)
            and same(shown[:-1], later[: len(shown) - 1])
            and continues(shown[-1], later[len(shown) - 1])
        )
    if isinstance(shown, dict) and isinstance(later, dict):
        return list(shown) == list(later)[: len(shown)] and continues(
            list(shown.values()), list(later.values())
        )
    return same(shown, later)


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_what_is_known_so_far_is_shown(text, value):
    """Each of these texts shows what no continuation could take back, or what came before the damage."""
    assert same(parse_partial_json(text), value)


@pytest.mark.parametrize("text", [text for text, _ in EXAMPLES if text])
def test_the_examples_read_alike_character_by_character(text):
    """Fed one character at a time, the examples show the same at every character."""
    parser = PartialJson()
    for end in range(1, len(text) + 1):
        parser.feed(text[end - 1])
        assert same(parser.value(), parse_partial_json(text[:end]))


@given(documents())
def test_a_whole_document_is_parsed_exactly(text):
    """A whole valid document gives exactly what the strict parser gives, at once or in chunks."""
    assert same(parse_partial_json(text), parse_json(text))
    assert same(fed(text).value(), parse_json(text))


@settings(max_examples=60)
@given(documents())
def test_what_was_shown_is_never_contradicted(text):
    """Each prefix shows something that all longer ones agree with, unless it ends within a number."""
    before = {}
    for end in range(len(text) + 1):
        shown = parse_partial_json(text[:end])
        assert before == {} or continues(before, shown)
        if not ends_in_number(text[:end]):
            before = shown


@given(texts(max_size=20), st.booleans())
def test_a_cut_string_shows_its_beginning(text, escaped):
    """Every prefix of a string member shows a prefix of the string, never an invented character."""
    document = json.dumps({"a": text}, ensure_ascii=escaped)
    for end in range(len('{"a": "'), len(document)):
        assert text.startswith(parse_partial_json(document[:end])["a"])


@settings(max_examples=300)
@given(chunkings(ANY_TEXT))
@example(['{"a":"x\\', "ud8", "3d", '\\ude00"}'])
@example(['{"a":"x\ud83d', '\ude00"}'])
@example(['"\\ud83d', "\ude00"])
@example(["[t", "r", "ue,f", "als", "x"])
@example(["1", " ", "2"])
def test_chunks_do_not_matter(chunks):
    """Any way to cut any text gives what the whole text gives, also when values are read in between."""
    whole = parse_partial_json("".join(chunks))
    assert same(fed(*chunks).value(), whole)
    parser = PartialJson()
    for chunk in chunks:
        parser.feed(chunk)
        parser.value()
    assert same(parser.value(), whole)


@settings(max_examples=200)
@given(ANY_TEXT)
@example('{"a":' * 300 + "1")
@example('"\\ud83d\\ud83d')
@example("[1e999,")
def test_any_text_gives_a_value_that_can_be_written(text):
    """Nothing raises, and what comes out has no lone surrogate, no NaN, no infinity, and is not too deep."""
    value = parse_partial_json(text)
    assert same(clean_json(value), value)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@given(chunkings(documents()))
def test_values_are_snapshots(chunks):
    """A value that was read stays as it was, whatever is fed afterwards."""
    parser, read = PartialJson(), []
    for chunk in chunks:
        parser.feed(chunk)
        value = parser.value()
        read.append((value, json.dumps(value)))
    assert all(json.dumps(value) == then for value, then in read)


@pytest.mark.parametrize("opener", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("levels", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 2, 100_000])
def test_depth_is_bounded(opener, levels):
    """Nesting beyond the depth of other values counts as damage: no crash, and the levels above it stay."""
    text = opener * levels
    closers = "".join({"[": "]", "{": "}"}[char] for char in reversed(text) if char in "[{")
    for document in (text, text + "1" + closers):
        value = parse_partial_json(document)
        assert same(value, fed(document).value())
        deepest = value
        depth = 0
        while isinstance(deepest, (list, dict)):
            depth += 1
            deepest = next(iter(deepest if isinstance(deepest, list) else deepest.values()), None)
        assert depth == min(levels * len(opener.replace('"a":', "")), MAX_DEPTH)
        clean_json(value)


def test_closed_parts_are_shared_and_open_ones_copied():
    """A closed container is one object in all values; an open one is a new object in each."""
    parser = fed('{"done":[1,2],"open":[3')
    first, second = parser.value(), parser.value()
    assert first["done"] is second["done"]
    assert first["open"] is not second["open"]


def seconds(action):
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


@pytest.mark.parametrize(
    "unit", ['"plain words ", ', '"\\u00e9\\n", ', '{"a": [1, true, null]}, ', "12.5, "], ids=str
)
def test_feeding_costs_what_is_fed(unit):
    """Ten times the text takes about ten times as long, though it comes in small chunks."""

    def feed(copies):
        text = "[" + unit * copies
        return min(
            seconds(lambda: fed(*(text[at : at + 7] for at in range(0, len(text), 7)))) for _ in range(3)
        )

    assert feed(10_000) < 25 * feed(1_000) + 0.01


@pytest.mark.parametrize("unit", ["a line of code\\n", "ünïcödé", "plain text "])
def test_reading_a_long_string_after_every_chunk_stays_cheap(unit):
    """A value after every 16 bytes of a 200 KB string costs a copy of the string, not a parse of it."""
    text = '{"path":"x","content":"' + unit * (200_000 // len(unit))

    def read_all():
        parser = PartialJson()
        for at in range(0, len(text), 16):
            parser.feed(text[at : at + 16])
            parser.value()

    reparsing = seconds(lambda: parse_partial_json(text)) * len(text) / 16
    assert seconds(read_all) < max(1.0, reparsing / 4)


def test_numbers_keep_their_exactness():
    """Integers beyond 64 bits stay integers, fractions stay floats, and the sign of zero stays."""
    value = fed("[12345678901234567890123, 1.0, -0.0, 1E+2]").value()
    assert same(value, [12345678901234567890123, 1.0, -0.0, 100.0])
    assert math.copysign(1, value[2]) == -1


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ('{"a": "x"}', '{"a": "x"}'),
        ('"a\nb\tc\x08\x0c\r"', r'"a\nb\tc\b\f\r"'),
        ('"\x01\x1f\x7f\x9f"', r'"\u0001\u001f\u007f\u009f"'),
        ('{"a":\n1}\x7f', '{"a":\n1}\x7f'),
        (r'"C:\dir"', r'"C:\\dir"'),
        (r'"\"\\\/\b\f\n\r\t\u12"', r'"\"\\\/\b\f\n\r\t\u12"'),
        (r'"\\d" "\d"', r'"\\d" "\\d"'),
        ('"a\\\n"', r'"a\\\n"'),
        ('"a\\', '"a\\\\'),
        (r"\d", r"\d"),
        ('"a" \n "b\n', '"a" \n "b\\n'),
    ],
)
def test_repair_touches_only_faults_in_strings(text, repaired):
    """Raw control characters and backslashes that escape nothing are escaped; all else stays as it is."""
    assert repair_json(text) == repaired


@given(documents())
def test_valid_documents_need_no_repair(text):
    """A valid document parses with repair as it does without."""
    assert same(parse_json_with_repair(text), parse_json(text))


@given(texts(max_size=20).filter(lambda text: '"' not in text and "\\" not in text))
def test_raw_control_characters_survive_repair(text):
    """Whatever stands raw between the quotes is what is read."""
    assert parse_json_with_repair(f'["{text}"]') == [text]


@given(ANY_TEXT)
def test_repair_changes_nothing_twice(text):
    """What was repaired needs no further repair."""
    assert repair_json(repair_json(text)) == repair_json(text)


STRING_PARTS = ["\\d", "\\'", "\n", "\x01", "\x9f", "\\n", "\\\\", '\\"', "\\ud83d\\ude00", "é", "u00e9", " "]


@given(st.lists(st.sampled_from(STRING_PARTS)).map("".join))
def test_strings_read_alike_repaired_or_not(body):
    """The tolerant reader takes faults in strings as repair does."""
    text = f'{{"a":["{body}"]}}'
    assert same(fed(text).value(), parse_json_with_repair(text))


@pytest.mark.parametrize("text", ["", "{", '{"a":1,}', "NaN", r'"\ud83d"', r'"\uZZZZ"', '["\n"', "\ud83d"])
def test_what_repair_cannot_mend_raises(text):
    """Parsing with repair raises ValueError for text that is no JSON even then."""
    with pytest.raises(ValueError):
        parse_json_with_repair(text)
