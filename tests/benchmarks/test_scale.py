"""The benchmarks of scale run, on a tiny size; nothing is timed here."""

import pytest

from tests.benchmarks import scale
from tests.benchmarks.race import replay_server
from tests.benchmarks.sizes import TINY


@pytest.fixture(scope="module")
def server():
    with replay_server() as url:
        yield url


@pytest.mark.parametrize(
    ("work", "scenario"), [("cancel", "idle:3"), ("abort", "idle:3"), ("limited", "crowd:4:2")]
)
async def test_each_work_comes_to_its_end(server, work, scenario):
    """Tasks are cancelled, tools aborted, a crowd waits its turn; the first two tell what that alone cost."""
    async with scale.WORKS[work]("chat") as run:
        costs = await run(f"{server}/{scenario}/v1")
    assert (costs is None) == (work == "limited")


@pytest.mark.parametrize("group", [scale.aborts, scale.flatness, scale.multitude])
def test_each_group_gives_a_row(server, group):
    """With a ratio and a limit."""
    (row,) = group(server, TINY)
    assert row.ratio > 0
    assert row.limit is not None
