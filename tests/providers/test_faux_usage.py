"""What scripted calls report to have used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.faux import faux_assistant_message, faux_thinking, faux_tool_call, register_faux_provider
from providers.faux.usage import PromptCache, content_text, prompt_text
from runtime.streams.call import complete, stream
from runtime.streams.events import TextStart
from runtime.testing.strategies import contexts, texts
from runtime.values.content import ImageContent, TextContent
from runtime.values.context import Context
from runtime.values.message import AssistantMessage, CustomMessage, ToolResultMessage, UserMessage, user
from runtime.values.model import Model, ModelCost
from runtime.values.options import StreamOptions
from runtime.values.text import utf16_units
from runtime.values.tokens import estimate_text_tokens
from runtime.values.tool import Tool
from runtime.values.usage import UsageCost


def figures(usage):
    return usage.input, usage.output, usage.cache_read, usage.cache_write, usage.total_tokens


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("😀😀", 1), ("😀😀a", 2)])
def test_four_utf16_units_are_a_token(text, tokens):
    """Tokens are counted in the units of JavaScript's strings, rounded up."""
    usage = PromptCache().usage(Context(), StreamOptions(), faux_assistant_message(text))
    assert usage.output == tokens


def test_the_prompt_is_all_that_a_model_is_given():
    """The prompt text has the system prompt, every message with its role, and the tools."""
    tool = Tool("look", "Looks.", {"type": "object"})
    context = Context(
        system_prompt="Be concise.",
        messages=[
            UserMessage([TextContent("see"), ImageContent("aGk=", "image/png")]),
            faux_assistant_message([faux_thinking("hm"), faux_tool_call("look", {"at": [1, "ü"]}, id="1")]),
            ToolResultMessage("1", "look", [TextContent("a cat"), ImageContent("aGk=", "image/png")]),
            CustomMessage("note", text="not for models"),
            user("and now?"),
        ],
        tools=[tool],
    )
    assert prompt_text(context).split("\n\n") == [
        "system:Be concise.",
        "user:see\n[image:image/png:4]",
        'assistant:hm\nlook:{"at":[1,"ü"]}',
        "toolResult:look\na cat\n[image:image/png:4]",
        "custom:",
        "user:and now?",
        f"tools:[{tool.model_dump_json()}]",
    ]


def test_an_empty_system_prompt_is_part_of_the_prompt():
    """Only a system prompt that is not there at all is left out."""
    assert prompt_text(Context(system_prompt="")) == "system:"
    assert prompt_text(Context()) == ""


async def test_without_a_session_the_whole_prompt_is_input():
    """Input is the estimate of the prompt, output that of the reply, and nothing is cached or paid for."""
    cost = ModelCost(input=5.0, output=15.0)
    faux = register_faux_provider(models=[Model("dear", cost=cost)])
    faux.set_responses([faux_assistant_message("done")])
    context = Context(
        system_prompt="Be concise.",
        messages=[
            UserMessage([TextContent("hello"), ImageContent("aGk=", "image/png")]),
            faux_assistant_message(faux_tool_call("look", {}, id="1")),
            ToolResultMessage("1", "look", [TextContent("a cat")]),
        ],
        tools=[Tool("look", "Looks.", {"type": "object"})],
    )
    usage = (await complete(faux.get_model(), context)).usage
    size = estimate_text_tokens(prompt_text(context))
    assert figures(usage) == (size, 1, 0, 0, size + 1)
    assert usage.cost == UsageCost()
    assert (usage.cache_write_1h, usage.reasoning) == (None, None)


async def test_usage_is_shown_from_the_first_block_on():
    """The estimate is in every partial message, not only in the last one."""
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message("hello")])
    async with stream(faux.get_model(), Context(messages=[user("hi")])) as reply:
        partials = [event.partial async for event in reply if isinstance(event, TextStart)]
        assert [partial.usage for partial in partials] == [(await reply.result()).usage]


async def test_a_session_reads_from_the_cache_what_it_said_before():
    """The second call of a session reads the first prompt and writes what is new; the model's replies count."""
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message("first"), faux_assistant_message("second")])
    options = StreamOptions(session_id="session-1", cache_retention="short")
    context = Context(system_prompt="Be concise.", messages=[user("hello")])
    first = await complete(faux.get_model(), context, options)
    assert figures(first.usage) == (8, 2, 0, 8, 18)
    context.messages += [first, user("follow up")]
    second = await complete(faux.get_model(), context, options)
    assert figures(second.usage) == (8, 2, 8, 9, 27)


async def test_sessions_do_not_share_a_cache():
    """What one session wrote, another does not read; neither does another registration."""
    context, said = Context(messages=[user("hello")]), [faux_assistant_message("x")] * 3
    faux, other = register_faux_provider(), register_faux_provider()
    faux.set_responses(said)
    other.set_responses(said)
    for provider, session, read in [(faux, "1", False), (faux, "1", True), (faux, "2", False), (other, "1", False)]:  # fmt: skip
        usage = (await complete(provider.get_model(), context, StreamOptions(session_id=session))).usage
        assert bool(usage.cache_read) is read
        assert bool(usage.cache_write) is not read


@pytest.mark.parametrize(
    "options",
    [StreamOptions(session_id="session-1", cache_retention="none"), StreamOptions(cache_retention="short")],
)
async def test_a_cache_needs_a_session_and_leave_to_keep_it(options):
    """Without a session, or with cache_retention none, nothing is cached."""
    faux = register_faux_provider()
    faux.set_responses([faux_assistant_message("x")] * 2)
    for _ in range(2):
        usage = (await complete(faux.get_model(), Context(messages=[user("hello")]), options)).usage
        assert (usage.cache_read, usage.cache_write) == (0, 0)


@given(st.lists(contexts(), min_size=1, max_size=4), texts())
def test_the_figures_of_a_session_add_up(prompts, said):
    """What is read and written covers the prompt, input is what was not read, and the total is their sum."""
    cache, reply = PromptCache(), faux_assistant_message(said)
    before = ""
    for context in prompts:
        usage = cache.usage(context, StreamOptions(session_id="s"), reply)
        prompt = prompt_text(context)
        size = estimate_text_tokens(prompt)
        assert size <= usage.cache_read + usage.cache_write <= size + 1
        assert usage.input == size - usage.cache_read
        assert usage.total_tokens == usage.input + usage.output + usage.cache_read + usage.cache_write
        if prompt.startswith(before):
            assert usage.cache_read == -(-utf16_units(before) // 4)
        before = prompt


@given(texts(), texts(), texts())
def test_the_common_prefix_is_as_long_as_it_can_be(start, one, other):
    """Two prompts share exactly the characters up to the first that differs."""
    cache, options = PromptCache(), StreamOptions(session_id="s")
    prompts = [f"system:{start}{end}" for end in (one, other)]
    for end in (one, other):
        usage = cache.usage(Context(system_prompt=start + end), options, AssistantMessage())
    units = [prompt.encode("utf-16-le") for prompt in prompts]
    pairs = [tuple(data[place : place + 2] for place in range(0, len(data), 2)) for data in units]
    common = next((place for place, (a, b) in enumerate(zip(*pairs)) if a != b), min(map(len, pairs)))
    assert usage.cache_read == -(-common // 4)


def test_content_is_a_block_a_line():
    """The text of content joins its blocks by line breaks."""
    assert content_text([faux_thinking("a"), TextContent("b")]) == "a\nb"
    assert content_text("c") == "c"
