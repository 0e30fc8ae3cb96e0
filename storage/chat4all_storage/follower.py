"""Follows a table whose rows are numbered before they are committed, and misses none.

A sequence gives ids out at once, a commit makes rows visible later: 101 may be there before 100.
So an id that was left out is looked up again for a while; one that never comes was rolled back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

SECONDS: Final = 1.0
PATIENCE: Final = 30 * SECONDS
"""For an id that was left out: longer than any statement may run (`postgres/connections.py`)."""
LOOKS: Final = 10
"""How often it is looked up at least: while the database was away, time does not count."""
MAX_MISSING: Final = 1000
"""A crash of the server skips 32 ids; more than this were removed before they were read."""


class Numbered(Protocol):
    """A row with its id."""

    @property
    def id(self) -> int:
        """Ascending, in the order in which ids were given."""
        ...


R = TypeVar("R", bound=Numbered)


class _Missing(Struct):
    since: float
    looks: int = 0


class Follower(Generic[R]):
    """Where one reader stands in such a table."""

    def __init__(
        self, read: Callable[[int, Collection[int]], Awaitable[list[R]]], *, keep: float
    ) -> None:
        """`read(after, missing)` gives rows by ascending id; they are kept for `keep` seconds."""
        self._read = read
        self._keep = keep
        self._position = 0
        self._missing: dict[int, _Missing] = {}
        self._last = trio.current_time()
        self.lost = False
        """Rows may have been removed before they were read. To be reset by whoever makes up for it.
        """

    @property
    def position(self) -> int:
        """The greatest id that was read."""
        return self._position

    def start(self, position: int) -> None:
        """Begin after this id."""
        self._position = position
        self._missing.clear()
        self._last = trio.current_time()

    async def poll(self) -> list[R]:
        """What has come since. Raises what `read` raises; then nothing has changed."""
        rows = await self._read(self._position, list(self._missing))
        now = trio.current_time()
        if now - self._last > self._keep / 2:
            self.lost = True
        self._last = now
        for id_, missing in list(self._missing.items()):
            missing.looks += 1
            if missing.looks >= LOOKS and now - missing.since > PATIENCE:
                del self._missing[id_]
        for row in rows:
            self._take(row.id, now)
        return rows

    def _take(self, id_: int, now: float) -> None:
        if id_ <= self._position:
            self._missing.pop(id_, None)
            return
        left_out = range(self._position + 1, id_)
        if len(self._missing) + len(left_out) > MAX_MISSING:
            self.lost = True
            self._missing.clear()
        else:
            self._missing.update({missing: _Missing(now) for missing in left_out})
        self._position = id_
