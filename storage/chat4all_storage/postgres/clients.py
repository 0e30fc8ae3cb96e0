"""Service clients and signing keys on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ..ports.accounts import ClientTaken, ServiceClient, SigningKey
from .audit import MS, tell
from .profiles import revoke_name

if TYPE_CHECKING:
    from ..ports.accounts import Algorithm
    from ..ports.actor import Actor
    from .connections import Database

_KEYS_LOCK: Final = 0x6335  # one node at a time adds a key; the second half of the number is 1
_CLIENT: Final = f"id, name, secret_hash, scopes, {MS.format('created_at')}"


class PostgresClients:
    """See `Clients`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, client: ServiceClient, actor: Actor) -> None:
        """See `Clients.add`."""

        async def run(connection: Any) -> bool:
            try:
                async with connection.transaction():
                    # An id that was removed may be given again.
                    done = await connection.fetchval(
                        """INSERT INTO service_clients (id, name, secret_hash, scopes)
                           VALUES ($1, $2, $3, $4)
                           ON CONFLICT (id) DO UPDATE
                           SET name = EXCLUDED.name, secret_hash = EXCLUDED.secret_hash,
                               scopes = EXCLUDED.scopes, created_at = clock_timestamp(),
                               disabled_at = NULL
                           WHERE service_clients.disabled_at IS NOT NULL RETURNING true""",
                        client.id,
                        client.name,
                        client.secret_hash,
                        list(client.scopes),
                    )
                    if done:
                        await tell(
                            connection,
                            "client.added",
                            f"client:{client.name}",
                            actor,
                            scopes=" ".join(client.scopes),
                        )
                    return bool(done)
            except asyncpg.UniqueViolationError:
                return False

        if not await self._database.write(run):
            raise ClientTaken(f"{client.id} / {client.name}")

    async def find(self, client_id: str) -> ServiceClient | None:
        """See `Clients.find`."""
        query = f"SELECT {_CLIENT} FROM service_clients WHERE id = $1 AND disabled_at IS NULL"
        row = await self._database.read(lambda connection: connection.fetchrow(query, client_id))
        return None if row is None else _client(row)

    async def all(self) -> list[ServiceClient]:
        """See `Clients.all`."""
        query = f"SELECT {_CLIENT} FROM service_clients WHERE disabled_at IS NULL ORDER BY name"
        rows = await self._database.read(lambda connection: connection.fetch(query))
        return [_client(row) for row in rows]

    async def remove(self, name: str, actor: Actor) -> bool:
        """See `Clients.remove`."""

        async def run(connection: Any) -> bool:
            async with connection.transaction():
                done = await connection.fetchval(
                    """UPDATE service_clients SET disabled_at = clock_timestamp()
                       WHERE name = $1 AND disabled_at IS NULL RETURNING true""",
                    name,
                )
                if done:
                    await revoke_name(connection, f"client:{name}")
                    await tell(connection, "client.removed", f"client:{name}", actor)
                return bool(done)

        return await self._database.write(run)


def _client(row: Any) -> ServiceClient:
    id_, name, secret_hash, scopes, created_at = row
    return ServiceClient(id_, name, secret_hash, tuple(scopes), created_at)


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
