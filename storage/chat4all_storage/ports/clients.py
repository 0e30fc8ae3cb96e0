"""Service clients, programs with an identity of their own: the port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from .audit import Actor


class ServiceClient(Struct, frozen=True):
    """A program with an identity of its own."""

    id: str
    name: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    created_at: int = 0


def client_owner(client_id: str) -> str:
    """How what belongs to a service client names it; a user is named by `audit.user_subject`."""
    return f"client:{client_id}"


class Clients(Protocol):
    """Service clients."""

    async def add(self, client: ServiceClient, actor: Actor) -> None:
        """Add a client.

        Raises:
            ClientTaken: its id or its name is in use.
        """
        ...

    async def find(self, client_id: str) -> ServiceClient | None:
        """The client with this id, unless it was removed."""
        ...

    async def all(self) -> list[ServiceClient]:
        """All that were not removed, by name."""
        ...

    async def remove(self, name: str, actor: Actor) -> bool:
        """Remove the client of that name; its tokens count no longer. False: there is none."""
        ...
