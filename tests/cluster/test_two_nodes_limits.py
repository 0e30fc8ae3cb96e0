"""How much a user may send counts on both nodes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.frames import Sent

from ..actors.harness import Person, person
from .two_nodes import begun, text, two_nodes

if TYPE_CHECKING:
    from trio.testing import MockClock


async def flood(someone: Person, conv: str, count: int) -> int:
    """How many of so many messages were taken."""
    for _ in range(count):
        await someone.say(text(conv))
    return len(someone.outlet.of(Sent))


async def test_a_user_who_goes_to_another_node_takes_along_what_was_sent(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes(rate_messages_per_minute=60, rate_burst=10) as two:
        ana = await person(two.one, "ana")
        conv = await begun(ana, "bob")
        assert await flood(ana, conv, 15) == 10
        await trio.sleep(0.2)  # who is refused is told of at once
        away = await person(two.other, "ana", "phone")
        await trio.sleep(0.2)
        assert await flood(away, conv, 15) <= 1
        await trio.sleep(5.0)
        assert 5 <= await flood(away, conv, 15) <= 7


async def test_without_the_bus_each_node_takes_its_part_of_a_users_messages(
    autojump_clock: MockClock,
) -> None:
    async with two_nodes(rate_messages_per_minute=60, rate_burst=10) as two:
        two.bus.down = True
        ana = await person(two.one, "ana")
        conv = await begun(ana, "bob")
        await trio.sleep(2.0)
        assert await flood(ana, conv, 15) == 5
        two.bus.down = False
        await trio.sleep(60.0)
        ana = await person(two.one, "ana")
        assert await flood(ana, conv, 15) == 10
