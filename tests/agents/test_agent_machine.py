"""An agent that is driven at random, against a small model of what must be true of it after every step."""

import json
import logging
import os
from dataclasses import dataclass, field

import pytest
import trio
from agent_doubles import Probe
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from trio_in_steps import TrioInSteps

from providers.faux import (
    faux_assistant_message,
    faux_fault,
    faux_text,
    faux_tool_call,
    register_faux_provider,
)
from runtime import (
    AgentBusyError,
    AgentToolResult,
    AssistantMessage,
    DeliveryStatus,
    EventsLostError,
    MessageEnd,
    NothingToContinueError,
    SimpleStreamOptions,
    StopReason,
    UserMessage,
    open_agent,
)
from runtime.testing import EventRecorder, assert_event_grammar, assert_transcript_valid

STEPS = 2_000
SECRET = "sk-nobody-may-see-this"
GRACE = 2.0
TOOLS = ("quick", "slow", "broken", "stubborn", "chatty", "nested", "absent")


@dataclass
class Caller:
    """Somebody who waits for a run, and what came of that."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    reply: AssistantMessage | None = None
    error: Exception | None = None
    done: bool = False


@st.composite
def replies(draw):
    """A reply, with or without calls, whole or with a fault."""
    names = draw(st.lists(st.sampled_from(TOOLS), max_size=3))
    text = draw(st.sampled_from(["", "some words to say " * 2]))
    blocks = [
        *([faux_text(text)] if text else []),
        *(faux_tool_call(name, {"n": n}, id=f"{name}-{n}") for n, name in enumerate(names)),
    ]
    reason = draw(st.sampled_from([StopReason.ToolUse] * 3 + [StopReason.Stop, StopReason.Length]))
    reply = faux_assistant_message(blocks, stop_reason=reason)
    fault = draw(st.sampled_from([None] * 8 + ["fail", "cut", "malformed", "stall"]))
    return faux_fault(reply, fault) if fault else reply


class AgentMachine(RuleBasedStateMachine):
    """Everything that can be done to an agent, in any order."""

    steps = 0

    def __init__(self):
        super().__init__()
        self.alive = set()
        self.callers = []
        self.posted = []  # (mailbox, delivery), in order
        self.readers = []
        self.subscriptions = []
        self.recorder = EventRecorder()
        self.aborted = False
        self.lines = []
        self.loop = TrioInSteps()
        self.watch = _Lines(self.lines)
        logging.getLogger("agentrio").addHandler(self.watch)

    @initialize(
        steering=st.sampled_from(["one_at_a_time", "all"]),
        policy=st.sampled_from(["finish_batch", "skip_unstarted", "cancel_batch"]),
        execution=st.sampled_from(["parallel", "parallel", "sequential"]),
        concurrent=st.sampled_from([None, 1, 2]),
        pause=st.sampled_from([0, 0, 0.1]),
    )
    def open(self, steering, policy, execution, concurrent, pause):
        """An agent in a task of its own."""
        self.closing = trio.Event()
        self.faux = register_faux_provider(tokens_per_second=20)
        self.faux.set_responses([faux_assistant_message("to begin with")] * 3)

        async def slowly(*args):
            await trio.sleep(pause)

        async def live():
            async with open_agent(
                self.faux.get_model(),
                tools=self.tools(),
                steering_mode=steering,
                steering_policy=policy,
                tool_execution=execution,
                max_concurrent_tools=concurrent,
                max_turns=6,
                prepare_next_turn=slowly,
                before_tool_call=slowly,
                tool_timeout=30,
                abort_grace=GRACE,
                options=SimpleStreamOptions(api_key=SECRET),
            ) as self.agent:
                self.agent.subscribe(self.recorder)
                self.agent.subscribe(slowly)
                await self.closing.wait()

        self.loop.do(lambda: self.loop.nursery.start_soon(live, name="the agent's block"))

    def tools(self):
        """One for each way to behave."""

        async def quick(call):
            await trio.lowlevel.checkpoint()

        async def slow(call):
            with self.living(call):
                await trio.sleep(1.5)

        async def broken(call):
            await trio.sleep(0.5)
            raise ValueError("broken")

        async def stubborn(call):
            with self.living(call):
                try:
                    await trio.sleep(3)
                except trio.Cancelled:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(0.5)
            return AgentToolResult.text("anyway")

        async def chatty(call):
            for number in range(20):
                await call.update(str(number))

        async def nested(call):
            with self.living(call):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 2)
                    nursery.start_soon(trio.sleep, 1)

        return [Probe(work.__name__, work) for work in (quick, slow, broken, stubborn, chatty, nested)]

    def living(self, call):
        return _Living(self.alive, call)

    # Runs

    @rule(text=st.uuids().map(str), script=st.lists(replies(), min_size=1, max_size=4))
    def prompt(self, text, script):
        """A prompt starts a run, or says that one is active; the model has more to say in any case."""
        self.faux.append_responses(script)
        self.start(lambda: self.agent.prompt(text), lambda: None)

    @rule()
    def continue_run(self):
        """The same without a message, where something asks for a reply."""
        self.start(self.agent.continue_run, self.what_continue_raises)

    def what_continue_raises(self):
        messages = [m for m in self.agent.state.messages if not (m.role == "assistant" and m.failed)]
        asks = bool(messages) and messages[-1].role != "assistant"
        return None if asks or (messages and self.agent.has_queued_messages) else NothingToContinueError

    def start(self, begin, what_it_raises):
        expected = AgentBusyError if self.agent.is_running else what_it_raises()
        caller = Caller()

        async def wait():
            try:
                with caller.scope:
                    caller.reply = await begin()
            except Exception as error:
                caller.error = error
            caller.done = True

        if expected is None:
            self.aborted = False
            self.callers.append(caller)
        self.loop.do(lambda: self.loop.nursery.start_soon(wait, name="a caller"))
        if expected is not None:
            assert isinstance(caller.error, expected), f"{caller.error!r} instead of {expected.__name__}"

    @rule()
    def abort(self):
        """The run ends as Aborted; without one nothing happens."""
        self.aborted = self.aborted or self.agent.is_running
        self.loop.do(self.agent.abort)

    @precondition(lambda self: any(not caller.done for caller in self.callers))
    @rule()
    def cancel_the_caller(self):
        """Cancelling who waits aborts the run."""
        caller = next(caller for caller in self.callers if not caller.done)
        self.aborted = True
        self.loop.do(caller.scope.cancel)

    @rule(data=st.data())
    def cancel_one_tool(self, data):
        """A call alone; one that does not exist cannot be."""
        pending = sorted(self.agent.state.pending_tool_calls) or ["none"]
        call_id = data.draw(st.sampled_from(pending))
        could = self.loop.do(lambda: self.agent.cancel_tool_call(call_id))
        assert not (could and call_id == "none")

    @rule(seconds=st.floats(0.01, 1))
    def a_moment_passes(self, seconds):
        """The clock only moves here, and in the next one."""
        self.loop.advance(seconds)

    @rule(seconds=st.sampled_from([1, 2.5, 10, 60]))
    def time_passes(self, seconds):
        """Long enough for a run to end."""
        self.loop.advance(seconds)

    # Messages and settings

    @rule(box=st.sampled_from(["steer", "follow_up"]), text=st.uuids().map(str))
    def queue(self, box, text):
        """In a run and outside."""
        delivery = self.loop.do(lambda: getattr(self.agent, box)(text))
        self.posted.append((box, delivery))

    @rule(which=st.sampled_from(["clear_steering", "clear_follow_up"]))
    def clear(self, which):
        """What still waits in the mailbox is returned."""
        before = self.queued()
        self.loop.do(getattr(self.agent, which))
        assert self.queued() <= before

    def queued(self):
        return sum(delivery.status is DeliveryStatus.Queued for _, delivery in self.posted)

    @rule()
    def reset(self):
        """Only without a run."""
        if self.agent.is_running:
            with pytest.raises(AgentBusyError):
                self.loop.do(self.agent.reset)
            return
        self.loop.do(self.agent.reset)
        assert self.agent.state.messages == ()
        assert self.queued() == 0

    @rule(
        policy=st.sampled_from(["finish_batch", "skip_unstarted", "cancel_batch"]),
        mode=st.sampled_from(["one_at_a_time", "all"]),
        some=st.booleans(),
    )
    def update(self, policy, mode, some):
        """Holds from the next run on."""
        tools = self.tools()[:3] if some else self.tools()
        self.loop.do(
            lambda: self.agent.update(
                steering_policy=policy, follow_up_mode=mode, tools=tools, model=self.faux.get_model()
            )
        )

    # Readers

    @rule(pause=st.sampled_from([0, 0.2]), dies_after=st.sampled_from([None, None, None, 3, 15]))
    def subscribe(self, pause, dies_after):
        """A listener that is slow, or that raises after some events."""
        seen = []

        async def listen(event):
            seen.append(event)
            if pause and len(seen) < 20:
                await trio.sleep(pause)
            if dies_after is not None and len(seen) >= dies_after:
                raise LookupError("the listener died")

        self.subscriptions.append(self.loop.do(lambda: self.agent.subscribe(listen)))

    @precondition(lambda self: self.subscriptions)
    @rule()
    def unsubscribe(self):
        """At any time."""
        self.loop.do(self.subscriptions.pop().unsubscribe)

    @rule(buffer=st.sampled_from([0, 3, 100]), pause=st.sampled_from([0, 0.1, 5]))
    def read(self, buffer, pause):
        """A reader in a task of its own, fast or slow; one that is too late after an abort is told so."""
        scope = trio.CancelScope()

        async def reading():
            with scope:
                try:
                    async with self.agent.events(max_buffer=buffer) as feed:
                        async for _ in feed:
                            await trio.sleep(pause)
                except EventsLostError:
                    pass

        self.readers.append(scope)
        self.loop.do(lambda: self.loop.nursery.start_soon(reading, name="a reader"))

    @precondition(lambda self: self.readers)
    @rule()
    def stop_reading(self):
        """A reader that leaves is not waited for."""
        self.loop.do(self.readers.pop().cancel)

    # What must be true

    @invariant()
    def count(self):
        """Each step counts."""
        AgentMachine.steps += 1

    @invariant()
    def no_secret_is_shown(self):
        """Neither by events nor by reprs."""
        if hasattr(self, "agent"):
            assert SECRET not in repr(self.agent) + repr(self.agent.state) + repr(self.recorder.events[-1:])

    @invariant()
    def what_is_idle_is_whole(self):
        """Once settled: grammar, transcript, callers, mailboxes, and nothing of it runs."""
        if not hasattr(self, "agent") or self.agent.is_running:
            return
        assert_event_grammar(self.recorder.events)
        assert_transcript_valid(self.agent.state.messages)
        assert self.alive == set()
        assert self.agent.state.pending_tool_calls == frozenset()
        assert self.agent.statistics().running_tools == 0
        assert not self.loop.do(lambda: self.agent._nursery.child_tasks)
        figures = self.agent.statistics()
        assert figures.queued_steering + figures.queued_follow_up == self.queued()
        self.check_callers()
        self.check_mail()

    def check_callers(self):
        for caller in self.callers:
            assert caller.done
            if caller.error is not None:
                assert isinstance(caller.error, LookupError), repr(caller.error)
            elif not caller.scope.cancelled_caught:
                assert isinstance(caller.reply, AssistantMessage)
        if self.callers and self.callers[-1].reply is not None and self.aborted:
            ended = self.callers[-1].reply.stop_reason
            assert ended is StopReason.Aborted or self.ended_before_the_abort()
        self.callers.clear()

    def ended_before_the_abort(self):
        """The last reply was told before anybody asked: only its readers still had to hear of the end."""
        return self.recorder.events[-1].type == "agent_end"

    def check_mail(self):
        said = [
            event.message.content
            for event in self.recorder.of(MessageEnd)
            if isinstance(event.message, UserMessage)
        ]
        for box in ("steer", "follow_up"):
            deliveries = [delivery for its_box, delivery in self.posted if its_box == box]
            delivered = [d.message.content for d in deliveries if d.status is DeliveryStatus.Delivered]
            mine = {d.message.content for d in deliveries}
            assert [text for text in said if text in mine] == delivered

    def teardown(self):
        """Leave the block: everything ends, and whatever was queued is returned."""
        try:
            if hasattr(self, "agent"):
                self.loop.do(self.closing.set)
                for scope in self.readers:
                    self.loop.do(scope.cancel)
                for _ in range(200):
                    if not self.loop.nursery.child_tasks:
                        break
                    self.loop.advance(1)
                self.what_is_idle_is_whole()
                assert self.queued() == 0
                assert SECRET not in "".join(self.lines)
                assert SECRET not in json.dumps([event.model_dump() for event in self.recorder.events])
        finally:
            logging.getLogger("agentrio").removeHandler(self.watch)
            self.loop.close()


class _Living:
    def __init__(self, alive, call):
        self._alive, self._key = alive, (call.id, object())

    def __enter__(self):
        self._alive.add(self._key)

    def __exit__(self, *_):
        self._alive.discard(self._key)


class _Lines(logging.Handler):
    def __init__(self, lines):
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record):
        self._lines.append(f"{record.getMessage()} {record.__dict__}")


def test_an_agent_survives_whatever_is_done_to_it():
    """At least 2,000 steps of a machine that knows what must be true; more in the soak profile."""
    AgentMachine.steps = 0
    soak = int(os.environ.get("AGENTRIO_SOAK", "1"))
    run_state_machine_as_test(
        AgentMachine, settings=settings(max_examples=80 * soak, stateful_step_count=50, deadline=None)
    )
    assert AgentMachine.steps >= STEPS * soak
