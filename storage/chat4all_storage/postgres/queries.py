"""`Queries` on PostgreSQL: one statement each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chat4all_protocol.codec import decode_meta

from ..ports.queries import (
    LAST_WITHIN,
    MEMBERS_LISTED,
    Found,
    Listed,
    Portion,
    Reaction,
    Receipt,
    Revision,
    receipt,
)
from ..ports.shard import UNREAD_LIMIT
from .events import EVENT_COLUMNS, event_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports.queries import Carrier, Place
    from .connections import Database

# A statement of these always has a row, of the fences, so that both are of one moment.
_FENCED: Final = """
    WITH fenced AS (
        SELECT coalesce(array_agg(shard), '{}'::smallint[]) AS shards
        FROM shard_fences WHERE state <> 'frozen'
    )
"""

_FIND: Final = f"""
    {_FENCED}
    SELECT fenced.shards, found.* FROM fenced LEFT JOIN LATERAL (
        SELECT c.type, m.role, {EVENT_COLUMNS}
        FROM events e
        JOIN conversations c ON c.id = e.conversation
        JOIN members m ON m.conversation = e.conversation AND m.username = $2
        WHERE e.id = $1 AND c.shard <> ALL (fenced.shards)
        ORDER BY e.conversation, e.seq
    ) found ON true
"""

# What is read of each conversation is read after the page has been cut out.
_LISTING: Final = f"""
    {_FENCED}
    SELECT fenced.shards, mine.id, mine.type, mine.title, mine.metadata, mine.retention,
        mine.created_by, mine.created_at, mine.active_at, mine.head, mine.role, mine.recv,
        mine.read, mine.since,
        (SELECT count(*) FROM (
            SELECT FROM events x
            WHERE x.conversation = mine.id AND x.seq > mine.read AND x.sender <> $1
                AND x.kind = 0 AND NOT x.deleted
            LIMIT {UNREAD_LIMIT}) AS unread) AS unread,
        (SELECT array_agg(x.username || ' ' || x.role ORDER BY x.position) FROM (
            SELECT * FROM members y WHERE y.conversation = mine.id
            ORDER BY y.position LIMIT {MEMBERS_LISTED}) x) AS members,
        (SELECT count(*) FROM members x WHERE x.conversation = mine.id) AS member_count,
        {EVENT_COLUMNS}
    FROM fenced LEFT JOIN LATERAL (
        SELECT c.*, m.role, m.recv, m.read, m.since
        FROM members m JOIN conversations c ON c.id = m.conversation
        WHERE m.username = $1 AND c.shard <> ALL (fenced.shards)
            AND ($2::bigint IS NULL OR c.active_at < $2 OR (c.active_at = $2 AND c.id > $3::uuid))
        ORDER BY c.active_at DESC, c.id LIMIT $4
    ) mine ON true
    LEFT JOIN LATERAL (
        SELECT * FROM events x
        WHERE x.conversation = mine.id AND x.seq > mine.head - {LAST_WITHIN}
            AND x.kind = 0 AND NOT x.deleted
        ORDER BY x.seq DESC LIMIT 1
    ) e ON true
    ORDER BY mine.active_at DESC, mine.id
"""
_LAST_EVENT: Final = 17
"""The column of the listing at which the last message begins."""

# The reader's row makes the difference between nothing to tell and nobody to tell it to.
_RECEIPTS: Final = """
    SELECT m.username, m.recv, m.read, m.recv_at, m.read_at
    FROM members r
    JOIN events e ON e.conversation = r.conversation AND e.seq = $2
    LEFT JOIN members m ON m.conversation = r.conversation AND m.username <> e.sender
        AND m.since < e.seq
    WHERE r.conversation = $1 AND r.username = $3 AND check_served(ARRAY[$1::uuid])
    ORDER BY m.position
"""
_REVISIONS: Final = """
    SELECT v.edit, d.ts, v.body
    FROM members r
    JOIN events e ON e.conversation = r.conversation AND e.seq = $2
    LEFT JOIN revisions v ON v.conversation = e.conversation AND v.seq = e.seq
    LEFT JOIN events d ON d.conversation = v.conversation AND d.seq = v.edit
    WHERE r.conversation = $1 AND r.username = $3 AND check_served(ARRAY[$1::uuid])
    ORDER BY v.edit
