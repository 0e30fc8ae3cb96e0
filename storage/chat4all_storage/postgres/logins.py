"""Logins on PostgreSQL. Who changes several of a user locks the user first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.audit import user_subject
from ..ports.logins import ENDED_OVERLAP_MS, REVOCATION_LIFETIME, EndedLogin, Login
from .audit import MS, TRIM_AT_ONCE, encode_details, tell, trimmed

if TYPE_CHECKING:
    from ..ports.audit import Act, Actor
    from ..ports.logins import NewLogin
    from .connections import Database

_COLUMNS: Final = f"""l.id::text, l.user_id::text, u.username, l.device, l.address, l.user_agent,
    {MS.format("l.created_at")}, {MS.format("l.last_used_at")}, {MS.format("l.expires_at")},
    l.salt, l.generation, l.token_hash, l.previous_hash,
    extract(epoch FROM clock_timestamp() - l.rotated_at)::float8,
    l.ended_at IS NULL AND l.expires_at > clock_timestamp()"""


async def lock_user(connection: Any, user_id: str) -> str | None:
    """In a transaction: the user's name, who is not changed by others until it ends."""
    name: str | None = await connection.fetchval(
        "SELECT username FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id
    )
    return name


async def end_logins(
    connection: Any,
    user_id: str,
    username: str,
    why: str,
    *,
    only: list[str] | None = None,
    keep: str | None = None,
) -> list[EndedLogin]:
    """In a transaction that has locked the user: end logins, and let every node learn it."""
    query = f"""WITH ended AS (
                    UPDATE logins SET ended_at = clock_timestamp(), ended_why = $3
                    WHERE user_id = $1 AND ended_at IS NULL
                        AND ($4::uuid[] IS NULL OR id = ANY ($4)) AND ($5::uuid IS NULL OR id <> $5)
                    RETURNING id, ended_at)
                INSERT INTO ended_logins (login, username, at) SELECT id, $2, ended_at FROM ended
                ON CONFLICT (login) DO UPDATE SET at = EXCLUDED.at
                RETURNING login::text, username, {MS.format("at")}"""
    rows = await connection.fetch(query, user_id, username, why, only, keep)
    return [EndedLogin(*row) for row in rows]


