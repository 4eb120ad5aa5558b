"""The floors: httpx on trio with as little around it as people write by hand. ``python -m tests.benchmarks.bare <work> ...``."""

import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import httpx
import trio

from .contender import Work, compete, first_number

PATHS = {"chat": "/chat/completions", "responses": "/responses", "anthropic": "/messages"}


@asynccontextmanager
async def read_only(api: str) -> AsyncIterator[Work]:
    """One call: every line is parsed, nothing is kept."""
    async with httpx.AsyncClient(timeout=None) as client:

        async def work(url: str) -> None:
            async with client.stream("POST", url + PATHS[api], json={"model": "bench"}) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        json.loads(line[6:])

        yield work


class Turns:
    """An agent as a bare loop over Chat Completions: it keeps the growing list of messages and sends all of it each turn."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": "Look around."}]
        self.clock: list[float] = []
        self._client = client
        self._url = url + PATHS["chat"]

    async def run(self) -> None:
        while calls := await self._reply():
            for call in calls:
                self.clock.append(time.process_time())
                result = look(**json.loads(call["function"]["arguments"]))
                self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    async def _reply(self) -> list[dict[str, Any]]:
        text, calls = [], []
        payload = {"model": "bench", "messages": self.messages, "tools": [LOOK], "stream": True}
        async with self._client.stream("POST", self._url, json=payload) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    text.append(choice["delta"].get("content") or "")
                    self._collect(calls, choice["delta"].get("tool_calls") or ())
        message = {"role": "assistant", "content": "".join(text), "tool_calls": calls}
        self.messages.append(message if calls else {"role": "assistant", "content": "".join(text)})
        return calls

    @staticmethod
    def _collect(calls: list[dict[str, Any]], pieces: Any) -> None:
        for piece in pieces:
            if piece["index"] == len(calls):
                function = {"name": piece["function"]["name"], "arguments": ""}
                calls.append({"id": piece["id"], "type": "function", "function": function})
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


def look(place: str) -> str:
    return f"nothing special in {place}"


LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@asynccontextmanager
async def one_loop(_api: str) -> AsyncIterator[Work]:
    """One loop of n turns; it tells the time of each."""
    async with httpx.AsyncClient(timeout=None) as client:

        async def work(url: str) -> dict[str, Any]:
            loop = Turns(client, url)
            await loop.run()
            return {"clock": loop.clock}

        yield work


@asynccontextmanager
async def shared_client(_api: str) -> AsyncIterator[Work]:
    """Many loops at a time, and one client for all of them: what it costs grows with the square of their number."""
    limits = httpx.Limits(
        keepalive_expiry=None
    )  # with an expiry, it closes connections that it has just given away

    async def work(url: str) -> None:
        async with httpx.AsyncClient(timeout=None, limits=limits) as client, trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                nursery.start_soon(Turns(client, url).run)

    yield work


@asynccontextmanager
async def client_each(_api: str) -> AsyncIterator[Work]:
    """Many loops at a time, and a client for each of them."""
    tls = httpx.create_ssl_context()  # one a client would cost more than everything else

    async def one(url: str) -> None:
        async with httpx.AsyncClient(verify=tls, timeout=None) as client:
            await Turns(client, url).run()

    async def work(url: str) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                nursery.start_soon(one, url)

    yield work


def idle_tasks(_api: str) -> AbstractAsyncContextManager[Work]:
    """Tasks that wait for mail."""

    async def one(task_status: trio.TaskStatus[None]) -> None:
        send, receive = trio.open_memory_channel[str](10)
        with send:
            task_status.started()
            await receive.receive()

    return nullcontext(idle(one))


def idle(start: Callable[..., Awaitable[object]]) -> Work:
    """Tasks that have started and wait; their memory is ``peak``."""

    async def work(url: str) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(first_number(url)):
                await nursery.start(start)
            nursery.cancel_scope.cancel()

    return work


WORKS: dict[str, Callable[[str], AbstractAsyncContextManager[Work]]] = {
    "read": read_only,
    "turns": one_loop,
    "crowd-shared": shared_client,
    "crowd-each": client_each,
    "idle": idle_tasks,
}


def main() -> None:
    work, api, server, scenario = sys.argv[1:]
    compete(WORKS[work](api), server, scenario)


if __name__ == "__main__":
    main()
