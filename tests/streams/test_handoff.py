import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidOptionError
from runtime.streams.call_ids import (
    normalize_anthropic_id,
    normalize_completions_id,
    normalize_responses_id,
    short_hash,
)
from runtime.streams.handoff import NO_RESULT, TOOL_IMAGE, USER_IMAGE, transform_messages
from runtime.testing.strategies import messages, models, transcripts
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.message import (
    AssistantMessage,
    CustomMessage,
    StopReason,
    ToolResultMessage,
    UserMessage,
)
from runtime.values.model import Model, same_model

BLIND = Model(id="target", provider="anthropic", api="anthropic-messages", input=("text",))
SEEING = Model(id="target", provider="anthropic", api="anthropic-messages", input=("text", "image"))
OWN = {"provider": "anthropic", "api": "anthropic-messages", "model": "target"}
FOREIGN = {"provider": "openai", "api": "openai-responses", "model": "gpt"}
IMAGE = ImageContent("aGk=", "image/png")
TEXT = TextContent


def said(*content, origin=FOREIGN, **fields):
    return AssistantMessage(content, **origin, timestamp=fields.pop("timestamp", 2), **fields)


def asked(*ids, origin=FOREIGN, **fields):
    return said(*(ToolCall(call_id, f"tool_{call_id}", {}) for call_id in ids), origin=origin, **fields)


def result(call_id, text="done", **fields):
    return ToolResultMessage(call_id, "tool", [TEXT(text)], timestamp=3, **fields)


def user(content="hi"):
    return UserMessage(content, timestamp=1)


def handed(*transcript, model=SEEING, normalize=None, **options):
    return transform_messages(transcript, model, normalize, **options)


def answers(transcript):
    """What each call was answered, in the order of the transcript."""
    return [(m.tool_call_id, m.text) for m in transcript if isinstance(m, ToolResultMessage)]


# Images


def test_images_become_one_line_for_a_model_that_cannot_see():
    """A run of images of a user becomes one placeholder between the texts."""
    [message] = handed(user([TEXT("before"), IMAGE, IMAGE, TEXT("after")]), model=BLIND)
    assert message.content == (TEXT("before"), TEXT(USER_IMAGE), TEXT("after"))


def test_images_of_tools_have_a_placeholder_of_their_own():
    """A run of images of a tool becomes the tool placeholder, once."""
    answer = ToolResultMessage("a", "tool", [TEXT("before"), IMAGE, IMAGE, TEXT("after")])
    *_, message = handed(asked("a"), answer, model=BLIND)
    assert message.content == (TEXT("before"), TEXT(TOOL_IMAGE), TEXT("after"))


def test_a_model_that_sees_keeps_images():
    """Image input leaves messages as they are."""
    message = user([TEXT("look"), IMAGE])
    assert handed(message) == [message]


def test_an_image_after_its_placeholder_adds_nothing():
    """A text that equals the placeholder stands for the image behind it, but not for the one before it."""
    [message] = handed(user([TEXT(USER_IMAGE), IMAGE, IMAGE]), model=BLIND)
    assert message.content == (TEXT(USER_IMAGE),)
    [message] = handed(user([IMAGE, TEXT(USER_IMAGE)]), model=BLIND)
    assert message.content == (TEXT(USER_IMAGE), TEXT(USER_IMAGE))


def test_a_model_that_declares_no_input_gets_no_images():
    """Nothing declared means text only; strings pass."""
    undeclared = Model(id="target", provider="anthropic", api="anthropic-messages")
    assert handed(user([IMAGE]), user("plain"), model=undeclared) == [user([TEXT(USER_IMAGE)]), user("plain")]


# Blocks


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("tagged", (TEXT("<thinking>\n hm\n</thinking>"), TEXT("yes"))),
        ("plain", (TEXT(" hm\n\n"), TEXT("yes"))),
        ("drop", (TEXT("yes"),)),
    ],
)
def test_foreign_thinking_becomes_text(how, expected):
    """Another model's thinking is told as text in tags, as it is, or not; no signature is left."""
    reply = said(ThinkingContent(" hm", "signed"), TEXT("yes", "signed"))
    [message] = handed(reply, foreign_thinking=how)
    assert message.content == expected


