"""Who may read what, and which sessions last, is the same on both nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import Conv, Gap

from ..actors.harness import person
from .two_nodes import G7, begun, change, heard, text, two_nodes

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_who_joins_and_leaves_elsewhere_is_let_in_and_out_here(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, carla = await person(two.one, "ana"), await person(two.other, "carla")
        conv = await begun(ana, "bob")
        await ana.say(text(conv, "before"))
        for kind in ("join", "leave"):
            await two.storage.shards.all[0].commit([change(conv, kind, "carla")], [])
            await ana.say(text(conv, f"after {kind}"))
            await trio.sleep(G7)
        entered, left = carla.outlet.of(Conv)
        assert (entered.head, entered.left) == (2, False)
        assert left.left
        announced = [(gap.from_, gap.to) for gap in carla.outlet.of(Gap)]
        assert heard(carla) == [(3, "after join")] or announced == [(3, 3)]


async def test_who_joins_elsewhere_is_let_in_though_the_conversation_came_alive_here_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        ana, carla = await person(two.one, "ana"), await person(two.other, "carla")
        conv = await begun(ana, "bob")
        two.bus.down = True
        await trio.sleep(3.1)  # not when the journals are looked at, which is to come after bob
        await two.storage.shards.all[0].commit([change(conv, "join", "carla")], [])
        await person(two.other, "bob")
        await trio.sleep(G7)
        assert [frame.conv for frame in carla.outlet.of(Conv)] == [conv]
        await ana.say(text(conv))
        await trio.sleep(G7)
        assert heard(carla) == [(2, "hello")]


async def test_a_device_that_comes_to_the_other_node_ends_its_former_session(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        former = await person(two.one, "ana", "phone")
        laptop = await person(two.one, "ana", "laptop")
        await person(two.other, "ana", "phone")
        await trio.sleep(2)
        assert former.outlet.closed is not None
        assert former.outlet.closed[0] == CloseCode.REPLACED
        assert laptop.outlet.closed is None


async def test_it_does_so_while_the_bus_is_away(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        former = await person(two.one, "ana", "phone")
        await trio.sleep(1)
        two.bus.down = True
        await trio.sleep(3)
        await person(two.other, "ana", "phone")
        await trio.sleep(2)
        assert former.outlet.closed is not None
        assert former.outlet.closed[0] == CloseCode.REPLACED


async def test_a_revocation_ends_sessions_on_all_nodes_within_two_seconds(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        sessions = [await person(two.one, "ana"), await person(two.other, "ana", "laptop")]
        bob = await person(two.other, "bob")
        await two.storage.directory.revoke("ana")
        await trio.sleep(2)
        for session in sessions:
            assert session.outlet.closed is not None
            assert session.outlet.closed[0] == CloseCode.REVOKED
        assert bob.outlet.closed is None
