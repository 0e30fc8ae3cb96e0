"""What has happened since a time, found in the logs of all databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.webhooks import looking_back
from chat4all_actors.webhooks.looking_back import look_back
from chat4all_storage.sharding import everywhere
from tests.webhooks.world import World, clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_storage.ports.webhooks import NewBacklog


class Kept:
    """Notes what is to be told, unless it is another's to note."""

    def __init__(self, *, mine: bool = True) -> None:
        self.mine = mine
        self.backlogs: list[NewBacklog] = []
        self.done: list[int | None] = []

    async def __call__(self, backlogs: Sequence[NewBacklog], *, done: int | None) -> bool:
        await trio.lowlevel.checkpoint()
        self.backlogs += backlogs
        self.done.append(done)
        return self.mine


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_pages_over_several_databases_leave_out_and_repeat_nothing(
    autojump_clock: MockClock, page: int
) -> None:
    world = World(3)
    groups = [await world.group("ann") for _ in range(20)]
    found: list[str] = []
    last: str | None = None
    while some := await everywhere.active(world.storage.shards, 0, "ann", last, page):
        found += [each.conversation for each in some]
        last = found[-1]
    assert found == sorted(groups)


async def test_what_has_moved_since_is_kept_from_there_on(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "PAGE", 2)
    world = World(2)
    old, moved, other = [await world.group(name, "bob") for name in ("ann", "ann", "carl")]
    for group in (old, moved, other):
        await world.say(group, "bob", "before")
    await trio.sleep(1)
    since = int(clock() * 1000)
    await world.say(moved, "bob", "after")
    await world.say(other, "bob", "after")
    new = await world.group("ann")
    kept = Kept()
    assert await look_back(world.storage.shards, "ann", since, kept, done=since)
    assert {each.key: (each.after, each.upto, each.rises) for each in kept.backlogs} == {
        moved: (1, 2, since),
        new: (-1, 0, since),
    }
    assert kept.done[-1] == since
    assert set(kept.done[:-1]) <= {None}


async def test_it_ends_where_it_is_another_nodes_to_note(autojump_clock: MockClock) -> None:
    world = World()
    await world.group("ann")
    assert not await look_back(world.storage.shards, None, 0, Kept(mine=False), done=None)
