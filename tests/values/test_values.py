import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from runtime.errors import ToolDefinitionError
from runtime.testing.strategies import json_values, texts, texts_with_lone_surrogates, tools
from runtime.values.content import ImageContent, TextContent, ThinkingContent, ToolCall
from runtime.values.context import Context
from runtime.values.embeddings import Embedding, EmbeddingBatch, EmbeddingUsage
from runtime.values.images import AssistantImages, ImagesContext, ImagesStopReason
from runtime.values.message import AssistantMessage, CustomMessage, ToolResultMessage, UserMessage
from runtime.values.model import Model, ModelRef
from runtime.values.redaction import Redactor
from runtime.values.secret import Secret, secret_header_values
from runtime.values.text import clean_json, clean_text, compact_json, parse_json, pretty_json, utf16_units
from runtime.values.tool import GrammarSampling, GrammarVariants, JsonSchemaSampling, Tool
from runtime.values.usage import Usage


def dumped(value):
    return json.loads(value.model_dump_json())


# Constructors

BOTH_SPELLINGS = [
    (TextContent, {"text": "t", "text_signature": "s"}, {"text": "t", "textSignature": "s"}),
    (ImageContent, {"data": "d", "mime_type": "m"}, {"data": "d", "mimeType": "m"}),
    (ToolResultMessage, {"tool_call_id": "c", "tool_name": "n", "timestamp": 1}, {"toolCallId": "c", "toolName": "n", "timestamp": 1}),
    (Usage, {"cache_write_1h": 1, "total_tokens": 2}, {"cacheWrite1h": 1, "totalTokens": 2}),
    (Model, {"id": "i", "context_window": 1}, {"id": "i", "contextWindow": 1}),
    (Context, {"system_prompt": "s"}, {"systemPrompt": "s"}),
    (ModelRef, {"provider_id": "p", "api_id": "a", "id": "i"}, {"providerId": "p", "apiId": "a", "id": "i"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "snake", "camel"), BOTH_SPELLINGS)
def test_constructors_take_both_spellings(kind, snake, camel):
    """Python's names and the JSON's names make the same value."""
    assert kind(**snake) == kind(**camel)
    assert all(getattr(kind(**camel), name) == value for name, value in snake.items())


@pytest.mark.parametrize(
    ("positional", "named"),
    [
        (TextContent("t", "s"), TextContent(text="t", text_signature="s")),
        (
            ThinkingContent("t", "s", True),
            ThinkingContent(thinking="t", thinking_signature="s", redacted=True),
        ),
        (ImageContent("d", "m"), ImageContent(data="d", mime_type="m")),
        (ToolCall("c", "n", {}, "s"), ToolCall(id="c", name="n", arguments={}, thought_signature="s")),
        (UserMessage("hi", 1), UserMessage(content="hi", timestamp=1)),
        (
            AssistantMessage([TextContent("t")], "a", "p", "m", timestamp=1),
            AssistantMessage(content=[TextContent("t")], api="a", provider="p", model="m", timestamp=1),
        ),
        (
            ToolResultMessage("c", "n", [], timestamp=1),
            ToolResultMessage(tool_call_id="c", tool_name="n", timestamp=1),
        ),
        (CustomMessage("note", x=1), CustomMessage(role="note", x=1)),
        (Context("s", []), Context(system_prompt="s", messages=[])),
        (Tool("n", "d", {}), Tool(name="n", description="d", parameters={})),
        (Model("i", "n", "a", "p", "u"), Model(id="i", name="n", api="a", provider="p", base_url="u")),
    ],
)
def test_constructors_take_positional_arguments(positional, named):
    """Positional arguments come in the order of the fields, without ``type`` and ``role``."""
    assert positional == named


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (
            lambda: TextContent("a", "b", "c"),
            r"TextContent\(\) takes at most 2 positional arguments, 3 given",
        ),
        (lambda: TextContent("a", text="b"), r"TextContent\(\) got two values for text"),
        (lambda: ImageContent("a", "b", mimeType="c"), r"ImageContent\(\) got two values for mime_type"),
    ],
)
def test_too_many_arguments_are_a_type_error(make, error):
    """Constructors complain about arguments as Python functions do."""
    with pytest.raises(TypeError, match=error):
        make()


