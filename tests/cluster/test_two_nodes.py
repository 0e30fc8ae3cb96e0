"""Two nodes over one storage and one bus: which of them a client uses is all one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_protocol.frames import Conv, FileProgress, Gap, Msg, Sent
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.directory import User

from ..actors.harness import memory_with_users, person, running_node
from .two_nodes import G7, begun, heard, text, two_nodes

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_what_one_stores_the_other_delivers_at_once_and_in_order(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        assert [frame.conv for frame in bob.outlet.of(Conv)] == [conv]
        before = trio.current_time()
        for number in range(4):
            speaker = (ana, bob)[number % 2]
            await speaker.say(text(conv, str(number)))
        assert trio.current_time() == before
        assert heard(bob) == [(1, "0"), (3, "2")]
        assert heard(ana) == [(2, "1"), (4, "3")]
        assert [sent.seq for sent in ana.outlet.of(Sent)] == [1, 3]


@pytest.mark.parametrize("bus_is_away", [False, True])
async def test_on_every_node_a_message_is_the_same_bytes(
    autojump_clock: MockClock, bus_is_away: bool
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.one, "bob")
        carla = await person(two.other, "carla")
        conv = await begun(ana, "bob", "carla")
        two.bus.down = bus_is_away
        await trio.sleep(3)
        words = ["hello", '\N{SNOWMAN} \\ "quoted" \x7f', "x" * 3000]
        for each in words:
            await ana.say(text(conv, each))
        await trio.sleep(G7)
        assert heard(bob) == list(enumerate(words, 1))
        assert carla.outlet.bytes_of(Msg) == bob.outlet.bytes_of(Msg)


async def test_a_message_is_one_entry_for_each_other_node_however_many_members(
    autojump_clock: MockClock,
) -> None:
    names = [f"member{number}" for number in range(300)]
    settings: dict[str, Any] = {"max_members": 301}
    async with (
        two_nodes(**settings) as two,
        running_node(two.storage, bus=two.bus, **settings) as third,
    ):
        await trio.sleep(2.5)  # the third is there, too
        for name in names:
            await two.storage.directory.add_user(User(f"id of {name}", name, b""))
        ana = await person(two.one, "ana")
        nodes = (two.other, third)
        there = [await person(nodes[n % 2], name) for n, name in enumerate(names)]
        conv = await begun(ana, *names)
        before = two.bus.appended
        for number in range(5):
            await ana.say(text(conv, str(number)))
        assert two.bus.appended - before == 5 * len(nodes)
        assert all(len(heard(each)) == 5 for each in there)


async def test_a_node_without_members_is_told_nothing(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        ana = await person(two.one, "ana")
        await person(two.other, "carla")
        await trio.sleep(1)
        conv = await begun(ana, "bob")
        await ana.say(text(conv))  # from here on it knows its members
        before = two.one.backbone.statistics().sent_items
        await ana.say(text(conv))
        assert two.one.backbone.statistics().sent_items == before


async def test_without_the_bus_the_journal_brings_everything_in_time(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        two.bus.down = True
        await trio.sleep(3)
        assert two.other.degraded()
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        await trio.sleep(G7)
        assert heard(bob) == [(1, "hello")] or [gap.to for gap in bob.outlet.of(Gap)] == [1]
        await ana.say(text(conv, "again"))
        await trio.sleep(G7)
        assert heard(bob)[-1] == (2, "again")
        two.bus.down = False
        await trio.sleep(3)
        assert two.one.degraded() == two.other.degraded() == []
        await bob.say(text(conv, "back"))
        assert heard(ana) == [(3, "back")]


async def test_a_bus_that_has_forgotten_everything_is_joined_again(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        two.bus.forget()
        await ana.say(text(conv, "lost?"))
        await trio.sleep(G7)
        assert heard(bob) == [(1, "lost?")]
        await ana.say(text(conv, "found"))
        assert heard(bob) == [(1, "lost?"), (2, "found")]


async def test_a_node_that_ends_is_forgotten_at_once(autojump_clock: MockClock) -> None:
    storage, bus = await memory_with_users(), MemoryBus()
    async with running_node(storage, bus=bus) as one:
        async with running_node(storage, bus=bus) as other:
            await trio.sleep(2)
            assert one.backbone.peers.living == (other.node_id,)
        await trio.sleep(1)
        assert one.cluster.alone


async def test_what_a_user_is_told_comes_to_all_devices_on_all_nodes_and_to_nobody_else(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        phone = await person(two.one, "ana", "phone")
        laptop = await person(two.other, "ana", "laptop")
        bob = await person(two.other, "bob")
        news = FileProgress(new_id(), "ready", 9, 9, "plan.png", "image/png")
        two.one.tell("ana", news)
        await trio.testing.wait_all_tasks_blocked()
        assert phone.outlet.of(FileProgress) == laptop.outlet.of(FileProgress) == [news]
        assert bob.outlet.of(FileProgress) == []
