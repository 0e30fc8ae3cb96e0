"""One node's place on the bus: telling, hearing, and knowing when that does not work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.cluster import backbone as backbone_module
from chat4all_actors.cluster.backbone import BEAT, MAX_ENTRY, SILENT, Backbone
from chat4all_actors.cluster.items import (
    AnyItem,
    Bye,
    Stands,
    decode_entry,
    encode_entry,
    encode_item,
)
from chat4all_actors.cluster.peers import FORGOTTEN_AFTER, LOST_AFTER
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import pytest

    from chat4all_storage.ports.bus import Beat


class Ear:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.items: list[tuple[str, AnyItem]] = []
        self.news: list[tuple[str, str]] = []

    def arrived(self, sender: str, items: list[AnyItem]) -> None:
        self.items += [(sender, item) for item in items]

    def joined(self, node: str) -> None:
        self.news.append(("joined", node))

    def lost(self, node: str) -> None:
        self.news.append(("lost", node))

    def left(self, node: str) -> None:
        self.news.append(("left", node))

    def missed(self, node: str) -> None:
        self.news.append(("missed", node))

    def shaken(self) -> None:
        self.news.append(("shaken", ""))

    def seqs(self) -> list[int]:
        """Of the items that came since the last call."""
        items, self.items = self.items, []
        return [item.seq for _, item in items if isinstance(item, Stands)]


class Member:
    """A backbone and its ear."""

    def __init__(self, name: str, bus: MemoryBus) -> None:
        self.backbone = Backbone(name, bus)
        self.ear = Ear()
        self.scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.backbone.run)
                await nursery.start(self.backbone.hear, self.ear)
                task_status.started()

    def tell(self, node: str, *seqs: int) -> None:
        for seq in seqs:
            self.backbone.send_nowait([node], item(seq))

    def lately(self) -> list[tuple[str, str]]:
        """The news since the last call."""
        news, self.ear.news = self.ear.news, []
        return news


def item(seq: int, padding: int = 0) -> bytes:
    return encode_item(Stands("x" * padding, seq, []))


@asynccontextmanager
async def members(*names: str) -> AsyncIterator[tuple[MemoryBus, list[Member]]]:
    """Members that know each other."""
    bus = MemoryBus()
    found = [Member(name, bus) for name in names]
    async with trio.open_nursery() as nursery:
        for member in found:
            await nursery.start(member.run)
        await trio.sleep(2 * BEAT)
        for member in found:
            member.lately()
        yield bus, found
        nursery.cancel_scope.cancel()


async def test_what_is_told_arrives_in_order_and_in_one_entry(autojump_clock: MockClock) -> None:
    async with members("one", "two") as (bus, (one, two)):
        before = bus.appended
        one.tell("two", 1, 2, 3)
        await wait_all_tasks_blocked()
        assert two.ear.seqs() == [1, 2, 3]
        assert bus.appended - before == 1
        one.tell("two", 4)
        await wait_all_tasks_blocked()
        assert two.ear.seqs() == [4]
        assert two.lately() == one.lately() == []


async def test_an_item_for_several_is_one_entry_for_each(autojump_clock: MockClock) -> None:
    async with members("one", "two", "three") as (bus, (one, two, three)):
        before = bus.appended
        one.backbone.send_nowait(one.backbone.peers.living, item(1))
        await wait_all_tasks_blocked()
        assert bus.appended - before == 2
        assert two.ear.seqs() == three.ear.seqs() == [1]


async def test_large_batches_are_several_entries(autojump_clock: MockClock) -> None:
    async with members("one", "two") as (bus, (one, two)):
        before = bus.appended
        for seq in range(1, 5):
            one.backbone.send_nowait(["two"], item(seq, padding=MAX_ENTRY // 3))
        await wait_all_tasks_blocked()
        assert bus.appended - before == 2
        assert two.ear.seqs() == [1, 2, 3, 4]


async def test_beyond_a_bound_items_are_dropped_and_the_receiver_notices(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone_module, "MAX_OUTBOX", 1000)
    async with members("one", "two") as (_, (one, two)):
        one.backbone.send_nowait(["two"], item(1, padding=900))
        one.backbone.send_nowait(["two"], item(2, padding=900))
        await wait_all_tasks_blocked()
        assert two.ear.seqs() == [1]
        assert two.lately() == [("missed", "one")]
        assert one.backbone.statistics().dropped_items == 1


async def test_while_the_bus_is_down_nothing_is_kept_and_afterwards_all_is_asked_for(
    autojump_clock: MockClock,
) -> None:
    async with members("one", "two") as (bus, (one, two)):
        bus.down = True
        await trio.sleep(2 * BEAT)
        assert not one.backbone.working
        assert one.backbone.trouble == "the bus is down"
        one.tell("two", 1)
        bus.down = False
        await trio.sleep(4 * BEAT)
        assert one.backbone.working
        assert two.backbone.working
        assert ("shaken", "") in one.lately()
        assert two.ear.seqs() == []
        one.tell("two", 2)
        await wait_all_tasks_blocked()
        assert two.ear.seqs() == [2]
        assert ("missed", "one") in two.lately()


async def test_nobody_is_lost_because_the_bus_was_down_for_long(autojump_clock: MockClock) -> None:
    async with members("one", "two") as (bus, (one, two)):
        bus.down = True
        await trio.sleep(10 * LOST_AFTER)
        bus.down = False
        await trio.sleep(2 * LOST_AFTER)
        assert ("lost", "two") not in one.lately()
        assert one.backbone.peers.living == ("two",)
        assert two.backbone.peers.living == ("one",)


async def test_a_bus_that_lost_its_memory_is_noticed_and_joined_anew(
    autojump_clock: MockClock,
) -> None:
    async with members("one", "two") as (bus, (one, two)):
        bus.forget()
        await trio.sleep(4 * BEAT)
        assert ("shaken", "") in one.lately()
        assert one.backbone.working
        one.tell("two", 1)
        await wait_all_tasks_blocked()
        assert two.ear.seqs() == [1]


async def test_an_older_copy_of_the_bus_is_noticed(autojump_clock: MockClock) -> None:
    async with members("one", "two") as (bus, (one, two)):
        one.tell("two", *range(50))
        await wait_all_tasks_blocked()
        bus._ids = 1  # the ids of new entries are lower than those that were read
        for stream in bus._streams.values():
            stream.clear()
        await trio.sleep(4 * BEAT)
        assert ("shaken", "") in two.lately()
        two.ear.seqs()
        one.tell("two", 99)
        await wait_all_tasks_blocked()
        assert two.ear.seqs() == [99]


async def test_a_node_that_beats_no_more_is_lost_and_welcomed_back(
    autojump_clock: MockClock,
) -> None:
    async with members("one") as (bus, (one,)):
        await bus.beat("two", encode_entry("two", 1, []))
        await trio.sleep(2 * BEAT)
        assert one.lately() == [("joined", "two")]
        await trio.sleep(LOST_AFTER + 2 * BEAT)
        assert one.lately() == [("lost", "two")]
        await bus.beat("two", encode_entry("two", 2, []))
        await trio.sleep(2 * BEAT)
        assert one.lately() == [("joined", "two")]


async def test_what_a_lost_node_has_on_the_bus_is_removed_in_the_end(
    autojump_clock: MockClock,
) -> None:
    async with members("one") as (bus, _):
        await bus.beat("two", encode_entry("two", 1, []))
        await trio.sleep(100)
        assert "two" not in bus._beats
        assert "two" not in bus._streams


async def test_a_node_that_was_forgotten_and_returns_still_sees_a_loss(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with members("one", "two") as (bus, (one, two)):
        for seq in range(5):
            one.tell("two", seq)
            await wait_all_tasks_blocked()
        beat = bus.beat

        async def stopped(node: str, data: bytes) -> Beat:
            if node == "two":
                await trio.sleep(2 * FORGOTTEN_AFTER)
            return await beat(node, data)

        monkeypatch.setattr(bus, "beat", stopped)
        await trio.sleep(FORGOTTEN_AFTER + LOST_AFTER + 2 * BEAT)
        assert "two" not in bus._beats
        monkeypatch.undo()
        await trio.sleep(2 * FORGOTTEN_AFTER)
        assert one.backbone.peers.living == ("two",)
        two.lately()
        one.tell("two", 101)
        await wait_all_tasks_blocked()
        assert two.lately() == [("missed", "one")]  # whatever was told meanwhile


async def test_what_waited_for_a_node_that_is_lost_is_missing_to_it_later(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with members("one") as (bus, (one,)):
        await bus.beat("two", encode_entry("two", 1, []))
        await trio.sleep(BEAT)
        append, go = bus.append, trio.Event()

        async def slow(entries: Sequence[tuple[str, bytes]]) -> None:
            await go.wait()
            await append(entries)

        monkeypatch.setattr(bus, "append", slow)
        one.tell("two", 1)
        await wait_all_tasks_blocked()
        one.tell("two", 2)
        await trio.sleep(LOST_AFTER + 2 * BEAT)
        assert ("lost", "two") in one.lately()
        go.set()
        one.tell("two", 3)
        await wait_all_tasks_blocked()
        _, *entries = await bus.read("two", "0", wait=0, limit=10)
        assert [decode_entry(each.data).number for each in entries] == [1, 3]


async def test_who_leaves_says_so_and_is_forgotten(autojump_clock: MockClock) -> None:
    async with members("one", "two") as (bus, (one, two)):
        two.tell("one", 5)
        await wait_all_tasks_blocked()
        two.scope.cancel()
        await wait_all_tasks_blocked()
        await two.backbone.leave()
        await wait_all_tasks_blocked()
        assert one.ear.items[-1] == ("two", Bye())
        assert one.lately() == [("left", "two")]
        assert one.backbone.peers.living == ()
        assert "two" not in bus._beats


async def test_what_can_not_be_read_counts_as_lost(autojump_clock: MockClock) -> None:
    async with members("one") as (bus, (one,)):
        await bus.append([("one", b"no entry")])
        await wait_all_tasks_blocked()
        assert one.lately() == [("shaken", "")]


async def test_a_node_that_does_not_hear_itself_is_in_trouble(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with members("one") as (bus, (one,)):

        async def deaf(*_: object, **__: object) -> list[object]:
            await trio.sleep(1)
            return []

        monkeypatch.setattr(bus, "read", deaf)
        await trio.sleep(SILENT + 3 * BEAT)
        assert one.backbone.trouble == "what other nodes tell does not arrive"
        monkeypatch.undo()
        await trio.sleep(3 * BEAT)
        assert one.backbone.working


async def test_without_a_bus_there_is_nobody_and_no_trouble() -> None:
    backbone = Backbone("one", None)
    backbone.send_nowait(["two"], b"item")
    await backbone.leave()
    assert (backbone.working, backbone.trouble) == (False, None)
    assert backbone.statistics().dropped_items == 0


# --- whatever becomes of the entries --------------------------------------------------------------


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
