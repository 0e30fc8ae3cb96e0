"""`Upkeep` on PostgreSQL: functions of migration 0006, a bounded step in a transaction each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..ports.leaving import Group, departures, successions
from ..ports.upkeep import Expired

if TYPE_CHECKING:
    from .commit import CommitConnection
    from .connections import Database

_EXPIRE: Final = "SELECT messages, more FROM expire_messages($1, $2)"
_ERASE: Final = "SELECT erase_step($1, $2, $3)"

_GROUPS: Final = """
    SELECT m.conversation, CASE WHEN m.role = 'owner' AND NOT EXISTS (
            SELECT FROM members o WHERE o.conversation = m.conversation AND o.role = 'owner'
                AND o.username <> m.username)
        THEN (SELECT o.username FROM members o
            WHERE o.conversation = m.conversation AND o.username <> m.username
                AND strpos(o.username, ':') = 0
            ORDER BY o.role <> 'admin', o.position LIMIT 1) END
    FROM members m JOIN conversations c ON c.id = m.conversation
    WHERE m.username = $1 AND c.type = 'group'
        AND c.shard NOT IN (SELECT shard FROM shard_fences WHERE state <> 'frozen')
    ORDER BY m.conversation LIMIT $2
"""
# Nobody is told any more what a user received or read, or of its files.
_FORGET_CHANGES: Final = """
    UPDATE journal SET risen_conversations = NULL, risen_users = NULL, risen_recv = NULL,
        risen_read = NULL, file = NULL, file_owner = NULL, failed_conversation = NULL,
        failed_user = NULL
    WHERE $1 = ANY (risen_users) OR file_owner = $1 OR failed_user = $1
"""

GROUPS_AT_ONCE: Final = 100
WRITER: Final = "erasure"
"""In the journal: so that this node, too, learns of what it did not do by its conversations."""


class PostgresUpkeep:
    """The part of `PostgresShard` that does it."""

    _database: Database
    _committing: CommitConnection

    async def expire(self, limit: int, *, now: int | None = None) -> Expired:
        """See `Upkeep.expire`."""
        row = await self._database.write(lambda c: c.fetchrow(_EXPIRE, now, limit))
        return Expired(row["messages"], row["more"])

    async def erase_user(self, user: str, pseudonym: str, limit: int) -> bool:
        """See `Upkeep.erase_user`."""
        rows = await self._database.read(lambda c: c.fetch(_GROUPS, user, GROUPS_AT_ONCE))
        if rows:
            groups = [Group(str(id_), successor) for id_, successor in rows]
            for appends in (successions(user, groups), departures(user, groups)):
                await self._committing.commit(appends, [], WRITER)
            return False
        done: bool = await self._database.write(
            lambda c: c.fetchval(_ERASE, user, pseudonym, limit)
        )
        if done:
            await self._database.write(lambda c: c.execute(_FORGET_CHANGES, user))
        return done
