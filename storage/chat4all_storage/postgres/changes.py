"""`ChangesReader` on PostgreSQL: the journal in the order of its ids, none passed early.

An id is given before its row can be seen, so one that is left out may still come: from any
transaction that is writing to the journal when the hole is first seen. When all of those have ended
it never comes. Transactions that write to a table hold a lock of it, which shows who they are.
"""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, Any, Final

from ..ports.changes import Activity, Changed, Changes, Failure, ReadyFile, Rise
from .audit import MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .connections import Database

MAX_HOLES: Final = 1000
"""Holes that are remembered: of one that is forgotten the writers are looked up again."""
_ROUNDS: Final = 3
"""A hole that nobody can fill is seen, judged and passed in one call."""

_ROWS: Final = f"""
    SELECT id, {MS.format("at")} AS at, heads, joined_conversations, joined_users,
        risen_conversations, risen_users, risen_recv, risen_read, file, file_owner,
        failed_conversation, failed_seq, failed_user, failed_account, failed_reason
    FROM journal WHERE id > $1 ORDER BY id LIMIT $2
"""
_NOW: Final = f"SELECT {MS.format('clock_timestamp()')}"
_WRITERS: Final = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'journal'::regclass AND mode = 'RowExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_HEAD: Final = struct.Struct(">16sq")

# What is read of each conversation is read after the page has been cut out.
_ACTIVE: Final = """
    WITH fenced AS (
        SELECT coalesce(array_agg(shard), '{{}}'::smallint[]) AS shards
        FROM shard_fences WHERE state <> 'frozen'
    )
    SELECT fenced.shards, l.id, CASE WHEN l.moved THEN coalesce(
            (SELECT e.seq FROM events e WHERE e.conversation = l.id AND e.ts < $1
                ORDER BY e.seq DESC LIMIT 1),
            CASE WHEN l.created_at < $1 THEN 0 ELSE -1 END) ELSE l.head END, l.head, l.moved
    FROM fenced LEFT JOIN LATERAL (
        SELECT c.id, c.head, c.created_at, c.active_at >= $1 OR EXISTS (
            SELECT FROM members r WHERE r.conversation = c.id
                AND (r.recv_at >= $1 OR r.read_at >= $1)) AS moved
        FROM ({page}) c
    ) l ON true
    ORDER BY l.id
"""
_ACTIVE_OF_ALL: Final = _ACTIVE.format(
    page="""
        SELECT * FROM conversations x WHERE x.id > $2 AND x.shard <> ALL (fenced.shards)
        ORDER BY x.id LIMIT $3"""
)
_ACTIVE_OF_MEMBER: Final = _ACTIVE.format(
    page="""
        SELECT x.* FROM members m JOIN conversations x ON x.id = m.conversation
        WHERE m.username = $4 AND x.id > $2 AND x.shard <> ALL (fenced.shards)
        ORDER BY x.id LIMIT $3"""
)
_BEFORE_ALL: Final = "00000000-0000-0000-0000-000000000000"

_WATCH: Final = """
    INSERT INTO journal_watch (until) VALUES (clock_timestamp() + $1 * interval '1 second')
    ON CONFLICT (only_row) DO UPDATE SET until = EXCLUDED.until
    WHERE journal_watch.until < EXCLUDED.until
"""

Hole = tuple[int, int]
"""The first id that is left out, and the next one that is there."""


_NOTE_FAILURE: Final = """
    INSERT INTO journal (writer, heads, failed_conversation, failed_seq, failed_user,
        failed_account, failed_reason)
    SELECT 'channels', '', $1, $2, $3, $4, $5 WHERE journal_watched()
"""


class Unsettled:
    """Holes that were seen, with who was writing to the journal then."""

    def __init__(self) -> None:
        self._writers: dict[Hole, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._writers)

    def __contains__(self, hole: Hole) -> bool:
        return hole in self._writers

    def note(self, hole: Hole, writers: frozenset[str]) -> None:
        """The hole was seen before these were found writing."""
        while len(self._writers) >= MAX_HOLES:
            del self._writers[next(iter(self._writers))]
        self._writers[hole] = writers

    def settled(self, hole: Hole, writers: frozenset[str]) -> bool:
        """Whether none of those who could fill it is among these, who were found before a look."""
        known = self._writers.get(hole)
        return known is not None and known.isdisjoint(writers)


