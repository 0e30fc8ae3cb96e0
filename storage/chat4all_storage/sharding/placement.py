"""Which database holds which logical shard: data of the directory's, so that shards can move."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from ..ports.errors import Unavailable
from ..ports.logical_shards import LOGICAL_SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


Watcher: TypeAlias = "Callable[[int, int | None], None]"
"""Called with a logical shard and the database that it was in."""


class Placement:
    """Where each logical shard is, as far as this node knows; databases are told by their index.

    None is a database that this node was not configured with.
    """

    def __init__(self, places: Sequence[int | None]) -> None:
        if len(places) != LOGICAL_SHARDS:
            raise ValueError(f"a placement names {LOGICAL_SHARDS} shards, not {len(places)}")
        self._places = list(places)
        self._held: dict[int, frozenset[int]] = {}
        """By database; each session that starts asks."""
        self._watchers: list[Watcher] = []

    def of(self, shard: int) -> int | None:
        """The database of a logical shard."""
        return self._places[shard]

    def require(self, shard: int) -> int:
        """The same.

        Raises:
            Unavailable: this node was not told of that database.
        """
        index = self._places[shard]
        if index is None:
            raise Unavailable(f"shard {shard} is in a database that this node does not know")
        return index

    def held_by(self, database: int) -> frozenset[int]:
        """The logical shards of a database."""
        if (held := self._held.get(database)) is None:
            held = frozenset(shard for shard, at in enumerate(self._places) if at == database)
            self._held[database] = held
        return held

    def update(self, places: Sequence[int | None]) -> bool:
        """Learn where the shards are now; whether that is news."""
        moves = [
            (shard, former)
            for shard, (former, now) in enumerate(zip(self._places, places, strict=True))
            if former != now
        ]
        self._places = list(places)
        self._held.clear()
        for shard, former in moves:
            for watcher in list(self._watchers):
                watcher(shard, former)
        return bool(moves)

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Within this, `watcher` is called for each shard that changes its place."""
        self._watchers.append(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)
