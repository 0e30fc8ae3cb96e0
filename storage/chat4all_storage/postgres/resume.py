"""What sessions start from, in one query for several of them; and an event from its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from ..ports.errors import Rejected
from ..ports.events import EVENT_OVERHEAD, StoredEvent
from ..ports.shard import UNREAD_LIMIT, Membership, Resumed
from . import binary
from .binary import read_array, read_integer, read_uuid
from .events import read_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chat4all_protocol.frames import ConversationType

    from ..ports.shard import Replay
    from .libpq import Row
    from .starts import StartConnections


# One statement, so that memberships, heads, events and fences are of one moment, for several
# sessions at once (`n` is a session's place in the question). Rows of the three kinds share their
# columns: first the fences, then memberships by rank, then events by rank and seq. How much is read
# is decided before any body is.
RESUME: Final = f"""
    WITH fenced AS (
        SELECT coalesce(array_agg(shard), '{{}}'::smallint[]) AS shards
        FROM shard_fences WHERE state <> 'frozen'
    ), asked AS (
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
            WITH ORDINALITY AS a (username, details, most_each, most_events, most_bytes, n)
    ), mine AS MATERIALIZED (
        SELECT a.n, a.username, a.details, c.id, c.type, c.title, c.head, c.active_at, m.recv,
            m.read, row_number() OVER (PARTITION BY a.n ORDER BY c.active_at DESC, c.id) AS rank
        FROM fenced CROSS JOIN asked a JOIN members m ON m.username = a.username
            JOIN conversations c ON c.id = m.conversation
        WHERE c.shard <> ALL (fenced.shards)
    ), behind AS (
        SELECT a.n, a.most_each, a.most_events, a.most_bytes, c.id, c.head, k.after,
            row_number() OVER nth AS rank,
            sum(c.head - k.after) OVER nth - (c.head - k.after) AS before
        FROM fenced CROSS JOIN unnest($6::bigint[], $7::uuid[], $8::bigint[]) AS k (n, id, after)
            JOIN asked a ON a.n = k.n
            JOIN members m ON m.conversation = k.id AND m.username = a.username
            JOIN conversations c ON c.id = k.id
        WHERE c.shard <> ALL (fenced.shards) AND c.head - k.after BETWEEN 1 AND a.most_each
        WINDOW nth AS (PARTITION BY a.n ORDER BY c.active_at DESC, c.id)
    ), sized AS (
        SELECT b.n, b.rank, b.most_bytes, x.conversation, x.seq,
            sum({EVENT_OVERHEAD} + coalesce(octet_length(x.body), 0)
                + coalesce(octet_length(x.meta), 0))
                OVER (PARTITION BY b.n ORDER BY b.rank, x.seq) AS bytes
        FROM behind b CROSS JOIN LATERAL (
            SELECT * FROM events y
            WHERE y.conversation = b.id AND y.seq > b.after AND y.seq <= b.head
            ORDER BY y.seq LIMIT b.most_each
        ) x
        WHERE b.before < b.most_events
    )
    SELECT 0 AS row_kind, 0::bigint AS n, 0::bigint AS rank, NULL::uuid AS conversation,
        0::bigint AS seq, NULL::uuid AS id, NULL::text AS sender, NULL::smallint AS kind,
        NULL::bigint AS ts, NULL::bytea AS body, NULL::bigint AS reply_to, NULL::bigint AS target,
        NULL::bytea AS meta, NULL::text AS channel, NULL::boolean AS deleted,
        NULL::bigint AS edited_at, NULL::bigint AS deleted_at,
        NULL::text AS type, NULL::text AS title, NULL::bigint AS active_at, NULL::bigint AS recv,
        NULL::bigint AS read, NULL::bigint AS unread, NULL::text AS peer, fenced.shards
    FROM fenced
    UNION ALL
    SELECT 1, mine.n, mine.rank, mine.id, mine.head, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, mine.type, mine.title, mine.active_at, mine.recv, mine.read,
        CASE WHEN mine.rank <= mine.details AND mine.head > mine.read THEN (
            SELECT count(*) FROM (
                SELECT FROM events e
                WHERE e.conversation = mine.id AND e.seq > mine.read AND e.sender <> mine.username
                    AND e.kind = 0 AND NOT e.deleted
                LIMIT {UNREAD_LIMIT}
            ) counted
        ) ELSE 0 END,
        CASE WHEN mine.rank <= mine.details AND mine.type = 'private' THEN (
            SELECT m.username FROM members m
            WHERE m.conversation = mine.id AND m.username <> mine.username LIMIT 1
        ) END, NULL
    FROM mine
    UNION ALL
    SELECT 2, s.n, s.rank, e.conversation, e.seq, e.id, e.sender, e.kind, e.ts, e.body, e.reply_to,
        e.target, e.meta, e.channel, e.deleted, e.edited_at, e.deleted_at,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM sized s JOIN events e ON e.conversation = s.conversation AND e.seq = s.seq
    WHERE s.bytes <= s.most_bytes
    ORDER BY row_kind, n, rank, seq
