"""The catalogue of files on PostgreSQL: uploads and their checks.

A change is one conditional statement; what stands is read by another one after it, if it did not
change anything. Times that are compared are of the database's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.errors import Rejected
from ..ports.files import OverQuota
from .file_sweeping import FILE, NOTE_READY, PostgresFileSweeping, file_of, files_of, owners, row_of

if TYPE_CHECKING:
    from ..ports.files import File, NewFile, Verdict

_SELECT: Final = f"SELECT {FILE} FROM files f WHERE id = $1"

# Adding takes turns for each owner: what is summed up below is all there is.
_LOCK_OWNER: Final = "SELECT pg_advisory_xact_lock(x'6335'::integer, hashtext($1))"
_ADD: Final = f"""
    WITH room AS (
        SELECT coalesce(sum(size), 0) AS used,
            count(*) FILTER (WHERE state IN ('uploading', 'checking')) AS unfinished
        FROM files
        WHERE owner = $2 AND state IN ('uploading', 'checking', 'ready', 'quarantined')
    ), judged AS (
        SELECT $10::bigint > 0 AND used + $4 > $10 AS no_room,
            $11::bigint > 0 AND unfinished >= $11 AS too_many
        FROM room
    ), stands AS (
        SELECT {FILE} FROM files f WHERE id = $1
    ), added AS (
        INSERT INTO files AS f
            (id, owner, name, size, mime, conversation, key, chunk_size, expires_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + $9 * interval '1 second'
        FROM judged WHERE NOT (no_room OR too_many) AND NOT EXISTS (SELECT FROM stands)
        ON CONFLICT (id) DO NOTHING RETURNING {FILE}
    )
    SELECT no_room, too_many, found.* FROM judged
    LEFT JOIN (SELECT * FROM stands UNION ALL SELECT * FROM added) found ON true
"""
_BEGUN: Final = f"""
    UPDATE files f SET upload = $2 WHERE id = $1 AND state = 'uploading' AND upload IS NULL
    RETURNING {FILE}
"""
_UNTIL: Final = "clock_timestamp() + $4 * interval '1 second'"
_BEGIN_CHECK: Final = f"""
    UPDATE files f SET state = 'checking', sha256 = $2, holder = $3, held_until = {_UNTIL}
    WHERE id = $1 AND (state = 'uploading' OR (state = 'checking' AND sha256 = $2
        AND (holder = $3 OR held_until <= clock_timestamp())))
    RETURNING {FILE}
"""
_RENEW: Final = """
    UPDATE files SET held_until = clock_timestamp() + $3 * interval '1 second'
    WHERE id = $1 AND state = 'checking' AND holder = $2 RETURNING true
"""
_FINISH: Final = f"""
    WITH f AS (UPDATE files SET state = $3, reason = $4, mime = coalesce($5, mime), width = $6,
        height = $7, thumbnail = coalesce($8, thumbnail), thumbnail_stands = $8::text IS NOT NULL,
        completed_at = clock_timestamp(), held_until = '-infinity', looked_at = clock_timestamp(),
        unused_since = clock_timestamp(), use_noted = false
    WHERE id = $1 AND state = 'checking' AND holder = $2 RETURNING *), {NOTE_READY}
    SELECT {FILE} FROM f
"""
_FINISHED: Final = f"{_SELECT} AND holder = $2 AND state = $3"
_NOTE_THUMBNAIL: Final = """
    UPDATE files SET thumbnail = $3 WHERE id = $1 AND state = 'checking' AND holder = $2
    RETURNING true
"""
_RECHECK: Final = f"""
    UPDATE files f SET state = 'checking', reason = NULL, completed_at = NULL, holder = $2,
        held_until = clock_timestamp() + $3 * interval '1 second'
    WHERE id = $1 AND (state = 'quarantined' OR (state = 'checking' AND holder = $2))
    RETURNING {FILE}
"""
_RELEASE: Final = f"""
    WITH f AS (UPDATE files SET state = 'ready', reason = NULL, completed_at = clock_timestamp(),
        looked_at = clock_timestamp(), unused_since = clock_timestamp(), use_noted = false
    WHERE id = $1 AND state = 'quarantined' RETURNING *), {NOTE_READY}
    SELECT {FILE} FROM f
"""
_LAPSED: Final = f"""
    SELECT {FILE} FROM files f WHERE state = 'checking' AND held_until <= now()
    ORDER BY held_until LIMIT $1
"""
_UNSCANNED: Final = f"""
    SELECT {FILE} FROM files f
    WHERE state = 'quarantined' AND reason = 'unscanned'
        AND completed_at < to_timestamp($1::float8 / 1000)
    ORDER BY completed_at LIMIT $2
"""
_QUARANTINED: Final = f"""
    SELECT {FILE} FROM files f WHERE state = 'quarantined' AND id > $1 ORDER BY id LIMIT $2
"""
# The page is cut out of the index, whatever number of files its owner has.
_OF: Final = f"""
    SELECT {FILE} FROM (
        SELECT id FROM files WHERE owner = $1 AND id > $2 AND state <> 'removing'
        ORDER BY id LIMIT $3
    ) page JOIN files f ON f.id = page.id ORDER BY f.id
"""
_BEFORE_ALL: Final = "00000000-0000-0000-0000-000000000000"


class PostgresFiles(PostgresFileSweeping):
    """See `Files`."""

    async def add(self, file: NewFile, *, lifetime: float, quota: int, max_uploads: int) -> File:
        """See `Files.add`."""

        told = (
            file.id,
            file.owner,
            file.name,
            file.size,
            file.mime,
            file.conversation,
            file.key,
            file.chunk_size,
            lifetime,
            quota,
            max_uploads,
        )

        async def run(connection: Any) -> Any:
            await connection.execute(_LOCK_OWNER, file.owner)
            return await connection.fetchrow(_ADD, *told)

        no_room, too_many, *found = await self._together.write(owners(file.owner), run)
        if found[0] is None and no_room:
            raise OverQuota("the files would take more room than allowed", field="size")
        if found[0] is None and too_many:
            raise OverQuota("too many uploads are unfinished", field="uploads")
        # None: of another owner, who has added it at the same time.
        if found[0] is None or (stands := file_of(found)).owner != file.owner:
            raise Rejected("another owner has a file of this id")
        return stands

    async def begun(self, id_: str, upload: str) -> File | None:
        """See `Files.begun`."""

        async def run(connection: Any) -> Any:
            row = await connection.fetchrow(_BEGUN, id_, upload)
            return row or await connection.fetchrow(_SELECT, id_)

        row = await self._together.write(row_of(id_), run)
        return None if row is None else file_of(row)

    async def find(self, id_: str) -> File | None:
        """See `Files.find`."""
        row = await self._database.read(lambda connection: connection.fetchrow(_SELECT, id_))
        return None if row is None else file_of(row)

    async def begin_check(
        self, id_: str, sha256: bytes, *, holder: str, lease: float
    ) -> tuple[File, bool] | None:
        """See `Files.begin_check`."""

        async def run(connection: Any) -> tuple[Any, bool]:
            row = await connection.fetchrow(_BEGIN_CHECK, id_, sha256, holder, lease)
            return row or await connection.fetchrow(_SELECT, id_), row is not None

        row, held = await self._together.write(row_of(id_), run)
        return None if row is None else (file_of(row), held)

    async def renew_check(self, id_: str, *, holder: str, lease: float) -> bool:
        """See `Files.renew_check`."""
        arguments = (id_, holder, lease)
        return bool(
            await self._together.write(row_of(id_), lambda c: c.fetchval(_RENEW, *arguments))
        )

    async def finish(self, id_: str, verdict: Verdict, *, holder: str) -> File | None:
        """See `Files.finish`."""
        found = (verdict.reason, verdict.mime, verdict.width, verdict.height, verdict.thumbnail)

        async def run(connection: Any) -> Any:
            row = await connection.fetchrow(_FINISH, id_, holder, verdict.state, *found)
            return row or await connection.fetchrow(_FINISHED, id_, holder, verdict.state)

        row = await self._together.write(row_of(id_), run)
        return None if row is None else file_of(row)

    async def note_thumbnail(self, id_: str, key: str, *, holder: str) -> bool:
        """See `Files.note_thumbnail`."""
        return bool(
            await self._together.write(
                row_of(id_), lambda c: c.fetchval(_NOTE_THUMBNAIL, id_, holder, key)
            )
        )

    async def lapsed_checks(self, limit: int) -> list[File]:
        """See `Files.lapsed_checks`."""
        return files_of(await self._database.read(lambda c: c.fetch(_LAPSED, limit)))

    async def unscanned(self, before: int, limit: int) -> list[File]:
        """See `Files.unscanned`."""
        return files_of(await self._database.read(lambda c: c.fetch(_UNSCANNED, before, limit)))

    async def recheck(self, id_: str, *, holder: str, lease: float) -> File | None:
        """See `Files.recheck`."""
        row = await self._database.write(lambda c: c.fetchrow(_RECHECK, id_, holder, lease))
        return None if row is None else file_of(row)

    async def release(self, id_: str) -> File | None:
        """See `Files.release`."""
        row = await self._database.write(lambda c: c.fetchrow(_RELEASE, id_))
        return None if row is None else file_of(row)

    async def quarantined(self, after: str | None, limit: int) -> list[File]:
        """See `Files.quarantined`."""
        place = after or _BEFORE_ALL
        return files_of(await self._database.read(lambda c: c.fetch(_QUARANTINED, place, limit)))

    async def of(self, owner: str, after: str | None, limit: int) -> list[File]:
        """See `Files.of`."""
        place = after or _BEFORE_ALL
        return files_of(await self._database.read(lambda c: c.fetch(_OF, owner, place, limit)))
