"""A `ShardStore` on PostgreSQL."""

from __future__ import annotations

import secrets
import struct
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..ports.errors import Moved
from ..ports.events import DEFAULT_RULES, CommitResult, Mark, Status, StoredEvent
from ..ports.logical_shards import logical_shard
from ..ports.shard import Conversation, JournalRow, MemberInfo, Page
from ..together import Together
from .changes import PostgresChanges, Unsettled
from .commit import CommitConnection
from .connections import Database
from .events import EVENT_COLUMNS, event_of
from .outbox import PostgresOutbox
from .queries import PostgresQueries
from .resume import RESUME, Start, read_resumed
from .starts import StartConnections
from .upkeep import PostgresUpkeep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from chat4all_protocol.frames import ConversationType

    from ..bridge import Bridge
    from ..ports.events import Append, Rules
    from ..ports.shard import Range, Replay, Resumed


MAX_STARTS: Final = 32
"""Sessions of one query: each may be answered with as much as it may be replayed."""
STARTS_AT_ONCE: Final = 1
"""Such queries: while one is under way, the sessions of the next gather."""

_HISTORY: Final = f"""
    SELECT r.n, {EVENT_COLUMNS}
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])
        WITH ORDINALITY AS r (conversation, after, upto, size, n)
    CROSS JOIN LATERAL (
        SELECT * FROM events x
        WHERE x.conversation = r.conversation AND x.seq > r.after AND x.seq <= r.upto
        ORDER BY x.seq LIMIT r.size
    ) e
    WHERE check_served($1)
    ORDER BY r.n, e.seq
"""

_HEAD_FOR_MEMBER: Final = """
    SELECT c.head FROM conversations c JOIN members m ON m.conversation = c.id
    WHERE c.id = $1 AND m.username = $2 AND check_served(ARRAY[$1])
"""

_SERVED: Final = "NOT IN (SELECT shard FROM shard_fences WHERE state <> 'frozen')"
"""Of a logical shard: it is not elsewhere."""

_CREATE: Final = "SELECT create_conversation($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

_MEMBERS: Final = """
    SELECT c.id, c.head, array_agg(m.username ORDER BY m.position)
    FROM conversations c JOIN members m ON m.conversation = c.id
    WHERE c.id = ANY ($1) AND check_served($1) GROUP BY c.id
"""

_ACQUAINTED: Final = f"""
    SELECT DISTINCT o.username
    FROM members m JOIN members o ON o.conversation = m.conversation
    WHERE m.username = $1 AND o.username = ANY ($2)
        AND logical_shard(m.conversation) {_SERVED}
"""

# Own rows are not worth reading, unless somebody came in: an own creation may have been in doubt.
_JOURNAL: Final = """
    SELECT id, CASE WHEN writer <> $5 OR joined_users IS NOT NULL THEN heads END,
        joined_conversations, joined_users
    FROM journal
    WHERE (id > $1 OR id = ANY ($2)) AND at <= clock_timestamp() - $3 * interval '1 second'
    ORDER BY id LIMIT $4
"""
# Ids of transactions that began before may still appear: start a little before the end.
_JOURNAL_END: Final = "SELECT greatest(coalesce(max(id), 0) - 100, 0) FROM journal"
# Up to the first that is young: what is kept is not looked through.
_TRIM: Final = """
    DELETE FROM journal WHERE id IN (
        SELECT id FROM journal WHERE id < coalesce(
            (SELECT id FROM journal WHERE at >= clock_timestamp() - $1 * interval '1 second'
                ORDER BY id LIMIT 1), 9223372036854775807)
        ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED)
"""
_HEAD: Final = struct.Struct(">16sq")


