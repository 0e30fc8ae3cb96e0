from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.ports.errors import Rejected
from chat4all_storage.ports.logical_shards import LOGICAL_SHARDS, default_placement, logical_shard
from chat4all_storage.postgres.directory import PostgresDirectory
from chat4all_storage.sharding.placement import Placement
from tests.storage.builders import conversation_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge

TWO = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]


@pytest.fixture
async def directory(bridge: Bridge, database: str) -> AsyncIterator[PostgresDirectory]:
    directory = PostgresDirectory(bridge, database)
    yield directory
    await directory.close()


def test_a_conversation_belongs_to_the_shard_of_its_last_bits() -> None:
    assert logical_shard("6f0c2f0a-2b6f-4d0e-9a53-0c4a11a7c400") == 0
    assert logical_shard("6f0c2f0a-2b6f-4d0e-9a53-0c4a11a7c43f") == 63
    assert logical_shard("6f0c2f0a-2b6f-4d0e-9a53-0c4a11a7c440") == 0
    assert logical_shard("6f0c2f0a-2b6f-4d0e-9a53-0c4a11a7c4ff") == 63
    assert [logical_shard(conversation_of(shard)) for shard in range(64)] == list(range(64))


@pytest.mark.parametrize("private", [False, True], ids=["random ids", "private ids"])
def test_conversations_spread_over_all_shards(private: bool) -> None:
    made = (
        private_conversation_id("ann", f"user-{number}") if private else new_id()
        for number in range(6400)
    )
    counts = Counter(logical_shard(conversation) for conversation in made)
    assert len(counts) == LOGICAL_SHARDS
    assert max(counts.values()) < 200  # of 100 on average


@pytest.mark.parametrize("databases", [1, 2, 3, 64])
def test_shards_are_placed_evenly(databases: int) -> None:
    counts = Counter(default_placement(databases))
    assert len(counts) == databases
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_placement_knows_the_database_of_a_shard() -> None:
    placement = Placement([*default_placement(2)[:63], None])
    assert [placement.of(shard) for shard in (6, 7, 63)] == [0, 1, None]
    assert placement.held_by(1) == frozenset(range(1, 63, 2))


def test_a_change_of_place_is_told_to_whoever_watches() -> None:
    placement = Placement([0] * LOGICAL_SHARDS)
    told: list[tuple[int, int | None, int | None]] = []

    def watcher(shard: int, former: int | None) -> None:
        told.append((shard, former, placement.of(shard)))

    with placement.watched(watcher):
        assert not placement.update([0] * LOGICAL_SHARDS)
        assert placement.update([0, 1, None, *[0] * 61])
        assert placement.update([0, 1, 1, *[0] * 61])
    assert placement.update([0] * LOGICAL_SHARDS)
    assert told == [(1, 0, 1), (2, 0, None), (2, None, 1)]


@pytest.mark.parametrize("places", [[], [0] * 63, [0] * 65])
def test_a_placement_names_every_shard(places: list[int]) -> None:
    with pytest.raises(ValueError, match="64 shards"):
        Placement(places)


# --- the placement in the directory ---------------------------------------------------------------


async def test_shards_are_placed_at_first_and_for_good(directory: PostgresDirectory) -> None:
    assert await directory.place_shards(TWO) == default_placement(2)
    assert await directory.place_shards(TWO) == default_placement(2)
    # The order in which databases are named does not matter.
    assert await directory.place_shards(TWO[::-1]) == [1 - at for at in default_placement(2)]


async def test_a_further_database_gets_no_shards_by_itself(directory: PostgresDirectory) -> None:
    assert await directory.place_shards(TWO[:1]) == [0] * LOGICAL_SHARDS
    assert await directory.place_shards(TWO) == [0] * LOGICAL_SHARDS


async def test_a_missing_database_that_holds_shards_is_refused(
    directory: PostgresDirectory,
) -> None:
    await directory.place_shards(TWO)
    with pytest.raises(Rejected, match=f"logical shard 1 lives in database {TWO[1]}"):
        await directory.place_shards(TWO[:1])


async def test_the_placement_can_be_read_again(directory: PostgresDirectory) -> None:
    await directory.place_shards(TWO)
    assert await directory.placement() == [TWO[index] for index in default_placement(2)]
