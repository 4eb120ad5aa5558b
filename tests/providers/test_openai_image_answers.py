"""Answers of OpenAI's image API: what is read out of them, and what is none."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import openai
from providers.images import ImagesAnswer
from providers.openai.image_answer import read_images
from runtime.errors import ProviderError
from runtime.values.content import ImageContent, TextContent
from runtime.values.model import ModelCost
from runtime.values.usage import Usage
from tests.providers.images_lab import JPEG, JSON, PNG, openai_answer, text_of

MODEL = openai.images("k").model("m", cost=ModelCost(input=1, output=2))
ITEMS = st.lists(
    st.fixed_dictionaries(
        {}, optional={name: st.text() | JSON for name in ("b64_json", "revised_prompt", "url")}
    )
    | JSON,
    max_size=4,
)


def read(answer, **sent) -> ImagesAnswer:
    return read_images(MODEL, sent, answer)


def test_items_come_in_their_order():
    """Each image behind the prompt that was made of yours."""
    answer = openai_answer(
        {"b64_json": "MQ==", "revised_prompt": "one"}, {"b64_json": "Mg=="}, {"revised_prompt": "3"}
    )
    assert read(answer).output == (
        TextContent(text="one"), ImageContent("MQ==", "image/png"), ImageContent("Mg==", "image/png"), TextContent(text="3")
    )  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": [{"url": "https://h/fox.png"}]},
        {"data": [{"b64_json": "", "revised_prompt": ""}, {"b64_json": None, "revised_prompt": None}, {}]},
        {"error": None, "id": None, "usage": None},
    ],
)
def test_what_holds_no_image_is_an_empty_answer(answer):
    """Links are not followed."""
    assert read(answer) == ImagesAnswer((), Usage(), None)


@pytest.mark.parametrize(
    ("asked", "told", "data", "mime_type"),
    [
        ("jpeg", None, PNG, "image/jpeg"),
        ("image/webp", None, b"x", "image/webp"),
        ("", "webp", b"x", "image/webp"),
        (5, None, b"x", "image/png"),
        (None, None, b"x", "image/png"),
        (None, None, JPEG, "image/jpeg"),
        (None, "gif", JPEG, "image/gif"),
        ("png", "gif", JPEG, "image/png"),
        ("svg", None, b"<svg/>", "image/svg+xml"),
    ],
)
def test_the_type_is_what_was_asked_for(asked, told, data, mime_type):
    """Else what the answer says, else what the bytes say, else PNG."""
    answer = openai_answer(data, **({} if told is None else {"output_format": told}))
    sent = {} if asked is None else {"output_format": asked}
    assert read(answer, **sent).output == (ImageContent(text_of(data), mime_type),)


@pytest.mark.parametrize(
    ("usage", "read_", "written", "total"),
    [
        ({"input_tokens": 11, "output_tokens": 7, "total_tokens": 20}, 11, 7, 20),
        ({"prompt_tokens": 5, "output_tokens": 7}, 5, 7, 12),
        ({"input_tokens": 0, "prompt_tokens": 5}, 0, 0, 0),
        ({"input_tokens": "many", "output_tokens": -1, "total_tokens": None}, 0, 0, 0),
        ({"input_tokens": 3.0, "output_tokens": 1e400}, 3, 0, 3),
        ([], 0, 0, 0),
    ],
)
def test_usage_is_what_is_told(usage, read_, written, total):
    """What is no count is none; the cost follows from the counts."""
    found = read(openai_answer(usage=usage)).usage
    assert (found.input, found.output, found.total_tokens) == (read_, written, total)
    assert found.cost.total == pytest.approx((read_ + 2 * written) / 1e6)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "the answer must be an object, not null"),
        ([], "the answer must be an object, not a list"),
        ({"data": None}, "data must be a list, not null"),
        ({"data": {}}, "data must be a list, not an object"),
        ({"data": [{}, "x"]}, r"data\[1\] must be an object, not a string"),
        ({"data": [{"b64_json": 5}]}, r"data\[0\].b64_json must be a string, not a number"),
        ({"data": [{"revised_prompt": []}]}, r"data\[0\].revised_prompt must be a string, not a list"),
        ({"id": 5}, "id must be a string, not a number"),
    ],
)
def test_what_is_of_a_wrong_shape_is_no_answer(answer, says):
    """The place is named."""
    with pytest.raises(ValueError, match=f"^{says}$"):
        read(answer)


@pytest.mark.parametrize("error", [{"message": "quota is gone"}, "no", True, ["x"]])
def test_a_failure_in_a_success_is_a_failure(error):
    """Although the status says otherwise."""
    with pytest.raises(ProviderError, match="^the answer is an error$"):
        read({"error": error})


@given(JSON | st.fixed_dictionaries({}, optional={"data": ITEMS | JSON, "usage": JSON, "id": JSON}), JSON)
def test_any_json_is_an_answer_or_is_none(answer, output_format):
    """Nothing else comes of it."""
    try:
        found = read(answer, output_format=output_format)
    except (ValueError, ProviderError):
        return
    assert all(block.text if isinstance(block, TextContent) else block.data for block in found.output)


@given(st.lists(st.binary(min_size=1)))
def test_all_images_arrive_as_they_were(images):
    """Byte by byte, through JSON."""
    answer = json.loads(json.dumps(openai_answer(*images)))
    assert [block.to_bytes() for block in read(answer).output] == images
    assert [block.data for block in read(answer).output] == [b64encode(image).decode() for image in images]
