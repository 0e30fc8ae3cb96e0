"""Which database holds which conversation.

A conversation belongs to one of 64 logical shards by its id, for ever; the map from logical
shards to databases is data in the directory database, so shards can move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGICAL_SHARDS: Final = 64

T = TypeVar("T")
U = TypeVar("U")


def logical_shard(conversation: str) -> int:
    """The logical shard of a conversation: the low six bits of its id, which are random."""
    return int(conversation[-2:], 16) & (LOGICAL_SHARDS - 1)


class ShardMap(Generic[T]):
    """One value (a store, a log) for each database, found by conversation."""

    def __init__(self, by_database: Sequence[T], placement: Sequence[int]) -> None:
        """Values in the order of the databases, and each logical shard's index into them."""
        if len(placement) != LOGICAL_SHARDS:
            raise ValueError(f"a placement names {LOGICAL_SHARDS} shards, not {len(placement)}")
        self.all = tuple(by_database)
        self._by_shard = tuple(by_database[index] for index in placement)
        self._placement = tuple(placement)

    def of(self, conversation: str) -> T:
        """The value of the database that holds `conversation`."""
        return self._by_shard[logical_shard(conversation)]

    def split(self, conversations: Sequence[str]) -> list[tuple[T, list[int]]]:
        """The positions in `conversations` that each database holds, for those that hold any."""
        places: dict[int, list[int]] = {}
        for position, conversation in enumerate(conversations):
            index = self._placement[logical_shard(conversation)]
            places.setdefault(index, []).append(position)
        return [(self.all[index], positions) for index, positions in places.items()]

    def map(self, values: Sequence[U]) -> ShardMap[U]:
        """The same placement over other values of the databases."""
        return ShardMap(values, self._placement)


def default_placement(databases: int) -> list[int]:
    """Logical shards spread evenly over so many databases."""
    return [shard % databases for shard in range(LOGICAL_SHARDS)]