def test_plain_thinking_stands_apart_from_the_text_behind_it():
    """A blank line ends it if another text follows, thought or said; nothing is added before silence or calls."""
    call = ToolCall("a", "go", {})
    thoughts = (ThinkingContent("one"), ThinkingContent("two"))
    message, *_ = handed(said(*thoughts, call, TEXT("yes"), TEXT(" ")), foreign_thinking="plain")
    assert message.content == (TEXT("one\n\n"), TEXT("two\n\n"), call, TEXT("yes"), TEXT(" "))
    silent = (TEXT(" "), ThinkingContent(""), ThinkingContent("x", redacted=True))
    message, *_ = handed(said(*thoughts, *silent, call), foreign_thinking="plain")
    assert message.content == (TEXT("one\n\n"), TEXT("two"), TEXT(" "), call)


def test_foreign_thinking_that_says_nothing_is_dropped():
    """Blank and redacted thinking of another model leaves no block, in whatever form it would be told."""
    reply = said(
        ThinkingContent(""), ThinkingContent(" \n", "signed"), ThinkingContent("x", "signed", redacted=True)
    )
    for how in ("tagged", "plain", "drop"):
        [message] = handed(reply, foreign_thinking=how)
        assert message.content == ()


def test_an_unknown_form_of_foreign_thinking_is_refused():
    """A word that means nothing is an error of the caller."""
    with pytest.raises(
        InvalidOptionError, match="foreign_thinking must be tagged, plain or drop, not 'tags'"
    ):
        handed(foreign_thinking="tags")


def test_a_models_own_reply_is_left_alone():
    """Signatures, empty texts, long ids and provider items go back to the model that wrote them."""
    reply = said(
        ThinkingContent("", ""),
        ThinkingContent("", "signed", redacted=True),
        ThinkingContent("", redacted=True),
        ThinkingContent("hm"),
        TEXT("", "signed"),
        ToolCall("x" * 99 + "|é", "go", {}, "signed"),
        origin=OWN,
        provider_items=[{"index": 1, "item": {}}],
    )
    assert handed(reply, normalize=normalize_anthropic_id)[0] is reply


@pytest.mark.parametrize("field", ["provider", "api", "model"])
def test_a_reply_is_a_models_own_only_if_all_three_names_agree(field):
    """A different provider, API or id makes a reply foreign; the model that answered in its place does not."""
    reply = said(TEXT("hi", "signed"), origin={**OWN, field: "other"})
    assert handed(reply)[0].content == (TEXT("hi"),)
    own = said(TEXT("hi", "signed"), origin=OWN, response_model="other")
    assert handed(own) == [own]


def test_own_blank_thinking_goes_and_provider_items_stay_in_place():
    """Dropping a block moves the provider items behind it; those that name no place are left alone."""
    items = [{"index": i, "item": i} for i in range(6)] + [{"index": "2"}, "odd"]
    reply = said(
        ThinkingContent(" "), TEXT("a"), ThinkingContent(""), TEXT("b"), origin=OWN, provider_items=items
    )
    [message] = handed(reply)
    assert message.content == (TEXT("a"), TEXT("b"))
    assert [item["index"] for item in message.provider_items[:6]] == [0, 0, 1, 1, 2, 3]
    assert message.provider_items[6:] == ({"index": "2"}, "odd")


def test_provider_items_go_to_no_other_model():
    """Another model never sees the raw items of a provider."""
    [message] = handed(said(TEXT("hi"), provider_items=[{"index": 0, "item": {"type": "web_search_call"}}]))
    assert message.provider_items == ()


def test_a_reply_with_nothing_left_stays():
    """A reply whose blocks all went is still a turn."""
    assert handed(said(ThinkingContent("")), user()) == [said(), user()]


# Calls


def test_a_foreign_call_loses_its_signature():
    """The thought signature of a foreign call goes, its id stays where it fits."""
    [message, _] = handed(
        said(ToolCall("call_123", "go", {"a": 1}, "signed")), normalize=normalize_anthropic_id
    )
    assert message.content == (ToolCall("call_123", "go", {"a": 1}),)


