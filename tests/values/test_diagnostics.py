"""Notes on messages."""

import pytest

from runtime.values.diagnostics import create_diagnostic, with_diagnostic
from runtime.values.message import AssistantMessage, parse_message


def test_a_note_is_appended_to_a_new_message():
    """It has type, time, error and details; the message it was made from is unchanged, and it survives JSON."""
    plain = AssistantMessage()
    entry = create_diagnostic("retry", ValueError("too\ud83d late"), {"attempt": 2})
    noted = with_diagnostic(plain, entry)
    assert plain.diagnostics == ()
    (found,) = parse_message(noted.model_dump_json()).diagnostics
    assert (found["type"], found["details"]) == ("retry", {"attempt": 2})
    assert found["error"] == {"name": "ValueError", "message": "too late"}
    assert found["timestamp"] > 0


def test_a_note_is_json():
    """What JSON cannot say is refused, and keys that are not given are absent."""
    assert set(create_diagnostic("x")) == {"type", "timestamp"}
    with pytest.raises(ValueError, match="no JSON value"):
        create_diagnostic("x", details=object())
