"""What is left behind is named, kind by kind; what is meant to stay is not."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from providers import openai, pool_statistics
from providers.faux import faux_assistant_message, faux_tool_call, register_faux_provider
from runtime import Context, StopReason, complete_simple, open_agent, user
from runtime.testing import assert_nothing_left
from runtime.testing.leftovers.processes import ProcessWatch
from runtime.testing.leftovers.sockets import SocketWatch
from tests.providers.loopback import serve, sse
from tools import tool

start = partial(trio.to_thread.run_sync, subprocess.Popen)
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
SAYS_HI = (
    'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@asynccontextmanager
async def complaint(text, **options):
    """The block leaves something behind, and the assertion says what."""
    with pytest.raises(AssertionError) as caught:
        async with assert_nothing_left(patience=0.05, **options):
            yield
    assert text in str(caught.value)


async def test_a_block_that_cleans_up_passes():
    """Tasks, threads, sockets, processes and channels that are gone again do not count."""
    async with assert_nothing_left():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
        await trio.to_thread.run_sync(lambda: None)
        for end in socket.socketpair():
            end.close()
        await trio.run_process([sys.executable, "-c", ""])
        send, receive = trio.open_memory_channel[int](1)
        send.close()
        receive.close()


async def test_a_task_that_still_runs():
    """With the line at which it waits."""
    async with trio.open_nursery() as nursery:
        async with complaint("test_nothing_left.wait_here (tests/testing/test_nothing_left.py:"):
            nursery.start_soon(wait_here)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def wait_here():
    await trio.sleep_forever()


async def test_a_task_of_a_task():
    """Who was started by somebody that the block started counts, in whichever nursery."""

    async def start_another(nursery):
        nursery.start_soon(wait_here, name="grandchild")

    async with trio.open_nursery() as nursery:
        async with complaint("task grandchild"):
            nursery.start_soon(start_another, nursery)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_system_task():
    """It belongs to no nursery of the program, and counts all the same."""
    over = trio.Event()
    async with complaint("task loose"):
        trio.lowlevel.spawn_system_task(over.wait, name="loose")
    over.set()


async def test_a_task_that_no_task_started():
    """It is not the block's, and does not keep the block's from being found."""

    class Starter(trio.abc.Instrument):
        def after_io_wait(self, timeout):
            trio.lowlevel.remove_instrument(self)
            trio.lowlevel.spawn_system_task(trio.sleep, 0.1)

    over = trio.Event()
    async with complaint("task late"):
        trio.lowlevel.add_instrument(Starter())
        await trio.sleep(0.01)
        trio.lowlevel.spawn_system_task(over.wait, name="late")
    over.set()


async def test_tasks_of_others_do_not_count():
    """Another task that starts things meanwhile is not the block's."""

    async def neighbour(nursery, asked):
        await asked.wait()
        nursery.start_soon(wait_here)

    async with trio.open_nursery() as nursery:
        asked = trio.Event()
        nursery.start_soon(neighbour, nursery, asked)
        async with assert_nothing_left():
            asked.set()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@pytest.fixture
def busy():
    """A function that waits until the test is over."""
    over = threading.Event()

    def wait_for_the_end():
        over.wait()

    yield wait_for_the_end
    over.set()


async def abandon(work):
    with trio.move_on_after(0.01):
        await trio.to_thread.run_sync(work, abandon_on_cancel=True, thread_name="tool slow")


async def test_a_thread_that_still_works(busy):
    """With the line at which it waits."""
    async with complaint("thread tool slow (tests/testing/test_nothing_left.py:"):
        await abandon(busy)


async def test_a_thread_that_is_meant_to_go_on(busy):
    """A pattern allows it, and nothing else."""
    async with assert_nothing_left(patience=0, allow=["thread tool s*"]):
        await abandon(busy)
    async with complaint("thread tool slow", allow=["task tool slow", "thread tool"]):
        await abandon(busy)


