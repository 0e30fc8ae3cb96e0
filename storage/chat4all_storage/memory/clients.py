"""Service clients in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from ..ports.clients import client_owner
from ..ports.errors import ClientTaken

if TYPE_CHECKING:
    from ..ports.audit import Actor
    from ..ports.clients import ServiceClient
    from .directory import MemoryDirectory


class MemoryClients:
    """See `Clients`."""

    def __init__(self, directory: MemoryDirectory) -> None:
        self._directory = directory
        self._clients: dict[str, ServiceClient] = {}

    async def add(self, client: ServiceClient, actor: Actor) -> None:
        """See `Clients.add`."""
        await trio.lowlevel.checkpoint()
        if client.id in self._clients or self._named(client.name):
            raise ClientTaken(f"{client.id} / {client.name}")
        self._clients[client.id] = replace(client, created_at=self._directory.clock_ms())
        self._directory.audit.tell(
            "client.added", f"client:{client.name}", actor, scopes=" ".join(client.scopes)
        )

    def _named(self, name: str) -> ServiceClient | None:
        return next((client for client in self._clients.values() if client.name == name), None)

    async def find(self, client_id: str) -> ServiceClient | None:
        """See `Clients.find`."""
        await trio.lowlevel.checkpoint()
        return self._clients.get(client_id)

    async def all(self) -> list[ServiceClient]:
        """See `Clients.all`."""
        await trio.lowlevel.checkpoint()
        return sorted(self._clients.values(), key=lambda client: client.name)

    async def remove(self, name: str, actor: Actor) -> bool:
        """See `Clients.remove`."""
        await trio.lowlevel.checkpoint()
        client = self._named(name)
        if client is None:
            return False
        del self._clients[client.id]
        self._directory.webhooks.forget(client_owner(client.id))
        self._directory.revoke_name(f"client:{name}")
        self._directory.audit.tell("client.removed", f"client:{name}", actor)
        return True
