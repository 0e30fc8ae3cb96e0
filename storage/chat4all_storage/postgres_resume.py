"""What a session starts from, in one query; and an event from its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .ports import EVENT_OVERHEAD, KINDS, UNREAD_LIMIT, Membership, Resumed, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ports import Replay

EVENT_COLUMNS: Final = (
    "e.conversation, e.seq, e.id, e.sender, e.kind, e.ts, e.body, e.reply_to, e.target, e.meta,"
    " e.channel, e.deleted, e.edited_at, e.deleted_at"
)

# One statement, so that memberships, heads, events and fences are of one moment. Rows of the three
# kinds share their columns: first the fences, then memberships by rank, then events by rank and
# seq. How much is read is decided before any body is.
_RESUME: Final = f"""
    WITH fenced AS (
        SELECT coalesce(array_agg(shard), '{{}}'::smallint[]) AS shards
        FROM shard_fences WHERE state <> 'frozen'
    ), mine AS MATERIALIZED (
        SELECT c.id, c.type, c.title, c.head, c.active_at, m.recv, m.read,
            row_number() OVER (ORDER BY c.active_at DESC, c.id) AS rank
        FROM fenced CROSS JOIN members m JOIN conversations c ON c.id = m.conversation
        WHERE m.username = $1 AND c.shard <> ALL (fenced.shards)
    ), behind AS (
        SELECT mine.id, mine.head, mine.rank, k.after,
            sum(mine.head - k.after) OVER (ORDER BY mine.rank) - (mine.head - k.after) AS before
        FROM unnest($3::uuid[], $4::bigint[]) AS k (id, after) JOIN mine ON mine.id = k.id
        WHERE mine.head - k.after BETWEEN 1 AND $5::bigint
    ), sized AS (
        SELECT b.rank, x.conversation, x.seq,
            sum({EVENT_OVERHEAD} + coalesce(octet_length(x.body), 0)
                + coalesce(octet_length(x.meta), 0)) OVER (ORDER BY b.rank, x.seq) AS bytes
        FROM behind b CROSS JOIN LATERAL (
            SELECT * FROM events y
            WHERE y.conversation = b.id AND y.seq > b.after AND y.seq <= b.head
            ORDER BY y.seq LIMIT $5
        ) x
        WHERE b.before < $6::bigint
    )
    SELECT 0 AS row_kind, 0::bigint AS rank, NULL::uuid AS conversation, 0::bigint AS seq,
        NULL::uuid AS id, NULL::text AS sender, NULL::smallint AS kind, NULL::bigint AS ts,
        NULL::bytea AS body, NULL::bigint AS reply_to, NULL::bigint AS target,
        NULL::bytea AS meta, NULL::text AS channel, NULL::boolean AS deleted,
        NULL::bigint AS edited_at, NULL::bigint AS deleted_at,
        NULL::text AS type, NULL::text AS title, NULL::bigint AS active_at, NULL::bigint AS recv,
        NULL::bigint AS read, NULL::bigint AS unread, NULL::text AS peer, fenced.shards
    FROM fenced
    UNION ALL
    SELECT 1, mine.rank, mine.id, mine.head, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, mine.type, mine.title, mine.active_at, mine.recv, mine.read,
        CASE WHEN mine.rank <= $2 AND mine.head > mine.read THEN (
            SELECT count(*) FROM (
                SELECT FROM events e
                WHERE e.conversation = mine.id AND e.seq > mine.read AND e.sender <> $1
                    AND e.kind = 0 AND NOT e.deleted
                LIMIT {UNREAD_LIMIT}
            ) counted
        ) ELSE 0 END,
        CASE WHEN mine.rank <= $2 AND mine.type = 'private' THEN (
            SELECT m.username FROM members m
            WHERE m.conversation = mine.id AND m.username <> $1 LIMIT 1
        ) END, NULL
    FROM mine
    UNION ALL
    SELECT 2, s.rank, e.conversation, e.seq, e.id, e.sender, e.kind, e.ts, e.body, e.reply_to,
        e.target, e.meta, e.channel, e.deleted, e.edited_at, e.deleted_at,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM sized s JOIN events e ON e.conversation = s.conversation AND e.seq = s.seq
    WHERE s.bytes <= $7::bigint
    ORDER BY row_kind, rank, seq
"""
_FENCES, _MEMBERSHIP = 0, 1


async def read_resumed(
    connection: Any, user: str, cursors: Mapping[str, int], details: int, replay: Replay
) -> Resumed:
    """See `ShardStore.resume`."""
    rows = await connection.fetch(
        _RESUME,
        user,
        details,
        list(cursors),
        list(cursors.values()),
        replay.each,
        replay.events,
        replay.size,
    )
    memberships: list[Membership] = []
    events: dict[str, list[StoredEvent]] = {}
    unserved = frozenset[int]()
    for row in rows:
        if row["row_kind"] == _FENCES:
            unserved = frozenset(row["shards"])
        elif row["row_kind"] == _MEMBERSHIP:
            memberships.append(
                Membership(
                    conversation=str(row["conversation"]),
                    type=row["type"],
                    title=row["title"],
                    head=row["seq"],
                    active_at=row["active_at"],
                    recv=row["recv"],
                    read=row["read"],
                    unread=row["unread"],
                    peer=row["peer"],
                )
            )
        else:
            event = event_of(row, 2)
            events.setdefault(event.conversation, []).append(event)
    return Resumed(memberships, events, unserved)


def event_of(row: Any, first: int) -> StoredEvent:
    """The event in a row, whose columns begin at `first`."""
    return StoredEvent(
        conversation=str(row[first]),
        seq=row[first + 1],
        id=str(row[first + 2]),
        sender=row[first + 3],
        kind=KINDS[row[first + 4]],
        ts=row[first + 5],
        body=row[first + 6],
        reply_to=row[first + 7],
        target=row[first + 8],
        meta=row[first + 9],
        channel=row[first + 10],
        deleted=row[first + 11],
        edited_at=row[first + 12],
        deleted_at=row[first + 13],
    )