def test_a_missing_argument_is_a_validation_error():
    """What a value cannot be without is asked for by its JSON name."""
    with pytest.raises(ValidationError, match="mimeType"):
        ImageContent("data")


# Frozen, compared by value, hashable

FROZEN = [
    TextContent("t"),
    ThinkingContent("t"),
    ImageContent("d", "m"),
    UserMessage("hi", 1),
    UserMessage([TextContent("hi"), ImageContent("d", "m")], 1),
    AssistantMessage([TextContent("t"), ThinkingContent("t")], timestamp=1),
    ToolResultMessage("c", "n", [TextContent("t")], added_tool_names=["x"], timestamp=1),
    Usage(),
    ModelRef("p", "a", "i"),
]


@pytest.mark.parametrize("value", FROZEN, ids=lambda value: type(value).__name__)
def test_values_are_frozen_and_hashable(value):
    """Attributes cannot be set, equal values have equal hashes, and lists became tuples."""
    name = next(iter(type(value).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, name, getattr(value, name))
    copied = value.model_copy(deep=True)
    assert copied == value
    assert {value: 1}[copied] == 1


def test_values_with_free_json_are_frozen_too():
    """A dict inside makes a value unhashable, not changeable."""
    call = ToolCall("c", "n", {"a": 1})
    with pytest.raises(ValidationError, match="frozen"):
        call.arguments = {}
    with pytest.raises(TypeError, match="unhashable"):
        hash(call)


def test_a_context_is_the_one_mutable_value():
    """Fields of a context can be set, and its messages grow."""
    context = Context()
    context.system_prompt = "s"
    context.messages.append(UserMessage("hi", 1))
    assert context == Context("s", [UserMessage("hi", 1)])
    with pytest.raises(TypeError, match="unhashable"):
        hash(context)


def test_two_contexts_share_nothing():
    """Each context has its own lists, also those it was made from."""
    given: list = [UserMessage("hi")]
    one, other, empty = Context(messages=given), Context(messages=given), Context()
    one.messages.append(UserMessage("more"))
    assert (len(given), len(other.messages), len(empty.messages), Context().messages) == (1, 1, 0, [])


def test_types_are_told_apart():
    """Values of different types are not equal, even with the same fields."""
    assert TextContent("x") != ThinkingContent("x")
    assert CustomMessage("note") != CustomMessage("memo")


# Repr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (TextContent("t"), "TextContent(text='t')"),
        (ToolCall("c", "n", {"a": 1}), "ToolCall(id='c', name='n', arguments={'a': 1})"),
        (UserMessage("hi", 1), "UserMessage(content='hi', timestamp=1)"),
        (CustomMessage("note", x=1), "CustomMessage(role='note', x=1)"),
        (Usage(input=1), "Usage(input=1)"),
    ],
)
def test_the_repr_shows_what_was_set(value, text):
    """Defaults are left out of the repr."""
    assert repr(value) == text


def test_the_repr_of_an_image_is_short():
    """Megabytes of base64 are counted, not shown."""
    assert (
        repr(ImageContent("A" * 5000, "image/png"))
        == "ImageContent(mime_type='image/png', 5000 base64 characters)"
    )


# Tools


def test_a_tool_keeps_its_schema_and_is_trimmed():
    """Name and description are stored trimmed, the schema as it is."""
    schema = {"type": "object", "properties": {"b": {}, "a": {}}, "$defs": {}}
    tool = Tool.define(" n ", " d\n", schema)
    assert (tool.name, tool.description, tool.parameters) == ("n", "d", schema)
    assert [*tool.parameters["properties"]] == ["b", "a"]


def test_a_tool_without_parameters_takes_an_empty_object():
    """No parameters means an object without properties."""
    assert Tool.define("n", "d").parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", "d"), "tool name must not be empty"),
        ((" \n", None), "tool name must not be empty"),
        (("n", None), "tool description must not be empty"),
        (("n", " "), "tool description must not be empty"),
        (("n", "d", "string"), "tool parameters must be a JSON object"),
        (("n", "d", []), "tool parameters must be a JSON object"),
    ],
)
def test_a_tool_that_cannot_work_is_refused(arguments, error):
    """An empty name or description, or parameters that are no object, raise where the tool is defined."""
    with pytest.raises(ToolDefinitionError, match=error):
        Tool.define(*arguments)


