"""Who has read what and who composes is shown on the other node too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.conversation.composing import MAX_MEMBERS
from chat4all_protocol.frames import Composing, Conv, Create, Read, Receipt, Recv, Typing
from chat4all_storage.ports.directory import User

from ..actors.harness import person
from .two_nodes import begun, text, two_nodes

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_receipts_of_a_pair_come_at_once(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(text(conv))
        before = trio.current_time()
        await bob.say(Read(conv=conv, seq=1))
        assert [(r.user, r.recv, r.read) for r in ana.outlet.of(Receipt)] == [("bob", 1, 1)]
        assert trio.current_time() == before


@pytest.mark.parametrize("with_the_sender", [True, False])
async def test_receipts_of_a_group_are_collected_for_the_sender_and_who_looks_at_it(
    autojump_clock: MockClock, with_the_sender: bool
) -> None:
    async with two_nodes(receipt_interval=1.0) as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        carla = await person(two.one if with_the_sender else two.other, "carla")
        conv = await begun(ana, "bob", "carla")
        await ana.say(text(conv))
        await bob.say(Recv(conv=conv, seq=1))
        assert ana.outlet.of(Receipt) == []
        await trio.sleep(1.5)
        assert [(r.user, r.recv) for r in ana.outlet.of(Receipt)] == [("bob", 1)]
        assert carla.outlet.of(Receipt) == []
        await carla.say(Read(conv=conv, seq=1))  # she looks at it now
        await bob.say(Read(conv=conv, seq=1))
        await trio.sleep(2.5)
        assert [(r.user, r.read) for r in carla.outlet.of(Receipt)] == [("bob", 1)]


async def test_who_composes_is_shown_on_the_other_node_too(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        ana, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(ana, "bob")
        await ana.say(Typing(conv=conv, kind="voice"))
        await ana.say(Typing(conv=conv))
        shown = [(one.user, one.kind, one.ttl) for one in bob.outlet.of(Composing)]
        assert shown == [("ana", "voice", 6000)]
        assert ana.outlet.of(Composing) == []


async def test_in_the_largest_group_that_shows_it_who_composes_is_shown(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        names = [f"m{number}" for number in range(MAX_MEMBERS - 1)]
        for name in names:
            await two.storage.directory.add_user(User(f"id of {name}", name, b""))
        ana, one = await person(two.one, "ana"), await person(two.other, names[0])
        conv = await begun(ana, *names)
        for _ in range(3):  # the members may have to be read first
            await ana.say(Typing(conv=conv))
        assert [frame.user for frame in one.outlet.of(Composing)] == ["ana"]


async def test_in_a_large_group_nobody_is_shown_composing(autojump_clock: MockClock) -> None:
    async with two_nodes() as two:
        names = [f"m{number}" for number in range(MAX_MEMBERS)]
        for name in names:
            await two.storage.directory.add_user(User(f"id of {name}", name, b""))
        former, one = await person(two.one, "ana"), await person(two.other, names[0])
        conv = await begun(former, *names)
        await former.say(Typing(conv=conv))
        former.session.ended()
        ana = await person(two.one, "ana")  # of whose conversation nothing is known but its head
        for _ in range(3):
            await ana.say(Typing(conv=conv))
            await trio.sleep(3)
        assert one.outlet.of(Composing) == []


async def test_in_a_group_that_has_just_come_alive_who_composes_is_shown_when_it_is_said_again(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes() as two:
        former, bob = await person(two.one, "ana"), await person(two.other, "bob")
        conv = await begun(former, "bob")
        former.session.ended()
        ana = await person(two.one, "ana")
        await ana.say(Typing(conv=conv))
        await ana.say(Typing(conv=conv))
        assert [one.user for one in bob.outlet.of(Composing)] == ["ana"]
