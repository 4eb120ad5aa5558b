"""Messages on their way in: order, receipts, nothing lost and nothing doubled."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.agents.batch import OrderedCollector
from runtime.agents.mailbox import Mailbox, QueueMode, give_back
from runtime.values.message import user


async def test_a_delivery_waits_for_its_decision():
    """Delivered or returned, once."""
    box = Mailbox(5, QueueMode.All)
    first, second = box.post(user("a")), box.post(user("b"))
    box.take_nowait()[0].delivery.deliver(2, 3)
    box.clear()
    assert (await first.wait(), first.run, first.turn) == ("delivered", 2, 3)
    assert repr(first) == "<Delivery delivered in run 2, turn 3>"
    assert second.status == "queued"  # it was taken, so clearing does not reach it
    second.give_up()
    second.deliver(9, 9)
    assert await second.wait() == "returned"


async def test_what_comes_back_to_a_closed_mailbox_is_returned():
    """Nobody will take it any more."""
    box = Mailbox(5, QueueMode.OneAtATime)
    delivery = box.post(user("a"))
    taken = box.take_nowait()
    box.close()
    give_back(taken)
    assert delivery.status == "returned"
    assert len(box) == 0


@given(st.lists(st.sampled_from(["post", "take", "back"])), st.sampled_from(list(QueueMode)))
def test_order_is_kept_and_nothing_is_lost(script, mode):
    """Whatever is posted, taken and given back, messages leave in the order in which they came."""
    import trio

    async def main():
        box, posted, taken, kept = Mailbox(1000, mode), 0, [], []
        for act in script:
            if act == "post":
                box.post(user(str(posted)))
                posted += 1
            elif act == "take":
                kept.extend(taken)
                taken = box.take_nowait()
            else:
                give_back(taken)
                taken = []
        kept.extend(taken)
        while rest := box.take_nowait():
            kept.extend(rest)
        assert [envelope.message.content for envelope in kept] == [str(number) for number in range(posted)]

    trio.run(main)


@given(st.permutations(range(8)))
def test_the_collector_releases_in_source_order(order):
    """Each item as soon as all before it are there, whatever the order of arrival."""
    collector, released, arrived = OrderedCollector(), [], set()
    for index in order:
        arrived.add(index)
        released += collector.add(index, index)
        expected = next((n for n in range(9) if n not in arrived), 9)
        assert released == list(range(expected))
    assert released == list(range(8))
