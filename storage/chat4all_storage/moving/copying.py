"""Copy the conversations of a logical shard from one database to another, while they are written.

Round after round, what has changed since the round before is copied again: a row that was written
since has an `xmin` that is not older than the oldest transaction that was under way then. That
costs the writers nothing, and a row too many does no harm. Events are added, and what changes
events that stand already (an edit, a deletion, retention, an erasure) counts up the `revision` of
their conversation and leaves that number on them: so they are found by the number of the copy.

Everything here that is `async` runs on the bridge's asyncio loop.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_EVENTS: Final = 5000
"""Events copied in one transaction."""
MAX_CONVERSATIONS: Final = 500

_CONVERSATION: Final = (
    "id",
    "type",
    "title",
    "created_by",
    "created_at",
    "head",
    "active_at",
    "metadata",
    "retention",
    "expired",
    "expires_at",
    "revision",
    "digest",
    "trace",
    "external",
)
_MEMBER: Final = (
    "conversation",
    "username",
    "role",
    "position",
    "recv",
    "read",
    "since",
    "recv_at",
    "read_at",
)
_EVENT: Final = (
    "conversation",
    "seq",
    "id",
    "sender",
    "kind",
    "ts",
    "digest",
    "reply_to",
    "target",
    "body",
    "meta",
    "channel",
    "deleted",
    "subject",
    "role",
    "trace",
    "edited_at",
    "deleted_at",
    "revised",
)
_REVISION: Final = ("conversation", "seq", "edit", "body")

_OUTBOX: Final = ("conversation", "seq", "channels")

_HORIZON: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::xid::text"

_CHANGED: Final = """
    SELECT c.id, c.head FROM conversations c
    WHERE c.shard = $1 AND ($2::text IS NULL OR age(c.xmin) <= age($2::text::xid) OR EXISTS (
        SELECT FROM members m WHERE m.conversation = c.id AND age(m.xmin) <= age($2::text::xid)))
    ORDER BY c.id
"""
_HEADS: Final = "SELECT id, head, revision FROM conversations WHERE id = ANY ($1::uuid[])"

_PARTS: Final = """
    unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS p (conversation, after, upto, revision)
"""
_CONVERSATION_COLUMNS: Final = ", ".join(
    "p.upto" if name == "head" else f"c.{name}" for name in _CONVERSATION
)
_READ_CONVERSATIONS: Final = f"""
    SELECT {_CONVERSATION_COLUMNS}
    FROM {_PARTS} JOIN conversations c ON c.id = p.conversation
"""
_READ_MEMBERS: Final = f"""
    SELECT {", ".join("m." + name for name in _MEMBER)}
    FROM {_PARTS} JOIN members m ON m.conversation = p.conversation
"""
_READ_EVENTS: Final = f"""
    SELECT {", ".join("e." + name for name in _EVENT)}
    FROM {_PARTS} JOIN events e ON e.conversation = p.conversation
        AND e.seq > p.after AND e.seq <= p.upto
    UNION ALL
    SELECT {", ".join("e." + name for name in _EVENT)}
    FROM {_PARTS} JOIN events e ON e.conversation = p.conversation
        AND e.seq <= p.after AND e.revised > p.revision
"""
_READ_REVISIONS: Final = f"""
    SELECT {", ".join("r." + name for name in _REVISION)}
    FROM {_PARTS} JOIN revisions r ON r.conversation = p.conversation
        AND r.edit > p.after AND r.edit <= p.upto
"""
# What was routed since the copy was made is routed again by the target, which changes nothing.
_READ_OUTBOX: Final = f"""
    SELECT {", ".join("o." + name for name in _OUTBOX)}
    FROM {_PARTS} JOIN outbox o ON o.conversation = p.conversation
        AND o.seq > p.after AND o.seq <= p.upto
"""


def _assign(names: str) -> str:
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in names.split())


_STAGE: Final = """
    CREATE TEMPORARY TABLE staged_conversations (LIKE conversations) ON COMMIT DELETE ROWS;
    ALTER TABLE staged_conversations DROP COLUMN shard;
    CREATE TEMPORARY TABLE staged_members (LIKE members) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE staged_events (LIKE events) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE staged_revisions (LIKE revisions) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE staged_outbox (conversation uuid, seq bigint, channels text)
        ON COMMIT DELETE ROWS;
"""
_WRITE: Final = f"""
    INSERT INTO conversations ({", ".join(_CONVERSATION)})
        SELECT {", ".join(_CONVERSATION)} FROM staged_conversations
        ON CONFLICT (id) DO UPDATE
        SET {_assign("title created_by head active_at metadata retention expired expires_at")},
            {_assign("revision external")};
    DELETE FROM members m USING staged_conversations c WHERE m.conversation = c.id;
    INSERT INTO members ({", ".join(_MEMBER)}) SELECT {", ".join(_MEMBER)} FROM staged_members;
    INSERT INTO events ({", ".join(_EVENT)}) SELECT {", ".join(_EVENT)} FROM staged_events
        ON CONFLICT (conversation, seq) DO UPDATE
        SET {_assign("sender digest body meta channel deleted subject")},
            {_assign("edited_at deleted_at revised")};
    DELETE FROM revisions r USING staged_events e
        WHERE r.conversation = e.conversation AND r.seq = e.seq AND e.deleted;
    INSERT INTO revisions ({", ".join(_REVISION)})
        SELECT {", ".join(_REVISION)} FROM staged_revisions;
    INSERT INTO outbox ({", ".join(_OUTBOX)})
        SELECT {", ".join(_OUTBOX)} FROM staged_outbox ORDER BY conversation, seq;
