"""The end of a journal, read once for all who are told of it on this node.

Nothing is read while nobody is there. Who is further behind than what is kept here reads the
database.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from chat4all_storage.ports.changes import Changes
from chat4all_storage.ports.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_storage.ports.changes import Changed
    from chat4all_storage.ports.shard import ShardStore

logger = logging.getLogger(__name__)

EVERY: Final = 0.25
"""Seconds between two looks."""
EVERY_AWAY: Final = 2.0
"""Likewise, while the database can't be read."""
LINGER: Final = 30.0
"""Seconds for which it goes on when the last reader has left: others come, or the same again."""
KEPT: Final = 2000
"""Rows."""
LIMIT: Final = 500
"""Rows of one look."""
WATCH: Final = 24 * 3600.0
"""Seconds for which the database is told that somebody is there,"""
WATCH_EVERY: Final = 3600.0
"""and how often it is told again."""
BEYOND_ALL: Final = 2**62
"""After this there are no rows: a look tells the time alone."""


class Tail:
    """Of one database."""

    def __init__(self, store: ShardStore) -> None:
        self.store = store
        self._rows: deque[Changed] = deque()
        self._before = 0
        """The rows that are kept come after this id."""
        self._position = 0
        self._at = 0
        self._readers = 0
        self._left = -LINGER
        """When the last reader left, by trio's clock."""
        self._watched = -WATCH_EVERY
        self._wanted = trio.Event()
        self._news = trio.Event()
        self._failing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody wants to know."""
        self._readers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._readers -= 1
            self._left = trio.current_time()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Read while there are readers, until cancelled."""
        task_status.started()
        while True:
            self._wanted = trio.Event()
            if not self._readers:
                await self._wanted.wait()
            await self._follow()

    async def _follow(self) -> None:
        """Until nobody reads, or the database can't be read."""
        try:
            await self._watch()
            self._start(await self.store.journal_end())
            while self._readers or trio.current_time() - self._left < LINGER:
                await self._watch()
                found = await self.store.changes(self._position, limit=LIMIT)
                self._failing = False
                self._take(found)
                if not found.more:
                    await trio.sleep(EVERY)
        except StorageError as error:
            if not self._failing:
                logger.warning("changes of %s can't be read: %s", self.store.name, error)
            self._failing = True
            await trio.sleep(EVERY_AWAY)

        finally:
            self._at = 0  # what is kept gets old

    async def prepare(self) -> None:
        """Let the database note from now on what is no event, for who is going to read.

        Raises:
            StorageError: it can't be told so.
        """
        await self._watch()

    async def _watch(self) -> None:
        if trio.current_time() - self._watched >= WATCH_EVERY:
            await self.store.watch(WATCH)
            self._watched = trio.current_time()

    def _start(self, position: int) -> None:
        self._rows.clear()
        self._before = self._position = position
        self._at = 0

    def _take(self, found: Changes) -> None:
        for row in found.rows:
            self._rows.append(row)
            self._position = row.id
        while len(self._rows) > KEPT:
            self._before = self._rows.popleft().id
        self._at = found.at
        if found.rows:
            self._news.set()
            self._news = trio.Event()

    async def after(self, position: int, *, limit: int) -> Changes:
        """See `ChangesReader.changes`; what is kept here is not read again.

        Raises:
            StorageError: the database can't be read.
        """
        if self._at and self._before <= position <= self._position:
            await trio.lowlevel.checkpoint()
            rows = [row for row in self._rows if row.id > position]
            if len(rows) > limit:
                return Changes(rows[:limit], rows[limit - 1].at, more=True)
            return Changes(rows, self._at, more=False)
        return await self.store.changes(position, limit=limit)

    async def now(self) -> int:
        """The time of the database, in milliseconds since the epoch, or that of the last look.

        Raises:
            StorageError: the database can't be read.
        """
        if self._at:
            return self._at
        return (await self.store.changes(BEYOND_ALL, limit=1)).at

    async def news(self) -> None:
        """Wait for further rows."""
        await self._news.wait()
