"""One node's place on the bus: telling, hearing, and knowing when that does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.cluster import outboxes as outboxes_module
from chat4all_actors.cluster.backbone import BEAT, SILENT, Backbone
from chat4all_actors.cluster.items import (
    Bye,
    decode_entry,
    encode_entry,
)
from chat4all_actors.cluster.outboxes import MAX_ENTRY
from chat4all_actors.cluster.peers import FORGOTTEN_AFTER, LOST_AFTER
from tests.cluster.bus_members import item, members

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from chat4all_storage.ports.bus import Beat


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
    monkeypatch.setattr(outboxes_module, "MAX_OUTBOX", 1000)
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
