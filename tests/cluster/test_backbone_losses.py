"""Whatever becomes of the entries on the bus, nothing is lost without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.cluster.backbone import BEAT
from chat4all_actors.cluster.items import (
    AnyItem,
    Stands,
)
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.errors import Unavailable
from tests.cluster.bus_members import Ear, Member

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnreliableBus(MemoryBus):
    """Does to the next `append` what it was told."""

    fault: str | None = None

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        fault, self.fault = self.fault, None
        if fault == "refuse":
            raise Unavailable("refused")
        if fault != "lose":
            await super().append(entries)
        if fault == "answer with an error":
            raise Unavailable("it happened")


class Listing(Ear):
    """Lists everything in one order: seqs, and that something may be missing (None)."""

    def __init__(self) -> None:
        super().__init__()
        self.list: list[int | None] = []

    def arrived(self, sender: str, items: list[AnyItem]) -> None:
        self.list += [each.seq for each in items if isinstance(each, Stands)]

    def missed(self, node: str) -> None:
        self.list.append(None)

    def shaken(self) -> None:
        self.list.append(None)


faults = st.sampled_from(["refuse", "lose", "answer with an error"])
steps = st.one_of(faults, st.integers(1, 3), st.sampled_from(["wait", "go down", "forget"]))


@given(st.lists(steps, max_size=12))
def test_whatever_the_bus_does_nothing_is_lost_without_a_word(
    steps: list[str | int],
) -> None:
    listed, last = trio.run(_tell_through, steps, clock=MockClock(autojump_threshold=0))
    came = [seq for seq in listed if seq is not None]
    if "forget" not in steps:  # else what is there is read again from the start
        assert came == sorted(set(came))
    highest, warned = 0, False
    for seq in listed:
        if seq is None:
            warned = True
        elif seq > highest:
            assert seq == highest + 1 or warned
            highest, warned = seq, False
    assert listed[-1] == last


async def _tell_through(steps: list[str | int]) -> tuple[list[int | None], int]:
    """What comes of consecutive seqs when these things happen, and the last of them."""
    bus = UnreliableBus()
    one, two = Member("one", bus), Member("two", bus)
    two.ear = listing = Listing()
    async with trio.open_nursery() as nursery:
        for member in (one, two):
            await nursery.start(member.run)
        await trio.sleep(2 * BEAT)
        listing.list.clear()
        seq = 0
        for step in steps:
            if isinstance(step, int):
                one.tell("two", *range(seq + 1, seq + 1 + step))
                seq += step
                await wait_all_tasks_blocked()
            elif step == "wait":
                await trio.sleep(2 * BEAT)
            elif step == "go down":
                bus.down = True
                await trio.sleep(2 * BEAT)
                bus.down = False
            elif step == "forget":
                bus.forget()
            else:
                bus.fault = step
        bus.fault = None
        await trio.sleep(5 * BEAT)
        one.tell("two", seq + 1)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return listing.list, seq + 1
