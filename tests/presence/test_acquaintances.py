"""Who shares a conversation with whom, over several databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import trio

from chat4all_actors.presence.acquaintances import TIMEOUT, acquaintances_of
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from trio.testing import MockClock

    from chat4all_storage.ports.shard import ShardStore


class Database:
    """Knows some friends, after a while."""

    def __init__(self, *friends: str, takes: float = 0.0, away: bool = False) -> None:
        self.friends = friends
        self.takes = takes
        self.away = away

    async def acquainted(self, user: str, others: Collection[str]) -> set[str]:
        assert user == "ana"
        await trio.sleep(self.takes)
        if self.away:
            raise Unavailable("gone")
        return set(self.friends) & set(others)


async def found_in(*databases: Database) -> tuple[set[str], bool]:
    stores = cast("list[ShardStore]", databases)
    return await acquaintances_of(stores, "ana", ["bob", "carla", "eve"])


async def test_all_databases_are_asked(autojump_clock: MockClock) -> None:
    assert await found_in(Database("bob"), Database("carla", "dave")) == ({"bob", "carla"}, False)


async def test_one_that_does_not_answer_keeps_nothing_from_the_others(
    autojump_clock: MockClock,
) -> None:
    assert await found_in(Database("bob"), Database(away=True)) == ({"bob"}, True)
    began = trio.current_time()
    assert await found_in(Database(takes=TIMEOUT + 1), Database("bob")) == ({"bob"}, True)
    assert trio.current_time() - began == TIMEOUT