def test_an_unanswered_last_call_gets_an_error_result():
    """A trailing call is answered by a made-up error with its normalised id, its name, and the time of its reply."""
    _, made_up = handed(asked("call_123|fc_123"), normalize=normalize_anthropic_id)
    assert made_up == ToolResultMessage(
        "call_123_fc_123", "tool_call_123|fc_123", [TEXT(NO_RESULT)], is_error=True, timestamp=2
    )


def test_only_missing_results_are_made_up():
    """Of two trailing calls, the answered one keeps its result."""
    assert answers(handed(asked("a", "b"), result("a"))) == [("a", "done"), ("b", NO_RESULT)]


def test_a_made_up_result_stands_before_the_next_message():
    """An unanswered call is answered before the user speaks again."""
    assert [m.role for m in handed(user(), asked("a"), user())] == ["user", "assistant", "toolResult", "user"]


def test_failed_replies_are_left_out_with_their_results():
    """Aborted and errored replies go, and so does whatever answered their calls."""
    aborted = said(ThinkingContent("hm"), ToolCall("a", "go", {}), stop_reason=StopReason.Aborted)
    assert handed(user(), aborted, user()) == [user(), user()]
    errored = asked("a", stop_reason=StopReason.Error)
    assert handed(user(), errored, result("a"), user()) == [user(), user()]


def test_a_failed_reply_keeps_its_results_from_older_calls_of_the_same_id():
    """A result after an aborted reply belongs to that reply, although an older call of its id is open."""
    aborted = asked("a", stop_reason=StopReason.Aborted)
    assert answers(handed(asked("a", origin=OWN), aborted, result("a"))) == [("a", NO_RESULT)]


def test_a_late_result_replaces_the_made_up_one():
    """A genuine result that comes after other messages is put behind its reply."""
    later = said(TEXT("well"))
    transcript = handed(asked("a", "b"), result("b"), user(), later, result("a"))
    assert answers(transcript) == [("a", "done"), ("b", "done")]
    assert [m.role for m in transcript] == ["assistant", "toolResult", "toolResult", "user", "assistant"]


def test_a_late_result_replaces_a_made_up_one_that_was_kept():
    """A transcript that already went through a handoff takes the genuine result all the same."""
    kept = handed(asked("a"), user())
    assert answers(handed(*kept, result("a"))) == [("a", "done")]


def test_results_come_in_the_order_of_the_calls():
    """Results are sorted by the calls that they answer."""
    assert answers(handed(asked("a", "b"), result("b"), result("a"))) == [("a", "done"), ("b", "done")]


def test_a_second_result_is_left_out():
    """The first genuine result of a call holds."""
    assert answers(handed(asked("a"), result("a", "one"), result("a", "two"))) == [("a", "one")]


def test_a_second_made_up_result_is_left_out():
    """Of made-up results in a transcript the first one holds until a genuine one comes."""
    first, second = (result("a", NO_RESULT, is_error=True, details=n) for n in (1, 2))
    assert handed(asked("a"), first, second)[1:] == [first]


def test_results_without_a_call_are_left_out():
    """A result that answers nothing, or stands before its call, goes."""
    assert handed(result("x"), user()) == [user()]
    assert answers(handed(result("a"), asked("a"))) == [("a", NO_RESULT)]


@pytest.mark.parametrize("origin", [OWN, FOREIGN])
def test_calls_that_share_an_id_in_one_reply_get_their_own_results(origin):
    """Results of equal ids answer the calls in order, and the calls are told apart, whoever made them."""
    two = (result("a", "one"), result("a", "two"))
    reply, *results = handed(asked("a", "a", origin=origin), *two)
    distinct = f"call_{short_hash('1|a')}"
    assert [call.id for call in reply.tool_calls] == ["a", distinct]
    assert answers(results) == [("a", "one"), (distinct, "two")]


def test_ids_used_again_in_later_replies_answer_the_latest():
    """A server that counts its calls from 0 in each reply gets each result where it belongs."""
    turns = [m for n in "xyz" for m in (asked("call_0"), result("call_0", n), user())]
    transcript = handed(*turns, normalize=normalize_anthropic_id)
    assert [text for _, text in answers(transcript)] == ["x", "y", "z"]
    assert len({call_id for call_id, _ in answers(transcript)}) == 3


