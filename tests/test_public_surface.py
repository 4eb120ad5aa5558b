"""What users may import: the names, each with its docstring and its types."""

import inspect
import typing
from types import ModuleType

import pytest

import providers
import runtime
import runtime.testing
import tools

RUNTIME = """
AbortedError Agent AgentBusyError AgentCall AgentChanges AgentClosedError AgentContext AgentEnd AgentError AgentEvent AgentLoopConfig AgentLoopStream AgentMonitor AgentNode AgentTree
AgentOptions AgentRun AgentSettings AgentStart AgentState AgentStatistics AgentTool AgentToolResult AgentrioError ApiStatusError
AssistantImages AssistantMessage AssistantMessageEvent Bindings Block Capabilities Context CustomMessage Delivery DeliveryStatus
Embedding EmbeddingBatch EmbeddingModelApi EmbeddingOptions EmbeddingUsage EventFeed EventsLostError GrammarSampling GrammarVariants HookError
ImageContent ImageModelApi ImagesContext ImagesStopReason InvalidOptionError InvalidResponseError JsonSchemaSampling
LanguageModelApi Listener Message MessageAssembler MessageEnd MessageStart MessageStream MessageUpdate MessageWriter
MissingApiKeyError Model ModelCompat ModelCost ModelCostTier ModelInput ModelOutput ModelRef NewArguments
NothingToContinueError OAuthError Provider ProviderError QueueFullError QueueMode RequestOptions ResponseInfo ResultPatch
SimpleStreamOptions SteeringPolicy StopReason SubagentEvent StreamClosedError StreamDone StreamError StreamOptions StreamStart Subscription TextContent
TextDelta TextEnd TextStart ThinkingBudgets ThinkingContent ThinkingDelta ThinkingEnd ThinkingLevel ThinkingStart Tool
ToolCall ToolCallDelta ToolCallEnd ToolCallInfo ToolCallStart ToolDefinitionError ToolError ToolExecutionEnd
ToolExecutionMode ToolExecutionStart ToolExecutionUpdate ToolInvocation ToolNode ToolNotFoundError ToolResultMessage
ToolValidationError TransportError TurnEnd TurnInfo TurnStart TurnUpdate UnsupportedModelError Usage UsageCost UserMessage
add_agent_context agent_loop agent_loop_continue agent_tree calculate_cost clamp_thinking_level complete complete_simple create_diagnostic embed embed_many estimate_tokens generate_images
get_overflow_patterns get_supported_thinking_levels is_context_overflow is_llm_message models_are_equal open_agent
open_message_stream parse_json_with_repair parse_message parse_partial_json run_agent_loop run_agent_loop_continue stream
stream_simple transform_messages user validate_tool_arguments validate_tool_call with_diagnostic
"""
PROVIDERS = """
Access AnthropicOptions Call ChatApi ChatWire Decoder OpenAICompletionsOptions OpenAIResponsesOptions PoolStatistics ProviderHandle SseEvent
complete_openai_completions complete_openai_responses complete_simple_openai_completions complete_simple_openai_responses faux
get_env_api_key limit_requests openai pool_statistics stream_openai_completions stream_openai_responses
stream_simple_openai_completions stream_simple_openai_responses anthropic complete_anthropic complete_simple_anthropic stream_anthropic
stream_simple_anthropic OpenAIImagesOptions OpenRouterImagesOptions embed embed_many generate_images github_copilot oauth openrouter proxy
"""
TESTING = """
Cutter EventRecorder FakeRequest FakeServer FakeStep FakeTool NothingLeft SweepReport assert_event_grammar
assert_nothing_left assert_stream_grammar assert_transcript_valid cancel_everywhere fake_bytes fake_status
open_fake_server run_cut
"""
TOOLS = """
CommandResult FunctionTool Subagent ToolOptions result_of run_command subagent tool
"""


SPEAKING = (
    providers.anthropic,
    providers.github_copilot,
    providers.oauth,
    providers.openai,
    providers.openrouter,
    providers.proxy,
)


def exported(module: ModuleType) -> set[str]:
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
    return set(names)


@pytest.mark.parametrize(
    ("module", "names"),
    [(runtime, RUNTIME), (runtime.testing, TESTING), (providers, PROVIDERS), (tools, TOOLS)],
)
def test_the_exported_names_are_these(module, names):
    """A name that comes or goes is a decision."""
    assert exported(module) == set(names.split())


def public_things() -> list[tuple[str, object]]:
    """Every exported class and function, and the public methods of the classes."""
    things = []
    for module in (runtime, runtime.testing, providers, *SPEAKING, tools):
        for name in sorted(exported(module)):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                things.append((f"{module.__name__}.{name}", thing))
            if inspect.isclass(thing) and thing.__module__.split(".")[0] in ("runtime", "providers", "tools"):
                things += methods(f"{module.__name__}.{name}", thing)
    return things


def methods(prefix: str, owner: type) -> list[tuple[str, object]]:
    own = [(name, value) for name, value in vars(owner).items() if not name.startswith("_")]
    plain = [(name, getattr(value, "fget", None) or getattr(value, "__func__", value)) for name, value in own]
    return [(f"{prefix}.{name}", value) for name, value in plain if inspect.isfunction(value)]


@pytest.mark.parametrize(
    ("name", "thing"), public_things(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_has_a_docstring_and_types(name, thing):
    """The docstring is its own, and every parameter and the result are annotated."""
    assert inspect.getdoc(thing), name
    assert not (inspect.isclass(thing) and thing.__doc__ is None), name
    if inspect.isfunction(thing):
        hints = dict(thing.__annotations__)
        assert "return" in hints, f"{name} has no result type"
        for parameter in inspect.signature(thing).parameters.values():
            assert parameter.name in ("self", "cls") or parameter.annotation is not parameter.empty, (
                f"{name}: {parameter}"
            )


def test_the_annotations_can_be_read():
    """Tools that look at types at run time find them."""
    for name in (
        "open_agent",
        "stream_simple",
        "validate_tool_call",
        "transform_messages",
        "estimate_tokens",
    ):
        assert typing.get_type_hints(getattr(runtime, name))
