"""An agent that is driven at random, against a small model of what must be true of it after every step."""

import json
import logging
import os

import pytest
import trio
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
from machine_doubles import Caller, Lines, replies, tools_that
from trio_in_steps import TrioInSteps

from providers.faux import faux_assistant_message, register_faux_provider
from runtime import (
    AgentBusyError,
    AgentClosedError,
    AgentEnd,
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
MODELS = ("one", "two")


class AgentMachine(RuleBasedStateMachine):
    """Everything that can be done to an agent, in any order."""

    steps = 0

    def __init__(self):
        super().__init__()
        self.lines = []
        self.loop = TrioInSteps()
        self.watch = Lines(self.lines)
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
        self.settings = steering, policy, execution, concurrent, pause
        self.alive = set()
        self.callers = []
        self.posted = []  # (mailbox, delivery), in order
        self.readers = []
        self.subscriptions = []
        self.recorder = EventRecorder()
        self.aborted = False  # the present run, before it told its end
        self.has_died = False  # a listener of the present run
        self.block = trio.CancelScope()
        self.closing = trio.Event()
        self.faux = register_faux_provider(models=MODELS, tokens_per_second=20)
        self.faux.set_responses([faux_assistant_message("to begin with")] * 3)
        self.model = self.model_of_run = MODELS[0]

        async def slowly(*args):
            await trio.sleep(pause)

        async def live():
            with self.block:
                async with open_agent(
                    self.faux.get_model(),
                    tools=tools_that(self.alive),
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

    # Runs

    @rule(text=st.uuids().map(str), script=st.lists(replies(), min_size=1, max_size=4))
    def prompt(self, text, script):
        """A prompt starts a run, or says that one is active; the model has more to say in any case."""
        self.faux.append_responses(script)
        self.start(lambda: self.agent.prompt(text), lambda: None)

    @rule(
        text=st.uuids().map(str),
        script=st.lists(replies(), min_size=1, max_size=4),
        leaves_after=st.sampled_from([None, None, 1, 5, 30]),
    )
    def stream(self, text, script, leaves_after):
        """The same with the events: all of them, or some, and whoever leaves early aborts the run."""
        self.faux.append_responses(script)

        async def stream():
            seen = EventRecorder()
            async with self.agent.stream(text) as run:
                async for event in run:
                    await seen(event)
                    if len(seen.events) == leaves_after:
                        break
                else:
                    assert_event_grammar(seen, runs=1)
                self.aborted |= self.still_speaks()
            return await run.result()

        self.start(stream, lambda: None)

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
            self.aborted = self.has_died = False
            self.model_of_run = self.model
            self.callers.append(caller)
        self.loop.do(lambda: self.loop.nursery.start_soon(wait, name="a caller"))
        if expected is not None:
            assert isinstance(caller.error, expected), f"{caller.error!r} instead of {expected.__name__}"

    @rule()
    def abort(self):
        """The run ends as Aborted; without one nothing happens."""
        self.aborted |= self.still_speaks()
        self.loop.do(self.agent.abort)

    @precondition(lambda self: any(not caller.done for caller in self.callers))
    @rule()
    def cancel_the_caller(self):
        """Cancelling who waits aborts the run."""
        caller = next(caller for caller in self.callers if not caller.done)
        self.aborted |= self.still_speaks()
        self.loop.do(caller.scope.cancel)

    def still_speaks(self):
        """Whether an abort comes before the end of the run is told; afterwards only its readers still hear of it."""
        return self.agent.is_running and self.recorder.events[-1].type != "agent_end"

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

    @rule(box=st.sampled_from(["steer", "follow_up"]))
    def clear(self, box):
        """What waits in that mailbox is returned; what a run has taken already, and the other mailbox, stay as they are."""
        before = self.in_mailboxes()
        queued = [delivery for its_box, delivery in self.posted if its_box == box and is_queued(delivery)]
        taken = len(queued) - before[box]  # the oldest
        self.loop.do(self.agent.clear_steering if box == "steer" else self.agent.clear_follow_up)
        assert all(map(is_queued, queued[:taken]))
        assert all(delivery.status is DeliveryStatus.Returned for delivery in queued[taken:])
        assert self.in_mailboxes() == {**before, box: 0}

    def in_mailboxes(self):
        figures = self.agent.statistics()
        return {"steer": figures.queued_steering, "follow_up": figures.queued_follow_up}

    def queued(self):
        return sum(is_queued(delivery) for _, delivery in self.posted)

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
        model=st.sampled_from(MODELS),
    )
    def update(self, policy, mode, some, model):
        """Holds from the next run on."""
        self.model = model
        self.loop.do(
            lambda: self.agent.update(
                steering_policy=policy,
                follow_up_mode=mode,
                tools=tools_that(self.alive)[: 3 if some else None],
                model=self.faux.get_model_by_id(model),
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
                self.has_died = True
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
        assert sum(self.in_mailboxes().values()) == self.queued()
        self.check_callers()
        self.check_the_end()
        self.check_mail()

    def check_callers(self):
        for caller in self.callers:
            assert caller.done
            if caller.error is not None:
                assert isinstance(caller.error, LookupError), repr(caller.error)
            elif not caller.scope.cancelled_caught:
                assert isinstance(caller.reply, AssistantMessage)
            if self.aborted and caller is self.callers[-1] and caller.reply is not None:
                assert caller.reply.stop_reason is StopReason.Aborted
        self.callers.clear()

    def check_the_end(self):
        """Of the last run, also where nobody was told a reply."""
        ends = self.recorder.of(AgentEnd)
        for message in ends[-1].messages if ends else ():
            assert message.role != "assistant" or message.model == self.model_of_run
        if self.aborted and not self.has_died:
            assert ends[-1].messages[-1].stop_reason is StopReason.Aborted

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

    # The end of the block

    @precondition(lambda self: self.agent.is_running)
    @rule()
    def cancel_the_block(self):
        """Its run ends as Aborted, and it as closed; the next steps are done to another agent."""
        self.leave(self.block.cancel)
        assert self.block.cancelled_caught
        self.open(*self.settings)

    def leave(self, how):
        """Everything ends, and whatever was queued is returned."""
        self.aborted |= self.still_speaks()
        self.loop.do(how)
        for scope in self.readers:
            self.loop.do(scope.cancel)
        for _ in range(200):
            if not self.loop.nursery.child_tasks:
                break
            self.loop.advance(1)
        assert not self.agent.is_running
        self.what_is_idle_is_whole()
        assert self.queued() == 0
        with pytest.raises(AgentClosedError):
            self.loop.do(self.agent.prompt, "anybody there?")
        assert SECRET not in json.dumps([event.model_dump() for event in self.recorder.events])

    def teardown(self):
        """Leave the block as usual."""
        try:
            if hasattr(self, "agent"):
                self.leave(self.closing.set)
                assert SECRET not in "".join(self.lines)
        finally:
            logging.getLogger("agentrio").removeHandler(self.watch)
            self.loop.close()


def is_queued(delivery):
    return delivery.status is DeliveryStatus.Queued


def test_an_agent_survives_whatever_is_done_to_it():
    """At least 2,000 steps of a machine that knows what must be true; more in the soak profile."""
    AgentMachine.steps = 0
    soak = int(os.environ.get("AGENTRIO_SOAK", "1"))
    run_state_machine_as_test(
        AgentMachine, settings=settings(max_examples=80 * soak, stateful_step_count=50, deadline=None)
    )
    assert AgentMachine.steps >= STEPS * soak
