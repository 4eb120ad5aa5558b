"""LiteLLM: its chunks, counted and not accumulated. ``python -m tests.benchmarks.peers.with_litellm read ...``."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet for prices
os.environ["REPEATED_STREAMING_CHUNK_LIMIT"] = "100000"  # the words of the text are all the same

import litellm

from tests.benchmarks.contender import Work

from .entry import PROMPT, check, enter
from .with_openai import size


def chunks() -> Work:
    async def work(url: str) -> None:
        got = 0
        stream = await litellm.acompletion(
            "openai/bench",
            [{"role": "user", "content": PROMPT}],
            stream=True,
            stream_options={"include_usage": True},
            base_url=url,
            api_key="key",
        )
        async for chunk in stream:
            for choice in chunk.choices:
                got += size(choice.delta)
        check(url, got)

    return work


if __name__ == "__main__":
    enter({"read": chunks})
