"""The OpenAI SDK: its bare chunks, and its stream helper, which accumulates. ``python -m tests.benchmarks.peers.with_openai <work> ...``."""

from typing import Any

from openai import AsyncOpenAI

from tests.benchmarks.contender import Work

from .entry import PROMPT, check, enter

REQUEST: dict[str, Any] = {
    "model": "bench",
    "messages": [{"role": "user", "content": PROMPT}],
    "stream_options": {"include_usage": True},
}


def chunks() -> Work:
    """Chunks are read and counted; nothing is accumulated."""
    client = AsyncOpenAI(api_key="key", timeout=None)

    async def work(url: str) -> None:
        got = 0
        completions = client.with_options(base_url=url).chat.completions
        async with await completions.create(**REQUEST, stream=True) as stream:
            async for chunk in stream:
                for choice in chunk.choices:
                    got += size(choice.delta)
        check(url, got)

    return work


def size(delta: Any) -> int:
    """The characters in one delta of a text, or of a call's arguments."""
    return len(delta.content or "") + sum(
        len(call.function.arguments or "") for call in delta.tool_calls or ()
    )


def helper() -> Work:
    """Every event is read, then the accumulated completion."""
    client = AsyncOpenAI(api_key="key", timeout=None)

    async def work(url: str) -> None:
        async with client.with_options(base_url=url).chat.completions.stream(**REQUEST) as stream:
            async for _ in stream:
                pass
            completion = await stream.get_final_completion()
        check(url, size(completion.choices[0].message))

    return work


if __name__ == "__main__":
    enter({"chunks": chunks, "helper": helper})
