"""Erasures on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.erasures import Erasure

if TYPE_CHECKING:
    from .connections import Database

_CLAIM: Final = """
    UPDATE user_erasures SET claimed_until = clock_timestamp() + $2 * interval '1 second'
    WHERE user_id = (
        SELECT user_id FROM user_erasures
        WHERE claimed_until < clock_timestamp()
            AND started_at <= clock_timestamp() - $1 * interval '1 second'
        ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING user_id, username, pseudonym
"""


class PostgresErasures:
    """See `Erasures`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, delay: float, lease: float) -> Erasure | None:
        """See `Erasures.claim`."""
        row = await self._database.write(
            lambda connection: connection.fetchrow(_CLAIM, delay, lease)
        )
        return None if row is None else Erasure(str(row[0]), row[1], row[2])

    async def finish(self, user_id: str) -> None:
        """See `Erasures.finish`."""
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM user_erasures WHERE user_id = $1", user_id
            )
        )


async def begin_erasure(connection: Any, user_id: str, username: str, pseudonym: str) -> None:
    """In the transaction that removes the user."""
    await connection.execute(
        "INSERT INTO user_erasures (user_id, username, pseudonym) VALUES ($1, $2, $3)",
        user_id,
        username,
        pseudonym,
    )


async def being_erased(connection: Any, username: str) -> bool:
    """Whether somebody of this name is being erased; asked in a statement of its own, after the
    name was taken: whoever held it has committed then.
    """
    query = """SELECT EXISTS (SELECT FROM user_erasures
                              WHERE lower(username COLLATE "C") = lower($1 COLLATE "C"))"""
    found: bool = await connection.fetchval(query, username)
    return found
