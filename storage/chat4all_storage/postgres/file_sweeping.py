"""The catalogue of files on PostgreSQL: their uses, and what goes.

A use and a removal lock the file's row, so they can't cross. Several sweepers share what is due:
each takes rows that nobody has locked. `now()` is the beginning of a statement; unlike the clock
it lets an index find what is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.files import File, Use
from .audit import MS
from .written_together import WritesTogether

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from .connections import Database
    from .written_together import Locked

FILE: Final = f"""f.id::text, f.owner, f.name, f.size, f.mime, f.conversation::text, f.key,
    f.chunk_size, f.state, {MS.format("f.created_at")}, {MS.format("f.expires_at")}, f.upload,
    f.sha256, f.reason, f.width, f.height,
    CASE WHEN f.thumbnail_stands OR f.state NOT IN ('ready', 'quarantined') THEN f.thumbnail END,
    {MS.format("f.completed_at")}, f.bytes_stand"""
"""The columns of `files f` that make a `File`."""

NOTE_READY: Final = """
    noted AS (
        INSERT INTO journal (writer, heads, file, file_owner)
        SELECT 'files', '', f.id, f.owner FROM f WHERE f.state = 'ready' AND journal_watched()
    )
"""
"""Beside a common table `f` of files that change their state: who waits for them is told."""

AT_ONCE: Final = 1000
"""Rows that one statement changes, of those that could be any number."""

_USE: Final = f"""
    WITH f AS (
        UPDATE files SET use_noted = true, unused_since = NULL
        WHERE id = $1 AND state = 'ready' AND ($4::text IS NULL OR owner = $4)
        RETURNING *
    ), noted AS (
        INSERT INTO file_uses (file, conversation, event) SELECT f.id, $2, $3 FROM f
        ON CONFLICT (file, conversation, event) DO UPDATE SET noted_at = EXCLUDED.noted_at
    )
    SELECT {FILE} FROM f
"""
_USES: Final = """
    SELECT conversation::text, event::text FROM file_uses
    WHERE file = $1 AND ($2::uuid IS NULL OR (conversation, event) > ($2, $3))
    ORDER BY conversation, event LIMIT $4
"""
_DROP_USES: Final = """
    DELETE FROM file_uses u USING files f
    WHERE f.id = $1 AND u.file = f.id
        AND (u.conversation, u.event) IN (SELECT * FROM unnest($2::uuid[], $3::uuid[]))
        AND u.noted_at < least(to_timestamp($4::float8 / 1000), f.looked_at)
