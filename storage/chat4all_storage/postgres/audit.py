"""The audit log on PostgreSQL: every act is told in its own transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..ports.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ports.audit import Act, Actor, Detail
    from .connections import Database

TRIM_AT_ONCE: Final = 10_000
"""Rows that one statement removes."""

MS: Final = "(extract(epoch FROM {}) * 1000)::bigint"
"""A time as milliseconds since the epoch."""


async def tell(
    connection: Any, act: Act, subject: str | None, actor: Actor, **details: Detail
) -> None:
    """On the asyncio loop, in the transaction of the act: write what is done."""
    await connection.execute(
        """INSERT INTO audit (actor, act, subject, address, trace, details)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        actor.name,
        act,
        subject,
        actor.address,
        actor.trace,
        encode_details(details),
    )


def encode_details(details: Mapping[str, Detail]) -> str:
    """Details as JSON."""
    return msgspec.json.encode(dict(details)).decode()


class PostgresAudit:
    """See `Audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self, act: Act, subject: str | None, actor: Actor, details: Mapping[str, Detail]
    ) -> None:
        """See `Audit.note`."""
        await self._database.write(
            lambda connection: tell(connection, act, subject, actor, **details)
        )

    async def entries(
        self, subject: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """See `Audit.entries`."""
        query = f"""SELECT id, {MS.format("at")} AS at, actor, act, subject, address, trace,
                        details::text
                    FROM audit WHERE ($1::text IS NULL OR subject = $1)
                        AND ($2::bigint IS NULL OR id < $2)
                    ORDER BY id DESC LIMIT $3"""
        rows = await self._database.read(
            lambda connection: connection.fetch(query, subject, before, limit)
        )
        return [
            AuditEntry(
                row["id"],
                row["at"],
                row["actor"],
                row["act"],
                row["subject"],
                row["address"],
                row["trace"],
                msgspec.json.decode(row["details"]),
            )
            for row in rows
        ]

    async def trim(self, keep: float) -> int:
        """See `Audit.trim`."""
        query = f"""DELETE FROM audit WHERE id IN (
                        SELECT id FROM audit
                        WHERE at < clock_timestamp() - $1 * interval '1 second'
                        ORDER BY at LIMIT {TRIM_AT_ONCE} FOR UPDATE SKIP LOCKED)"""
        return await trimmed(self._database, query, keep)


async def trimmed(database: Database, query: str, *arguments: Any) -> int:
    """Run a statement that removes rows nobody needs; how many it removed."""
    done: str = await database.read(lambda connection: connection.execute(query, *arguments))
    return int(done.rpartition(" ")[2])
