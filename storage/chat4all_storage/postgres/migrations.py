"""Bring a database's schema up to date.

The numbered files in `migrations/` are applied in order, each in one transaction that also
records it, under an advisory lock: any number of nodes may start at once, and starting again is
harmless. A file that was applied never changes; its checksum is compared.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ..ports.errors import Rejected
from .connections import with_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bridge import Bridge

_LOCK: Final = 0x6334615F  # any number, the same for all nodes
_TIMEOUT: Final = 600.0
"""Seconds: a later migration may rewrite a large table."""
UNHURRIED: Final = {"statement_timeout": "0", "lock_timeout": "0"}
"""Settings of a connection that migrates."""


class Migration(Struct, frozen=True):
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of its text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load() -> list[Migration]:
    """All migrations that this version knows, in order."""
    here = Path(__file__).parents[1]
    folder = here / "migrations"  # in an installed wheel
    if not folder.is_dir():
        folder = here.parent / "migrations"  # in a checkout
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    migrations = [
        Migration(int(file.name[:4]), file.stem, file.read_text(encoding="utf-8")) for file in files
    ]
    numbers = [migration.number for migration in migrations]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise RuntimeError(f"the migrations in {folder} are not numbered 1, 2, 3, …: {numbers}")
    return migrations


async def migrate(
    bridge: Bridge, dsn: str, migrations: Sequence[Migration] | None = None
) -> list[str]:
    """Apply what is missing, and return the names of what was applied.

    Raises:
        Unavailable: the database can't be reached.
        Rejected: it was migrated by a newer version, or a file that was applied has changed.
    """
    return await with_connection(
        bridge,
        dsn,
        lambda connection: apply_missing(connection, migrations),
        timeout=_TIMEOUT,
        settings=UNHURRIED,
    )


async def apply_missing(
    connection: Any, migrations: Sequence[Migration] | None = None
) -> list[str]:
    """On the asyncio loop: as `migrate`, over a connection with the settings `UNHURRIED`."""
    known = load() if migrations is None else list(migrations)
    # Whoever comes second waits for as long as the first one's migrations take.
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_TIMEOUT)
    try:
        return await _apply_missing(connection, known)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def pending(bridge: Bridge, dsn: str) -> list[str]:
    """The names of the migrations that the database lacks, without applying any.

    Raises:
        Unavailable, Rejected: as `migrate`.
    """
    return await with_connection(bridge, dsn, find_missing, timeout=30.0)


async def find_missing(connection: Any) -> list[str]:
    """On the asyncio loop: as `pending`."""
    known = load()
    if await connection.fetchval("SELECT to_regclass('migrations')") is None:
        return [migration.name for migration in known]
    return [migration.name for migration in await _missing(connection, known)]


async def _missing(connection: Any, known: Sequence[Migration]) -> list[Migration]:
    """Those that are not applied; `Rejected` if what is applied is not what is known."""
    rows = await connection.fetch("SELECT number, checksum FROM migrations")
    applied = {row["number"]: row["checksum"] for row in rows}
    if unknown := sorted(set(applied) - {migration.number for migration in known}):
        raise Rejected(f"the database has migration {unknown[-1]}, of a newer version of chat4all")
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise Rejected(f"migration {migration.name} is not what was applied")
    return [migration for migration in known if migration.number not in applied]


async def _apply_missing(connection: Any, known: Sequence[Migration]) -> list[str]:
    await connection.execute(
        """CREATE TABLE IF NOT EXISTS migrations (
               number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
               applied_at timestamptz NOT NULL DEFAULT now())"""
    )
    done: list[str] = []
    for migration in await _missing(connection, known):
        async with connection.transaction():
            await connection.execute(migration.sql, timeout=_TIMEOUT)
            await connection.execute(
                "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
        done.append(migration.name)
    return done