class PostgresChanges:
    """The part of `PostgresShard` that does it."""

    _database: Database
    _unsettled: Unsettled

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `ChangesReader.changes`."""

        async def run(connection: Any) -> Changes:
            for _ in range(_ROUNDS):
                writers = await _writers(connection) if self._unsettled else frozenset[str]()
                now = await connection.fetchval(_NOW)
                rows = await connection.fetch(_ROWS, after, limit)
                count, hole = _passable(after, rows, self._unsettled, writers)
                if hole is None or hole in self._unsettled:
                    break
                self._unsettled.note(hole, await _writers(connection))
            at = now
            if count < len(rows):
                at = min(now, rows[count]["at"])
            elif count == limit:
                at = min(now, rows[-1]["at"])
            return Changes([_changed(*row) for row in rows[:count]], at, count == limit)

        return await self._database.read(run)

    async def active(
        self, since: int, user: str | None, *, after: str | None, limit: int
    ) -> tuple[list[Activity], frozenset[int]]:
        """See `ChangesReader.active`."""
        arguments: list[Any] = [since, after or _BEFORE_ALL, limit]
        query = _ACTIVE_OF_ALL
        if user is not None:
            query = _ACTIVE_OF_MEMBER
            arguments.append(user)
        rows = await self._database.read(lambda c: c.fetch(query, *arguments))
        found = [
            Activity(str(id_), told, head, moved)
            for _, id_, told, head, moved in rows
            if id_ is not None
        ]
        return found, frozenset(rows[0][0])

    async def watch(self, seconds: float) -> None:
        """See `ChangesReader.watch`."""
        await self._database.write(lambda c: c.execute(_WATCH, seconds))

    async def note_failure(self, failure: Failure) -> None:
        """See `ChangesReader.note_failure`."""
        told = (failure.conversation, failure.seq, failure.user, failure.account, failure.reason)
        await self._database.write(lambda c: c.execute(_NOTE_FAILURE, *told))


async def _writers(connection: Any) -> frozenset[str]:
    return frozenset(row[0] for row in await connection.fetch(_WRITERS))


def _passable(
    after: int, rows: Sequence[Any], unsettled: Unsettled, writers: frozenset[str]
) -> tuple[int, Hole | None]:
    """How many rows may be passed, and the hole before the next one."""
    expected = after + 1
    for count, row in enumerate(rows):
        hole = (expected, row["id"])
        if row["id"] > expected and not unsettled.settled(hole, writers):
            return count, hole
        expected = row["id"] + 1
    return len(rows), None


def _changed(
    id_: int,
    at: int,
    heads: bytes,
    joined_to: list[Any] | None,
    joined: list[str] | None,
    conversations: list[Any] | None,
    users: list[str] | None,
    recv: list[int | None] | None,
    read: list[int | None] | None,
    file: Any,
    owner: str | None,
    failed_conversation: Any,
    failed_seq: int,
    failed_user: str,
    failed_account: str,
    failed_reason: str | None,
) -> Changed:
    rest = zip(users or (), recv or (), read or (), strict=True)
    risen = zip(conversations or (), rest, strict=True)
    failure = None
    if failed_conversation is not None:
        place = (str(failed_conversation), failed_seq)
        failure = Failure(*place, failed_user, failed_account, failed_reason)
    return Changed(
        id=id_,
        at=at,
        heads=[(str(uuid.UUID(bytes=raw)), seq) for raw, seq in _HEAD.iter_unpack(heads)],
        joined=[(str(id_), name) for id_, name in zip(joined_to or (), joined or (), strict=True)],
        rises=[Rise(str(conversation), *each) for conversation, each in risen],
        file=None if file is None or owner is None else ReadyFile(str(file), owner),
        failure=failure,
    )
