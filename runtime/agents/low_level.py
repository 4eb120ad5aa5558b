"""The loop without the agent: for those who keep the transcript themselves."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from runtime.errors import NothingToContinueError
from runtime.nurseries import SingleVoiceNursery
from runtime.values.checks import check_callable, check_messages, check_type
from runtime.values.message import Message

from .emitter import Emitter, Listener, Subscription
from .feed import EventFeed
from .interruption import Interruption
from .loop import AgentLoop
from .mailbox import PolledInbox
from .run import RUN_BUFFER, Run, RunEvents, ends_a_run
from .settings import AgentLoopConfig
from .state import Transcript, asks_for_a_reply
from .tool import AgentContext


async def run_agent_loop(
    prompts: Sequence[Message], context: AgentContext, config: AgentLoopConfig, emit: Listener
) -> list[Message]:
    """Run a loop to its end; the messages that it added. ``emit`` is awaited with every event.

    Failures of the model are in the last reply. What ``emit`` or a hook raises is raised when the loop has ended.
    ``config.options.abort`` aborts it; a cancellation does too, and goes on when every start has had its end.
    """
    check_callable("emit", emit)
    run = _new_run(context, config, emit)
    try:
        await run.execute(check_messages("prompts", prompts), True, _nothing)
    except BaseException:
        run.abandon()
        raise
    run.outcome()
    return run.loop.added


async def run_agent_loop_continue(
    context: AgentContext, config: AgentLoopConfig, emit: Listener
) -> list[Message]:
    """The same without a new message; NothingToContinueError if there is none, or a reply comes last."""
    _check_continuable(context)
    return await run_agent_loop((), context, config, emit)


class AgentLoopStream(RunEvents):
    """The events of one loop, and its new messages in the end."""

    async def result(self) -> list[Message]:
        """The messages that the loop added; reads what is left of the events, as ``AgentRun.result`` does."""
        return (await self._end()).loop.added


@asynccontextmanager
async def agent_loop(
    prompts: Sequence[Message], context: AgentContext, config: AgentLoopConfig
) -> AsyncIterator[AgentLoopStream]:
    """Run a loop beside the block, and give the block its events. Leaving early aborts it and waits for its end."""
    feed = EventFeed(RUN_BUFFER, is_last=ends_a_run)
    run = _new_run(context, config, None, feed)
    messages = check_messages("prompts", prompts)
    async with SingleVoiceNursery() as nursery:
        nursery.start_soon(run.execute, messages, True, _nothing)
        try:
            yield AgentLoopStream(run, feed)
        except BaseException:
            run.abandon()
            raise
        finally:
            feed.leave()
            run.abort()
    run.raise_unheard_failure()


@asynccontextmanager
async def agent_loop_continue(
    context: AgentContext, config: AgentLoopConfig
) -> AsyncIterator[AgentLoopStream]:
    """The same without a new message; NothingToContinueError if there is none, or a reply comes last."""
    _check_continuable(context)
    async with agent_loop((), context, config) as stream:
        yield stream


def _new_run(
    context: AgentContext, config: AgentLoopConfig, emit: Listener | None, feed: EventFeed | None = None
) -> Run:
    _check_context(context)
    check_type("config", config, AgentLoopConfig)
    cut = Interruption()
    subscriptions: dict[Subscription, None] = {}
    if emit is not None:
        Subscription(emit, subscriptions)
    emitter = Emitter(Transcript(()), subscriptions, [feed] if feed else [], cut, config.abort_grace)
    loop = AgentLoop(
        config,
        context,
        emitter,
        cut,
        steering=PolledInbox("get_steering_messages", config.get_steering_messages),
        follow_up=PolledInbox("get_follow_up_messages", config.get_follow_up_messages),
    )
    return Run(loop, cut, emitter, config, agent="agent_loop")


def _check_context(context: object) -> None:
    check_type("context", context, AgentContext)
    assert isinstance(context, AgentContext)  # noqa: S101 - just checked
    check_type("context.system_prompt", context.system_prompt, str | None)
    check_messages("context.messages", context.messages)


def _check_continuable(context: AgentContext) -> None:
    _check_context(context)
    match asks_for_a_reply(context.messages):
        case None:
            raise NothingToContinueError("the context has no messages")
        case False:
            raise NothingToContinueError(
                "the last message of the context is a reply; nothing asks for another"
            )


def _nothing() -> None:
    """Nobody else has to know that it settled."""
