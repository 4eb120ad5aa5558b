"""Custom tool calls, whose input is one string: how it becomes arguments."""

import json

import pytest

from providers.openai.grammar import GrammarInput
from runtime.errors import InvalidResponseError
from runtime.streams.events import ToolCallDelta
from tests.providers.completions_lab import chunk_of, decode, piece_of, tools_of

CALLS = chunk_of(finish="tool_calls")


def deltas(decoded):
    return [event.delta for event in decoded.events if isinstance(event, ToolCallDelta)]


def custom(text, name=None, **fields):
    return {**fields, "type": "custom", "custom": {"name": name, "input": text}}


def test_the_input_of_a_custom_tool_becomes_an_argument():
    """Its deltas are the JSON text of the arguments; the last one closes it, just before the end."""
    entries = [
        custom('a"', "patch", index=0, id="a"),
        custom("\nb\ud83d", index=0),
        custom("\ude00", index=0),
    ]
    decoded = decode(*map(tools_of, entries), CALLS, grammar={"patch": "text"})
    assert decoded.message.tool_calls[0].arguments == {"text": 'a"\nb😀'}
    assert "".join(deltas(decoded)) == '{"text":"a\\"\\nb😀"}'
    assert decoded.types[-3:] == ["toolcall_delta", "toolcall_end", "done"]


@pytest.mark.parametrize("text", ["", None])
def test_a_custom_call_without_input_has_an_empty_one(text):
    """A tool that is not known has its input in ``input``."""
    decoded = decode(tools_of(custom(text, "x", index=0, id="a")), CALLS)
    assert "".join(deltas(decoded)) == '{"input":""}'
    assert decoded.message.tool_calls[0].arguments == {"input": ""}


def test_a_null_custom_is_none():
    """Some servers write every key."""
    (call,) = decode(
        tools_of(piece_of('{"a":1}', "f", index=0, id="a", custom=None)), CALLS
    ).message.tool_calls
    assert call.arguments == {"a": 1}


def test_a_custom_call_that_is_cut_has_no_closing():
    """It shows what had arrived."""
    decoded = decode(tools_of(custom("ab", "x", index=0, id="a")), done=False)
    assert decoded.of(0) == ["toolcall_start", "toolcall_delta"]
    assert decoded.message.tool_calls[0].arguments == {"input": "ab"}


def test_a_final_input_extends_what_was_streamed():
    """The fragments are valid JSON together, and closing twice with the same input adds nothing."""
    buffer = GrammarInput("payload")
    text = buffer.append('a"') + buffer.close('a"\nb')
    assert text == '{"payload":"a\\"\\nb"}'
    assert buffer.close('a"\nb') == buffer.close() == ""


@pytest.mark.parametrize("control", ["\x00", "\x1f", "\x7f", "\\", "/", "\u2028"])
def test_every_character_can_be_input(control):
    """Escaped as JSON wants it."""
    buffer = GrammarInput('na"me')
    assert json.loads(buffer.append(control) + buffer.close()) == {'na"me': control}


def test_an_input_that_changes_is_an_error():
    """Before or after its end."""
    buffer = GrammarInput("p")
    buffer.append("ab")
    with pytest.raises(InvalidResponseError, match='property "p" changed non-monotonically'):
        buffer.close("ax")
    buffer.close("abc")
    for change in (lambda: buffer.close("abcd"), lambda: buffer.append("d")):
        with pytest.raises(InvalidResponseError, match="changed after it was closed"):
            change()