@pytest.mark.parametrize(
    ("normalize", "provider", "ids"),
    [
        (normalize_anthropic_id, "anthropic", ("call.1", "call:1", "call|1")),
        (normalize_anthropic_id, "anthropic", ("x" * 64 + "1", "x" * 64 + "2")),
        (normalize_anthropic_id, "anthropic", ("",)),
        (normalize_completions_id, "openai", ("x" * 40 + "1", "x" * 40 + "2")),
        (normalize_responses_id, "openai", ("c.1|fc_1", "c:1|fc_2", "___|fc_3", "|fc_4")),
    ],
)
def test_ids_that_become_alike_stay_distinct(normalize, provider, ids):
    """Foreign ids that a target's form makes equal, or empty, are replaced by ids that it accepts."""
    model = Model(id="target", provider=provider, api="some-api")
    reply, *results = handed(asked(*ids), *map(result, ids, ids), model=model, normalize=normalize)
    wire = [call.id.partition("|")[0] for call in reply.tool_calls]
    assert all(wire)
    assert len(set(wire)) == len(ids)
    assert answers(results) == [*zip((call.id for call in reply.tool_calls), ids, strict=True)]


def test_a_foreign_id_does_not_take_that_of_an_own_call():
    """An id that the model itself used before is not given to a foreign call."""
    own, _, foreign, _ = handed(asked("a_1", origin=OWN), asked("a.1"), normalize=normalize_anthropic_id)
    assert own.tool_calls[0].id == "a_1"
    assert foreign.tool_calls[0].id == f"call_{short_hash('1|a.1')}"


def test_an_own_id_is_replaced_only_if_it_is_empty_or_taken():
    """The first of equal ids stays, replacements have no item id, and results follow their calls."""
    own = asked("", "b|fc_1", "b|fc_2", "|fc_3", "c|fc_4", origin=OWN)
    ids = [call.id for call in own.tool_calls]
    _, _, reply, *results = handed(asked("c"), result("c"), own, *map(result, ids, ids))
    sent = [call.id for call in reply.tool_calls]
    assert sent[1] == "b|fc_1"
    made = [(0, ""), (2, "b|fc_2"), (3, "|fc_3"), (4, "c|fc_4")]
    assert all(sent[place] == f"call_{short_hash(f'1|{call_id}')}" for place, call_id in made)
    assert answers(results) == [*zip(sent, ids, strict=True)]


def test_the_normalizer_is_told_the_target_and_the_source():
    """The id function gets the id, the target model and the reply; own and failed replies are not asked about."""
    seen = []

    def normalize(call_id, model, source):
        seen.append((call_id, model, source))
        return "n"

    foreign = asked("a")
    handed(foreign, asked("b", origin=OWN), asked("c", stop_reason=StopReason.Error), normalize=normalize)
    assert seen == [("a", SEEING, foreign)]


def test_custom_messages_vanish_without_a_trace():
    """An application's messages do not come between a call and its result."""
    note = CustomMessage("note", text="x")
    assert handed(note, asked("a"), note, result("a")) == handed(asked("a"), result("a"))


# What always holds

NORMALIZERS = st.sampled_from((None, normalize_anthropic_id, normalize_completions_id))
EVERY_NORMALIZER = NORMALIZERS | st.just(normalize_responses_id)
FOREIGN_THINKING = st.sampled_from(("tagged", "plain", "drop"))


@given(transcripts(), models(), EVERY_NORMALIZER, FOREIGN_THINKING)
def test_every_call_has_exactly_one_result_right_behind_its_reply(transcript, model, normalize, how):
    """Results stand behind their reply, one for each call, in order; no others are left."""
    out = iter(transform_messages(transcript, model, normalize, foreign_thinking=how))
    for message in out:
        assert not isinstance(message, ToolResultMessage)
        if isinstance(message, AssistantMessage):
            results = list(itertools.islice(out, len(message.tool_calls)))
            assert [call.id for call in message.tool_calls] == [m.tool_call_id for m in results]


