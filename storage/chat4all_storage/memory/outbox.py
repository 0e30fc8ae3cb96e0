"""`Outbox` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..ports.logical_shards import logical_shard
from ..ports.outbox import Leaving
from .conversations import MemoryConversations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .conversations import OutboxRow
    from .log import Log


class MemoryOutbox(MemoryConversations):
    """The part of `MemoryShard` that keeps it."""

    async def leaving(self, limit: int) -> list[Leaving]:
        """See `Outbox.leaving`."""
        await trio.lowlevel.checkpoint()
        served = [
            row for row in self._outbox if logical_shard(row.conversation) not in self.moved_shards
        ]
        return [_leaving(row, self._logs[row.conversation]) for row in served[:limit]]

    async def routed(self, ids: Sequence[int]) -> None:
        """See `Outbox.routed`."""
        await trio.lowlevel.checkpoint()
        gone = set(ids)
        self._outbox = [row for row in self._outbox if row.id not in gone]


def _leaving(row: OutboxRow, log: Log) -> Leaving:
    event = log.events[row.seq - 1]
    return Leaving(
        id=row.id,
        conversation=row.conversation,
        seq=row.seq,
        sender=event.sender,
        kind=event.kind,
        target=event.target,
        channels=row.channels,
        members=list(log.members),
    )
