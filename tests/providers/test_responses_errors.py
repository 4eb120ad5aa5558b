"""Failures that a Responses server reports inside a stream that began well, and what they leave."""

import pytest

from runtime.values.message import StopReason
from tests.providers.responses_lab import added, completed, decode, event_of, replay, sse_of, text_delta

HELLO = (added(0, "message", "msg_1"), text_delta(0, "Hello"))


def failed(**response):
    return event_of("failed", response={"id": "resp_1", "status": "failed", **response})


def error_of(event):
    """What a stream says that ends like this, in the middle of a text."""
    message = decode(*HELLO, event, completed()).message
    assert (message.stop_reason, message.text) == (StopReason.Error, "Hello")
    assert message.content[0].text_signature is None
    return message.error_message


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ({"error": {"code": "server_error", "message": "boom"}}, "server_error: boom"),
        ({"error": {"code": "", "message": ""}}, "unknown: no message"),
        ({"error": {}}, "unknown: no message"),
        ({"error": {"code": 500}}, "500: no message"),
        ({"error": None, "incomplete_details": {"reason": "content_filter"}}, "incomplete: content_filter"),
        ({"error": "boom"}, "boom"),
        ({}, "Unknown error (no error details in response)"),
        ({"error": None, "incomplete_details": {}}, "Unknown error (no error details in response)"),
    ],
)
def test_a_response_that_failed_says_why(response, text):
    """By its error, else by why it is incomplete."""
    assert error_of(failed(**response)) == text


def test_only_the_response_says_why_it_failed():
    """Not the event around it."""
    assert (
        error_of({**failed(), "error": {"message": "other"}})
        == "Unknown error (no error details in response)"
    )


def test_a_failed_response_may_have_cost_something():
    """Its usage and its id are kept."""
    message = decode(
        *HELLO, failed(error={"message": "x"}, usage={"input_tokens": 3, "output_tokens": 4})
    ).message
    assert (message.usage.input, message.usage.output, message.response_id) == (3, 4, "resp_1")
    assert decode(*HELLO, failed()).message.usage.output == 0


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"type": "error", "code": "rate_limit", "message": "slow down"}, "Error Code rate_limit: slow down"),
        ({"type": "error", "code": None, "message": "slow down"}, "Error Code unknown: slow down"),
        ({"type": "error", "code": 500}, "Error Code 500: Unknown error"),
        ({"type": "error"}, "Error Code unknown: Unknown error"),
        ({"type": "error", "error": {"code": "c", "message": "boom"}}, "Error Code c: boom"),
        (
            {"type": "error", "error": {"type": "server_error", "code": None, "message": "boom"}},
            "Error Code server_error: boom",
        ),
        ({"type": "error", "error": "boom"}, "Error Code unknown: boom"),
        ({"type": "error", "detail": "boom"}, "Error Code unknown: boom"),
        ({"type": "response.error", "error": {"message": "boom"}}, "boom"),
        ({"error": {"code": 400, "message": "boom", "type": "t"}}, "boom (code: 400)"),
        ({"error": "boom"}, "boom"),
        ({"error": {"message": "boom"}, "type": None}, "boom"),
        ({"object": "error", "message": "boom"}, "boom"),
        ({"detail": "boom"}, "boom"),
        ({"code": "c", "message": "boom"}, "boom (code: c)"),
    ],
)
def test_an_error_is_one_in_any_shape(event, text):
    """With its fields at the top or inside, with and without a type."""
    assert error_of(event) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"message":"boom"}', "Error Code unknown: boom"),
        (b'{"error":{"message":"boom"}}', "Error Code unknown: boom"),
        (b'"boom"', "boom"),
        (b"boom", "boom"),
    ],
)
def test_an_event_called_error_is_one(data, text):
    """Whatever its data."""
    body = sse_of(*HELLO) + b"event: error\ndata: " + data + b"\n\n"
    assert replay([body]).message.error_message == text


def test_an_error_without_a_beginning_is_one():
    """Nothing else has come."""
    message = decode({"error": {"message": "boom"}}).message
    assert (message.content, message.error_message) == ((), "boom")


@pytest.mark.parametrize("data", [b"{", b"<html>", b'{"type":"response.output_text.delta","delta":NaN}'])
def test_what_is_no_json_is_an_error(data):
    """With the parser's words."""
    message = replay([sse_of(*HELLO) + b"data: " + data + b"\n\n"]).message
    assert message.stop_reason is StopReason.Error
    assert "line 1 column" in message.error_message


def test_fields_called_error_that_say_nothing_are_no_error():
    """Every response has one."""
    message = decode(event_of("created", response={"error": None}), *HELLO, completed(error=None)).message
    assert (message.stop_reason, message.text) == (StopReason.Stop, "Hello")
