"""trio for state machines: it lives in a thread, and does one step after another, each until nothing more happens."""

import inspect
import threading

import trio
from trio.testing import MockClock, wait_all_tasks_blocked


class TrioInSteps:
    """A ``trio.run`` of its own, on a clock that only moves when it is told to."""

    def __init__(self):
        self.clock = MockClock()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), kwargs={"clock": self.clock})
        self._thread.start()
        assert self._begun.wait(10)

    async def _main(self):
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        async with trio.open_nursery() as self.nursery:
            self._begun.set()
            await self._over.wait()

    def do(self, function, *args):
        """Call a function in there, await what it returns, and wait until every task waits; raises what it raises."""

        async def step():
            result = function(*args)
            if inspect.isawaitable(result):
                result = await result
            await wait_all_tasks_blocked()
            return result

        return trio.from_thread.run(step, trio_token=self._token)

    def advance(self, seconds):
        """Let time pass, as much of it at once as nobody waits in."""
        end = self.clock.current_time() + seconds
        while True:
            due = self.do(lambda: trio.lowlevel.current_statistics().seconds_to_next_deadline)
            left = end - self.clock.current_time()
            if due > left:
                break
            self.do(self.clock.jump, max(due, 0))
        self.do(self.clock.jump, left)

    def close(self):
        """End it; whatever is left in it then is a failure."""
        left = [task.name for task in self.nursery.child_tasks]
        self._token.run_sync_soon(self._over.set)
        self._thread.join(10)
        assert not left, f"still running: {left}"
        assert not self._thread.is_alive()