class PostgresLogins:
    """See `Logins`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, login: NewLogin, password_hash: bytes, most: int, actor: Actor
    ) -> list[EndedLogin] | None:
        """See `Logins.open`."""

        async def run(connection: Any) -> list[EndedLogin] | None:
            async with connection.transaction():
                name = await connection.fetchval(
                    """SELECT username FROM users WHERE id = $1 AND password_hash = $2
                       FOR NO KEY UPDATE""",
                    login.user_id,
                    password_hash,
                )
                if name is None:
                    return None
                await connection.execute(
                    """INSERT INTO logins (id, user_id, salt, token_hash, device, address,
                           user_agent, expires_at)
                       VALUES ($1, $2, $3, $4, $5, $6, $7,
                           clock_timestamp() + $8 * interval '1 second')""",
                    login.id,
                    login.user_id,
                    login.salt,
                    login.token_hash,
                    login.device,
                    login.address,
                    login.user_agent,
                    login.lifetime,
                )
                await tell(
                    connection, "login.opened", user_subject(login.user_id), actor, login=login.id
                )
                beyond = await connection.fetch(
                    """SELECT id::text FROM logins
                       WHERE user_id = $1 AND ended_at IS NULL AND expires_at > clock_timestamp()
                           AND id <> $2
                       ORDER BY last_used_at DESC, id OFFSET $3""",
                    login.user_id,
                    login.id,
                    most - 1,
                )
                if not beyond:
                    return []
                only = [row["id"] for row in beyond]
                return await end_logins(connection, login.user_id, name, "too many", only=only)

        return await self._database.write(run)

    async def find(self, login: str) -> Login | None:
        """See `Logins.find`."""
        query = f"SELECT {_COLUMNS} FROM logins l JOIN users u ON u.id = l.user_id WHERE l.id = $1"
        row = await self._database.read(lambda connection: connection.fetchrow(query, login))
        return None if row is None else Login(*row)

    async def rotate(
        self, login: str, token_hash: bytes, successor: bytes, lifetime: float, actor: Actor
    ) -> bool:
        """See `Logins.rotate`."""
        query = """WITH rotated AS (
                       UPDATE logins SET previous_hash = token_hash, token_hash = $3,
                           generation = generation + 1, rotated_at = clock_timestamp(),
                           last_used_at = clock_timestamp(),
                           expires_at = clock_timestamp() + $4 * interval '1 second'
                       WHERE id = $1 AND token_hash = $2 AND ended_at IS NULL
                           AND expires_at > clock_timestamp()
                       RETURNING user_id)
                   INSERT INTO audit (actor, act, subject, address, trace, details)
                   SELECT $5, 'token.refreshed', 'user:' || user_id, $6, $7, $8 FROM rotated
                   RETURNING id"""
        done = await self._database.write(
            lambda connection: connection.fetchval(
                query,
                login,
                token_hash,
                successor,
                lifetime,
                actor.name,
                actor.address,
                actor.trace,
                encode_details({"login": login}),
            )
        )
        return done is not None

    async def of(self, user_id: str) -> list[Login]:
        """See `Logins.of`."""
        query = f"""SELECT {_COLUMNS} FROM logins l JOIN users u ON u.id = l.user_id
                    WHERE l.user_id = $1 AND l.ended_at IS NULL
                        AND l.expires_at > clock_timestamp()
                    ORDER BY l.last_used_at DESC, l.id"""
        rows = await self._database.read(lambda connection: connection.fetch(query, user_id))
        return [Login(*row) for row in rows]

    async def end(
        self,
        user_id: str,
        why: str,
        actor: Actor,
        *,
        only: str | None = None,
        keep: str | None = None,
        act: Act = "login.ended",
    ) -> list[EndedLogin]:
        """See `Logins.end`."""

        async def run(connection: Any) -> list[EndedLogin]:
            async with connection.transaction():
                name = await lock_user(connection, user_id)
                if name is None:
                    return []
                ids = None if only is None else [only]
                ended = await end_logins(connection, user_id, name, why, only=ids, keep=keep)
                for each in ended:
                    subject = user_subject(user_id)
                    await tell(connection, act, subject, actor, login=each.login, why=why)
                return ended

        return await self._database.write(run)

    async def ended(self, since: int) -> list[EndedLogin]:
        """See `Logins.ended`."""
        query = f"""SELECT login::text, username, {MS.format("at")} FROM ended_logins
                    WHERE at > to_timestamp($1::float8 / 1000)"""
        after = max(since - ENDED_OVERLAP_MS, 0)
        rows = await self._database.read(lambda connection: connection.fetch(query, after))
        return [EndedLogin(*row) for row in rows]

    async def trim(self, keep: float) -> int:
        """See `Logins.trim`."""
        names = "DELETE FROM revoked_names WHERE valid_from < extract(epoch FROM now()) - $1"
        await trimmed(self._database, names, REVOCATION_LIFETIME)
        ended = f"""DELETE FROM ended_logins WHERE login IN (
                        SELECT login FROM ended_logins
                        WHERE at < clock_timestamp() - $1 * interval '1 second'
                        ORDER BY at LIMIT {TRIM_AT_ONCE} FOR UPDATE SKIP LOCKED)"""
        await trimmed(self._database, ended, REVOCATION_LIFETIME)
        query = f"""DELETE FROM logins WHERE id IN (
                        SELECT id FROM logins
                        WHERE expires_at < clock_timestamp() - $1 * interval '1 second'
                        ORDER BY expires_at LIMIT {TRIM_AT_ONCE} FOR UPDATE SKIP LOCKED)"""
        return await trimmed(self._database, query, keep)
