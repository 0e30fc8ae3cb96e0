"""Service clients on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ..ports.clients import ServiceClient, client_owner
from ..ports.errors import ClientTaken
from .audit import MS, tell
from .profiles import remove_webhooks, revoke_name

if TYPE_CHECKING:
    from ..ports.audit import Actor
    from .connections import Database

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
                       WHERE name = $1 AND disabled_at IS NULL RETURNING id""",
                    name,
                )
                if done is not None:
                    await remove_webhooks(connection, client_owner(done))
                    await revoke_name(connection, f"client:{name}")
                    await tell(connection, "client.removed", f"client:{name}", actor)
                return done is not None

        return await self._database.write(run)


def _client(row: Any) -> ServiceClient:
    id_, name, secret_hash, scopes, created_at = row
    return ServiceClient(id_, name, secret_hash, tuple(scopes), created_at)
