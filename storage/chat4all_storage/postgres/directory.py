"""A `Directory` on PostgreSQL, and the placement of the logical shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ..ports.audit import SHELL, Actor, user_subject
from ..ports.directory import Arrivals, Notice, User
from ..ports.errors import Rejected, UsernameTaken
from ..ports.logical_shards import LOGICAL_SHARDS, default_placement
from . import binary
from .audit import tell
from .binary import read_array, read_integer
from .connections import Database
from .erasures import being_erased
from .logins import end_logins
from .starts import StartConnections

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..bridge import Bridge


# now() is when the transaction began, before it looked at anything.
_ARRIVALS: Final = """
    SELECT (extract(epoch FROM now()) * 1000000)::bigint,
        ARRAY(SELECT username FROM users
              WHERE lower(username COLLATE "C") = ANY ($1::text[]) AND invisible)
"""


class PostgresDirectory:
    """The first database's tables of users and of shards."""

    def __init__(self, bridge: Bridge, dsn: str) -> None:
        self._database = Database(bridge, dsn)
        self._starting = StartConnections(dsn, self._database.ready, _ARRIVALS)

    @property
    def database(self) -> Database:
        """Its connections, which the account stores share."""
        return self._database

    async def add_user(self, user: User, *, email: str | None = None, actor: Actor = SHELL) -> None:
        """See `Directory.add_user`."""

        async def run(connection: Any) -> bool:
            try:
                async with connection.transaction():
                    await connection.execute(
                        """INSERT INTO users (id, username, password_hash, email)
                           VALUES ($1, $2, $3, $4)""",
                        user.id,
                        user.username,
                        user.password_hash,
                        email,
                    )
                    if await being_erased(connection, user.username):
                        raise UsernameTaken(user.username)
                    await tell(connection, "user.added", user_subject(user.id), actor)
            except (asyncpg.UniqueViolationError, UsernameTaken):
                return False
            return True

        if not await self._database.write(run):
            raise UsernameTaken(user.username)

    async def find_user(self, username: str) -> User | None:
        """See `Directory.find_user`."""
        row = await self._database.read(
            lambda connection: connection.fetchrow(
                """SELECT id, username, password_hash FROM users
                   WHERE lower(username COLLATE "C") = lower($1 COLLATE "C")""",
                username,
            )
        )
        if row is None:
            return None
        return User(str(row["id"]), row["username"], row["password_hash"])

    async def canonical_names(self, usernames: Collection[str]) -> dict[str, str]:
        """See `Directory.canonical_names`."""
        rows = await self._database.read(
            lambda connection: connection.fetch(
                """SELECT asked.name, u.username FROM unnest($1::text[]) AS asked (name)
                   JOIN users u
                   ON lower(u.username COLLATE "C") = lower(asked.name COLLATE "C")""",
                list(usernames),
            )
        )
        return {row["name"]: row["username"] for row in rows}

    async def arrivals(self, usernames: Collection[str]) -> Arrivals:
        """See `Directory.arrivals`."""
        ((read_at, invisible),) = await self._starting.read([binary.texts(_keys(usernames))])
        assert read_at is not None
        assert invisible is not None
        names = [name.decode() for name in read_array(invisible)]
        return Arrivals(read_integer(read_at), frozenset(names))

    async def set_invisible(self, username: str, invisible: bool) -> None:
        """See `Directory.set_invisible`."""
        query = """UPDATE users SET invisible = $2
                   WHERE lower(username COLLATE "C") = lower($1 COLLATE "C")"""
        await self._database.write(
            lambda connection: connection.execute(query, username, invisible)
        )

    async def note_seen(self, seen: Mapping[str, int]) -> None:
        """See `Directory.note_seen`."""
        # Locked in one order for all: nodes note the same users at the same time.
        query = """WITH seen AS (
                       SELECT u.id, s.at FROM unnest($1::text[], $2::bigint[]) AS s (name, at)
                       JOIN users u ON lower(u.username COLLATE "C") = s.name
                       WHERE u.last_seen IS NULL OR u.last_seen < s.at
                       ORDER BY u.id FOR UPDATE OF u)
                   UPDATE users u SET last_seen = greatest(u.last_seen, seen.at)
                   FROM seen WHERE u.id = seen.id"""
        arguments = (_keys(seen), list(seen.values()))
        await self._database.write(lambda connection: connection.execute(query, *arguments))

    async def last_seen(self, usernames: Collection[str]) -> dict[str, int]:
        """See `Directory.last_seen`."""
        query = """SELECT username, last_seen FROM users
                   WHERE lower(username COLLATE "C") = ANY ($1)
                       AND last_seen IS NOT NULL AND NOT invisible"""
        rows = await self._database.read(
            lambda connection: connection.fetch(query, _keys(usernames))
        )
        return dict(rows)

    async def seen_lately(self, limit: int) -> dict[str, int]:
        """See `Directory.seen_lately`."""
        query = """SELECT username, last_seen FROM users
                   WHERE last_seen IS NOT NULL AND NOT invisible
                   ORDER BY last_seen DESC LIMIT $1"""
        return dict(await self._database.read(lambda connection: connection.fetch(query, limit)))

    async def notify(self, body: bytes) -> None:
        """See `Directory.notify`."""
        await self._database.write(
            lambda connection: connection.execute("INSERT INTO notices (body) VALUES ($1)", body)
        )

    async def notices_end(self) -> int:
        """See `Directory.notices_end`."""
        # Ids of transactions that began before may still appear: start a little before the end.
        query = "SELECT greatest(coalesce(max(id), 0) - 10, 0) FROM notices"
        end: int = await self._database.read(lambda connection: connection.fetchval(query))
        return end

    async def notices(self, after: int, missing: Collection[int], *, limit: int) -> list[Notice]:
        """See `Directory.notices`."""
        query = """SELECT id, body FROM notices WHERE id > $1 OR id = ANY ($2)
                   ORDER BY id LIMIT $3"""
        rows = await self._database.read(
            lambda connection: connection.fetch(query, after, list(missing), limit)
        )
        return [Notice(*row) for row in rows]

    async def trim_notices(self, keep: float) -> int:
        """See `Directory.trim_notices`."""
        query = """DELETE FROM notices WHERE id IN (
                       SELECT id FROM notices
                       WHERE at < clock_timestamp() - $1 * interval '1 second'
                       ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED)"""
        done: str = await self._database.read(lambda connection: connection.execute(query, keep))
        return int(done.rpartition(" ")[2])

    async def revoke(self, username: str, *, actor: Actor = SHELL) -> tuple[str, int] | None:
        """See `Directory.revoke`."""

        async def run(connection: Any) -> tuple[str, int] | None:
            async with connection.transaction():
                row = await connection.fetchrow(
                    """UPDATE users
                       SET valid_from = floor(extract(epoch FROM clock_timestamp())) + 1
                       WHERE lower(username COLLATE "C") = lower($1 COLLATE "C")
                       RETURNING id::text, username, valid_from""",
                    username,
                )
                if row is None:
                    return None
                user_id, name, valid_from = row
                await end_logins(connection, user_id, name, "user revoked")
                await tell(connection, "user.revoked", user_subject(user_id), actor)
                return name, valid_from

        return await self._database.write(run)

    async def revocations(self, since: int) -> dict[str, int]:
        """See `Directory.revocations`."""
        rows = await self._database.read(
            lambda connection: connection.fetch(
                """SELECT name, max(valid_from) FROM (
                       SELECT username AS name, valid_from FROM users WHERE valid_from > $1
                       UNION ALL
                       SELECT name, valid_from FROM revoked_names WHERE valid_from > $1) found
                   GROUP BY name""",
                since,
            )
        )
        return dict(rows)

    async def place_shards(self, databases: Sequence[str]) -> list[int]:
        """Where each logical shard lives, as an index into `databases` (their lasting names).

        Shards that have no place yet (all of them, at first) are spread evenly, for good.

        Raises:
            Rejected: a shard lives in a database that is not among them.
        """
        wanted = default_placement(len(databases))

        async def run(connection: Any) -> list[Any]:
            await connection.execute(
                """INSERT INTO shards (shard, database)
                   SELECT * FROM unnest($1::smallint[], $2::uuid[])
                   ON CONFLICT (shard) DO NOTHING""",
                list(range(LOGICAL_SHARDS)),
                [databases[index] for index in wanted],
            )
            found: list[Any] = await connection.fetch(
                "SELECT shard, database FROM shards ORDER BY shard"
            )
            return found

        places = {name: index for index, name in enumerate(databases)}
        placement: list[int] = []
        for row in await self._database.write(run):
            index = places.get(str(row["database"]))
            if index is None:
                raise Rejected(
                    f"logical shard {row['shard']} lives in database {row['database']}, which is"
                    " not among those configured; name every database, the directory's first"
                )
            placement.append(index)
        return placement

    async def note_databases(self, addresses: Mapping[str, str]) -> None:
        """Remember by which addresses databases were reached, by their lasting names."""
        await self._database.write(
            lambda connection: connection.execute(
                """INSERT INTO databases (name, address)
                   SELECT * FROM unnest($1::uuid[], $2::text[])
                   ON CONFLICT (name) DO UPDATE SET address = EXCLUDED.address
                   WHERE databases.address <> EXCLUDED.address""",
                list(addresses),
                list(addresses.values()),
            )
        )

    async def database_at(self, address: str) -> str | None:
        """The lasting name of the database that was last reached by this address."""
        query = "SELECT name FROM databases WHERE address = $1"
        rows = await self._database.read(lambda connection: connection.fetch(query, address))
        # Two had it: one took the place of the other, and which of them it is now is not known.
        return str(rows[0]["name"]) if len(rows) == 1 else None

    async def placement(self) -> list[str]:
        """See `Directory.placement`."""
        rows = await self._database.read(
            lambda connection: connection.fetch("SELECT database FROM shards ORDER BY shard")
        )
        return [str(row["database"]) for row in rows]

    async def close(self) -> None:
        """Give up all connections."""
        self._starting.close()
        await self._database.close()


def _keys(usernames: Iterable[str]) -> list[str]:
    """Names as the index has them: they are ASCII."""
    return [name.lower() for name in usernames]