"""
_ROW_KIND, _N, _EVENT, _SHARDS = 0, 1, 3, 24
"""Columns; `_EVENT` is where those of an event begin, those of a membership alone at 17."""
_FENCES, _MEMBERSHIP = 0, 1
"""Kinds of rows."""


class Start(Struct, frozen=True):
    """What one session asks: see `ShardStore.resume`."""

    user: str
    cursors: Mapping[str, int]
    details: int
    replay: Replay


async def read_resumed(connections: StartConnections, starts: Sequence[Start]) -> list[Resumed]:
    """See `ShardStore.resume`, for several sessions; `connections` ask `RESUME`.

    Raises:
        Unavailable, Rejected: there is no answer.
    """
    cursors = [
        (n, id_, after) for n, each in enumerate(starts, 1) for id_, after in each.cursors.items()
    ]
    try:
        values = [
            binary.texts([each.user for each in starts]),
            binary.integers(binary.INT8, [each.details for each in starts]),
            binary.integers(binary.INT8, [each.replay.each for each in starts]),
            binary.integers(binary.INT8, [each.replay.events for each in starts]),
            binary.integers(binary.INT8, [each.replay.size for each in starts]),
            binary.integers(binary.INT8, [n for n, _, _ in cursors]),
            binary.uuids([id_ for _, id_, _ in cursors]),
            binary.integers(binary.INT8, [after for _, _, after in cursors]),
        ]
    except ValueError as error:
        raise Rejected(f"a value can't be sent to PostgreSQL: {error}") from error
    rows = await connections.read(values)
    memberships: list[list[Membership]] = [[] for _ in starts]
    events: list[dict[str, list[StoredEvent]]] = [{} for _ in starts]
    unserved = frozenset[int]()
    for row in rows:
        kind = read_integer(row[_ROW_KIND] or b"")
        if kind == _FENCES:
            unserved = frozenset(map(read_integer, read_array(row[_SHARDS] or b"")))
            continue
        place = read_integer(row[_N] or b"") - 1
        if kind == _MEMBERSHIP:
            memberships[place].append(_membership(row))
        else:
            event = read_event(row, _EVENT)
            events[place].setdefault(event.conversation, []).append(event)
    return [Resumed(*found, unserved) for found in zip(memberships, events, strict=True)]


def _membership(row: Row) -> Membership:
    conversation, head = cast("list[bytes]", row[3:5])
    type_, active_at, recv, read, unread = cast("list[bytes]", [row[17], *row[19:23]])
    title, peer = row[18], row[23]
    return Membership(
        conversation=read_uuid(conversation),
        type=cast("ConversationType", type_.decode()),
        title=None if title is None else title.decode(),
        head=read_integer(head),
        active_at=read_integer(active_at),
        recv=read_integer(recv),
        read=read_integer(read),
        unread=read_integer(unread),
        peer=None if peer is None else peer.decode(),
    )