async def test_a_thread_that_resolves_a_name_does_not_count(busy, monkeypatch):
    """Nothing can interrupt it; trio leaves it behind, too."""

    def resolve(host, port, family, kind, protocol, flags):
        if flags & socket.AI_NUMERICHOST:  # asked first, in the task
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        busy()

    monkeypatch.setattr(socket._socket, "getaddrinfo", resolve)
    async with assert_nothing_left(patience=0):
        with trio.move_on_after(0.01):
            await trio.socket.getaddrinfo("name.invalid", 80)


async def test_a_thread_that_ends_soon_is_waited_for():
    """For as long as the patience lasts."""
    async with assert_nothing_left(patience=10):
        threading.Thread(target=time.sleep, args=[0.05]).start()


async def test_an_open_socket():
    """With its addresses and its descriptor."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        async with complaint(f"to {where} (descriptor "):
            client = socket.create_connection(listener.getsockname())
        client.close()
    async with complaint("(descriptor "):
        listener = socket.create_server(("127.0.0.1", 0))
    listener.close()
    async with complaint("socket unnamed to unnamed"):
        ends = socket.socketpair()
    for end in ends:
        end.close()


async def test_a_child_process():
    """With its number and its command line; one that has ended counts until somebody waits for it."""
    async with complaint("time.sleep(60)"):
        child = await start(SLEEPER)
    child.kill()
    child.wait()
    async with complaint(" that has ended, and that nobody waited for"):
        child = await start([sys.executable, "-c", ""])
        await trio.to_thread.run_sync(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.wait()


async def test_a_memory_channel_with_items_that_nobody_took():
    """With its figures, and where it was opened."""
    async with complaint("memory channel with 1 of 4 items, 0 tasks waiting (opened at tests/testing/"):
        send, receive = trio.open_memory_channel[int](4)
        send.send_nowait(1)
    receive.close()


async def test_a_memory_channel_that_somebody_waits_at():
    """Also somebody else's task."""
    async with trio.open_nursery() as nursery:
        opened = trio.Event()
        nursery.start_soon(neighbour_that_reads, opened, channels := [])
        await trio.testing.wait_all_tasks_blocked()
        async with complaint("memory channel with 0 of 0 items, 1 tasks waiting"):
            channels.extend(trio.open_memory_channel(0))
            opened.set()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def neighbour_that_reads(opened, channels):
    await opened.wait()
    await channels[1].receive()


async def test_a_memory_channel_of_which_one_end_is_held():
    """The other end was never closed: whoever is at this one may wait for ever."""
    for end in (0, 1):
        async with complaint("memory channel with 1 of 1 items"):
            ends = trio.open_memory_channel(1)
            ends[0].send_nowait(1)
            kept = ends[end]
            del ends
        assert kept
        kept.close()


async def test_memory_channels_of_no_consequence_do_not_count():
    """Empty ones, those closed at one end, those that nobody holds, and those of others."""

    async def neighbour(opened, asked):
        await asked.wait()
        opened.extend(trio.open_memory_channel(1))
        opened[0].send_nowait(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour, others := [], asked := trio.Event())
        async with assert_nothing_left():
            asked.set()
            idle = trio.open_memory_channel(1)
            closed, kept = trio.open_memory_channel(1)
            closed.send_nowait(1)
            closed.close()
            loop = list(trio.open_memory_channel[int](4))
            loop[0].send_nowait(1)
            loop.append(loop)
            del loop
            await trio.testing.wait_all_tasks_blocked()
    assert all((idle, kept, others))
    assert trio.open_memory_channel.__name__ == "open_memory_channel"


async def test_everything_that_is_left_is_named():
    """One failure tells it all."""
    async with trio.open_nursery() as nursery:
        began = time.monotonic()
        with pytest.raises(AssertionError) as caught:
            async with assert_nothing_left(patience=60):
                nursery.start_soon(wait_here)
                ends = socket.socketpair()
        assert time.monotonic() - began < 30  # there is nothing to wait for
        nursery.cancel_scope.cancel()
    assert str(caught.value).startswith("left behind:\n  task ")
    assert str(caught.value).count("\n  socket ") == 2
    for end in ends:
        end.close()


