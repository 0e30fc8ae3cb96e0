"""To which logical shard a conversation belongs: by its id, for ever."""

from __future__ import annotations

from typing import Final

LOGICAL_SHARDS: Final = 64

ALL_SHARDS: Final = frozenset(range(LOGICAL_SHARDS))


def logical_shard(conversation: str) -> int:
    """The logical shard of a conversation: the low six bits of its id, which are random."""
    return int(conversation[-2:], 16) & (LOGICAL_SHARDS - 1)


def default_placement(databases: int) -> list[int]:
    """Logical shards spread evenly over so many databases."""
    return [shard % databases for shard in range(LOGICAL_SHARDS)]