"""

# A reaction's meta ends with whether it is put (c3) or taken back; what is before is the emoji.
_REACTIONS: Final = """
    SELECT last.seq, last.sender, last.meta FROM (
        SELECT DISTINCT ON (e.sender, substr(e.meta, 1, octet_length(e.meta) - 1))
            e.seq, e.sender, e.meta
        FROM events e
        WHERE e.conversation = $1 AND e.target = $2 AND e.kind = 3 AND e.meta IS NOT NULL
            AND check_served(ARRAY[$1::uuid])
        ORDER BY e.sender, substr(e.meta, 1, octet_length(e.meta) - 1), e.seq DESC
    ) last
    WHERE substr(last.meta, octet_length(last.meta)) = '\\xc3'::bytea
    ORDER BY last.seq DESC LIMIT $3
"""

# While a private conversation of an erased user moves, a message moves before its edit: there the
# edit stands for itself, so that nobody takes it for gone; nobody is a member meanwhile.
_CARRYING: Final = """
    SELECT a.n, coalesce(t.body, CASE WHEN t.seq IS NULL THEN e.body END)
    FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS a (conversation, event, n)
    JOIN events e ON e.id = a.event AND e.kind IN (0, 1)
    JOIN conversations c ON c.id = e.conversation AND c.shard = logical_shard(a.conversation)
    LEFT JOIN events t ON e.kind = 1 AND t.conversation = e.conversation AND t.seq = e.target
    LEFT JOIN members m ON m.conversation = e.conversation AND m.username = $3
    WHERE ($3::text IS NULL OR m.username IS NOT NULL) AND check_served($1)
    ORDER BY a.n, e.conversation, e.seq
"""


class PostgresQueries:
    """The part of `PostgresShard` that answers them."""

    _database: Database

    async def find(self, id_: str, reader: str) -> Portion[Found]:
        """See `Queries.find`."""
        rows = await self._database.read(lambda c: c.fetch(_FIND, id_, reader))
        items = [
            Found(event_of(row, 3), row["type"], row["role"])
            for row in rows
            if row["conversation"] is not None
        ]
        return Portion(items, frozenset(rows[0]["shards"]))

    async def listing(self, user: str, *, before: Place | None, limit: int) -> Portion[Listed]:
        """See `Queries.listing`."""
        active_at, id_ = before or (None, None)
        rows = await self._database.read(lambda c: c.fetch(_LISTING, user, active_at, id_, limit))
        items = [_listed(row) for row in rows if row[1] is not None]
        return Portion(items, frozenset(rows[0]["shards"]))

    async def receipts(self, conversation: str, seq: int, reader: str) -> list[Receipt] | None:
        """See `Queries.receipts`."""
        rows = await self._database.read(lambda c: c.fetch(_RECEIPTS, conversation, seq, reader))
        if not rows:
            return None
        return [
            receipt(name, seq, recv, read, recv_at, read_at)
            for name, recv, read, recv_at, read_at in rows
            if name is not None
        ]

    async def revisions(self, conversation: str, seq: int, reader: str) -> list[Revision] | None:
        """See `Queries.revisions`."""
        rows = await self._database.read(lambda c: c.fetch(_REVISIONS, conversation, seq, reader))
        if not rows:
            return None
        return [Revision(edit, ts, body) for edit, ts, body in rows if edit is not None]

    async def reactions(self, conversation: str, seq: int, limit: int) -> list[Reaction]:
        """See `Queries.reactions`."""
        rows = await self._database.read(lambda c: c.fetch(_REACTIONS, conversation, seq, limit))
        return [
            Reaction(put, sender, decode_meta(meta)["emoji"])
            for put, sender, meta in reversed(rows)
        ]

    async def carrying(
        self, carriers: Sequence[Carrier], reader: str | None
    ) -> dict[Carrier, list[bytes]]:
        """See `Queries.carrying`."""
        conversations = [conversation for conversation, _ in carriers]
        ids = [id_ for _, id_ in carriers]
        rows = await self._database.read(lambda c: c.fetch(_CARRYING, conversations, ids, reader))
        found: dict[Carrier, list[bytes]] = {}
        for number, body in rows:
            if body is not None:
                found.setdefault(carriers[number - 1], []).append(body)
        return found


def _listed(row: Any) -> Listed:
    return Listed(
        conversation=str(row[1]),
        type=row["type"],
        title=row["title"],
        metadata=row["metadata"],
        retention=row["retention"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        active_at=row["active_at"],
        head=row["head"],
        role=row["role"],
        recv=row["recv"],
        read=row["read"],
        since=row["since"],
        unread=row["unread"],
        members=dict(each.split(" ") for each in row["members"]),
        member_count=row["member_count"],
        last=None if row[_LAST_EVENT] is None else event_of(row, _LAST_EVENT),
    )