@pytest.mark.parametrize(
    ("sampling", "written"),
    [
        (False, False),
        (JsonSchemaSampling("prefer"), {"type": "json_schema", "strict": "prefer"}),
        (JsonSchemaSampling("require"), {"type": "json_schema", "strict": "require"}),
        (GrammarSampling(GrammarVariants(openai_lark="start: x")), {"type": "grammar", "variants": {"openai_lark": "start: x"}}),
        (GrammarSampling(GrammarVariants("x", "y")), {"type": "grammar", "variants": {"openai_lark": "x", "openai_regex": "y"}}),
    ],
)  # fmt: skip
def test_constrained_sampling_round_trips(sampling, written):
    """An opt-out is false, the two kinds are objects, and absent variants stay absent."""
    tool = Tool.define("n", "d", constrained_sampling=sampling)
    assert dumped(tool)["constrainedSampling"] == written
    assert Tool.model_validate_json(tool.model_dump_json()) == tool


@pytest.mark.parametrize(
    "sampling", [True, 0, "json_schema", {"type": "json_schema"}, {"type": "other"}, {"type": "grammar"}]
)
def test_other_constrained_sampling_is_refused(sampling):
    """True is no constrained sampling, a schema needs its strictness, a grammar its variants."""
    with pytest.raises(ValidationError):
        Tool.model_validate(
            {"name": "n", "description": "d", "parameters": {}, "constrainedSampling": sampling}
        )


@pytest.mark.parametrize("key", ["name", "description", "parameters"])
def test_a_tool_in_json_has_three_keys(key):
    """The first three keys are needed; null parameters and null sampling are read."""
    data = {"name": "n", "description": "d", "parameters": None, "constrainedSampling": None}
    assert dumped(Tool.model_validate(data)) == {"name": "n", "description": "d", "parameters": None}
    del data[key]
    with pytest.raises(ValidationError, match=key):
        Tool.model_validate(data)


@given(tools())
def test_any_tool_comes_back_from_json(tool):
    """Writing and reading a tool gives an equal one."""
    assert Tool.model_validate_json(tool.model_dump_json()) == tool


# Images and embeddings


def test_images_contexts_are_always_written():
    """The input of an image model is a list, also when it is empty."""
    assert dumped(ImagesContext()) == {"input": []}
    context = ImagesContext([TextContent("a cat"), ImageContent("aGk=", "image/png")])
    assert ImagesContext.model_validate_json(context.model_dump_json()) == context
    assert ImagesContext.model_validate_json("{}") == ImagesContext()


def test_the_answer_of_an_image_model_has_no_role():
    """Optional keys are absent, and the answer reads back equal."""
    images = AssistantImages("a", "p", "m", output=[ImageContent("aGk=", "image/png")], timestamp=1)
    assert [*dumped(images)] == ["api", "provider", "model", "output", "usage", "stopReason", "timestamp"]
    assert AssistantImages.model_validate_json(images.model_dump_json()) == images
    assert [reason.value for reason in ImagesStopReason] == ["stop", "error", "aborted"]


def test_embeddings_are_numbers_or_base64():
    """Vectors become tuples of floats, base64 stays text, and usage keys are those of the API."""
    one = Embedding([1, 0.5], "m", EmbeddingUsage(3, 4))
    assert one.embedding == (1.0, 0.5)
    assert dumped(one)["usage"] == {"prompt_tokens": 3, "total_tokens": 4}
    batch = EmbeddingBatch([[1.0], "AACAPw=="], "m")
    assert batch.embeddings == ((1.0,), "AACAPw==")
    assert EmbeddingBatch.model_validate_json(batch.model_dump_json()) == batch
    with pytest.raises(ValidationError):
        Embedding([float("nan")], "m")


# Text and JSON


@given(texts())
def test_good_text_is_not_copied(text):
    """Text that can be encoded is returned as it is."""
    assert clean_text(text) is text


@given(texts_with_lone_surrogates())
def test_clean_text_can_be_encoded(text):
    """Whatever comes in, what comes out is UTF-8, and cleaning it again changes nothing."""
    clean = clean_text(text)
    clean.encode()
    assert clean_text(clean) == clean


