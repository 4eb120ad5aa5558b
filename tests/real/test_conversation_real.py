"""One conversation that goes through all three APIs of a real server in turn, twice round, with tool calls."""

import pytest

from runtime import Context, SimpleStreamOptions, complete_simple, open_agent, user
from runtime.testing import EventRecorder, assert_event_grammar, assert_transcript_valid

from .apis import APIS, force_tool, get_weather

pytestmark = pytest.mark.real
CITIES = ("Paris", "Rome", "Madrid", "Lima", "Cairo", "Tokyo")  # so small a model takes Oslo for Norway


async def test_a_conversation_wanders_through_all_three_apis_twice(llama):
    """Every turn calls its tool with its own city; what each API wrote, the others take."""
    recorder = EventRecorder()
    models = [api.model(llama) for api in APIS]
    options = SimpleStreamOptions(temperature=0, on_payload=force_tool)
    async with open_agent(models[0], tools=[get_weather], options=options) as agent:
        agent.subscribe(recorder)
        for api, model, city in zip(APIS * 2, models * 2, CITIES, strict=True):
            agent.update(model=model)
            reply = await agent.prompt(f"Use get_weather with city {city}.")
            assert reply.stop_reason in api.ends, reply.error_message
            assert (reply.api, reply.provider) == (api.wire, api.id)
    assert_event_grammar(recorder.events)
    assert_transcript_valid(agent.state.messages)
    results = [message.text for message in agent.state.messages if message.role == "toolResult"]
    assert results == [f"{city}: sunny" for city in CITIES]


async def test_a_stored_transcript_goes_on_with_another_api(llama):
    """Through JSON, and to each of the others."""
    one, *others = APIS
    options = SimpleStreamOptions(temperature=0)
    context = Context(messages=[user("Say hello.")])
    context.messages.append(await complete_simple(one.model(llama), context, options))
    for api in others:
        stored = Context.model_validate_json(context.model_dump_json())
        stored.messages.append(user("Say goodbye."))
        reply = await complete_simple(api.model(llama), stored, options)
        assert reply.stop_reason in api.ends, reply.error_message
        assert reply.text
