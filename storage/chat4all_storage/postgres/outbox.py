"""`Outbox` on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ..ports.events import KINDS
from ..ports.outbox import INTERNAL_ONLY, Leaving, names_external

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connections import Database

# Events that get another id by an erasure are not there any more; their rows go with the former.
_LEAVING: Final = """
    SELECT o.id, o.conversation, o.seq, e.sender, e.kind, e.target, o.channels,
        ARRAY(SELECT m.username FROM members m WHERE m.conversation = o.conversation
            ORDER BY m.position) AS members
    FROM outbox o JOIN events e ON e.conversation = o.conversation AND e.seq = o.seq
    WHERE logical_shard(o.conversation) NOT IN (
        SELECT shard FROM shard_fences WHERE state <> 'frozen')
    ORDER BY o.id LIMIT $1
"""
_ROUTED: Final = "DELETE FROM outbox WHERE id = ANY ($1)"


class PostgresOutbox:
    """The part of `PostgresShard` that reads it; `commit_batch` writes it."""

    _database: Database

    async def leaving(self, limit: int) -> list[Leaving]:
        """See `Outbox.leaving`."""
        rows = await self._database.read(lambda c: c.fetch(_LEAVING, limit))
        return [
            Leaving(
                id=id_,
                conversation=str(conversation),
                seq=seq,
                sender=sender,
                kind=KINDS[kind],
                target=target,
                channels=None if channels is None else _CHANNELS.decode(channels),
                members=members,
            )
            for id_, conversation, seq, sender, kind, target, channels, members in rows
        ]

    async def routed(self, ids: Sequence[int]) -> None:
        """See `Outbox.routed`."""
        await self._database.write(lambda c: c.execute(_ROUTED, list(ids)))


_CHANNELS: Final = msgspec.json.Decoder(tuple[str, ...])


def packed(channels: Sequence[str] | None) -> str | None:
    """What a sender chose, as `commit_batch` takes it."""
    if channels is None:
        return None
    chosen = channels if names_external(channels) else INTERNAL_ONLY
    return msgspec.json.encode(chosen).decode()