def test_split_pairs_are_joined_and_halves_dropped():
    """A high and a low half next to each other are the character that they stand for."""
    assert clean_text("a\ud83d\ude00b") == "a😀b"
    assert clean_text("\ude00a\ud83d") == "a"


@given(json_values())
def test_json_goes_through_text(value):
    """Compact and pretty text parse to what was written, and a clean copy is equal."""
    assert parse_json(compact_json(value)) == value
    assert parse_json(pretty_json(value)) == value
    assert clean_json(value) == value


def test_json_texts_have_their_forms():
    """Compact JSON has no spaces, pretty JSON two of indent, and both leave letters as they are."""
    assert compact_json({"b": "é😀", "a": [1, None]}) == '{"b":"é😀","a":[1,null]}'
    assert pretty_json({"b": "é"}) == '{\n  "b": "é"\n}'


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", '{"a":-Infinity}', "1e400", "[1,]", "", "\ufeff1", '"\\ud83d"', "{'a':1}", '"\n"'],
)
def test_what_is_no_json_is_not_parsed(text):
    """The strict parser refuses constants, overflows, lone surrogates and everything that RFC 8259 does."""
    with pytest.raises(ValueError):
        parse_json(text)


@given(texts() | texts_with_lone_surrogates())
def test_utf16_units_are_what_javascript_counts(text):
    """The length is that of the UTF-16 encoding, in units."""
    assert utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


# Secrets


def test_a_secret_is_a_string_that_does_not_show():
    """A secret formats and compares as its text, and reprs as stars, nested or not."""
    secret = Secret("hunter2")
    assert (secret == "hunter2", f"Bearer {secret}") == (True, "Bearer hunter2")
    assert repr(secret) == "'***'"
    assert repr({"key": [secret]}) == "{'key': ['***']}"


@pytest.mark.parametrize(("given", "kept"), [(None, None), ("", None), (" \n", None), (" key ", "key")])
def test_keys_are_trimmed(given, kept):
    """A key of spaces is none."""
    assert Secret.or_none(given) == kept


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=6, max_size=40), texts(), texts()
)
def test_a_known_secret_never_stays_in_a_text(secret, before, after):
    """Whatever surrounds it, a known credential is taken out, with and without its Bearer."""
    redact = Redactor([f"Bearer {secret}", None])
    redacted = redact(f"{before}\n{secret}\n{after} Bearer {secret}")
    assert secret not in redacted.replace(before, "").replace(after, "")
    assert secret not in repr(redact)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer sk-unknown-123",
        '{"api_key":"sk-unknown-123"}',
        "x-api-key = sk-unknown-123",
        "access_token=sk-unknown-123&x=1",
        'Authorization = "token sk-unknown-123"',
        "we got bearer sk-unknown-123, which is wrong",
        r'{"raw":"{\"api_key\":\"sk-unknown-123\"}"}',
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text):
    """Credentials that nobody told us of are recognised by what stands before them."""
    assert "sk-unknown-123" not in Redactor([])(text)


@pytest.mark.parametrize(
    "text", ["model token limit: 4096", "Bearer authentication", "api_key: none", "a token exceeded"]
)
def test_ordinary_words_are_left_in_a_text(text):
    """An error that speaks of tokens and keys stays readable."""
    assert Redactor([])(text) == text


def test_well_known_headers_are_no_secrets():
    """Only values of headers that may hold credentials are redacted elsewhere."""
    headers = {
        "Content-Type": "application/json",
        "x-mine": "v",
        "authorization": "Bearer t",
        "x-gone": None,
        "x-empty": "",
    }
    assert secret_header_values(headers) == ["v", "Bearer t"]


def test_values_fit_into_other_models():
    """Values are fields of an application's own pydantic models."""

    class Session(BaseModel):
        context: Context
        ref: ModelRef

    session = Session(context=Context("s", [UserMessage("hi", 1)]), ref=ModelRef("p", "a", "i"))
    assert Session.model_validate_json(session.model_dump_json()) == session
    assert json.loads(session.model_dump_json())["ref"] == {"providerId": "p", "apiId": "a", "id": "i"}
