"""Profiles, passwords and the end of accounts, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ports.answers import registration_scope
from ..ports.audit import user_subject
from ..ports.profiles import Profile
from .audit import MS, tell
from .erasures import begin_erasure
from .logins import end_logins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ports.audit import Actor
    from ..ports.logins import EndedLogin
    from .connections import Database


class PostgresProfiles:
    """See `Profiles`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def profile(self, user_id: str) -> Profile | None:
        """See `Profiles.profile`."""
        query = f"""SELECT id::text, username, display_name, email, {MS.format("created_at")},
                        {MS.format("password_changed_at")},
                        EXISTS (SELECT FROM second_factors f
                                WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
                    FROM users u WHERE id = $1"""
        row = await self._database.read(lambda connection: connection.fetchrow(query, user_id))
        return None if row is None else Profile(*row)

    async def change(self, user_id: str, changes: Mapping[str, str | None], actor: Actor) -> bool:
        """See `Profiles.change`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                done = await connection.execute(
                    """UPDATE users SET email = CASE WHEN $2 THEN $3 ELSE email END,
                           display_name = CASE WHEN $4 THEN $5 ELSE display_name END
                       WHERE id = $1""",
                    user_id,
                    "email" in changes,
                    changes.get("email"),
                    "display_name" in changes,
                    changes.get("display_name"),
                )
                if done == "UPDATE 0":
                    return False
                fields = " ".join(sorted(changes))
                subject = user_subject(user_id)
                await tell(connection, "user.changed", subject, actor, fields=fields)
                return True

        return await self._database.write(run)

    async def change_password(
        self, user_id: str, former: bytes, password_hash: bytes, keep: str | None, actor: Actor
    ) -> list[EndedLogin] | None:
        """See `Profiles.change_password`."""

        async def run(connection: Any) -> list[EndedLogin] | None:
            async with connection.transaction():
                name = await connection.fetchval(
                    """UPDATE users SET password_hash = $3, password_changed_at = clock_timestamp()
                       WHERE id = $1 AND password_hash = $2 RETURNING username""",
                    user_id,
                    former,
                    password_hash,
                )
                if name is None:
                    return None
                await tell(connection, "password.changed", user_subject(user_id), actor)
                return await end_logins(connection, user_id, name, "password changed", keep=keep)

        return await self._database.write(run)

    async def erase(self, user_id: str, pseudonym: str, actor: Actor) -> list[EndedLogin] | None:
        """See `Profiles.erase`."""

        async def run(connection: Any) -> list[EndedLogin] | None:
            async with connection.transaction():
                name = await connection.fetchval(
                    "SELECT username FROM users WHERE id = $1 FOR UPDATE", user_id
                )
                if name is None:
                    return None
                subject = user_subject(user_id)
                ended = await end_logins(connection, user_id, name, "user erased")
                await revoke_name(connection, name)
                await connection.execute("DELETE FROM users WHERE id = $1", user_id)
                await begin_erasure(connection, user_id, name, pseudonym)
                await remove_webhooks(connection, subject)
                await connection.execute(
                    "DELETE FROM idempotency WHERE caller = ANY ($1)",
                    [subject, registration_scope(name)],
                )
                await tell(connection, "user.erased", subject, actor)
                # Where somebody was is personal, what was done is not.
                await connection.execute(
                    "UPDATE audit SET address = NULL WHERE subject = $1", subject
                )
                return ended

        return await self._database.write(run)


async def remove_webhooks(connection: Any, owner: str) -> None:
    """In a transaction: nobody is told anything for this user or client any more."""
    await connection.execute("DELETE FROM webhooks WHERE owner = $1", owner)


async def revoke_name(connection: Any, name: str) -> None:
    """In a transaction: tokens count only from the next second on, though the name has no row."""
    await connection.execute(
        """INSERT INTO revoked_names (name, valid_from)
           VALUES ($1, floor(extract(epoch FROM clock_timestamp())) + 1)
           ON CONFLICT (name) DO UPDATE SET valid_from = EXCLUDED.valid_from""",
        name,
    )