"""
_SUMMARY: Final = f"""
    SELECT {", ".join("c." + name for name in _CONVERSATION)},
        (SELECT (count(*), sum(hash_record_extended(
                ROW({", ".join("m." + name for name in _MEMBER)}), 0)))::text
            FROM members m WHERE m.conversation = c.id) AS members,
        (SELECT (count(*), max(e.seq), sum(hash_record_extended(
                ROW({", ".join("e." + name for name in _EVENT)}), 0)))::text
            FROM events e WHERE e.conversation = c.id) AS events,
        (SELECT (count(*), sum(hash_record_extended(
                ROW({", ".join("r." + name for name in _REVISION)}), 0)))::text
            FROM revisions r WHERE r.conversation = c.id) AS revisions
    FROM conversations c WHERE c.id = ANY ($1::uuid[]) ORDER BY c.id
"""
_TOTALS: Final = "SELECT count(*), sum(head) FROM conversations WHERE shard = $1"


class Part(Struct, frozen=True):
    """Events `after < seq <= upto` of a conversation that are to be copied.

    And those up to `after` that were changed after the `revision` of the copy.
    """

    conversation: str
    after: int
    upto: int
    revision: int


class Copied(Struct):
    """What has been copied so far."""

    conversations: int = 0
    events: int = 0
    rounds: int = 0


class Copier:
    """Copies one logical shard over a connection to each database."""

    def __init__(self, shard: int, source: Any, target: Any) -> None:
        self.copied = Copied()
        self._shard = shard
        self._source = source
        self._target = target
        self._horizon: str | None = None
        self._verified_since: str | None = None
        self._doubted: set[str] = set()
        """Conversations that differed when both were compared while one was written."""

    async def prepare(self) -> None:
        """Make room for what is on its way, for as long as the connection lasts."""
        await self._target.execute(_STAGE)

    async def round(self) -> int:
        """Copy what has changed since the last round, all at first; how many conversations."""
        horizon: str = await self._source.fetchval(_HORIZON)
        changed = await self._changed(self._horizon)
        for start in range(0, len(changed), MAX_CONVERSATIONS):
            heads = dict(changed[start : start + MAX_CONVERSATIONS])
            for parts in _batches(await self._missing(heads)):
                await self._copy(parts)
        self._horizon = horizon
        self.copied.rounds += 1
        self.copied.conversations += len(changed)
        return len(changed)

    async def compare(self) -> None:
        """Compare everything once, before the shard is frozen; that takes the longest."""
        self._verified_since = await self._source.fetchval(_HORIZON)
        ids = [id_ for id_, _ in await self._changed(None)]
        self._doubted = set(await self._different(ids))

    async def verify(self) -> list[str]:
        """The conversations that are not the same in both, now that nobody writes them."""
        changed = {id_ for id_, _ in await self._changed(self._verified_since)}
        different = await self._different(sorted(changed | self._doubted))
        ours, theirs = [
            tuple(await connection.fetchrow(_TOTALS, self._shard))
            for connection in (self._source, self._target)
        ]
        return different if different or ours == theirs else ["the number of all of them"]

    async def _changed(self, since: str | None) -> list[tuple[str, int]]:
        rows = await self._source.fetch(_CHANGED, self._shard, since)
        return [(str(id_), head) for id_, head in rows]

    async def _missing(self, heads: dict[str, int]) -> list[Part]:
        rows = await self._target.fetch(_HEADS, list(heads))
        there = {str(id_): (head, revision) for id_, head, revision in rows}
        parts: list[Part] = []
        for id_, head in heads.items():
            after, revision = there.get(id_, (0, 0))
            parts.append(Part(id_, after, head, revision))
        return parts

    async def _copy(self, parts: Sequence[Part]) -> None:
        arguments = (
            [part.conversation for part in parts],
            [part.after for part in parts],
            [part.upto for part in parts],
            [part.revision for part in parts],
        )
        async with self._source.transaction(isolation="repeatable_read", readonly=True):
            # Of one moment: what a later commit changes is found by the next round.
            staged: list[tuple[str, Sequence[str], str]] = [
                ("staged_conversations", _CONVERSATION, _READ_CONVERSATIONS),
                ("staged_members", _MEMBER, _READ_MEMBERS),
                ("staged_events", _EVENT, _READ_EVENTS),
                ("staged_revisions", _REVISION, _READ_REVISIONS),
                ("staged_outbox", _OUTBOX, _READ_OUTBOX),
            ]
            read: list[tuple[str, Sequence[str], io.BytesIO]] = []
            for table, columns, query in staged:
                data = io.BytesIO()
                await self._source.copy_from_query(query, *arguments, output=data, format="binary")
                data.seek(0)
                read.append((table, columns, data))
        async with self._target.transaction():
            for table, columns, data in read:
                await self._target.copy_to_table(
                    table, source=data, columns=list(columns), format="binary"
                )
            await self._target.execute(_WRITE)
        self.copied.events += sum(part.upto - part.after for part in parts)

    async def _different(self, ids: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(ids), MAX_CONVERSATIONS):
            batch = list(ids[start : start + MAX_CONVERSATIONS])
            ours, theirs = [
                {str(row["id"]): tuple(row) for row in await connection.fetch(_SUMMARY, batch)}
                for connection in (self._source, self._target)
            ]
            found += [id_ for id_ in batch if ours.get(id_) != theirs.get(id_)]
        return found


def _batches(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """The parts, divided so that no transaction copies too many events."""
    batch: list[Part] = []
    room = MAX_EVENTS
    for part in parts:
        after = part.after
        while True:
            upto = min(part.upto, after + room)
            batch.append(Part(part.conversation, after, upto, part.revision))
            room -= upto - after
            after = upto
            if room <= 0:
                yield batch
                batch, room = [], MAX_EVENTS
            if after >= part.upto:
                break
    if batch:
        yield batch