@given(transcripts(), models(), EVERY_NORMALIZER, FOREIGN_THINKING)
def test_nothing_of_another_model_is_left(transcript, model, normalize, how):
    """No failed reply, no custom message, and in foreign replies no signature, thinking or provider item."""
    out = transform_messages(transcript, model, normalize, foreign_thinking=how)
    ids = set()
    for message in out:
        assert isinstance(message, UserMessage | AssistantMessage | ToolResultMessage)
        if isinstance(message, AssistantMessage):
            assert not message.failed
            if not same_model(message, model):
                assert message.provider_items == ()
                check_foreign_blocks(message.content)
            wire_ids = [call.id.partition("|")[0] for call in message.tool_calls]
            assert all(wire_ids)
            assert len({*wire_ids, *ids}) == len(wire_ids) + len(ids)
            ids.update(wire_ids)
        elif "image" not in model.input and not isinstance(message.content, str):
            assert not any(isinstance(block, ImageContent) for block in message.content)


def check_foreign_blocks(content):
    for block in content:
        assert isinstance(block, TextContent | ToolCall)
        signature = block.text_signature if isinstance(block, TextContent) else block.thought_signature
        assert signature is None


@given(transcripts(), models(), NORMALIZERS, FOREIGN_THINKING)
def test_a_second_handoff_changes_nothing(transcript, model, normalize, how):
    """What is fit for a model stays as it is, for every API that does not hash ids."""
    once = transform_messages(transcript, model, normalize, foreign_thinking=how)
    assert transform_messages(once, model, normalize, foreign_thinking=how) == once


@given(transcripts(), models(), models(), EVERY_NORMALIZER, EVERY_NORMALIZER)
def test_a_handoff_of_a_handoff_is_sound(transcript, first, second, normalize_first, normalize_second):
    """Through one model's form into another's, all calls still have their genuine results."""
    direct = transform_messages(transcript, second, normalize_second)
    detour = transform_messages(
        transform_messages(transcript, first, normalize_first), second, normalize_second
    )
    assert [m.role for m in detour] == [m.role for m in direct]
    results = [(m.tool_name, m.details) for m in direct if isinstance(m, ToolResultMessage)]
    assert [(m.tool_name, m.details) for m in detour if isinstance(m, ToolResultMessage)] == results


def is_made_up(message):
    return isinstance(message, ToolResultMessage) and message.is_error and message.text == NO_RESULT


@given(transcripts(), messages(), models(), EVERY_NORMALIZER, FOREIGN_THINKING)
def test_a_longer_transcript_begins_with_the_same_messages(transcript, added, model, normalize, how):
    """One more message changes nothing before it, but for the made-up result of a call that it answers."""
    before = transform_messages(transcript, model, normalize, foreign_thinking=how)
    after = transform_messages([*transcript, added], model, normalize, foreign_thinking=how)
    changed = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
    if not isinstance(added, ToolResultMessage):
        assert not changed
        assert len(after) >= len(before)
    else:
        assert len(after) == len(before)
        assert len(changed) <= 1
        assert all(is_made_up(old) and new.details == added.details for old, new in changed)


@given(transcripts(), models(), EVERY_NORMALIZER)
def test_a_late_result_reaches_its_call(transcript, model, normalize):
    """For each call id that is open, one more result takes the place of exactly one made-up result."""
    before = transform_messages(transcript, model, normalize)
    results = [m for m in transcript if isinstance(m, ToolResultMessage)]
    failed = [m for m in transcript if isinstance(m, AssistantMessage) and m.failed]
    closed = {call.id for m in failed for call in m.tool_calls} | {m.tool_call_id for m in results}
    replies = [m for m in transcript if isinstance(m, AssistantMessage)]
    for call_id in {call.id for m in replies for call in m.tool_calls} - closed:
        after = transform_messages([*transcript, result(call_id, "late")], model, normalize)
        [(old, new)] = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert is_made_up(old)
        assert new.text == "late"


@given(transcripts(), models(), EVERY_NORMALIZER)
def test_the_input_stays_as_it_is(transcript, model, normalize):
    """The transcript and its messages are not changed, and the same input gives the same output."""
    copies = [message.model_copy(deep=True) for message in transcript]
    out = transform_messages(transcript, model, normalize)
    assert transcript == copies
    assert transform_messages(copies, model, normalize) == out