def test_around_a_run():
    """Without async: threads, sockets, processes and channels; of tasks a run leaves none."""
    with assert_nothing_left():
        trio.run(trio.sleep, 0)
    with pytest.raises(AssertionError, match="left behind:\n  socket"), assert_nothing_left(patience=0):
        ends = trio.run(open_pair)
    for end in ends:
        end.close()


async def open_pair():
    return socket.socketpair()


async def test_inside_of_a_run_it_is_async():
    """The other form could not let the others run."""
    with pytest.raises(RuntimeError, match="async with assert_nothing_left"), assert_nothing_left():
        pass


async def test_what_the_block_raises_is_not_covered():
    """It says more than what it left behind."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="mine"):
            async with assert_nothing_left():
                nursery.start_soon(wait_here)
                raise ValueError("mine")
        nursery.cancel_scope.cancel()


def test_virtual_time_stands_still_while_it_looks(busy):
    """Otherwise what is left would sleep away, and be missed."""

    async def main():
        before = trio.current_time()
        async with complaint("thread late"):
            threading.Thread(target=busy, name="late").start()
        assert trio.current_time() == before

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_idle_connections_of_the_pool_stay():
    """And so do the server's ends of them, and the tasks behind those; a request that is under way does not."""
    async with serve(sse(SAYS_HI), sse(SAYS_HI)) as server:
        model = openai.chat_completions(base_url=f"{server.url}/v1").model("m")
        for _ in range(2):
            async with assert_nothing_left():
                await complete_simple(model, Context(messages=[user("hi")]))
        assert pool_statistics().shards == 1
        assert server.open_connections == 1


async def test_a_request_that_is_under_way_does_not():
    """Its task, and its socket."""
    async with serve(sse(SAYS_HI, hang=True, end=False)) as server, trio.open_nursery() as nursery:
        model = openai.chat_completions(base_url=f"{server.url}/v1").model("m")
        with pytest.raises(AssertionError) as caught:
            async with assert_nothing_left(patience=0):
                nursery.start_soon(complete_simple, model, Context(messages=[user("hi")]))
                await server.wait_requests()
        nursery.cancel_scope.cancel()
    assert "task runtime.streams.call.complete_simple" in str(caught.value)
    assert f"to {server.url.removeprefix('http://')}" in str(caught.value)


@tool
async def linger() -> str:
    """Resists its cancellation."""
    with trio.CancelScope(shield=True):
        await trio.sleep(60)
    return "late"


def test_a_tool_that_resists_its_abort():
    """The agent's tasks are named after what they do."""

    async def main():
        with register_faux_provider() as faux:
            call = faux_tool_call("linger", {}, id="c0")
            faux.set_responses([faux_assistant_message(call, stop_reason=StopReason.ToolUse)])
            await abort_in_vain(faux.get_model())

    async def abort_in_vain(model):
        async with open_agent(model, tools=[linger]) as agent, trio.open_nursery() as nursery:
            with pytest.raises(AssertionError, match=r"task tool linger \(c0\) \(tests/.* in linger"):
                async with assert_nothing_left(patience=0):
                    nursery.start_soon(agent.prompt, "go")
                    await trio.testing.wait_all_tasks_blocked()
                    agent.abort()
                    await trio.testing.wait_all_tasks_blocked()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_elsewhere_a_failure_says_what_was_not_checked(tmp_path):
    """A system without lists of descriptors and processes is not taken for one without leftovers."""
    sockets, processes = SocketWatch(None), ProcessWatch(tmp_path)
    assert (sockets.unchecked, processes.unchecked) == ("sockets", "child processes")
    sockets.begin()
    processes.begin()
    assert sockets.left() == processes.left() == []


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no such list")
def test_the_other_list_of_descriptors_will_do():
    """The one that macOS has."""
    watch = SocketWatch(Path("/dev/fd"))
    watch.begin()
    with socket.socket():
        assert len(watch.left()) == 1
    assert watch.left() == []
