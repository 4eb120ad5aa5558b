"""Failures that a server reports inside a stream."""

import pytest

from tests.providers.completions_lab import chunk_of, decode, replay, sse_of

OK = chunk_of({"content": "ok"})
STOP = chunk_of(finish="stop")
LATE = {"message": "Overloaded", "type": "server_error", "code": "busy"}


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ({"error": LATE}, "Overloaded (code: busy)"),
        ({"error": "Overloaded"}, "Overloaded"),
        ({"error": {"message": "Overloaded", "code": 503}, "choices": []}, "Overloaded (code: 503)"),
        ({"error": {"code": 503, "message": "HTTP 503: busy"}}, "HTTP 503: busy"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "inner"}}},
            "Provider returned error\ninner",
        ),
        ({"error": {"message": "a", "metadata": {"raw": {"b": 1}}}}, 'a\n{"b":1}'),
        ({"error": [{"message": "first"}]}, "first"),
        ({"error": {"reason": "x"}}, '{"reason":"x"}'),
        ({"error": True}, "true"),
        ({"object": "error", "message": "too long", "code": 400}, "too long (code: 400)"),
        ({"type": "error", "error": {"message": "a"}}, "a"),
        ({"code": "InvalidParameter", "message": "bad", "request_id": "r"}, "bad (code: InvalidParameter)"),
        ({"detail": "Not found"}, "Not found"),
        ({"errors": [{"message": "x"}]}, "x"),
        (
            {"choices": [{"delta": {}, "error": {"code": 502, "message": "gone"}, "finish_reason": "error"}]},
            "gone (code: 502)",
        ),
    ],
)
def test_an_error_inside_the_stream_ends_it(chunk, text):
    """In any shape; the provider's message comes first, and what had arrived stays."""
    decoded = decode(OK, chunk, STOP)
    assert decoded.message.error_message == text
    assert decoded.types == ["start", "text_start", "text_delta", "error"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"message":"boom"}', "boom"),
        (b'"boom"', "boom"),
        (b'{"choices":[],"message":"boom"}', "boom"),
        (b"boom", "boom"),
        (b'{"error":{"message":"boom"}}', "boom"),
    ],
)
def test_an_event_called_error_is_one(data, text):
    """Whatever its data."""
    body = sse_of(OK, done=False) + b"event: error\ndata: " + data + b"\n\n"
    assert replay([body]).message.error_message == text


def test_what_comes_with_an_error_counts():
    """Text and usage of the same chunk."""
    last = chunk_of(
        {"content": "!"}, error={"message": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 2}
    )
    message = decode(OK, last).message
    assert (message.text, message.usage.output, message.error_message) == ("ok!", 2, "x")