class PostgresShard(PostgresOutbox, PostgresQueries, PostgresChanges, PostgresUpkeep):
    """One PostgreSQL database as a `ShardStore`."""

    def __init__(
        self,
        bridge: Bridge,
        dsn: str,
        name: str,
        *,
        rules: Rules = DEFAULT_RULES,
        prepare: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`prepare`: see `Database`."""
        self.name = name
        self._database = Database(bridge, dsn, prepare=prepare)
        self._committing = CommitConnection(dsn, self._database.ready, rules)
        self._starting = StartConnections(dsn, self._database.ready, RESUME)
        read = partial(read_resumed, self._starting)
        self._resuming = Together(read, most=MAX_STARTS, at_once=STARTS_AT_ONCE)
        self._unsettled = Unsettled()
        self._writer = secrets.token_hex(8)
        """Tells what this store wrote from what others did."""

    async def commit(self, appends: Sequence[Append], marks: Sequence[Mark]) -> CommitResult:
        """See `ShardStore.commit`."""
        return await self._committing.commit(appends, marks, self._writer)

    async def history(self, ranges: Sequence[Range]) -> list[list[StoredEvent]]:
        """See `ShardStore.history`."""
        rows = await self._database.read(lambda connection: _fetch_ranges(connection, ranges))
        found: list[list[StoredEvent]] = [[] for _ in ranges]
        for row in rows:
            found[row[0] - 1].append(event_of(row, 1))
        return found

    async def page(
        self, conversation: str, reader: str, *, after: int | None, before: int | None, limit: int
    ) -> Page | None:
        """See `ShardStore.page`."""

        async def run(connection: Any) -> tuple[int, list[Any]] | None:
            head = await connection.fetchval(_HEAD_FOR_MEMBER, conversation, reader)
            if head is None:
                return None
            if after is not None:
                first, upto = after, head
            else:
                upto = head if before is None else min(before - 1, head)
                first = max(0, upto - limit)
            arguments = ([conversation], [first], [upto], [limit])
            return head, await connection.fetch(_HISTORY, *arguments)

        found = await self._database.read(run)
        if found is None:
            return None
        head, rows = found
        return Page([event_of(row, 1) for row in rows], head)

    async def resume(
        self, user: str, cursors: Mapping[str, int], *, details: int, replay: Replay
    ) -> Resumed:
        """See `ShardStore.resume`."""
        return await self._resuming.ask(Start(user, cursors, details, replay))

    async def conversation(self, conversation: str) -> Conversation | None:
        """See `ShardStore.conversation`."""
        return await self._database.read(lambda connection: _load(connection, conversation))

    async def create(
        self,
        conversation: str,
        type_: ConversationType,
        title: str | None,
        creator: str,
        roles: dict[str, str],
        *,
        metadata: bytes | None = None,
        digest: int = 0,
        trace: bytes | None = None,
    ) -> tuple[Conversation, bool]:
        """See `ShardStore.create`."""
        names, given = list(roles), list(roles.values())
        told = (conversation, type_, title, creator, names, given, metadata, digest, trace)
        arguments = (*told, self._writer)

        async def run(connection: Any) -> tuple[Conversation | None, int]:
            async with connection.transaction():  # an error of the second undoes the first
                made = await connection.fetchval(_CREATE, *arguments)
                return await _load(connection, conversation), made

        found, made = await self._database.write(run)
        if made == Status.MOVED:
            raise Moved(f"shard {logical_shard(conversation)} is on the move")
        assert found is not None  # it was made just now or was there, and is never deleted
        return found, made == 1

    async def members(self, conversations: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
        """See `ShardStore.members`."""
        rows = await self._database.read(lambda c: c.fetch(_MEMBERS, list(conversations)))
        return {str(id_): (head, names) for id_, head, names in rows}

    async def acquainted(self, user: str, others: Collection[str]) -> set[str]:
        """See `ShardStore.acquainted`."""
        rows = await self._database.read(lambda c: c.fetch(_ACQUAINTED, user, list(others)))
        return {row["username"] for row in rows}

    async def heads(self, conversations: Sequence[str]) -> dict[str, int]:
        """See `ShardStore.heads`."""
        query = f"SELECT id, head FROM conversations WHERE id = ANY ($1) AND shard {_SERVED}"
        rows = await self._database.read(lambda c: c.fetch(query, list(conversations)))
        return {str(id_): head for id_, head in rows}

    async def conversations_of(self, users: Sequence[str]) -> list[tuple[str, str, int]]:
        """See `ShardStore.conversations_of`."""
        query = f"""SELECT conversation, username, recv FROM members
                    WHERE username = ANY ($1) AND logical_shard(conversation) {_SERVED}"""
        rows = await self._database.read(lambda c: c.fetch(query, list(users)))
        return [(str(id_), name, recv) for id_, name, recv in rows]

    async def journal_end(self) -> int:
        """See `ShardStore.journal_end`."""
        end: int = await self._database.read(lambda c: c.fetchval(_JOURNAL_END))
        return end

    async def journal(
        self, after: int, missing: Collection[int], *, lag: float, limit: int
    ) -> list[JournalRow]:
        """See `ShardStore.journal`."""
        arguments = (after, list(missing), lag, limit, self._writer)
        rows = await self._database.read(lambda c: c.fetch(_JOURNAL, *arguments))
        return [_journal_row(*row) for row in rows]

    async def trim_journal(self, keep: float) -> int:
        """See `ShardStore.trim_journal`."""
        done: str = await self._database.read(lambda c: c.execute(_TRIM, keep))
        return int(done.rpartition(" ")[2])

    async def close(self) -> None:
        """See `ShardStore.close`."""
        self._committing.close()
        self._starting.close()
        await self._database.close()


async def _fetch_ranges(connection: Any, ranges: Sequence[Range]) -> list[Any]:
    rows: list[Any] = await connection.fetch(
        _HISTORY,
        [r.conversation for r in ranges],
        [r.after for r in ranges],
        [r.upto for r in ranges],
        [r.limit for r in ranges],
    )
    return rows


async def _load(connection: Any, conversation: str) -> Conversation | None:
    # One statement, so that members and head belong together.
    rows = await connection.fetch(
        """SELECT c.type, c.title, c.created_by, c.created_at, c.head,
                  c.metadata, c.retention, c.digest,
                  m.username, m.role, m.recv, m.read, m.recv_at, m.read_at, m.since
           FROM conversations c LEFT JOIN members m ON m.conversation = c.id
           WHERE c.id = $1 AND check_served(ARRAY[$1]) ORDER BY m.position""",
        conversation,
    )
    if not rows:
        return None
    first = rows[0]
    return Conversation(
        id=conversation,
        type=first["type"],
        title=first["title"],
        created_by=first["created_by"],
        created_at=first["created_at"],
        head=first["head"],
        members={
            row["username"]: MemberInfo(
                row["role"], row["recv"], row["read"], row["recv_at"], row["read_at"], row["since"]
            )
            for row in rows
            if row["username"] is not None
        },
        metadata=first["metadata"],
        retention=first["retention"],
        digest=first["digest"],
    )


def _journal_row(
    id_: int, heads: bytes | None, conversations: list[Any] | None, users: list[str] | None
) -> JournalRow:
    return JournalRow(
        id=id_,
        heads=[(str(uuid.UUID(bytes=raw)), seq) for raw, seq in _HEAD.iter_unpack(heads or b"")],
        joined=[
            (str(conversation), user)
            for conversation, user in zip(conversations or (), users or (), strict=True)
        ],
    )