"""
_CLAIM_UNLOOKED: Final = f"""
    UPDATE files f SET looked_at = clock_timestamp(), use_noted = false WHERE id IN (
        SELECT id FROM files
        WHERE state = 'ready' AND looked_at <= now() - $2 * interval '1 second'
        ORDER BY looked_at LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING {FILE}
"""
# Whether it goes is decided by the row as it is when the statement has it.
_LOOKED: Final = """
    UPDATE files SET
        unused_since = CASE WHEN NOT ($2 OR use_noted)
            THEN coalesce(unused_since, clock_timestamp()) END,
        state = CASE WHEN NOT ($2 OR use_noted)
            AND coalesce(unused_since, clock_timestamp())
                <= clock_timestamp() - $3 * interval '1 second'
            THEN 'removing' ELSE state END
    WHERE id = $1 AND state = 'ready' RETURNING state = 'removing'
"""
_EXPIRE: Final = """
    UPDATE files SET state = 'removing' WHERE id IN (
        SELECT id FROM files WHERE state = 'uploading' AND expires_at <= now()
        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
"""
_CLAIM_REMOVALS: Final = f"""
    UPDATE files f SET held_until = clock_timestamp() + $2 * interval '1 second' WHERE id IN (
        SELECT id FROM files
        WHERE state IN ('rejected', 'removing') AND bytes_stand AND held_until <= now()
        ORDER BY held_until LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING {FILE}
"""
_DROP_ALL_USES: Final = f"""
    DELETE FROM file_uses u USING files f
    WHERE f.id = $1 AND f.state = 'removing' AND u.file = f.id
        AND (u.conversation, u.event) IN (
            SELECT conversation, event FROM file_uses WHERE file = $1 LIMIT {AT_ONCE})
"""
_FORGET: Final = "DELETE FROM files WHERE id = $1 AND state = 'removing'"
_BYTES_GONE: Final = "UPDATE files SET bytes_stand = false WHERE id = $1 AND state = 'rejected'"
_FORGET_REJECTED: Final = """
    DELETE FROM files WHERE id IN (
        SELECT id FROM files WHERE state = 'rejected' AND NOT bytes_stand
            AND completed_at <= now() - $1 * interval '1 second'
        ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
# Of what has no bytes nothing has to be removed. A check that somebody holds keeps its hold: until
# it ends, bytes may still come.
_REMOVE: Final = """
    WITH due AS (
        SELECT id, bytes_stand FROM files WHERE id = ANY ($1::uuid[]) AND state <> 'removing'
        ORDER BY id FOR UPDATE
    ), gone AS (
        DELETE FROM files WHERE id IN (SELECT id FROM due WHERE NOT bytes_stand)
    ), going AS (
        UPDATE files SET state = 'removing' WHERE id IN (SELECT id FROM due WHERE bytes_stand)
    )
    SELECT count(*) FROM due
"""
_REMOVE_OF: Final = f"""
    WITH due AS (
        SELECT id, bytes_stand FROM files WHERE owner = $1 ORDER BY id LIMIT {AT_ONCE} FOR UPDATE
    ), gone AS (
        DELETE FROM files WHERE id IN (SELECT id FROM due WHERE NOT bytes_stand)
    ), going AS (
        UPDATE files SET state = 'removing', owner = $2, name = '', conversation = NULL
        WHERE id IN (SELECT id FROM due WHERE bytes_stand)
    )
    SELECT count(*) FROM due
"""


class PostgresFileSweeping:
    """The part of `PostgresFiles` that says which files may go."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together = WritesTogether(database)

    async def use(self, id_: str, use: Use, *, owner: str | None) -> File | None:
        """See `Files.use`."""
        arguments = (id_, use.conversation, use.event, owner)
        row = await self._together.write(row_of(id_), lambda c: c.fetchrow(_USE, *arguments))
        return None if row is None else file_of(row)

    async def uses(self, id_: str, after: Use | None, limit: int) -> list[Use]:
        """See `Files.uses`."""
        place = (None, None) if after is None else (after.conversation, after.event)
        rows = await self._database.read(lambda c: c.fetch(_USES, id_, *place, limit))
        return [Use(*row) for row in rows]

    async def drop_uses(self, id_: str, uses: Sequence[Use], *, noted_before: int) -> None:
        """See `Files.drop_uses`."""
        conversations, events = [use.conversation for use in uses], [use.event for use in uses]
        await self._database.write(
            lambda c: c.execute(_DROP_USES, id_, conversations, events, noted_before)
        )

    async def claim_unlooked(self, limit: int, *, every: float) -> list[File]:
        """See `Files.claim_unlooked`."""
        return files_of(
            await self._database.write(lambda c: c.fetch(_CLAIM_UNLOOKED, limit, every))
        )

    async def looked(self, id_: str, *, used: bool, keep: float) -> bool:
        """See `Files.looked`."""
        return bool(await self._database.write(lambda c: c.fetchval(_LOOKED, id_, used, keep)))

    async def expire(self, limit: int) -> int:
        """See `Files.expire`."""
        return await self._count(_EXPIRE, limit)

    async def claim_removals(self, limit: int, lease: float) -> list[File]:
        """See `Files.claim_removals`."""
        return files_of(
            await self._database.write(lambda c: c.fetch(_CLAIM_REMOVALS, limit, lease))
        )

    async def removed(self, id_: str) -> None:
        """See `Files.removed`."""
        while await self._count(_DROP_ALL_USES, id_):
            pass  # the statement below would remove them too, but in no bounded time
        if not await self._count(_FORGET, id_):
            await self._count(_BYTES_GONE, id_)

    async def forget_rejected(self, keep: float, limit: int) -> int:
        """See `Files.forget_rejected`."""
        return await self._count(_FORGET_REJECTED, keep, limit)

    async def remove(self, ids: Collection[str]) -> int:
        """See `Files.remove`."""
        count: int = await self._database.write(lambda c: c.fetchval(_REMOVE, list(ids)))
        return count

    async def remove_of(self, owner: str, pseudonym: str) -> None:
        """See `Files.remove_of`."""
        while await self._database.write(lambda c: c.fetchval(_REMOVE_OF, owner, pseudonym)):
            pass  # those that are done are no longer the owner's

    async def _count(self, statement: str, *arguments: Any) -> int:
        """How many rows a statement has changed."""
        done: str = await self._database.write(lambda c: c.execute(statement, *arguments))
        return int(done.rpartition(" ")[2])


def owners(owner: str) -> Locked:
    """What a write locks that is about all files of an owner."""
    return 0, owner


def row_of(id_: str) -> Locked:
    """What a write locks that is about one file."""
    return 1, id_


def file_of(row: Iterable[Any]) -> File:
    """A file from its columns."""
    return File(*row)


def files_of(rows: Iterable[Iterable[Any]]) -> list[File]:
    """Files from their rows."""
    return [file_of(row) for row in rows]
