"""What has changed in a shard in memory, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..ports.changes import Activity, Changed, Changes
from .conversations import MemoryConversations

if TYPE_CHECKING:
    from ..ports.changes import Failure
    from .log import Log


class MemoryChanges(MemoryConversations):
    """`ChangesReader` in memory: a row can be seen as soon as it has its number."""

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `ChangesReader.changes`."""
        await trio.lowlevel.checkpoint()
        rows = [
            Changed(row.id, at, row.heads, row.joined, *self._beside.get(row.id, ([], None, None)))
            for at, row in self._journal
            if row.id > after
        ][:limit]
        more = len(rows) == limit
        return Changes(rows, rows[-1].at if more else self._clock_ms(), more)

    async def active(
        self, since: int, user: str | None, *, after: str | None, limit: int
    ) -> tuple[list[Activity], frozenset[int]]:
        """See `ChangesReader.active`."""
        await trio.lowlevel.checkpoint()
        logs = sorted(self._served(), key=lambda log: log.id)
        found = [
            _activity(log, since)
            for log in logs
            if log.id > (after or "") and (user is None or user in log.members)
        ]
        return found[:limit], frozenset(self.moved_shards)

    async def watch(self, seconds: float) -> None:
        """See `ChangesReader.watch`."""
        await trio.lowlevel.checkpoint()
        until = self._clock_ms() + int(seconds * 1000)
        self._watched_until = max(self._watched_until, until)

    async def note_failure(self, failure: Failure) -> None:
        """See `ChangesReader.note_failure`."""
        await trio.lowlevel.checkpoint()
        if self._watched():
            self._write_journal([], [], failure=failure)


def _activity(log: Log, since: int) -> Activity:
    head = len(log.events)
    rose = any(
        at is not None and at >= since
        for member in log.members.values()
        for at in (member.recv_at, member.read_at)
    )
    moved = rose or log.active_at >= since
    if not moved:
        return Activity(log.id, head, head, moved=False)
    older = [event.seq for event in log.events if event.ts < since]
    told = older[-1] if older else 0 if log.created_at < since else -1
    return Activity(log.id, told, head, moved=True)
