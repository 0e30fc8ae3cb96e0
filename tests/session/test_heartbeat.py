from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.session.heartbeat import SLICES, TICK, Heartbeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


class Member:
    """Remembers when it was visited."""

    def __init__(self) -> None:
        self.beats: list[float] = []

    def beat(self, now: float) -> None:
        self.beats.append(now)


@pytest.fixture
async def heartbeat() -> AsyncIterator[Heartbeat]:
    heartbeat = Heartbeat()
    async with trio.open_nursery() as nursery:
        await nursery.start(heartbeat.run)
        yield heartbeat
        nursery.cancel_scope.cancel()


async def ticks(count: float) -> None:
    """Until just behind so many ticks from now."""
    await trio.sleep(count * TICK + TICK / 10)


async def test_now_is_the_time_of_the_last_tick(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    began = heartbeat.now
    await trio.sleep(TICK * 0.9)
    assert heartbeat.now == began
    await trio.sleep(TICK * 0.2)
    assert heartbeat.now == began + TICK


async def test_a_new_member_is_visited_every_tick_with_the_time(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    member, began = Member(), heartbeat.now
    heartbeat.add(member)
    await ticks(3)
    assert member.beats == [began + TICK, began + 2 * TICK, began + 3 * TICK]


async def test_a_calm_member_is_visited_once_in_so_many_ticks(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    member = Member()
    heartbeat.add(member)
    heartbeat.calm(member)
    await ticks(4 * SLICES)
    gaps = {after - before for before, after in zip(member.beats, member.beats[1:], strict=False)}
    assert len(member.beats) == 4
    assert gaps == {SLICES * TICK}


async def test_calm_members_are_spread_evenly_over_the_ticks(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    members = [Member() for _ in range(3 * SLICES)]
    for member in members:
        heartbeat.add(member)
        heartbeat.calm(member)
    await ticks(SLICES)
    visits = [beat for member in members for beat in member.beats]
    assert len(visits) == len(members)
    assert {visits.count(tick) for tick in set(visits)} == {3}


async def test_a_member_that_hurries_is_visited_every_tick_again(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    member = Member()
    heartbeat.add(member)
    heartbeat.calm(member)
    heartbeat.hurry(member)
    heartbeat.hurry(member)
    await ticks(SLICES)
    assert len(member.beats) == SLICES


@pytest.mark.parametrize("calm", [False, True])
async def test_a_member_that_was_removed_is_visited_no_more(
    heartbeat: Heartbeat, autojump_clock: MockClock, calm: bool
) -> None:
    member, other = Member(), Member()
    for added in (member, other):
        heartbeat.add(added)
    if calm:
        heartbeat.calm(member)
    heartbeat.remove(member)
    heartbeat.remove(member)
    heartbeat.calm(member)  # of somebody who is no member: nothing
    await ticks(2 * SLICES)
    assert member.beats == []
    assert len(other.beats) == 2 * SLICES
    assert len(heartbeat) == 1


async def test_members_count_once_however_often_they_move(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    members = [Member() for _ in range(7)]
    for member in members:
        heartbeat.add(member)
        heartbeat.add(member)
    for member in members[:4]:
        heartbeat.calm(member)
        heartbeat.calm(member)
    heartbeat.hurry(members[0])
    assert len(heartbeat) == 7


async def test_members_may_come_and_go_during_a_visit(
    heartbeat: Heartbeat, autojump_clock: MockClock
) -> None:
    late = Member()

    class Leaver(Member):
        def beat(self, now: float) -> None:
            super().beat(now)
            heartbeat.remove(self)
            heartbeat.add(late)

    leaver, steady = Leaver(), Member()
    heartbeat.add(leaver)
    heartbeat.add(steady)
    await ticks(2)
    assert (len(leaver.beats), len(steady.beats), len(late.beats)) == (1, 2, 1)
