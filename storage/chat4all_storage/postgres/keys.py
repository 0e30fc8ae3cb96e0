"""Signing keys on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..ports.keys import SigningKey
from .audit import MS, tell

if TYPE_CHECKING:
    from ..ports.audit import Actor
    from ..ports.keys import Algorithm
    from .connections import Database

_KEYS_LOCK: Final = 0x6335  # one node at a time adds a key; the second half of the number is 1


class PostgresKeys:
    """See `Keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[SigningKey]:
        """See `Keys.all`."""
        query = f"""SELECT kid, algorithm, secret, {MS.format("created_at")},
                        {MS.format("active_from")}, {MS.format("retires_at")}
                    FROM signing_keys WHERE retires_at IS NULL OR retires_at > clock_timestamp()
                    ORDER BY active_from, kid"""
        rows = await self._database.read(lambda connection: connection.fetch(query))
        return [SigningKey(*row) for row in rows]

    async def add(
        self,
        kid: str,
        algorithm: Algorithm,
        secret: bytes,
        actor: Actor,
        *,
        delay: float,
        keep: float,
        only_first: bool = False,
    ) -> bool:
        """See `Keys.add`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1, 1)", _KEYS_LOCK)
                await connection.execute(
                    "DELETE FROM signing_keys WHERE retires_at < clock_timestamp()"
                )
                if only_first and await connection.fetchval(
                    "SELECT true FROM signing_keys WHERE algorithm = $1 LIMIT 1", algorithm
                ):
                    return False
                active_from = await connection.fetchval(
                    """INSERT INTO signing_keys (kid, algorithm, secret, active_from)
                       VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second')
                       RETURNING active_from""",
                    kid,
                    algorithm,
                    secret,
                    delay,
                )
                await connection.execute(
                    """UPDATE signing_keys
                       SET retires_at = $3::timestamptz + $4 * interval '1 second'
                       WHERE algorithm = $2 AND kid <> $1 AND retires_at IS NULL""",
                    kid,
                    algorithm,
                    active_from,
                    keep,
                )
                await tell(connection, "key.added", f"key:{kid}", actor, algorithm=algorithm)
                return True

        return await self._database.write(run)
