"""Blocks of server-side tools, and of kinds that nobody has heard of: kept whole, and sent back to nobody else."""

import json

import pytest

from runtime.streams.handoff import transform_messages
from runtime.values.content import TextContent, ToolCall
from runtime.values.message import AssistantMessage, StopReason, parse_message, user
from tests.providers.anthropic_lab import (
    TEXT,
    decode,
    ending,
    messages_of,
    model_of,
    more,
    opened,
    own,
    reply_of,
    said,
    start_of,
    stopped,
    typed,
)

SEARCH = {"id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "encrypted_content": "x"}]}
SEARCHED = (
    opened(0, "server_tool_use", **SEARCH),
    typed('{"query":', 0),
    typed(' "x"}', 0),
    stopped(0),
    opened(1, "web_search_tool_result", **FOUND),
    stopped(1),
    opened(2, text="Found."),
    stopped(2),
)
WIRE = [
    {"type": "server_tool_use", **SEARCH, "input": {"query": "x"}},
    {"type": "web_search_tool_result", **FOUND},
    {"type": "text", "text": "Found."},
]


def items_of(*events):
    return [entry["item"] for entry in reply_of(*events).message.provider_items]


def sent_back(message: AssistantMessage, model=None):
    """The blocks of the reply in the next request."""
    sent = messages_of(model or model_of(), user("hi"), message, user("go on"))
    return sent[1]["content"] if sent[1]["role"] == "assistant" else None


def test_they_are_kept_between_the_blocks_of_the_reply():
    """Their input is read from their deltas; they make no events and no content."""
    decoded = reply_of(*SEARCHED)
    assert decoded.message.content == (TextContent("Found."),)
    assert decoded.message.provider_items == tuple({"index": 0, "item": item} for item in WIRE[:2])
    assert decoded.types == ["start", "text_start", "text_end", "done"]


def test_they_go_back_where_they_stood():
    """Also after the transcript was written down."""
    message = reply_of(*SEARCHED).message
    assert sent_back(message) == WIRE
    assert sent_back(parse_message(message.model_dump_json())) == WIRE


def test_a_turn_that_was_paused_goes_back_as_it_is():
    """A reply may hold nothing else."""
    message = reply_of(*SEARCHED[:4], reason="pause_turn").message
    assert message.stop_reason is StopReason.Stop
    assert sent_back(message) == WIRE[:1]


def test_no_other_model_gets_them():
    """A reply that held nothing else is left out."""
    other = model_of("other")
    message = reply_of(*SEARCHED[:4], reason="pause_turn").message
    assert sent_back(message, other) is None
    assert sent_back(reply_of(*SEARCHED).message, other) == WIRE[2:]


def test_their_place_survives_what_is_left_out_around_them():
    """Empty text, and thinking that says nothing."""
    message = reply_of(
        opened(0),
        stopped(0),
        *(event | {"index": 1} for event in SEARCHED[:4]),
        *(e | {"index": 2} for e in TEXT),
    ).message
    assert [entry["index"] for entry in message.provider_items] == [1]
    assert [block["type"] for block in sent_back(message)] == ["server_tool_use", "text"]


def test_a_compaction_is_put_together():
    """Its summary comes in a delta, after a null."""
    assert items_of(
        opened(0, "compaction", content=None),
        more(0, "compaction_delta", content="They talked.", encrypted_content="e"),
        stopped(0),
    ) == [{"type": "compaction", "content": "They talked.", "encrypted_content": "e"}]
    assert items_of(
        opened(0, "compaction", content=None), more(0, "compaction_delta", content=None), stopped(0)
    ) == [{"type": "compaction", "content": None}]


def test_mcp_calls_are_none_of_the_callers():
    """They are answered on the server."""
    decoded = reply_of(
        opened(0, "mcp_tool_use", id="mcptoolu_1", name="echo", server_name="echo", input={}),
        typed('{"a":1}', 0),
        stopped(0),
        opened(1, "mcp_tool_result", tool_use_id="mcptoolu_1", is_error=False, content=[]),
        stopped(1),
    )
    assert decoded.message.tool_calls == ()
    assert [entry["item"]["type"] for entry in decoded.message.provider_items] == [
        "mcp_tool_use",
        "mcp_tool_result",
    ]
    assert decoded.message.provider_items[0]["item"]["input"] == {"a": 1}


def test_a_block_of_a_later_kind_is_kept_with_what_is_known_of_deltas():
    """Others are ignored."""
    assert items_of(
        opened(0, "later", x=[1], text="a"),
        more(0, text="b"),
        more(0, "thinking_delta", thinking="c"),
        more(0, "signature_delta", signature="d"),
        more(0, "citations_delta", citation={"n": 1}),
        more(0, "citations_delta", citation={"n": 2}),
        more(0, "later_delta", x=2),
        more(0, "text_delta", text=7),
        stopped(0),
    ) == [
        {
            "type": "later",
            "x": [1],
            "text": "ab",
            "thinking": "c",
            "signature": "d",
            "citations": [{"n": 1}, {"n": 2}],
        }
    ]


def test_damaged_input_is_read_as_far_as_it_goes():
    """A limit may cut it."""
    message = reply_of(SEARCHED[0], typed('{"query": "a b', 0), reason="max_tokens").message
    assert message.stop_reason is StopReason.Length
    assert message.provider_items[0]["item"]["input"] == {"query": "a b"}


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
def test_a_use_that_a_limit_left_without_its_result_is_not_sent(kind):
    """The provider would refuse the transcript for ever; those with a result stay, and so does the text."""
    second = (opened(3, kind, id="srvtoolu_2", name="web_search", input={}), typed('{"query": "a b', 3))
    message = reply_of(*SEARCHED, *second, reason="max_tokens").message
    assert [entry["item"].get("id") for entry in message.provider_items] == ["srvtoolu_1", None, "srvtoolu_2"]
    assert sent_back(message) == WIRE
    assert sent_back(parse_message(message.model_dump_json())) == WIRE


def test_a_reply_that_was_cut_in_its_only_use_is_left_out():
    """Nothing of it is left."""
    message = reply_of(*SEARCHED[:2], reason="max_tokens").message
    sent = messages_of(model_of(), user("hi"), message, user("go on"))
    assert [wire["role"] for wire in sent] == ["user", "user"]


def test_a_use_that_waits_for_the_callers_results_goes_back():
    """Code that called one of the caller's tools has no result yet; also where a limit cut what came behind the call."""
    code = {"id": "srvtoolu_1", "name": "code_execution", "input": {"code": "f()"}}
    caller = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    events = (
        opened(0, "server_tool_use", **code),
        stopped(0),
        opened(1, "tool_use", id="toolu_1", name="f", input={}, caller=caller),
        stopped(1),
    )
    for reason in ("tool_use", "max_tokens"):
        kinds = [block["type"] for block in sent_back(reply_of(*events, reason=reason).message)]
        assert kinds == ["server_tool_use", "tool_use"]


@pytest.mark.parametrize("odd", [None, 7, [], {}, ""])
def test_a_use_that_nothing_can_answer_is_not_sent_after_a_limit(odd):
    """Whoever wrote its id."""
    items = [{"type": "server_tool_use", "id": odd}, {"type": "later", "tool_use_id": odd}]
    provider_items = [{"index": 0, "item": item} for item in items]
    message = own(TextContent("hi"), provider_items=provider_items, stop_reason=StopReason.Length)
    assert [block["type"] for block in sent_back(message)] == ["later", "text"]


def test_one_that_was_cut_off_by_a_failure_is_dropped():
    """Nobody may send half of it back."""
    assert decode(start_of(), SEARCHED[0]).message.provider_items == ()


def test_there_is_a_limit():
    """Like that for content."""
    decoded = reply_of(*(opened(0, "later") for _ in range(10_001)))
    assert decoded.error == "invalid provider response: a reply of more than 10000 blocks"


@pytest.mark.parametrize("item", [None, 7, [], "x", {}, {"type": 7}, {"type": None}])
def test_items_that_are_no_blocks_are_not_sent(item):
    """Whoever wrote them."""
    message = own(TextContent("hi"), provider_items=[{"index": 0, "item": item}, {"item": {"type": "x"}}, 7])
    assert sent_back(message) == [{"type": "text", "text": "hi"}]


# Text with citations, and calls from server-side tools

CITATION = {"type": "web_search_result_location", "url": "https://example.com", "encrypted_index": "x"}
CITED = (
    opened(0, text="", citations=[]),
    more(0, "citations_delta", citation=CITATION),
    said("It is so."),
    more(0, "citations_delta", citation=7),
    stopped(0),
)


def test_citations_go_back_with_their_text():
    """They are kept as its signature, which no other model gets."""
    message = reply_of(*CITED).message
    (text,) = message.content
    assert (text.text, json.loads(text.text_signature)) == ("It is so.", {"citations": [CITATION]})
    assert sent_back(message) == [{"type": "text", "text": "It is so.", "citations": [CITATION]}]
    assert sent_back(message, model_of("other")) == [{"type": "text", "text": "It is so."}]


@pytest.mark.parametrize("kind", ["char_location", "page_location", "content_block_location"])
def test_a_citation_goes_back_without_the_id_of_its_file(kind):
    """The provider tells it and refuses to be told, also null; transcripts that were written down hold it."""
    place = {"type": kind, "cited_text": "so", "document_index": 0, "document_title": None}
    for file_id in ("file_1", None):
        cited = more(0, "citations_delta", citation={**place, "file_id": file_id})
        message = reply_of(opened(0, text=""), said("It is so."), cited, stopped(0)).message
        assert sent_back(message) == [{"type": "text", "text": "It is so.", "citations": [place]}]
        assert sent_back(parse_message(message.model_dump_json())) == sent_back(message)


def test_citations_that_are_no_objects_go_back_as_they_are():
    """Nobody knows what they mean."""
    for citations in ([7, None, CITATION], {"file_id": "x"}, "x"):
        message = own(TextContent("hi", json.dumps({"citations": citations})))
        assert sent_back(message) == [{"type": "text", "text": "hi", "citations": citations}]


def test_text_without_citations_has_no_signature():
    """An empty list says nothing."""
    assert reply_of(opened(0, text="a", citations=[]), stopped()).message.content == (TextContent("a"),)


def test_a_call_from_a_server_side_tool_goes_back_with_its_caller():
    """A call of the model itself needs none."""
    caller = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    message = reply_of(
        opened(0, "tool_use", id="toolu_1", name="f", input={"a": 1}, caller=caller),
        stopped(0),
        opened(1, "tool_use", id="toolu_2", name="f", input={}, caller={"type": "direct"}),
        stopped(1),
        reason="tool_use",
    ).message
    assert message.content[1] == ToolCall("toolu_2", "f", {})
    assert sent_back(message) == [
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}, "caller": caller},
        {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
    ]
    (_, foreign, *_) = transform_messages([user("hi"), message], model_of("other"))
    assert foreign.tool_calls[0].thought_signature is None


@pytest.mark.parametrize("signature", ["", "abc", "{", "[1]", '{"x":1}'])
def test_signatures_of_another_kind_are_not_sent(signature):
    """They say nothing here."""
    message = own(TextContent("hi", signature))
    assert sent_back(message) == [{"type": "text", "text": "hi"}]


def test_the_stop_reason_compaction_asks_to_go_on():
    """The summary alone is the reply."""
    message = decode(
        start_of(),
        opened(0, "compaction", content=None),
        more(0, "compaction_delta", content="s"),
        stopped(0),
        ending("compaction"),
        {"type": "message_stop"},
    ).message
    assert message.stop_reason is StopReason.Stop
    assert sent_back(message) == [{"type": "compaction", "content": "s"}]
